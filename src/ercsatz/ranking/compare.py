"""Every test and measure of pairs of treatments, as a table with a row per pair."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from ercsatz.ranking.bayes import bayesian_signed_ranks
from ercsatz.ranking.effect_sizes import median_differences, rank_biserials
from ercsatz.ranking.exact_test import FloatArray
from ercsatz.ranking.p_adjustment import benjamini_hochberg, bonferroni, holm, hommel
from ercsatz.ranking.posthoc import conover_pairs, nemenyi_pairs, siegel_pairs
from ercsatz.ranking.signed_rank import chunks, score_differences, sign_tests, wilcoxon_signed_ranks

Progress = Callable[[int, int], object]
"""Called with how many of how many comparisons are done."""

# What is corrected over the comparisons that were made: the new column, from which, how.
_CORRECTED = (
    ("p_bonferroni", "p", bonferroni),
    ("p_holm", "p", holm),
    ("p_hommel", "p", hommel),
    ("p_bh", "p", benjamini_hochberg),
    ("p_conover_holm", "p_conover", holm),
    ("p_siegel_holm", "p_siegel", holm),
    ("p_wilcoxon_holm", "p_wilcoxon", holm),
    ("p_sign_holm", "p_sign", holm),
)
_COLUMNS = (
    *("treatment", "baseline", "rank_sum_difference", "p", "p_bonferroni", "p_holm", "p_hommel", "p_bh", "p_nemenyi"),
    *("p_conover_holm", "p_siegel_holm", "p_wilcoxon", "p_wilcoxon_holm", "p_sign", "p_sign_holm"),
    *("rank_biserial", "median_difference", "low", "high", "better", "equivalent", "worse"),
)


def compare(
    comparisons: Sequence[tuple[str, str]],
    losses: pd.DataFrame,
    ranks: pd.DataFrame,
    exact: pd.DataFrame,
    rope: float,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """The table ``RankResult.comparisons``, see ``ercsatz.ranking.rank``.

    Args:
        comparisons: (treatment, baseline) pairs.
        losses: n blocks x k treatments, lower is better.
        ranks: their midranks.
        exact: k x k, the exact p of every pair.
        rope: differences up to this size are practically none, in units of the scores.
        progress: called now and then.

    Example:
        >>> losses, ranks = pd.DataFrame({"org": [0.5], "nat": [0.4]}), pd.DataFrame({"org": [2.0], "nat": [1.0]})
        >>> p = pd.DataFrame(1.0, index=ranks.columns, columns=ranks.columns)
        >>> compare([("nat", "org")], losses, ranks, p, 0.0)["median_difference"].round(1).tolist()
        [0.1]
    """
    names = pd.DataFrame(list(comparisons), columns=["treatment", "baseline"], dtype=object)
    one, other = (ranks.columns.get_indexer(pd.Index(names[side])) for side in names)
    sums = ranks.sum().to_numpy()
    matrices = {
        "p": exact,
        "p_nemenyi": nemenyi_pairs(ranks),
        "p_conover": conover_pairs(ranks),
        "p_siegel": siegel_pairs(ranks),
    }
    columns = {name: matrix.to_numpy()[one, other] for name, matrix in matrices.items()}
    columns["rank_sum_difference"] = sums[other] - sums[one]
    columns |= _of_scores(losses.to_numpy(dtype=np.float64), one, other, rope, progress)
    columns |= {name: correct(columns[source]) for name, source, correct in _CORRECTED}
    return pd.concat([names, pd.DataFrame(columns)], axis=1)[list(_COLUMNS)]


def _of_scores(
    losses: FloatArray, one: np.ndarray, other: np.ndarray, rope: float, progress: Progress | None
) -> dict[str, FloatArray]:
    """What depends on the scores of two treatments alone."""
    count = 0

    def done(more: int) -> None:
        nonlocal count
        count += more
        if progress is not None:
            progress(count, len(one))

    parts = []
    for some in chunks(len(one), len(losses)):
        gains = score_differences(losses[:, other[some]], losses[:, one[some]])
        tests = (wilcoxon_signed_ranks(gains), sign_tests(gains), rank_biserials(gains))
        parts.append(
            np.column_stack([*tests, median_differences(gains), bayesian_signed_ranks(gains, rope, done=done)])
        )
    found = np.concatenate(parts) if parts else np.empty((0, 9))
    names = ("p_wilcoxon", "p_sign", "rank_biserial", "median_difference", "low", "high")
    return dict(zip((*names, "better", "equivalent", "worse"), found.T, strict=True))
