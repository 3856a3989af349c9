"""Measures that depend on what is drawn, each on several random halvings of the real training split.

Of each halving the first half is the reference. The data set is compared with it, and so is the other half: that is
the mark. Nothing else may tell the three apart. So an embedder that is fitted is fitted on none of them, but on the
held-out splits: real turns that it has seen would look richer than all that it has not, and unlike them.
"""

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t

from ercsatz.assessment.measure_names import OWN
from ercsatz.assessment.record import Line, key_of, several
from ercsatz.config import MeasureConfig
from ercsatz.data.dialogue import Dialogue
from ercsatz.errors import UserError
from ercsatz.quality.clusters import Centres, centres, clusters, common_counts
from ercsatz.quality.diversity import common_sample, diversity
from ercsatz.quality.embedder import Embedder
from ercsatz.quality.labels import agreement, as_many, confusion, everything, labelled, learn, trts, tstr
from ercsatz.quality.measure import Measure, draw_turns, same_words, shuffled, undefined
from ercsatz.quality.nearest import Nearest, nearest
from ercsatz.quality.probes import embedding_probe, words_probe
from ercsatz.quality.realism import SampleSize, realism

Fit = Callable[[Sequence[str]], Embedder]
Own = Mapping[str, MeasureConfig]  # measures of the user's own by name
_Pair = Sequence[Sequence[Measure]]  # of the data set and of the other half of the real dialogues
_MAPPED = 800  # turns of each data set on the map
_LEARNT = 10_000  # turns that a probe learns from or is tested on in a draw, at the most
_ALL = 20_000  # the same where it learns from all there is
FEWEST = 20
"""Dialogues: on fewer, what differs by chance is so much that nothing can be said, and there is no mark."""
_SURE = 0.975  # a difference in 19 of 20 cases is no larger, on either side


@dataclass(frozen=True, slots=True)
class Sizes:
    """See ``config.Assess``."""

    dialogues: int | None
    sample: int
    halves: int
    seed: int


@dataclass(frozen=True, slots=True)
class _Draw:
    """A random halving.

    Attributes:
        seed: of it.
        reference: the first half of the real dialogues.
        rest: the other half.
        other: as many of it as are compared.
        own: as many of the data set.
    """

    seed: int
    reference: list[Dialogue]
    rest: list[Dialogue]
    other: list[Dialogue]
    own: list[Dialogue]


