"""Midranks and Friedman's rank test."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

from ercsatz.ranking.exact import FloatArray


class Friedman(NamedTuple):
    """Friedman's chi-square, its degrees of freedom, and the p-value of the chi-square approximation."""

    chi2: float
    df: int
    p: float


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


def friedman_test(ranks: npt.ArrayLike) -> Friedman | None:
    """Friedman's test that no treatment tends to rank before another, corrected for ties.

    Args:
        ranks: n blocks x k treatments, midranks; k is 2 or more.

    Returns:
        The statistic, k - 1 degrees of freedom and the approximate p-value, which is rough for few blocks; ``None``
        where every block is tied throughout, since then nothing can be tested.

    Example:
        >>> result = friedman_test([[1, 2, 3], [1, 2, 3], [1, 3, 2]])
        >>> round(result.chi2, 4), result.df, round(result.p, 4)
        (4.6667, 2, 0.097)
        >>> friedman_test([[2, 2, 2]]) is None
        True
    """
    table = np.asarray(ranks, dtype=np.float64)
    n, k = table.shape
    spread = float((table**2).sum() - n * k * (k + 1) ** 2 / 4)
    if spread == 0:
        return None
    between = float(((table.sum(axis=0) - n * (k + 1) / 2) ** 2).sum())
    chi2 = (k - 1) * between / spread
    return Friedman(chi2, k - 1, float(stats.chi2.sf(chi2, k - 1)))
