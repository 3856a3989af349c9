"""What a judge has said of a synthetic data set, with all that is needed to tell how far to trust it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from rich.table import Table

from ercsatz.judging.ask import Judged, JudgedPair
from ercsatz.judging.pairs import Drawn
from ercsatz.judging.read import CRITERIA, FIT, JudgedComparison, JudgementReason, PersonaFit
from ercsatz.judging.scores import PERSONA, SIDES, Scores, by_side, chose_synthetic
from ercsatz.llm.inquiry import Outcome, Tally
from ercsatz.quality.agreement import Preference
from ercsatz.quality.measure import Measure

_WHAT = ("pair", "kind", "synthetic", "real", "first", "repeat", "seed", "attempts", "status", "more_natural")
_SCORES = (*(f"{side}_{name}" for side in SIDES for name in (*CRITERIA, FIT)), PERSONA)
_SOURCE = ("generator", "model", "rubric", "templates_sha256")
ROW = (*_WHAT, *_SCORES, *_SOURCE)
TURN = ("pair", "side", "dialogue", "turn", "emotion", "first", "repeat", "score", *_SOURCE)


@dataclass(frozen=True, slots=True)
class JudgementFunnel:
    """From synthetic dialogues to judged pairs.

    Attributes:
        dialogues: in the synthetic data set.
        passed_over: drawn, but no real dialogue of about the same length was left for them.
        pairs: drawn.
        wanted: judgements: one for each pair, order and seed, and those of persona fit.
        taken: those of them that were come to; fewer where none of the first could be read.
        accepted: those of them that could be read.
        judged: pairs with a judgement in both orders; only these count.
        one_order: pairs with judgements in one order only.
        without: judgements that were taken and not accepted, by the code of the last reason.
        rejected: answers by why they were rejected; for one judgement there may be several.
    """

    dialogues: int = 0
    passed_over: int = 0
    pairs: int = 0
    wanted: int = 0
    taken: int = 0
    accepted: int = 0
    judged: int = 0
    one_order: int = 0
    without: Mapping[str, int] = field(default_factory=dict)
    rejected: Mapping[str, int] = field(default_factory=dict)

    def table(self, title: str) -> Table:
        """For the terminal."""
        heads = ("stage or reason", "pairs", "judgements", "rejected\nanswers", "meaning")
        table = Table(*heads, title=title, title_justify="left")
        for column in table.columns:
            column.overflow = "fold"
        for name in ("pairs", "judged", "one_order", "passed_over"):
            table.add_row(name, f"{getattr(self, name):,}")
        table.add_section()
        for name in ("wanted", "taken", "accepted"):
            table.add_row(name, "", f"{getattr(self, name):,}")
        table.add_section()
        for name in sorted({*self.without, *self.rejected}, key=lambda name: (-self.rejected.get(name, 0), name)):
            counts = (str(each.get(name, "")) for each in (self.without, self.rejected))
            table.add_row(name, "", *counts, JudgementReason[name].value)
        return table


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a language model says of a synthetic data set.

    Attributes:
        not_judged: why nothing was asked; empty where something was.
        by: generator and model.
        rubric: its version.
        templates_sha256: SHA-256 (hex) of its templates.
        measures: of the synthetic dialogues. Means from 1 to 5: ``naturalness``, ``coherence``, ``emotional_fit`` (over
            all labelled turns, and of each emotion), ``persona_fit``; and the share ``called_more_natural``.
        real: ``naturalness``, ``coherence`` and ``emotional_fit`` of the real dialogues beside them.
        preference: the interval and the counts behind ``called_more_natural``; ``None`` where nothing was asked.
        agreement: between repeats, Krippendorff's ``alpha_<criterion>`` and ``alpha_choice``.
        bias: ``first_called_more_natural`` and ``choice_follows_order``.
        funnel: what became of all that was asked.
        rows: a judgement each, columns ``ROW``; scores are missing where ``status`` is not ``accepted``.
        turns: a labelled turn of a judgement each, columns ``TURN``.
    """

    not_judged: str
    by: str
    rubric: int
    templates_sha256: str
    measures: list[Measure]
    real: list[Measure]
    preference: Preference | None
    agreement: list[Measure]
    bias: list[Measure]
    funnel: JudgementFunnel
    rows: pd.DataFrame
    turns: pd.DataFrame


@dataclass(slots=True)
class Record:
    """Outcomes as they come, as rows and as scores.

    Attributes:
        scores: of all that was accepted.
        source: what stands in every row: the values of generator, model, rubric and templates_sha256.
    """

    scores: Scores
    source: Sequence[object] = ()
    _rows: list[dict[str, Any]] = field(default_factory=list)
    _turns: list[dict[str, Any]] = field(default_factory=list)

    def take(self, outcome: Outcome[JudgedPair, Judged, JudgementReason]) -> None:
        """Enter one more."""
        unit, result, request = outcome.unit, outcome.result, outcome.request
        assert request is not None
        self.scores.add(unit, result)
        row = {
            "pair": unit.pair.index,
            "kind": unit.kind,
            "synthetic": unit.pair.synthetic.id,
            "real": unit.pair.real.id if unit.kind == "pair" else None,
            "first": SIDES[unit.order] if unit.kind == "pair" else None,
            "repeat": unit.repeat,
            "seed": request.seed,
            "attempts": request.attempt + 1,
            "status": result.name if isinstance(result, JudgementReason) else "accepted",
        }
        source = dict(zip(_SOURCE, self.source, strict=True))
        if isinstance(result, PersonaFit):
            row[PERSONA] = result.score
        if isinstance(result, JudgedComparison):
            row |= self._compared(unit, result, source)
        self._rows.append(row | source)

    def _compared(self, unit: JudgedPair, said: JudgedComparison, source: Mapping[str, object]) -> dict[str, Any]:
        scores: dict[str, Any] = {"more_natural": SIDES[not chose_synthetic(unit, said)]}
        sides = zip(SIDES, (unit.pair.synthetic, unit.pair.real), by_side(unit, said), strict=True)
        for side, dialogue, rating in sides:
            fits = rating.emotional_fit
            scores |= {f"{side}_{name}": getattr(rating, name) for name in CRITERIA}
            scores[f"{side}_{FIT}"] = sum(fits.values()) / len(fits) if fits else None
            shared = {"pair": unit.pair.index, "side": side, "dialogue": dialogue.id}
            shared |= {"first": SIDES[unit.order], "repeat": unit.repeat, **source}
            for turn, score in fits.items():
                emotion = dialogue.utterances[turn - 1].emotion
                self._turns.append({**shared, "turn": turn, "emotion": emotion, "score": score})
        return scores

    def frames(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """All judgements, and all scored turns."""
        return pd.DataFrame(self._rows, columns=list(ROW)), pd.DataFrame(self._turns, columns=list(TURN))

    def funnel(self, dialogues: int, drawn: Drawn, wanted: int, tally: Tally[JudgementReason]) -> JudgementFunnel:
        """What became of all."""
        without, rejected = (
            {reason.name: count for reason, count in counts.most_common()} for counts in (tally.without, tally.rejected)
        )
        return JudgementFunnel(
            dialogues=dialogues,
            passed_over=drawn.passed_over,
            pairs=len(drawn.pairs),
            wanted=wanted,
            taken=tally.taken,
            accepted=tally.used,
            judged=self.scores.judged,
            one_order=self.scores.one_order,
            without=without,
            rejected=rejected,
        )
