"""All measures of a synthetic data set beside those of the real one, each on samples of the same size."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ercsatz.assessment.record import Line, key_of, single
from ercsatz.assessment.resampling import FEWEST, Draws, Fit, Own, Sizes, texts_of
from ercsatz.config import LeakageConfig
from ercsatz.data.dialogue import Dialogue
from ercsatz.quality.leakage import Leaks, against, copied, leakage
from ercsatz.quality.measure import Measure, shuffled
from ercsatz.quality.splits import SplitTests, same_distribution

Splits = Mapping[str, Sequence[Dialogue]]
Say = Callable[[str], None]
# Raise it when any figure of the same data changes: here, in resampling, in quality/, in what they take from ranking/
# and data/, or in how classifiers/encoder makes vectors of texts.
VERSION = 1
_EXAMPLES = 3
_UNMARKED = {"real_findable", "real_repeated"}  # of the real dialogues; the second grows with what is searched


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured; see ``record.Assessment``."""

    embedder: str
    lexical: bool
    compared: dict[str, int]
    lines: tuple[Line, ...]
    confusion: dict[str, Any]
    offenders: list[dict[str, Any]]
    tests: list[dict[str, Any]]
    points: dict[str, list[Any]]
    examples: list[list[Any]]
    nearest: dict[str, list[float]]


def measure(
    real: Splits,
    own: Splits,
    labels: Sequence[str],
    fit: Fit,
    rules: LeakageConfig,
    sizes: Sizes,
    measures: Own,
    say: Say,
) -> Measured:
    """Measure a synthetic data set, and the real one as the mark.

    Args:
        real: train, validation and test of the benchmark.
        own: the same of the synthetic data set; a split may be empty.
        labels: the benchmark's.
        fit: makes an embedder from real texts; one that needs no fitting may ignore them.
        rules: of leakage.
        sizes: how much is drawn.
        measures: of the user's own.
        say: told which family of measures is at work.
    """
    draws = Draws(real["train"], [*real["validation"], *real["test"]], own["train"], fit, sizes)
    lines = []
    for family in (draws.diversity, draws.clusters, draws.realism):
        say(family.__name__)
        lines += family()
    say("labels")
    found, confusion = draws.labels(real["test"], own["test"], labels)
    lines += found + _single(draws.everything(real["train"], own["train"], real["test"], labels), [])
    say("leakage")
    leaks, found = _leaks(real, own, rules)
    everyone = [dialogue for dialogues in own.values() for dialogue in dialogues]
    lines += found
    found, distances = draws.nearest(everyone, rules.words)
    lines += found
    say("splits")
    tests = _tests(own, fit, sizes.seed)
    lines += _single(tests.measures, _tests(real, fit, sizes.seed).measures)
    if measures:
        say("measures of your own")
        lines += draws.own(measures)
    return Measured(
        embedder=draws.embedder.name,
        lexical=draws.embedder.lexical,
        compared={"dialogues": draws.size.dialogues, "turns": draws.size.turns},
        lines=tuple(lines),
        confusion={
            key: {"labels": list(frame.columns), "counts": frame.to_numpy().tolist()}
            for key, frame in confusion.items()
        },
        offenders=_records(leaks.offenders),
        tests=_records(tests.table),
        points=draws.points(),
        examples=[_spoken(dialogue) for dialogue in shuffled(own["train"], sizes.seed)[:_EXAMPLES]],
        nearest=distances,
    )


def _single(own: Sequence[Measure], real: Sequence[Measure]) -> list[Line]:
    """A line per measure that was taken once."""
    marks = {key_of(measure): measure for measure in real}
    return [single(measure, marks.get(key_of(measure))) for measure in own]


def _leaks(real: Splits, own: Splits, rules: LeakageConfig) -> tuple[Leaks, list[Line]]:
    """What repeats the held-out splits, as the real training split does too; and what repeats that."""
    held_out = {split: real[split] for split in ("validation", "test")}
    leaks, marks = leakage(own, held_out, rules), leakage({"train": real["train"]}, held_out, rules)
    copies = _single(copied(own, real["train"], rules), [])
    if min(leaks.dialogues, marks.dialogues) < FEWEST:
        return leaks, [*_single(leaks.measures, []), *copies]
    marked = [each for each in marks.measures if each.name not in _UNMARKED]
    return leaks, [*_single(against(leaks, marks), marked), *copies]


def _tests(splits: Splits, fit: Fit, seed: int) -> SplitTests:
    """In the space of all of its own texts, so that none of the splits is better known to the embedder."""
    texts = [text for dialogues in splits.values() for text in texts_of(dialogues)]
    return same_distribution(splits, fit(texts), seed=seed)


def _spoken(dialogue: Dialogue) -> list[list[str | None]]:
    return [[turn.speaker, turn.text, turn.emotion] for turn in dialogue.utterances]


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as plain JSON values: what is missing is null."""
    rows: Iterable[dict[Any, Any]] = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return [{str(key): value.item() if hasattr(value, "item") else value for key, value in row.items()} for row in rows]
