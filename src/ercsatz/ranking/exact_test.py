"""The exact null distribution of the difference of two treatments' rank sums, and the smallest p-value it can give.

Without ties this is the distribution of Eisinga, Heskes, Pelzer and Te Grotenhuis, "Exact p-values for pairwise
comparison of Friedman rank sums" (BMC Bioinformatics 18:68, 2017). With ties it is the same permutation distribution
given each block's midranks, so p-values stay exact. It is built by convolving the blocks' distributions: all terms are
positive, nothing cancels, and far tails keep their relative precision.
"""

from collections import Counter
from dataclasses import dataclass
from functools import reduce

import numpy as np
import numpy.typing as npt

from ercsatz.errors import UserError

FloatArray = npt.NDArray[np.float64]

SMALLEST_P = 1e-130
"""Smaller p-values are given as this: an upper bound."""

# Ends this improbable are too little to touch SMALLEST_P; without them large tables take a third of the time and no
# product of two probabilities underflows.
_NEGLIGIBLE = 1.5e-154

# OpenBLAS shares dot products of more than 10,000 terms out to threads; on a busy machine each then waits, and a
# convolution takes minutes instead of a tenth of a second.
_MOST_TERMS = 8192


@dataclass(frozen=True, eq=False)
class DifferenceDistribution:
    """Distribution of D, the difference of two rank sums, when all orders within a block are equally likely.

    Attributes:
        tail: ``tail[i]`` is P(D >= i / per_unit), from D = 0 until it is far below ``SMALLEST_P``.
        per_unit: points per rank: 2 where a midrank is a half, else 1.
        largest: the largest possible difference, in ranks.

    Example:
        >>> difference_distribution(np.array([[1, 2, 3]])).tail.round(3).tolist()
        [0.5, 0.5, 0.167]
    """

    tail: FloatArray
    per_unit: int
    largest: float

    def p(self, difference: float) -> float:
        """The two-sided p-value of a difference: P(|D| >= |difference|), in (0, 1]; 1 for no difference.

        Nothing below ``SMALLEST_P`` is told apart.

        Raises:
            UserError: no assignment of these ranks gives such a difference.

        Example:
            >>> round(difference_distribution(np.array([[1, 2, 3]])).p(2), 4)
            0.3333
        """
        steps = abs(difference) * self.per_unit
        if steps != int(steps) or abs(difference) > self.largest:
            raise UserError(
                f"A rank-sum difference of {difference} is impossible here: it must be a multiple of "
                f"{1 / self.per_unit:g} between -{self.largest:g} and {self.largest:g}."
            )
        if steps == 0:
            return 1.0
        if steps >= len(self.tail):
            return SMALLEST_P
        return float(np.clip(2 * self.tail[int(steps)], SMALLEST_P, 1.0))

    @property
    def smallest_p(self) -> float:
        """The smallest p-value that any outcome could have; 1 where everything is tied.

        Example:
            >>> difference_distribution(np.array([[1, 2], [1, 2]])).smallest_p
            0.5
        """
        return self.p(self.largest)

    def critical(self, level: float) -> float | None:
        """The smallest possible difference whose p-value is below ``level``, in ranks; ``None`` where there is none.

        Args:
            level: between 0 and 1; for all pairs of k treatments, .05 / (k (k - 1) / 2).

        Example:
            >>> untied = difference_distribution(np.tile([1, 2, 3], (3, 1)))
            >>> untied.critical(0.05), untied.critical(0.001)
            (6.0, None)
        """
        possible = self.tail > np.append(self.tail[1:], 0.0)
        steps = np.flatnonzero(possible & (2 * self.tail < level))
        return float(steps[0]) / self.per_unit if len(steps) else None


