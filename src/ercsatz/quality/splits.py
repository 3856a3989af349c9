"""Whether train, validation and test set of a data set are drawn from one distribution.

Turns of one dialogue are alike, so tests that take them for independent find differences where there are none. All
tests here shuffle whole dialogues between the splits, which is valid at any sample size and however sparse the counts.
"""

import math
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import chi2

from ercsatz.data.dialogue import Dialogue
from ercsatz.quality import realism
from ercsatz.quality.embedder import Embedder
from ercsatz.quality.measure import Measure, Turns, draw_turns, shuffled, undefined
from ercsatz.ranking.p_adjustment import holm

Splits = Mapping[str, Sequence[Dialogue]]
Floats = NDArray[np.float64]

_BINS = 10
_WAVES = 256  # random frequencies of the kernel's feature map, each a cosine and a sine
_PAIRS = 2000  # to find the kernel's width from
_BLOCK = 64  # permutations at a time
_FEWEST_WAYS = 20  # to divide the dialogues: with fewer, no p-value is below 0.05


@dataclass(frozen=True, slots=True)
class SplitTests:
    """The tests of one data set.

    Attributes:
        measures: an effect size each, 0 to 1, with its Holm-corrected p-value and the test's name.
        table: a row per test: name, test, statistic, effect, p, p_holm; and p_independent, of the chi-square test that
            takes all that is counted for independent, as turns of a dialogue are not (missing for embeddings).
    """

    measures: list[Measure]
    table: pd.DataFrame


@dataclass(frozen=True, slots=True)
class _Result:
    statistic: float
    effect: float
    p: float
    p_independent: float | None


@dataclass(frozen=True, slots=True)
class _Permuted:
    """A statistic, what it is above its mean over permutations (0 at the least), and its p-value."""

    statistic: float
    excess: float
    p: float


def same_distribution(
    splits: Splits, embedder: Embedder, *, turns: int = 20_000, permutations: int = 999, seed: int = 0
) -> SplitTests:
    """Test labels, turn lengths, dialogue lengths, transitions and embeddings.

    Counts are compared by the chi-square statistic of the table of splits and values (lengths: in up to 10 classes of
    about the same size; transitions: pairs of labels of consecutive turns); its effect size is Cramer's V. Embeddings
    are compared by their means under a Gaussian kernel (maximum mean discrepancy); the effect size is the share of the
    variance that is between the splits. What a statistic is on the mean of all permutations is subtracted from it
    before the effect size is made of it, 0 at the least: else small sets would seem to have the larger effects.

    Sources: Gretton et al. 2012, A kernel two-sample test; Rahimi and Recht 2007, Random features for large-scale
    kernel machines; Anderson 2001, A new method for non-parametric multivariate analysis of variance; Phipson and Smyth
    2010, Permutation p-values should never be zero.

    Args:
        splits: two or more.
        embedder: of turns.
        turns: the most to encode of all splits together.
        permutations: the smallest p-value is 1 / (permutations + 1).
        seed: of permutations and samples.
    """
    shuffles = f"{permutations} permutations of whole dialogues"
    groups = np.repeat(np.arange(len(splits)), [len(dialogues) for dialogues in splits.values()])
    everyone = [dialogue for dialogues in splits.values() for dialogue in shuffled(dialogues, seed)]
    results: dict[str, tuple[str, _Result | str, int, int]] = {}
    for name, (count, in_classes) in _COUNTS.items():
        counts = _counts([count([dialogue]) for dialogue in everyone], in_classes)
        result = _few(groups, splits) or _chi_square(counts, groups, permutations, seed)
        n = int(counts.sum())
        results[name] = (f"chi-square statistic, {shuffles}", result, n, n)
    drawn, of = _draw(splits, turns, seed)
    groups = np.repeat(np.arange(len(splits)), [len(set(each.dialogues)) for each in drawn])
    result = _few(groups, splits) or _discrepancy(drawn, groups, embedder, permutations, seed)
    n = sum(len(each.texts) for each in drawn)
    results["embeddings"] = (f"maximum mean discrepancy (Gaussian kernel), {shuffles}", result, n, of)
    return _report(results)


