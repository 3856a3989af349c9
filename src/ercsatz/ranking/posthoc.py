"""Which treatments differ: tests of the differences of rank sums, for all pairs or against a control.

Each takes a table of midranks (blocks x treatments) and gives p-values that are not yet corrected for the number of
pairs, see ``adjust_pairs``; only Nemenyi's are corrected as they are. All depend on the whole table: other treatments
beside two can change whether these two differ (Benavoli, Corani and Mangili, "Should we really use post-hoc tests based
on mean-ranks?", JMLR 17:5, 2016).
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy import stats

from ercsatz.errors import UserError
from ercsatz.ranking.exact_test import FloatArray, difference_distribution
from ercsatz.ranking.friedman import centred


def exact_pairs(ranks: pd.DataFrame) -> pd.DataFrame:
    """Exact two-sided p-value of each pair's difference of rank sums, given the ties. One distribution serves all.

    Source: Eisinga, Heskes, Pelzer and Te Grotenhuis (2017), with ties see ``difference_distribution``. With two
    treatments this is the sign test.

    Args:
        ranks: n blocks x k treatments, midranks.

    Returns:
        k x k, symmetric, in (0, 1], 1 on the diagonal, uncorrected.

    Example:
        >>> ranks = pd.DataFrame([[1, 2, 3], [1, 2, 3], [1, 3, 2]], columns=["bal", "nat", "org"])
        >>> exact_pairs(ranks).loc["bal"].round(4).to_dict()
        {'bal': 1.0, 'nat': 0.1759, 'org': 0.0648}
    """
    return by_difference(ranks, np.vectorize(difference_distribution(ranks.to_numpy()).p))


def exact_against(ranks: pd.DataFrame, control: str) -> "pd.Series[float]":
    """Exact two-sided p-value of each treatment's difference from a control (Eisinga et al. 2017, many-to-one).

    The same figures as in ``exact_pairs``, but a correction has only k - 1 comparisons to count.

    Args:
        ranks: n blocks x k treatments, midranks.
        control: one of the treatments.

    Returns:
        For each other treatment, in the table's order, in (0, 1], uncorrected.

    Raises:
        UserError: there is no such treatment.

    Example:
        >>> ranks = pd.DataFrame([[1, 2, 3], [1, 2, 3], [1, 3, 2]], columns=["bal", "nat", "org"])
        >>> exact_against(ranks, "org").round(4).to_dict()
        {'bal': 0.0648, 'nat': 0.8889}
    """
    if control not in ranks.columns:
        raise UserError(
            f"There is no treatment {control!r} to compare with. "
            f"The treatments are: {', '.join(map(str, ranks.columns))}."
        )
    return exact_pairs(ranks)[control].drop(control)


def nemenyi_pairs(ranks: pd.DataFrame) -> pd.DataFrame:
    """Nemenyi's p-value of each pair, by the studentised range of k normal means; corrected for all pairs by itself.

    Source: Nemenyi (1963) as in Demsar, "Statistical comparisons of classifiers over multiple data sets" (JMLR 7:1,
    2006), section 3.2.2. An approximation for many blocks; ties are not corrected for, which makes it cautious.

    Args:
        ranks: n blocks x k treatments, midranks.

    Returns:
        k x k, symmetric, in [0, 1], 1 on the diagonal.

    Example:
        >>> ranks = pd.DataFrame([[1, 2, 3], [1, 2, 3], [1, 3, 2]], columns=["bal", "nat", "org"])
        >>> nemenyi_pairs(ranks).loc["bal"].round(4).to_dict()
        {'bal': 1.0, 'nat': 0.2317, 'org': 0.1025}
    """
    n, k = ranks.shape
    unit = np.sqrt(n * k * (k + 1) / 12)
    return by_difference(ranks, lambda differences: stats.studentized_range.sf(differences / unit, k, np.inf))


def siegel_pairs(ranks: pd.DataFrame) -> pd.DataFrame:
    """Siegel and Castellan's p-value of each pair, by the normal approximation.

    Source: Siegel and Castellan, "Nonparametric Statistics for the Behavioral Sciences" (2nd ed. 1988), section 7.2. An
    approximation for many blocks; ties are not corrected for, which makes it cautious.

    Args:
        ranks: n blocks x k treatments, midranks.

    Returns:
        k x k, symmetric, in [0, 1], 1 on the diagonal, uncorrected.

    Example:
        >>> ranks = pd.DataFrame([[1, 2, 3], [1, 2, 3], [1, 3, 2]], columns=["bal", "nat", "org"])
        >>> siegel_pairs(ranks).loc["bal"].round(4).to_dict()
        {'bal': 1.0, 'nat': 0.1025, 'org': 0.0412}
    """
    n, k = ranks.shape
    unit = np.sqrt(n * k * (k + 1) / 6)
    return by_difference(ranks, lambda differences: 2 * stats.norm.sf(differences / unit))


def conover_pairs(ranks: pd.DataFrame) -> pd.DataFrame:
    """Conover's p-value of each pair, by Student's t, with the variance that the ties and the agreement leave.

    Source: Conover, "Practical Nonparametric Statistics" (3rd ed. 1999), section 5.8. Meant for use after Friedman's
    test has found something. The variance is small where blocks agree; where some treatments are far better than the
    others, it errs among the others more often than its level says.

    Args:
        ranks: n blocks x k treatments, midranks.

    Returns:
        k x k, symmetric, in [0, 1], 1 on the diagonal, uncorrected. Where all blocks agree no variance is left: 0 (a
        limit and no evidence) where the rank sums differ. NaN beside the diagonal for a single block.

    Example:
        >>> ranks = pd.DataFrame([[1, 2, 3], [1, 2, 3], [1, 3, 2]], columns=["bal", "nat", "org"])
        >>> conover_pairs(ranks).loc["bal"].round(4).to_dict()
        {'bal': 1.0, 'nat': 0.0474, 'org': 0.0241}
    """
    n, k = ranks.shape
    table = centred(ranks.to_numpy())
    left = int(n * (table**2).sum() - (table.sum(axis=0) ** 2).sum())
    df = (n - 1) * (k - 1)

    def p(differences: FloatArray) -> FloatArray:
        if df == 0:
            return np.full(len(differences), np.nan)
        if left == 0:
            return np.where(differences == 0, 1.0, 0.0)
        tail: FloatArray = 2 * stats.t.sf(differences * np.sqrt(2 * df / left), df)
        return tail

    return by_difference(ranks, p)


def by_difference(ranks: pd.DataFrame, p: Callable[[FloatArray], FloatArray]) -> pd.DataFrame:
    """The p-values of all pairs, where they follow from the absolute differences of rank sums alone.

    Args:
        ranks: n blocks x k treatments, midranks.
        p: from the differences that occur, each once, to their p-values.

    Example:
        >>> ranks = pd.DataFrame({"bal": [1, 1], "org": [2, 2]})
        >>> by_difference(ranks, lambda differences: 0.5**differences).loc["bal"].to_dict()
        {'bal': 1.0, 'org': 0.25}
    """
    sums = ranks.sum().to_numpy()
    differences, where = np.unique(np.abs(np.subtract.outer(sums, sums)), return_inverse=True)
    matrix = p(differences)[where].reshape(len(sums), -1)
    np.fill_diagonal(matrix, 1.0)
    return pd.DataFrame(matrix, index=ranks.columns, columns=ranks.columns)