class Draws:
    """All draws.

    Args:
        real: the training split.
        held_out: the validation and test sets.
        own: the data set's training split.
        fit: makes an embedder from texts.
        sizes: how much is drawn.

    Attributes:
        size: how much of each is compared.
        embedder: of turns.
    """

    def __init__(
        self,
        real: Sequence[Dialogue],
        held_out: Sequence[Dialogue],
        own: Sequence[Dialogue],
        fit: Fit,
        sizes: Sizes,
    ) -> None:
        self._held_out, self._fit, self.embedder = held_out, fit, fit(texts_of(held_out))
        half = len(real) // 2
        dialogues = min(half, len(own), sizes.dialogues or half)
        self._sizes, self._totals, self._draws = sizes, (len(real), len(own)), []
        for seed in range(sizes.seed, sizes.seed + sizes.halves):
            mixed = shuffled(real, seed)
            part = shuffled(own, seed)[:dialogues]
            self._draws.append(_Draw(seed, mixed[:half], mixed[half:], mixed[half:][:dialogues], part))
        compared = [each for draw in self._draws for each in (draw.reference[:dialogues], draw.other, draw.own)]
        self.size = SampleSize(dialogues, min(sizes.sample, *(len(texts_of(each)) for each in compared)))

    def diversity(self) -> list[Line]:
        """On as many words of each, and samples of as many turns."""

        def measures(draw: _Draw) -> _Pair:
            sets = same_words([draw.own, draw.other], draw.seed)
            sample = common_sample(sets, self._sizes.sample)
            return [diversity(each, self.embedder, sample, draw.seed) for each in sets]

        return self._lines(map(measures, self._draws), self.size.dialogues, self._totals[1])

    def clusters(self) -> list[Line]:
        """Groups found in the reference, and how the others are spread over them."""

        def measures(draw: _Draw) -> _Pair:
            known = self.embedder.encode(draw_turns(draw.reference, self._sizes.sample, draw.seed).texts)
            groups = (
                centres(known, seed=draw.seed) if len(known) else Centres(np.zeros((1, known.shape[1]), np.float32), {})
            )
            drawn = [draw_turns(each, self.size.turns, draw.seed) for each in (draw.own, draw.other)]
            most = common_counts([turns.emotions for turns in drawn])
            return [clusters(self.embedder.encode(turns.texts), turns.emotions, groups, most) for turns in drawn]

        return self._lines(map(measures, self._draws), self.size.dialogues, self._totals[1])

    def realism(self) -> list[Line]:
        """How like the reference both are."""

        def measures(draw: _Draw) -> _Pair:
            sets = (draw.own, draw.other)
            return [realism(draw.reference, each, self.embedder, self.size, draw.seed) for each in sets]

        return self._lines(map(measures, self._draws), self.size.dialogues, self._totals[1])

    def own(self, measures: Own) -> list[Line]:
        """What measures of the user's own make of both, beside the reference.

        Raises:
            UserError: one fails, or gives something other than a finite number or ``None``.
        """

        def figures(draw: _Draw) -> _Pair:
            return [_own_figures(measures, each, draw.reference) for each in (draw.own, draw.other)]

        lines = self._lines(map(figures, self._draws), self.size.dialogues, self._totals[1])
        return [replace(line, title=measures[line.name].title, what=measures[line.name].what) for line in lines]

    def nearest(self, own: Sequence[Dialogue], words: int) -> tuple[list[Line], dict[str, list[float]]]:
        """How near turns of at least ``words`` words come to the held-out ones, and whether nearer than to training.

        The embedder is fitted on both, as one that knows either better would draw turns there.

        Args:
            own: all splits of the data set.
            words: of a turn that counts, at the least.

        Returns:
            Figures, and as ``own`` and ``real`` the percentiles 0 to 100 of the distances to held-out turns, the mean
            over the draws; empty where there are none.
        """

        def found(draw: _Draw) -> list[Nearest]:
            drawn = {"turns": self._sizes.sample, "least": words, "seed": draw.seed}
            embedder = self._fit([*texts_of(self._held_out), *texts_of(draw.reference)])
            sets = (own, draw.rest)
            return [nearest(each, self._held_out, draw.reference, embedder, **drawn) for each in sets]

        pairs = [found(draw) for draw in self._draws]
        lines = self._lines(([each.measures for each in pair] for pair in pairs), self._totals[0] // 2, len(own))
        both = {"own": [own.percentiles for own, _ in pairs], "real": [real.percentiles for _, real in pairs]}
        known = {key: [percentiles for percentiles in each if percentiles] for key, each in both.items()}
        return lines, {key: np.mean(each, axis=0).round(4).tolist() if each else [] for key, each in known.items()}

    def labels(
        self, real_test: Sequence[Dialogue], own_test: Sequence[Dialogue], emotions: Sequence[str]
    ) -> tuple[list[Line], dict[str, pd.DataFrame]]:
        """What probes that learnt from the reference make of both, and what both teach.

        Args:
            real_test: what is taught is tested on all of it.
            own_test: the data set's test split, for TRTS.
            emotions: the benchmark's.

        Returns:
            Figures, and by probe the confusion of the data set's labels in the first draw.
        """
        probes = [words_probe(), embedding_probe(self.embedder)]
        exam = labelled(real_test, _LEARNT, self._sizes.seed)
        n = min(self.size.dialogues, len(own_test))
        agreed, taught, tried = [], [], []
        confused: dict[str, pd.DataFrame] = {}
        for draw in self._draws:
            learnt = learn(labelled(draw.reference, _LEARNT, draw.seed), probes)
            sets = as_many((draw.own, draw.other), _LEARNT, draw.seed)
            agreed.append([agreement(learnt, each, emotions) for each in sets])
            taught.append([tstr(each, exam, emotions, probes) for each in sets])
            tests = as_many((shuffled(own_test, draw.seed)[:n], draw.other[:n]), _LEARNT, draw.seed)
            tried.append([trts(learnt, each, emotions) for each in tests])
            confused = confused or confusion(learnt, sets[0], emotions)
        size, own = self.size.dialogues, self._totals[1]
        lines = [*self._lines(agreed, size, own), *self._lines(taught, size, own)]
        return [*lines, *self._lines(tried, n, len(own_test))], confused

    def everything(
        self, real: Sequence[Dialogue], own: Sequence[Dialogue], real_test: Sequence[Dialogue], emotions: Sequence[str]
    ) -> list[Measure]:
        """What both training splits teach as they are, up to 20,000 turns of each."""
        probes = [words_probe(), embedding_probe(self.embedder)]
        known, made, exam = (labelled(each, _ALL, self._sizes.seed) for each in (real, own, real_test))
        return everything(known, made, exam, emotions, probes)

    def points(self) -> dict[str, list[Any]]:
        """``real`` and ``own``: turns on the two main axes of real ones (x, y and emotion)."""
        draw = self._draws[0]
        turns = {"real": draw_turns(draw.other, _MAPPED, draw.seed), "own": draw_turns(draw.own, _MAPPED, draw.seed)}
        vectors = {key: self.embedder.encode(each.texts) for key, each in turns.items()}
        centre = vectors["real"].mean(axis=0) if len(vectors["real"]) else 0
        _, _, axes = np.linalg.svd(vectors["real"] - centre, full_matrices=False)
        axes = np.pad(axes[:2], ((0, max(0, 2 - len(axes))), (0, 0)))  # of one turn, or of vectors of one number
        signs = np.sign(axes.sum(axis=1, keepdims=True))  # an axis has no direction of its own
        flat = {key: (each - centre) @ (axes * np.where(signs == 0, 1, signs)).T for key, each in vectors.items()}
        return {
            key: [[*place, emotion] for place, emotion in zip(flat[key].round(4).tolist(), each.emotions, strict=True)]
            for key, each in turns.items()
        }

    def _lines(self, found: Iterable[_Pair], n: int, total: int) -> list[Line]:
        """A line per measure, of the data set and of the mark; an emotion may be missing from some draws.

        Args:
            found: of every draw, the measures of the data set and the same of the mark.
            n: dialogues in a draw.
            total: dialogues of the data set to draw from.
        """
        pairs = [[{key_of(each): each for each in measures} for measures in pair] for pair in found]
        few = min(n, total) < FEWEST
        return [
            several(
                [own[key] for own, _ in pairs if key in own],
                [] if few else [real[key] for _, real in pairs if key in real],
                lambda values, marks: chance_of(values, marks, n, self._totals[0], total),
            )
            for key in dict.fromkeys(key for own, _ in pairs for key in own)
        ]


def _own_figures(measures: Own, dialogues: Sequence[Dialogue], reference: Sequence[Dialogue]) -> list[Measure]:
    return [_figure(name, measure, dialogues, reference) for name, measure in measures.items()]


def _figure(name: str, measure: MeasureConfig, dialogues: Sequence[Dialogue], reference: Sequence[Dialogue]) -> Measure:
    if not dialogues:
        return undefined(OWN, name, measure.better, "there are no dialogues")
    where, n = f"measure.{name}: {type(measure).__name__}.value", len(dialogues)
    try:
        value: object = measure.value(dialogues, reference)
    except Exception as error:
        raise UserError(f"{where} failed ({type(error).__name__}: {error}).") from error
    if value is None:
        return undefined(OWN, name, measure.better, "the measure finds nothing to measure", n, n)
    if not isinstance(value, Real) or not math.isfinite(value):
        raise UserError(
            f"{where} gave {value!r}. It must give a finite number, or None where there is nothing to measure."
        )
    return Measure(OWN, name, float(value), measure.better, n, n)


def chance_of(values: Sequence[float], marks: Sequence[float], n: int, real: int, own: int) -> float | None:
    """How far the means of values and marks differ by chance in 19 of 20 cases, were the data set real.

    Value and mark of a draw have the reference, its clusters and folds in common, so it is their differences that
    count. These vary less than those of fresh samples would: each of the two by the share of what there is to draw from
    that every draw has (the finite population correction), which is undone here. The data set is one fresh sample then,
    and so is the real training split.

    Args:
        values: of the data set, one per draw.
        marks: of real dialogues, as many.
        n: dialogues in a draw.
        real: dialogues to draw from, in the real training split; more than ``n``.
        own: dialogues to draw from, in the data set; with fewer than ``n``, all are in every draw.

    Returns:
        A bound of the difference, 0 or more; ``None`` with fewer than two draws.
    """
    k = len(marks)
    if k < 2:
        return None
    spread = statistics.variance([value - mark for value, mark in zip(values, marks, strict=True)])
    shares = n / real, n / own
    factor = sum(shares) / sum(max(0.0, 1 - share) for share in shares) + 1 / k
    return float(t.ppf(_SURE, k - 1)) * math.sqrt(spread * factor)


def texts_of(dialogues: Sequence[Dialogue]) -> list[str]:
    """What is said in them."""
    return [turn.text for dialogue in dialogues for turn in dialogue.utterances]