def _report(results: Mapping[str, tuple[str, _Result | str, int, int]]) -> SplitTests:
    tested = {name: result for name, (_, result, _, _) in results.items() if isinstance(result, _Result)}
    corrected = dict(zip(tested, holm([result.p for result in tested.values()]).tolist(), strict=True))
    measures, rows = [], []
    for name, (test, result, n, of) in results.items():
        if isinstance(result, str):
            measures.append(undefined("splits", name, "lower", result, n, of))
            continue
        p = corrected[name]
        measures.append(Measure("splits", name, result.effect, "lower", n, of, p=p, test=f"{test}, Holm-corrected"))
        rows.append((name, test, result.statistic, result.effect, result.p, p, result.p_independent))
    columns = ["name", "test", "statistic", "effect", "p", "p_holm", "p_independent"]
    return SplitTests(measures, pd.DataFrame(rows, columns=columns).astype({"p_independent": "Float64"}))


_COUNTS: dict[str, tuple[Callable[[Sequence[Dialogue]], Counter[Hashable]], bool]] = {
    "labels": (realism.labels, False),
    "turn_lengths": (realism.turn_lengths, True),
    "dialogue_lengths": (realism.dialogue_lengths, True),
    "transitions": (realism.transitions, False),
}


def _few(groups: NDArray[np.intp], splits: Splits) -> str:
    """Why no test can say anything, if so."""
    sizes = np.bincount(groups, minlength=len(splits)).tolist()
    if len(sizes) < 2:
        return "there is only one split"
    if 0 in sizes:
        return f"the split {[*splits][sizes.index(0)]} has nothing to compare"
    # Splits of the same size can change places without changing any statistic.
    alike = math.prod(math.factorial(times) for times in Counter(sizes).values())
    ways = math.exp(min(50, math.lgamma(len(groups) + 1) - sum(math.lgamma(size + 1) for size in sizes))) / alike
    if round(ways) < _FEWEST_WAYS:
        return f"so few dialogues can be divided in {round(ways)} ways only, so no difference could be significant"
    return ""


def _counts(counters: Sequence[Counter[Hashable]], in_classes: bool) -> Floats:
    """A row per dialogue and a column per value, or per class of neighbouring numbers."""
    total = Counter[Hashable]()
    for counter in counters:
        total.update(counter)
    values: list[Any] = sorted(total, key=str) if not in_classes else sorted(cast(Counter[int], total))
    if in_classes:
        before = np.cumsum([total[value] for value in values]) - [total[value] / 2 for value in values]
        classes = np.unique((_BINS * before / max(1, total.total())).astype(int), return_inverse=True)[1]
    else:
        classes = np.arange(len(values))
    column = dict(zip(values, classes.tolist(), strict=True))
    counts = np.zeros((len(counters), max(column.values(), default=-1) + 1))
    for row, counter in zip(counts, counters, strict=True):
        for value, times in counter.items():
            row[column[value]] += times
    return counts


def _chi_square(counts: Floats, groups: NDArray[np.intp], permutations: int, seed: int) -> _Result | str:
    """Counts per dialogue and value."""
    n, columns = counts.sum(), counts.sum(axis=0)
    filled = len(np.unique(groups[counts.any(axis=1)]))
    if len(columns) < 2 or filled < 2:
        return "there is only one value in all splits" if len(columns) == 1 else "only one split has any, if that"

    def statistic(tables: Floats) -> Floats:
        expected = tables.sum(axis=2, keepdims=True) * columns / n
        cells = np.divide(tables**2, expected, out=np.zeros_like(tables), where=expected > 0)
        values: Floats = cells.sum(axis=(1, 2)) - n
        return values

    found = _permute(counts, groups, statistic, permutations, seed)
    effect = math.sqrt(found.excess / (n * (min(filled, len(columns)) - 1)))
    independent = float(chi2.sf(found.statistic, (filled - 1) * (len(columns) - 1)))
    return _Result(found.statistic, effect, found.p, independent)


