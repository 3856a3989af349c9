"""How large a difference is, which no p-value says."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ercsatz.ranking.friedman import centred
from ercsatz.ranking.signed import signed_ranks

RESAMPLES = 10_000
"""Of the bootstrap."""


class Median(NamedTuple):
    """A median and its 95 % interval."""

    median: float
    low: float
    high: float


def kendalls_w(ranks: npt.ArrayLike) -> float | None:
    """Kendall's coefficient of concordance: how far the blocks agree on the order, 0 (not at all) to 1 (fully).

    Source: Kendall and Babington Smith, "The problem of m rankings" (Annals of Mathematical Statistics 10:275, 1939),
    corrected for ties; Friedman's chi-square divided by n (k - 1).

    Args:
        ranks: n blocks x k treatments, midranks.

    Returns:
        In [0, 1]; ``None`` where every block is tied throughout. Always 1 for a single block.

    Example:
        >>> round(kendalls_w([[1, 2, 3], [1, 2, 3], [1, 3, 2]]), 4)
        0.7778
    """
    table = centred(ranks)
    spread = int((table**2).sum())
    return int((table.sum(axis=0) ** 2).sum()) / (len(table) * spread) if spread else None


def rank_biserial(differences: npt.ArrayLike) -> float:
    """Matched-pairs rank-biserial correlation: the share of signed ranks for the treatment minus that against it.

    Source: Kerby, "The simple difference formula" (Comprehensive Psychology 3, 2014); the effect size that goes with
    Wilcoxon's signed-rank test. Blocks without a difference are left out.

    Args:
        differences: of two treatments' scores, one per block, shape (n,).

    Returns:
        In [-1, 1]: 1 where the treatment is ahead everywhere, -1 where it is behind everywhere, 0 where both balance;
        NaN where there is no difference at all.

    Example:
        >>> rank_biserial([3, 2, -1])
        0.6666666666666666
    """
    steps, signs = signed_ranks(differences)
    return float(steps @ signs / steps.sum()) if len(steps) else np.nan


def median_difference(differences: npt.ArrayLike, seed: int = 0) -> Median:
    """The median difference and its 95 % percentile bootstrap interval, in units of the scores.

    Source: Efron, "Bootstrap methods: another look at the jackknife" (Annals of Statistics 7:1, 1979). The interval
    cannot reach beyond the smallest and the largest difference, so with fewer than six blocks it covers less than 95 %.

    Args:
        differences: of two treatments' scores, one per block, shape (n,).
        seed: of the resampling; the same seed gives the same interval.

    Returns:
        Median, lower and upper end; both ends are NaN for a single block, which has no spread.

    Example:
        >>> median_difference([0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5])
        Median(median=2.0, low=1.0, high=3.0)
    """
    values = np.asarray(differences, dtype=np.float64)
    median = float(np.median(values))
    if len(values) < 2:
        return Median(median, np.nan, np.nan)
    drawn = np.random.default_rng(seed).integers(len(values), size=(RESAMPLES, len(values)))
    # An interval's end is one of the medians that were drawn, not a value between two of them.
    low, high = np.quantile(np.median(values[drawn], axis=1), [0.025, 0.975], method="inverted_cdf")
    return Median(median, float(low), float(high))
