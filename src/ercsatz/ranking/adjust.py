"""Corrections of p-values for the number of comparisons made."""

import numpy as np
import numpy.typing as npt

from ercsatz.ranking.exact import FloatArray


def bonferroni(p: npt.ArrayLike) -> FloatArray:
    """Multiply each p-value by the number of p-values, up to 1.

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
