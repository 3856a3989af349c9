"""Midranks and Friedman's rank test: by chi-square, by F, and exactly where all orders can be enumerated.

Sources: Friedman, "The use of ranks to avoid the assumption of normality" (JASA 32:675, 1937); Iman and Davenport,
"Approximations of the critical region of the Friedman statistic" (Communications in Statistics A 9:571, 1980); with
ties: Conover, "Practical Nonparametric Statistics" (3rd ed. 1999), section 5.8.
"""

from functools import lru_cache
from math import factorial, prod
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

from ercsatz.ranking.exact_test import FloatArray

IntArray = npt.NDArray[np.signedinteger]
_Block = tuple[int, ...]

MOST_ORDERS = 2_500_000
"""Orders that the exact test goes through at most (less than a second); a larger table has no exact p-value."""


class Friedman(NamedTuple):
    """Friedman's test in three forms.

    Attributes:
        chi2: the statistic, corrected for ties.
        df: k - 1, degrees of freedom of ``chi2``.
        p: by the chi-square approximation, which is rough for few blocks.
        f: Iman and Davenport's F; infinite where all blocks agree, 0 for a single block.
        f_df: degrees of freedom of ``f``.
        p_f: by the F approximation; 0 where ``f`` is infinite, which is a limit and no evidence; 1 for a single block.
        p_exact: by enumeration of all orders, given the ties; ``None`` where they are more than ``MOST_ORDERS``.
    """

    chi2: float
    df: int
    p: float
    f: float
    f_df: tuple[int, int]
    p_f: float
    p_exact: float | None


def midranks(scores: npt.ArrayLike, higher_is_better: bool = True) -> FloatArray:
    """Rank the treatments within each block; equal scores share the mean of their ranks.

    Args:
        scores: n blocks x k treatments, finite.
        higher_is_better: rank 1 is the highest score; otherwise the lowest.

    Returns:
        Ranks from 1 to k, in the shape of ``scores``.

    Example:
        >>> midranks([[65.4, 66.2, 65.4]]).tolist()
        [[2.5, 1.0, 2.5]]
    """
    values = np.asarray(scores, dtype=np.float64)
    ranks: FloatArray = stats.rankdata(-values if higher_is_better else values, axis=1).astype(np.float64)
    return ranks


def centred(ranks: npt.ArrayLike) -> IntArray:
    """Twice the ranks' distance from their mean, as whole numbers, so that sums and comparisons of them are exact.

    Args:
        ranks: n blocks x k treatments, midranks.

    Example:
        >>> centred([[1, 2.5, 2.5]]).tolist()
        [[-2, 1, 1]]
    """
    table = np.asarray(ranks, dtype=np.float64)
    distances: IntArray = np.rint(2 * table).astype(np.int64) - (table.shape[1] + 1)
    return distances


def friedman_test(ranks: npt.ArrayLike) -> Friedman | None:
    """Friedman's test that no treatment tends to rank before another, corrected for ties.

    Chi-square by Friedman (1937), with ties by Conover (1999, section 5.8); F by Iman and Davenport (1980).

    Args:
        ranks: n blocks x k treatments, midranks; k is 2 or more.

    Returns:
        The test; ``None`` where every block is tied throughout, since then nothing can be tested.

    Example:
        >>> result = friedman_test([[1, 2, 3], [1, 2, 3], [1, 3, 2]])
        >>> round(result.chi2, 4), result.df, round(result.p, 4)
        (4.6667, 2, 0.097)
        >>> round(result.f, 4), result.f_df, round(result.p_f, 4)
        (7.0, (2, 4), 0.0494)
        >>> round(result.p_exact, 4)
        0.1944
        >>> friedman_test([[2, 2, 2]]) is None
        True
    """
    table = centred(ranks)
    n, k = table.shape
    spread, between = int((table**2).sum()), int((table.sum(axis=0) ** 2).sum())
    if spread == 0:
        return None
    chi2 = (k - 1) * between / spread
    rest = n * spread - between
    f = (n - 1) * between / rest if rest else (np.inf if n > 1 else 0.0)
    df, f_df = k - 1, (k - 1, (n - 1) * (k - 1))
    p_f = float(stats.f.sf(f, *f_df)) if n > 1 else 1.0
    null = _null(tuple(sorted(map(tuple, np.sort(table, axis=1).tolist()))))
    p_exact = None if null is None else float(null.tail[np.searchsorted(null.values, between)])
    return Friedman(chi2, df, float(stats.chi2.sf(chi2, df)), f, f_df, p_f, p_exact)


class _Null(NamedTuple):
    values: IntArray
    """What the sum of squared rank sums can be, rising."""
    tail: FloatArray
    """The probability of each value or a larger one."""


@lru_cache(maxsize=256)
def _null(blocks: tuple[_Block, ...]) -> _Null | None:
    """The null distribution of the sum of squared rank sums; None if it takes too many orders.

    Block by block: all orders of a block's ranks are added to all vectors of rank sums so far. Which treatment has
    which sum does not matter to the statistic, so vectors are kept sorted, and equal ones are merged.
    """
    first, *others = sorted(blocks, key=_count_orders, reverse=True)  # the first one's orders are all the same
    spent = sum(map(_count_orders, others))
    sums, p = np.array([first], dtype=np.int32), np.ones(1)
    for block in others:
        spent += (len(sums) - 1) * _count_orders(block)
        if spent > MOST_ORDERS:
            return None
        added = _add(sums, p, _orders(block))
        if added is None:
            return None
        sums, p = added
    values, where = np.unique((sums.astype(np.int64) ** 2).sum(axis=1), return_inverse=True)
    at_value = np.bincount(where, p).astype(np.float64)
    return _Null(values, np.cumsum(at_value[::-1])[::-1])


def _add(sums: IntArray, p: FloatArray, orders: IntArray) -> tuple[IntArray, FloatArray] | None:
    """Sorted rank sums and their probabilities after one more block; None if a whole number cannot hold a vector."""
    longer = (sums[:, None, :] + orders).reshape(-1, orders.shape[1])
    longer.sort(axis=1)
    base = int(longer.max() - longer.min()) + 1
    if base ** (orders.shape[1] - 1) >= 2**63:
        return None
    key = np.zeros(len(longer), dtype=np.int64)
    for column in longer.T[1:]:  # the first follows from the others: the sum is fixed
        key = key * base + (column - longer.min())
    _, kept, where = np.unique(key, return_index=True, return_inverse=True)
    return longer[kept], np.bincount(where, np.repeat(p, len(orders))) / len(orders)


def _count_orders(block: _Block) -> int:
    return factorial(len(block)) // prod(factorial(block.count(rank)) for rank in set(block))


def _orders(block: _Block) -> IntArray:
    """All distinct orders of a block's ranks, a row each."""
    values, counts = np.unique(np.array(block, dtype=np.int32), return_counts=True)
    orders, left = np.empty((1, 0), dtype=np.int32), counts[None, :]
    for _ in block:
        row, value = np.nonzero(left)
        orders, left = np.column_stack([orders[row], values[value]]), left[row]
        left[np.arange(len(row)), value] -= 1
    return orders
