"""How probable is it that one treatment is better: the Bayesian signed-rank test."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse

from ercsatz.errors import UserError
from ercsatz.ranking.exact_test import FloatArray

IntArray = npt.NDArray[np.int64]

SAMPLES = 50_000
"""Drawn from the posterior: a probability is off by about 0.002 at most (one standard deviation)."""

WEIGHTS = 10_000_000
"""Drawn at the most, one for each block and sample; of 1,000 blocks there are 10,000 samples, off by about 0.005."""

PRIOR = 0.5
"""Weight of one made-up block without a difference, which makes the test cautious."""

_TOGETHER = 1000  # pairs
_CELLS = 2**17  # of what is computed at once: 1 MB, which stays near the CPU
_NARROWEST = 128  # draws


class BayesPosterior(NamedTuple):
    """Probabilities that a treatment is better than its baseline, practically the same, or worse; they add up to 1."""

    better: float
    rope: float
    worse: float


def bayesian_signed_rank(differences: npt.ArrayLike, rope: float, seed: int = 0) -> BayesPosterior:
    """Probabilities that the typical difference lies above, inside and below a region of practical equivalence.

    A draw from the posterior is a weighting of the blocks (Dirichlet: each block 1, a made-up one without a difference
    ``PRIOR``). The treatment is better in it if the mean of two blocks' differences lies above the region with more
    weight than inside or below. Sources: Benavoli, Mangili, Corani, Zaffalon and Ruggeri, "A Bayesian Wilcoxon
    signed-rank test based on the Dirichlet process" (ICML 2014); Benavoli, Corani, Demsar and Zaffalon, "Time for a
    change: a tutorial for comparing multiple classifiers through Bayesian analysis" (JMLR 18:77, 2017).

    Args:
        differences: of two treatments' scores, one per block, shape (n,); positive is better.
        rope: differences from -rope to rope are practically none; in units of the scores, 0 or more.
        seed: of the draws; the same seed gives the same probabilities.

    Raises:
        UserError: the region of practical equivalence is negative or not a number.

    Example:
        >>> posterior = bayesian_signed_rank([0.5, 1.2, 2.0, -0.8, 0.1], rope=0.2)
        >>> [round(p, 2) for p in posterior]
        [0.86, 0.06, 0.08]
    """
    values = np.asarray(differences, dtype=np.float64).reshape(-1, 1)
    return BayesPosterior(*bayesian_signed_ranks(values, rope, seed)[0].tolist())


def bayesian_signed_ranks(
    differences: FloatArray, rope: float, seed: int = 0, done: Callable[[int], object] | None = None
) -> FloatArray:
    """``bayesian_signed_rank`` of each of many pairs: the same probabilities, from draws that all pairs share.

    The draws weight the blocks in the order of a pair's differences, so they depend on nothing but the number of blocks
    and the seed, and the made-up block's place. Parts of the pairs are computed side by side, on all CPUs.

    Args:
        differences: n blocks x m pairs.
        rope: as for one pair.
        seed: of the draws.
        done: called with the number of pairs that were added to those whose probabilities are known.

    Returns:
        Shape (m, 3): better, practically the same, worse.

    Raises:
        UserError: the region of practical equivalence is negative or not a number.

    Example:
        >>> pairs = np.array([[0.5, 0.1], [1.2, 0.0], [2.0, -0.1], [-0.8, 0.1], [0.1, 0.1]])
        >>> bayesian_signed_ranks(pairs, rope=0.2).round(2).tolist()
        [[0.86, 0.06, 0.08], [0.0, 1.0, 0.0]]
    """
    check_rope(rope)
    draws = _draw(len(differences), seed)
    wins = np.empty((differences.shape[1], 3))
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        parts = _alike(differences)
        counts = threads.map(lambda part: _wins(differences[:, part], rope, draws), parts)
        for part, won in zip(parts, counts, strict=True):
            wins[part] = won
            if done is not None:
                done(len(part))
    shares: FloatArray = wins / draws.shape[1]
    return shares


def check_rope(rope: float) -> None:
    """Raise a ``UserError`` unless the region of practical equivalence is a number from 0 on.

    Example:
        >>> check_rope(0.5)
    """
    if not 0 <= rope < np.inf:
        raise UserError(f"The region of practical equivalence is {rope}; it must be a difference of scores, 0 or more.")


def _batches(blocks: int) -> list[int]:
    """Numbers of draws to make at once, so that memory stays small with many blocks."""
    most, samples = max(1, 1_000_000 // blocks), min(SAMPLES, WEIGHTS // blocks)
    return [min(most, samples - start) for start in range(0, samples, most)]


def _draw(blocks: int, seed: int) -> FloatArray:
    """Draws (columns) of the blocks' weights and, in the last row, of the made-up block's, which has no place yet.

    They are Dirichlet draws but for their scale, and one weight too many: the made-up block stands in for one of them.
    """
    random = np.random.default_rng(seed)
    batches = _batches(blocks + 1)
    draws, start = np.empty((blocks + 2, sum(batches))), 0
    for size in batches:
        draws[:-1, start : start + size] = random.standard_exponential((blocks + 1, size))
        draws[-1, start : start + size] = random.standard_gamma(PRIOR, size)
        start += size
    return draws


def _alike(differences: FloatArray) -> list[IntArray]:
    """The pairs in parts in which the made-up block has the same place among the differences: the same weights.

    Long ones first, which take less time a pair; so how long all take is not overestimated by much.
    """
    places = (differences < 0).sum(axis=0)
    parts = [np.flatnonzero(places == place) for place in np.unique(places)]
    parts = [part[start : start + _TOGETHER] for part in parts for start in range(0, len(part), _TOGETHER)]
    return sorted(parts, key=len, reverse=True)


def _wins(differences: FloatArray, rope: float, draws: FloatArray) -> IntArray:
    """In how many draws each pair is better, the same, worse; the made-up block has the same place in all pairs."""
    values = np.sort(np.vstack([differences, np.zeros(differences.shape[1])]), axis=0).T.copy()
    zero = int((values[0] < 0).sum())
    # The edge belongs to the region; the sum of two differences may miss it by a rounding.
    edges = 2 * rope + 1e-12 * np.maximum(np.abs(values).max(axis=1), rope)
    above, below = _Sums.of(values, edges), _Sums.of(-values[:, ::-1], edges)
    wins = np.zeros((len(values), 3), dtype=np.int64)
    width = max(_NARROWEST, _CELLS // max(len(above.left), len(below.left), len(values)))
    for start in range(0, draws.shape[1], width):
        weights = draws[:-1, start : start + width].copy()
        weights[zero] = draws[-1, start : start + width]
        better, worse = above.weight(weights), below.weight(weights[::-1])
        same = weights.sum(axis=0) ** 2 - better - worse
        is_better, is_worse = (better > same) & (better >= worse), (worse > same) & (worse > better)
        wins[:, 0] += is_better.sum(axis=1)
        wins[:, 2] += is_worse.sum(axis=1)
    wins[:, 1] = draws.shape[1] - wins[:, 0] - wins[:, 2]
    return wins


class _Sums(NamedTuple):
    """The weight of the blocks' pairs whose differences add up to more than an edge, as a sum of products.

    Blocks in the order of their differences, v and all from j(v) on add up to more, and j falls as v rises. With S(v)
    for the weight of v and all behind it, and c for the first v that adds up to more with itself, the weight is
    2 sum over v >= c of (S(v) - S(v + 1)) S(j(v)), less S(c)^2 for what that has twice. Where j stays the same, the
    terms join, so that few products are left.
    """

    terms: sparse.csr_array
    """Pairs x products."""
    left: IntArray
    """Of each product, the v of one S."""
    right: IntArray

    @classmethod
    def of(cls, values: FloatArray, edges: FloatArray) -> "_Sums":
        """Of pairs (rows), whose values rise, and the edge of each."""
        size = values.shape[1]
        partner = np.array([np.searchsorted(row, edge - row, "right") for row, edge in zip(values, edges, strict=True)])
        place = np.arange(size)
        first = (partner > place).sum(axis=1)
        inside = place >= first[:, None]
        turns = np.diff(partner, axis=1, prepend=-1) != 0
        starts, later = inside & (turns | (place == first[:, None])), (place > first[:, None]) & turns
        (row, v), (row_after, v_after), row_twice = np.nonzero(starts), np.nonzero(later), np.flatnonzero(first < size)
        rows = np.concatenate([row, row_after, row_twice])
        one = np.concatenate([v, v_after, first[row_twice]])
        other = np.concatenate([partner[row, v], partner[row_after, v_after - 1], first[row_twice]])
        factors = np.repeat([2.0, -2.0, -1.0], [len(row), len(row_after), len(row_twice)])
        products, columns = np.unique(np.minimum(one, other) * size + np.maximum(one, other), return_inverse=True)
        terms = sparse.csr_array((factors, (rows, columns)), shape=(len(values), len(products)))
        return cls(terms, products // size, products % size)

    def weight(self, weights: FloatArray) -> FloatArray:
        """For each pair (row) and draw (column of ``weights``)."""
        behind = np.cumsum(weights[::-1], axis=0)[::-1]
        weight: FloatArray = self.terms @ (behind[self.left] * behind[self.right])
        return weight
