"""Wilcoxon's signed-rank test and the sign test of two treatments, exact also with ties and zeros.

Unlike tests of rank sums, these look at the scores of two treatments alone: no other treatment in the table can change
them (Benavoli, Corani and Mangili, JMLR 17:5, 2016). Blocks without a difference are left out, as in Wilcoxon's
"Individual comparisons by ranking methods" (Biometrics Bulletin 1:80, 1945).
"""

from functools import lru_cache
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from ercsatz.ranking.exact_test import SMALLEST_P, FloatArray

# 0.3 - 0.2 and 0.2 - 0.1 are not equal in floating point; a tie that breaks there would change the test.
_DIGITS = 12


def score_differences(treatment: npt.ArrayLike, baseline: npt.ArrayLike) -> FloatArray:
    """Differences of scores, rounded to twelve digits of the largest score so that equal ones come out equal.

    Args:
        treatment: scores on the blocks, shape (n,).
        baseline: scores on the same blocks, shape (n,).

    Example:
        >>> score_differences([0.3, 0.2], [0.2, 0.1]).tolist()
        [0.1, 0.1]
    """
    a, b = np.asarray(treatment, dtype=np.float64), np.asarray(baseline, dtype=np.float64)
    largest = max(np.abs(a).max(), np.abs(b).max())
    decimals = _DIGITS - int(np.ceil(np.log10(largest))) if largest > 0 else 0
    return np.round(a - b, decimals)


def signed_ranks(differences: npt.ArrayLike) -> tuple[npt.NDArray[np.int64], FloatArray]:
    """Twice the midranks, by absolute value, of the differences that are not 0, and their signs.

    Args:
        differences: shape (n,); tied ones are equal, see ``score_differences``.

    Example:
        >>> [part.tolist() for part in signed_ranks([0.2, 0.0, -0.2, 0.5])]
        [[3, 3, 6], [1.0, -1.0, 1.0]]
    """
    values = np.asarray(differences, dtype=np.float64)
    values = values[values != 0]
    _, where, counts = np.unique(np.abs(values), return_inverse=True, return_counts=True)
    return (2 * np.cumsum(counts) - counts + 1)[where], np.sign(values)


def wilcoxon_signed_rank(differences: npt.ArrayLike) -> float:
    """Exact two-sided p-value of Wilcoxon's signed-rank test: are the differences symmetric about 0?

    All signs of the differences are equally likely; their absolute values stay as they are, tied ones with the mean of
    their ranks. Source: Wilcoxon (1945); zeros are left out.

    Args:
        differences: of two treatments' scores, one per block, shape (n,); tied ones are equal, see
            ``score_differences``.

    Returns:
        In (0, 1]; 1 where there is no difference. Nothing below ``SMALLEST_P`` is told apart.

    Example:
        >>> wilcoxon_signed_rank([1, 2, 3, 4, 5, 6])
        0.03125
        >>> wilcoxon_signed_rank([2, 2, -1, 0])
        0.5
    """
    steps, signs = signed_ranks(differences)
    tail = _tail(tuple(sorted(steps.tolist())))
    positive = int(steps[signs > 0].sum())
    return float(np.clip(2 * tail[max(positive, len(tail) - 1 - positive)], SMALLEST_P, 1.0))


def sign_test(differences: npt.ArrayLike) -> float:
    """Exact two-sided p-value of the sign test: is either treatment ahead more often than a coin would have it?

    Source: Arbuthnot (1710); as a test of classifiers, Demsar (2006), section 3.1.4, but zeros are left out.

    Args:
        differences: of two treatments' scores, one per block, shape (n,).

    Returns:
        In (0, 1]; 1 where there is no difference. Nothing below ``SMALLEST_P`` is told apart.

    Example:
        >>> sign_test([0.1, 0.2, 0.3, 0.1, 0.4, 0.0])
        0.0625
    """
    signs = np.sign(np.asarray(differences, dtype=np.float64))
    return float(_sign_p(np.sum(signs > 0), np.sum(signs < 0)))


def wilcoxon_pairs(scores: pd.DataFrame) -> pd.DataFrame:
    """Wilcoxon's signed-rank test of each pair of treatments.

    Args:
        scores: n blocks x k treatments, finite.

    Returns:
        k x k, symmetric, in (0, 1], 1 on the diagonal, uncorrected.

    Example:
        >>> scores = pd.DataFrame({"org": [5, 6, 7, 8, 9, 10], "nat": [6, 8, 10, 12, 14, 16]})
        >>> wilcoxon_pairs(scores).loc["nat"].to_dict()
        {'org': 0.03125, 'nat': 1.0}
    """
    matrix = np.eye(scores.shape[1])
    values = scores.to_numpy(dtype=np.float64)
    for i, j in combinations(range(len(matrix)), 2):
        matrix[i, j] = matrix[j, i] = wilcoxon_signed_rank(score_differences(values[:, i], values[:, j]))
    return pd.DataFrame(matrix, index=scores.columns, columns=scores.columns)


def sign_pairs(scores: pd.DataFrame) -> pd.DataFrame:
    """The sign test of each pair of treatments.

    Args:
        scores: n blocks x k treatments, finite.

    Returns:
        k x k, symmetric, in (0, 1], 1 on the diagonal, uncorrected.

    Example:
        >>> scores = pd.DataFrame({"org": [5, 6, 7, 8, 9, 10], "nat": [6, 8, 10, 12, 14, 9]})
        >>> sign_pairs(scores).loc["nat"].to_dict()
        {'org': 0.21875, 'nat': 1.0}
    """
    values = scores.to_numpy(dtype=np.float64)
    ahead = (values[:, :, None] > values[:, None, :]).sum(axis=0)
    matrix = _sign_p(ahead, ahead.T)
    return pd.DataFrame(matrix, index=scores.columns, columns=scores.columns)


@lru_cache(maxsize=256)
def _tail(steps: tuple[int, ...]) -> FloatArray:
    """``tail[i]`` is the probability that the positive ones of these ranks add up to i or more."""
    pmf = np.ones(1)
    for step in steps:
        longer = np.zeros(len(pmf) + step)
        longer[: len(pmf)] = pmf / 2
        longer[step:] += pmf / 2
        pmf = longer
    return np.cumsum(pmf[::-1])[::-1]


def _sign_p(ahead: npt.ArrayLike, behind: npt.ArrayLike) -> FloatArray:
    fewer = np.minimum(ahead, behind)
    p: FloatArray = np.clip(2 * stats.binom.cdf(fewer, np.add(ahead, behind), 0.5), SMALLEST_P, 1.0)
    return p
