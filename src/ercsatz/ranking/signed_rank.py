"""Wilcoxon's signed-rank test and the sign test of two treatments, exact also with ties and zeros.

Unlike tests of rank sums, these look at the scores of two treatments alone: no other treatment in the table can change
them (Benavoli, Corani and Mangili, JMLR 17:5, 2016). Blocks without a difference are left out, as in Wilcoxon's
"Individual comparisons by ranking methods" (Biometrics Bulletin 1:80, 1945).
"""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from ercsatz.ranking.exact_test import SMALLEST_P, FloatArray

# 0.3 - 0.2 and 0.2 - 0.1 are not equal in floating point; a tie that breaks there would change the test.
_DIGITS = 12

_AT_ONCE = 1_000_000  # differences: 8 MB


def score_differences(treatment: npt.ArrayLike, baseline: npt.ArrayLike) -> FloatArray:
    """Differences of scores, rounded to twelve digits of the largest score so that equal ones come out equal.

    Args:
        treatment: scores on the blocks, shape (n,), or (n, m) of m pairs.
        baseline: scores on the same blocks, in the same shape.

    Example:
        >>> score_differences([0.3, 0.2], [0.2, 0.1]).tolist()
        [0.1, 0.1]
    """
    a, b = np.asarray(treatment, dtype=np.float64), np.asarray(baseline, dtype=np.float64)
    largest = np.maximum(np.abs(a).max(axis=0), np.abs(b).max(axis=0))
    decimals = _DIGITS - np.ceil(np.log10(np.where(largest > 0, largest, 10.0**_DIGITS))).astype(int)
    differences: FloatArray = a - b
    for places in np.unique(decimals):
        differences = np.where(decimals == places, np.round(differences, places), differences)
    return differences


def signed_ranks(differences: npt.ArrayLike) -> tuple[npt.NDArray[np.int64], FloatArray]:
    """Twice the midranks, by absolute value, of the differences that are not 0, and their signs; 0 for those that are.

    Args:
        differences: shape (n,), or (n, m) of m pairs; tied ones are equal, see ``score_differences``.

    Example:
        >>> [part.tolist() for part in signed_ranks([0.2, 0.0, -0.2, 0.5])]
        [[3, 0, 3, 6], [1.0, 0.0, -1.0, 1.0]]
    """
    values = np.asarray(differences, dtype=np.float64)
    signs = np.sign(values)
    ranks = stats.rankdata(np.abs(values), axis=0) - (signs == 0).sum(axis=0)
    return np.where(signs == 0, 0, 2 * ranks).astype(np.int64), signs


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
    return float(wilcoxon_signed_ranks(_column(differences))[0])


def wilcoxon_signed_ranks(differences: FloatArray) -> FloatArray:
    """``wilcoxon_signed_rank`` of each of many pairs; those whose ranks are tied alike share a distribution.

    Args:
        differences: n blocks x m pairs.

    Returns:
        Shape (m,).

    Example:
        >>> wilcoxon_signed_ranks(np.array([[1, 2], [2, 2], [3, -1], [4, 0]])).tolist()
        [0.125, 0.5]
    """
    steps, signs = signed_ranks(differences)
    positive, total = np.where(signs > 0, steps, 0).sum(axis=0), steps.sum(axis=0)
    fewer = np.minimum(positive, total - positive)
    ties = np.sort(steps, axis=0)
    tails = np.empty(steps.shape[1])
    for pair in np.lexsort(ties) if len(ties) else range(len(tails)):
        tails[pair] = _lower_half(tuple(ties[ties[:, pair] > 0, pair].tolist()))[fewer[pair]]
    return np.clip(2 * tails, SMALLEST_P, 1.0)


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
    return float(sign_tests(_column(differences))[0])


def sign_tests(differences: FloatArray) -> FloatArray:
    """``sign_test`` of each of many pairs.

    Args:
        differences: n blocks x m pairs.

    Returns:
        Shape (m,).

    Example:
        >>> sign_tests(np.array([[0.1, 0.3], [0.2, -0.1], [0.1, 0.0]])).tolist()
        [0.25, 1.0]
    """
    return _sign_p(np.sum(differences > 0, axis=0), np.sum(differences < 0, axis=0))


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
    one, other = np.triu_indices(len(matrix), 1)
    for some in chunks(len(one), len(values)):
        i, j = one[some], other[some]
        matrix[i, j] = matrix[j, i] = wilcoxon_signed_ranks(score_differences(values[:, i], values[:, j]))
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


def chunks(pairs: int, blocks: int) -> Iterator[slice]:
    """Pairs in parts, so that what is computed for all pairs of a part at once takes little memory.

    Example:
        >>> list(chunks(30_000, 50))
        [slice(0, 20000, None), slice(20000, 40000, None)]
    """
    size = max(1, _AT_ONCE // max(1, blocks))
    yield from (slice(start, start + size) for start in range(0, pairs, size))


def _column(differences: npt.ArrayLike) -> FloatArray:
    return np.asarray(differences, dtype=np.float64).reshape(-1, 1)


@lru_cache(maxsize=256)
def _lower_half(steps: tuple[int, ...]) -> FloatArray:
    """The probability that the positive ones of these ranks add up to 0, 1, ... or less, up to half of their sum."""
    half = sum(steps) // 2
    pmf = np.ones(1)
    for step in steps:  # rising, so that no step is longer than half of the sum, rounded up
        longer = np.zeros(min(len(pmf) + step, half + 1))
        longer[: len(pmf)] = pmf / 2
        longer[step:] += pmf[: len(longer) - step] / 2
        pmf = longer
    return np.cumsum(pmf)


def _sign_p(ahead: npt.ArrayLike, behind: npt.ArrayLike) -> FloatArray:
    fewer = np.minimum(ahead, behind)
    p: FloatArray = np.clip(2 * stats.binom.cdf(fewer, np.add(ahead, behind), 0.5), SMALLEST_P, 1.0)
    return p