def _draw(splits: Splits, most: int, seed: int) -> tuple[list[Turns], int]:
    """The same share of the turns of each split, and how many turns there are."""
    sizes = [sum(len(dialogue.utterances) for dialogue in dialogues) for dialogues in splits.values()]
    share = min(1.0, most / max(1, sum(sizes)))
    drawn = [
        draw_turns(dialogues, round(share * size), seed) for size, dialogues in zip(sizes, splits.values(), strict=True)
    ]
    return drawn, sum(sizes)


def _discrepancy(
    drawn: Sequence[Turns], groups: NDArray[np.intp], embedder: Embedder, permutations: int, seed: int
) -> _Result | str:
    """Of the turns of each split; ``groups`` are the splits of their dialogues, in the order of ``_dialogues``."""
    rng = np.random.default_rng(seed)
    features = _features(embedder.encode([text for turns in drawn for text in turns.texts]), rng)
    if features is None:
        return "all turns have the same embedding"
    n, width = features.shape
    rows = np.zeros((len(groups), width + 1))
    np.add.at(rows, _dialogues(drawn), np.hstack([features, np.ones((n, 1))]))
    middle = rows[:, :-1].sum(axis=0)
    shared = float(middle @ middle) / n

    def between(tables: Floats) -> Floats:
        sums, sizes = tables[:, :, :-1], tables[:, :, -1]
        values: Floats = ((sums**2).sum(axis=2) / sizes).sum(axis=1) - shared
        return values

    found = _permute(rows, groups, between, permutations, seed)
    return _Result(found.statistic, found.excess / (n - shared), found.p, None)


def _dialogues(drawn: Sequence[Turns]) -> NDArray[np.intp]:
    """The number of each turn's dialogue; dialogues are numbered split by split."""
    numbers: dict[Hashable, int] = {}
    keys = [(split, key) for split, turns in enumerate(drawn) for key in turns.dialogues]
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.intp)


def _features(vectors: NDArray[np.float32], rng: np.random.Generator) -> Floats | None:
    """Rows of length 1 whose dot products are a Gaussian kernel, as wide as the median distance of the vectors.

    ``None`` where all vectors are equal.
    """
    pairs = rng.integers(len(vectors), size=(2, _PAIRS))
    apart = np.linalg.norm(vectors[pairs[0]] - vectors[pairs[1]], axis=1)
    if not (apart > 0).any():
        return None
    angles: Floats = vectors @ (rng.standard_normal((vectors.shape[1], _WAVES)) / np.median(apart[apart > 0]))
    return np.asarray(np.hstack([np.cos(angles), np.sin(angles)]) / math.sqrt(_WAVES))


def _permute(
    rows: Floats, groups: NDArray[np.intp], statistic: Callable[[Floats], Floats], permutations: int, seed: int
) -> _Permuted:
    """Shuffle the groups of rows.

    Args:
        rows: a row per dialogue, (n, columns).
        groups: of each row.
        statistic: from sums of the rows of each group, (tables, groups, columns), to numbers: the greater, the less
            equal.
        permutations: how many.
        seed: of them.
    """
    numbers = np.arange(groups.max() + 1)[:, None]
    rng = np.random.default_rng(seed)

    def of(assigned: NDArray[np.intp]) -> Floats:
        return statistic((assigned[:, None, :] == numbers).astype(np.float64) @ rows)

    observed = float(of(groups[None])[0])
    least = observed - 1e-9 * abs(observed)  # equal tables may differ by rounding
    reached, total = 0, 0.0
    for start in range(0, permutations, _BLOCK):
        size = min(_BLOCK, permutations - start)
        found = of(rng.permuted(np.tile(groups, (size, 1)), axis=1))
        reached += int((found >= least).sum())
        total += float(found.sum())
    return _Permuted(observed, max(0.0, observed - total / permutations), (1 + reached) / (permutations + 1))
