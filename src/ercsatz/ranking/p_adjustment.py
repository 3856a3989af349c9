"""Corrections of p-values for the number of comparisons made.

All four take the p-values of all comparisons that were made and give them back corrected, in the same order.
Bonferroni, Holm and Hommel bound the chance of a single false finding, Benjamini-Hochberg the expected share of false
ones among the findings. Holm finds whatever Bonferroni finds, and Hommel whatever Holm does.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd

from ercsatz.ranking.exact_test import FloatArray


def bonferroni(p: npt.ArrayLike) -> FloatArray:
    """Multiply each p-value by the number of p-values, up to 1. Holds under any dependence (Dunn 1961).

    Args:
        p: p-values of all the comparisons that were made, shape (m,).

    Returns:
        Corrected p-values in (0, 1], shape (m,).

    Example:
        >>> bonferroni([0.01, 0.2, 0.6]).round(4).tolist()
        [0.03, 0.6, 1.0]
    """
    values = np.asarray(p, dtype=np.float64)
    return np.minimum(1.0, values * len(values))


def holm(p: npt.ArrayLike) -> FloatArray:
    """Multiply the smallest p-value by m, the next by m - 1, ... and keep their order. Holds under any dependence.

    Source: Holm, "A simple sequentially rejective multiple test procedure" (Scandinavian Journal of Statistics 6:65,
    1979).

    Args:
        p: p-values of all the comparisons that were made, shape (m,).

    Returns:
        Corrected p-values in (0, 1], shape (m,).

    Example:
        >>> holm([0.2, 0.01, 0.15]).round(4).tolist()
        [0.3, 0.03, 0.3]
    """
    values = np.asarray(p, dtype=np.float64)
    order = np.argsort(values)
    return _back(np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1)), order)


def hommel(p: npt.ArrayLike) -> FloatArray:
    """Test every set of comparisons by Simes and keep what survives in all; for tests that depend positively, or not.

    Sources: Hommel, "A stagewise rejective multiple test procedure based on a modified Bonferroni test" (Biometrika
    75:383, 1988); corrected p-values by Wright, "Adjusted p-values for simultaneous inference" (Biometrics 48:1005,
    1992).

    Args:
        p: p-values of all the comparisons that were made, shape (m,).

    Returns:
        Corrected p-values in (0, 1], shape (m,).

    Example:
        >>> hommel([0.01, 0.02, 0.022]).round(4).tolist()
        [0.022, 0.022, 0.022]
    """
    values = np.asarray(p, dtype=np.float64)
    order = np.argsort(values)
    ordered = values[order]
    if len(ordered) == 0:
        return ordered
    simes = _simes(ordered)
    # A set that holds all p-values above one has Simes' p, which falls with its size; the others have the smaller of
    # that and `size` times the p-value, which rises. So the largest is at the size where the two cross, or the next.
    others = np.arange(len(ordered) - 1, -1, -1)
    crossing = np.searchsorted(-simes / np.arange(1, len(simes) + 1), -ordered, side="right")
    below = np.minimum(crossing, others)
    rising = np.minimum(simes[np.maximum(below, 1) - 1], below * ordered)
    falling = np.maximum.accumulate(simes[::-1])[::-1][below]
    return _back(np.maximum.reduce([ordered, rising, falling]), order)


def benjamini_hochberg(p: npt.ArrayLike) -> FloatArray:
    """Bound the expected share of false findings; for tests that depend positively, or not.

    Source: Benjamini and Hochberg, "Controlling the false discovery rate" (JRSS B 57:289, 1995).

    Args:
        p: p-values of all the comparisons that were made, shape (m,).

    Returns:
        Corrected p-values in (0, 1], shape (m,).

    Example:
        >>> benjamini_hochberg([0.01, 0.04, 0.03]).round(4).tolist()
        [0.03, 0.04, 0.04]
    """
    values = np.asarray(p, dtype=np.float64)
    order = np.argsort(values)[::-1]
    shares = values[order] * len(values) / np.arange(len(values), 0, -1)
    return _back(np.minimum.accumulate(shares), order)


def adjust_pairs(matrix: pd.DataFrame, method: Callable[[npt.ArrayLike], FloatArray]) -> pd.DataFrame:
    """Correct a matrix of p-values of all pairs, each pair counted once.

    Args:
        matrix: k x k, symmetric, 1 on the diagonal, as ``exact_pairs`` gives it.
        method: ``bonferroni``, ``holm``, ``hommel`` or ``benjamini_hochberg``.

    Returns:
        A matrix of the same form.

    Example:
        >>> p = pd.DataFrame([[1, 0.01, 0.2], [0.01, 1, 0.3], [0.2, 0.3, 1]], index=list("abc"), columns=list("abc"))
        >>> adjust_pairs(p, bonferroni).loc["a"].round(4).tolist()
        [1.0, 0.03, 0.6]
    """
    corrected = np.eye(len(matrix))
    pairs = np.triu_indices(len(matrix), 1)
    corrected[pairs] = corrected.T[pairs] = method(matrix.to_numpy()[pairs])
    return pd.DataFrame(corrected, index=matrix.index, columns=matrix.columns)


def _simes(ordered: FloatArray) -> FloatArray:
    """Simes' p of the 1, 2, ... largest p-values, the smallest p that any set as large can have.

    It is the least slope of a line from a point on the axis to the p-values behind it. The further behind that point
    lies, the further behind lies the p-value that gives the slope, so each search halves the range of those to come.
    """
    m = len(ordered)
    simes = np.empty(m)
    ranges = [(0, m, 0, m - 1)]
    while ranges:
        start, stop, first, last = ranges.pop()
        if start == stop:
            continue
        middle = (start + stop) // 2
        begin, size = max(first, middle), m - middle
        slopes = size * ordered[begin : last + 1] / np.arange(begin - middle + 1, last - middle + 2)
        lowest = int(np.argmin(slopes))
        simes[size - 1] = slopes[lowest]
        ranges += [(start, middle, first, begin + lowest), (middle + 1, stop, begin + lowest, last)]
    return simes


def _back(ordered: FloatArray, order: npt.NDArray[np.intp]) -> FloatArray:
    corrected = np.empty_like(ordered)
    corrected[order] = np.minimum(1.0, ordered)
    return corrected