def difference_distribution(midranks: npt.ArrayLike) -> DifferenceDistribution:
    """The distribution of the difference of two rank sums, given the midranks of each block.

    Compute it once for a table: it serves every pair of treatments.

    Args:
        midranks: n blocks x k treatments, ranks from 1 to k, tied ones averaged; k is 2 or more.

    Example:
        >>> tied = difference_distribution([[1, 2, 3], [1, 2.5, 2.5]])
        >>> tied.per_unit, tied.largest, round(tied.p(3.5), 4)
        (2, 3.5, 0.1111)
    """
    ranks = np.asarray(midranks, dtype=np.float64)
    per_unit = 1 if np.array_equal(ranks, np.rint(ranks)) else 2
    steps = np.sort(np.rint(ranks * per_unit).astype(np.int64), axis=1)
    blocks = Counter(map(tuple, steps.tolist()))
    pmf = reduce(_convolve, [_power(_one_block(np.array(block)), count) for block, count in blocks.items()])
    upper = pmf[len(pmf) // 2 :]
    largest = int((steps[:, -1] - steps[:, 0]).sum()) / per_unit
    return DifferenceDistribution(np.cumsum(upper[::-1])[::-1], per_unit, largest)


def pairwise_exact_p(difference: float, k: int, n: int) -> float:
    """Exact two-sided p-value of a difference of two rank sums, without ties (Eisinga et al. 2017).

    Args:
        difference: of the two rank sums; the sign does not matter.
        k: treatments, at least 2.
        n: blocks, at least 1.

    Returns:
        P(|D| >= |difference|), in (0, 1].

    Raises:
        UserError: the difference is not whole, or more than n (k - 1).

    Example:
        >>> round(pairwise_exact_p(39, k=9, n=9), 10)
        0.0005716492
    """
    return pairwise_exact_p_midranks(difference, np.tile(np.arange(1, k + 1), (n, 1)))


def pairwise_exact_p_midranks(difference: float, midranks: npt.ArrayLike) -> float:
    """Exact two-sided p-value of a difference of two rank sums, given each block's midranks.

    Equal to ``pairwise_exact_p`` where no block has ties.

    Args:
        difference: of the two rank sums; the sign does not matter.
        midranks: n blocks x k treatments.

    Returns:
        P(|D| >= |difference|), in (0, 1].

    Raises:
        UserError: these midranks cannot give the difference.

    Example:
        >>> round(pairwise_exact_p_midranks(1.5, [[1, 2.5, 2.5]]), 4)
        0.6667
    """
    return difference_distribution(midranks).p(difference)


def _one_block(steps: npt.NDArray[np.int64]) -> FloatArray:
    """Probabilities of the differences -w..w between two distinct positions of one block, w the largest."""
    width = int(steps.max() - steps.min())
    pairs = np.subtract.outer(steps, steps)[~np.eye(len(steps), dtype=bool)]
    return np.bincount(pairs + width, minlength=2 * width + 1) / len(pairs)


def _power(pmf: FloatArray, n: int) -> FloatArray:
    """The n-fold convolution of ``pmf``, by repeated squaring."""
    result = pmf
    for bit in f"{n:b}"[1:]:
        result = _convolve(result, result)
        if bit == "1":
            result = _convolve(result, pmf)
    return result


def _convolve(a: FloatArray, b: FloatArray) -> FloatArray:
    """The convolution of two distributions that are symmetric about their middle, without its negligible ends."""
    pmf = np.zeros(len(a) + len(b) - 1)
    for start in range(0, len(b), _MOST_TERMS):
        part = np.convolve(a, b[start : start + _MOST_TERMS])
        pmf[start : start + len(part)] += part
    end = int(np.argmax(pmf >= _NEGLIGIBLE))
    return pmf[end : len(pmf) - end]


def smallest_attainable_p(k: int, n: int) -> float:
    """The smallest exact two-sided p-value that two treatments of an untied table can reach: 2 / (k (k - 1))^n.

    It is that of one treatment first and the other last in every block (follows from Eisinga et al. 2017).

    Args:
        k: treatments, at least 2.
        n: blocks, at least 1.

    Returns:
        In (0, 1]. Nothing below ``SMALLEST_P`` is told apart.

    Raises:
        UserError: fewer treatments or blocks.

    Example:
        >>> round(smallest_attainable_p(k=3, n=2), 4)
        0.0556
    """
    if k < 2 or n < 1:
        raise UserError(f"A ranking needs at least two treatments and one block, not {k} and {n}.")
    return max(SMALLEST_P, _full_agreement(k, n))


def blocks_needed(k: int, comparisons: int, alpha: float = 0.05) -> int:
    """The number of blocks from which on a Bonferroni-corrected exact p-value can fall below ``alpha``.

    Needed, not enough: a real difference shows in every block only if it is large. One block is never enough, since it
    shows nothing beyond itself.

    Args:
        k: treatments, at least 2.
        comparisons: number of comparisons that are corrected for; none count as one.
        alpha: level of significance, between 0 and 1.

    Raises:
        UserError: fewer than two treatments, or a level that is not between 0 and 1.

    Example:
        >>> blocks_needed(k=3, comparisons=3), blocks_needed(k=2, comparisons=1)
        (3, 6)
    """
    if k < 2 or not 0 < alpha < 1:
        raise UserError(f"Needed are at least two treatments and a level between 0 and 1, not {k} and {alpha}.")
    n = 2
    while _full_agreement(k, n) * max(1, comparisons) >= alpha:
        n += 1
    return n


def _full_agreement(k: int, n: int) -> float:
    return 2 * float(k * (k - 1)) ** -n
