"""Rank a table of scores and compare treatments with their baselines."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Real

import numpy as np
import pandas as pd

from ercsatz.errors import UserError
from ercsatz.ranking.bayes import check_rope
from ercsatz.ranking.compare import Progress, compare
from ercsatz.ranking.effect_sizes import kendalls_w
from ercsatz.ranking.exact_test import blocks_needed, difference_distribution
from ercsatz.ranking.friedman import Friedman, friedman_test, midranks
from ercsatz.ranking.metrics import may_be_share
from ercsatz.ranking.posthoc import by_difference
from ercsatz.ranking.scores import ScoreTable

ALPHA = 0.05
"""The level below which a corrected p-value counts as significant."""

_MOST_PRINTED = 100  # comparisons

_LOWEST_OF_100 = 5.0  # tables of scores from 0 to 100 have a score above

_PRINTED = {
    "Tests": ("rank_sum_difference", "p", "p_bonferroni", "p_holm", "p_wilcoxon_holm"),
    "Sizes": ("median_difference", "low", "high", "rank_biserial", "better", "equivalent", "worse"),
}


@dataclass(frozen=True, eq=False)
class RankResult:
    """Ranks, Friedman's test and the exact comparisons of a table of scores.

    Attributes:
        table: the scores, with the blocks that were dropped and the treatments that are missing.
        ranks: ranked blocks x treatments, midranks; 1 is the best.
        rank_sums: by treatment.
        friedman: ``None`` where all treatments are tied in every block.
        comparisons: a row per comparison, see ``rank``.
        smallest_p: the smallest p that any outcome of a table like this (size and ties) could have.
        smallest_p_bonferroni: the same, corrected.
        higher_is_better: whether rank 1 is the highest score.
        rope: differences up to this size are practically none, in units of the scores.
        kendalls_w: how far the blocks agree, 0 to 1; ``None`` where all treatments are tied in every block.
        pairs: k x k, the exact p of every pair, uncorrected.
        critical_difference: the smallest difference of rank sums that is significant among all pairs (exact p times
            k (k - 1) / 2 below ``ALPHA``); ``None`` where none is.
        needed_difference: the smallest difference of rank sums that is significant among the comparisons made; ``None``
            where none is.
        blocks_needed: from how many blocks on an untied table with these comparisons can be significant.
    """

    table: ScoreTable
    ranks: pd.DataFrame
    rank_sums: "pd.Series[float]"
    friedman: Friedman | None
    comparisons: pd.DataFrame
    smallest_p: float
    smallest_p_bonferroni: float
    higher_is_better: bool
    rope: float
    kendalls_w: float | None
    pairs: pd.DataFrame
    critical_difference: float | None
    needed_difference: float | None
    blocks_needed: int

    @property
    def n(self) -> int:
        """Number of ranked blocks."""
        return len(self.ranks)

    @property
    def k(self) -> int:
        """Number of treatments."""
        return len(self.ranks.columns)

    @property
    def tied_blocks(self) -> int:
        """Number of ranked blocks in which scores are equal."""
        return int(self.ranks.apply(lambda row: row.duplicated().any(), axis=1).sum())

    @property
    def can_be_significant(self) -> bool:
        """Whether any outcome could have shown a difference; one block never can."""
        return self.n > 1 and self.smallest_p_bonferroni < ALPHA

    @cached_property
    def unlearnt_baselines(self) -> dict[str, list[str]]:
        """Baselines that learnt nothing on ranked blocks, and on which."""
        baselines = list(dict.fromkeys(self.comparisons["baseline"])) if self.table.unlearnt else []
        blocks = {name: [str(b) for b in self.ranks.index if (b, name) in self.table.unlearnt] for name in baselines}
        return {name: found for name, found in blocks.items() if found}

    @property
    def void_baselines(self) -> list[str]:
        """Those that learnt nothing on half of the ranked blocks at least: to be better than they are shows nothing.

        A test set far from the training data may bring a sound baseline down to the majority floor, so on fewer blocks
        the comparison is judged, after a word on that.
        """
        return [name for name, blocks in self.unlearnt_baselines.items() if 2 * len(blocks) >= self.n]

    @cached_property
    def tied_throughout(self) -> list[str]:
        """The ranked blocks in which all treatments have the same score."""
        ranks = self.ranks.to_numpy()
        return [str(block) for block in self.ranks.index[(ranks == ranks[:, :1]).all(axis=1)]]

    @property
    def tests_differences(self) -> bool:
        """Whether the test of all treatments at once tells anything; not where a baseline or every outcome is void."""
        return not self.void_baselines and not (self.tied_throughout and self.limit)

    @property
    def limit(self) -> str | None:
        """Why no outcome could have shown a difference, as a sentence; ``None`` where one could."""
        if self.friedman is None:
            return "All treatments are tied in every block: there is nothing to test."
        if self.can_be_significant:
            return None
        only = ", and one block shows nothing beyond itself" if self.n == 1 else ""
        return (
            f"A difference cannot be significant at this size "
            f"(smallest attainable corrected p = {self.smallest_p_bonferroni:.4g}{only})."
        )

    def __str__(self) -> str:
        """Rank sums, tests and limits as plain text."""
        sums = self.rank_sums.rename("rank sum").to_frame().assign(**{"mean rank": self.rank_sums / self.n})
        best = "highest" if self.higher_is_better else "lowest"
        unlearnt = ", ".join(self.unlearnt_baselines)
        lines = [f"Baselines that learnt nothing: {unlearnt}"] if unlearnt else []
        lines.append(f"Ranking of {self.k} treatments over {self.n} blocks (rank 1 is the best, the {best})")
        lines += [sums.to_string(), *self._omnibus()]
        printed = self.comparisons
        if len(printed) > _MOST_PRINTED:
            printed = printed.sort_values("p", kind="stable")[:_MOST_PRINTED]
        for title, columns in _PRINTED.items() if len(self.comparisons) else ():
            shown = printed[["treatment", "baseline", *columns]]
            lines += [title, shown.to_string(index=False, float_format=lambda value: f"{value:.5g}", na_rep="-")]
        if left := len(self.comparisons) - len(printed):
            lines.append(f"{left} more comparisons, with larger p, are in the attribute comparisons.")
        if self.critical_difference is not None:
            lines.append(f"Rank sums of any two treatments differ significantly from {self.critical_difference:g} on.")
        if self.limit:
            lines.append(self.limit)
        if self.table.missing:
            lines.append(f"Missing treatments: {', '.join(self.table.missing)}")
        if self.table.dropped:
            lines.append(f"Dropped blocks: {', '.join(self.table.dropped)}")
        return "\n".join(lines)

    def _omnibus(self) -> list[str]:
        if self.friedman is None or not self.tests_differences:
            return []
        chi2, df, p, f, f_df, p_f, p_exact = self.friedman
        lines = [f"Friedman chi-square {chi2:.4f}, {df} degrees of freedom, p = {p:.3g}"]
        if p_exact is not None:
            lines.append(f"Friedman exact p = {p_exact:.3g}")
        if math.isinf(f):
            lines.append("Iman-Davenport F is infinite: all blocks agree")
        elif self.n > 1:
            lines.append(f"Iman-Davenport F {f:.4f}, {f_df[0]} and {f_df[1]} degrees of freedom, p = {p_f:.3g}")
        return [*lines, f"Kendall's W {self.kendalls_w:.3f} (agreement of the blocks, 0 to 1)"]


def rank(
    scores: pd.DataFrame | ScoreTable,
    comparisons: Sequence[tuple[str, str]],
    higher_is_better: bool = True,
    rope: float = 0.0,
    progress: Progress | None = None,
) -> RankResult:
    """Rank the treatments within each block, test, and compare pairs of treatments.

    Comparisons have the columns ``treatment``, ``baseline``; ``rank_sum_difference``; ``p`` (exact, two-sided) and its
    corrections ``p_bonferroni, p_holm, p_hommel, p_bh``; beside it ``p_nemenyi`` (corrected for all pairs of the
    table), ``p_conover_holm, p_siegel_holm, p_wilcoxon, p_wilcoxon_holm, p_sign, p_sign_holm``; ``rank_biserial``;
    ``median_difference`` with ``low`` and ``high``, its 95 % interval; ``better, equivalent, worse``, the Bayesian
    signed-rank test's probabilities. Positive differences mean that the treatment is better than the baseline, also
    where lower is better. NaN is what is not defined. Corrections are over the comparisons made.

    Args:
        scores: blocks x treatments without gaps, or a ``ScoreTable``, whose blocks with gaps are left out.
        comparisons: (treatment, baseline) pairs; the correction is for their number. May be empty.
        higher_is_better: rank 1 is the highest score; otherwise the lowest.
        rope: differences up to this size are practically none, in units of the scores.
        progress: called now and then with how many of the comparisons are done, and how many there are.

    Raises:
        UserError: fewer than two treatments or no block, a name twice, a cell that is not a finite number, an unknown
            name in a comparison, a negative ``rope``, or scores of 0 to 1 beside scores of 0 to 100.

    Example:
        >>> scores = pd.DataFrame({"org": [0.50, 0.61, 0.42], "nat": [0.55, 0.64, 0.47], "bal": [0.56, 0.62, 0.45]})
        >>> result = rank(scores, [("nat", "org"), ("bal", "org")])
        >>> result.rank_sums.to_dict()
        {'org': 9.0, 'nat': 4.0, 'bal': 5.0}
        >>> result.comparisons.round(4).iloc[0, :5].to_dict()
        {'treatment': 'nat', 'baseline': 'org', 'rank_sum_difference': 5.0, 'p': 0.0648, 'p_bonferroni': 0.1296}
        >>> result.comparisons["median_difference"].tolist()
        [0.05, 0.03]
    """
    table = scores if isinstance(scores, ScoreTable) else None
    frame = scores if isinstance(scores, pd.DataFrame) else scores.scores
    _check_names(frame, comparisons)
    if frame.empty:
        raise UserError(_no_blocks(table))
    _check_numbers(frame)
    check_rope(rope)
    if not higher_is_better:
        _check_losses(frame)
    elif table is None or may_be_share(table.metric):
        _check_scale(frame)
    ranks = pd.DataFrame(midranks(frame.to_numpy(), higher_is_better), index=frame.index, columns=frame.columns)
    distribution = difference_distribution(ranks.to_numpy())
    pairs = by_difference(ranks, np.vectorize(distribution.p))
    k = len(ranks.columns)
    losses = -frame if higher_is_better else frame
    return RankResult(
        table=table or ScoreTable.from_frame(frame),
        ranks=ranks,
        rank_sums=ranks.sum(),
        friedman=friedman_test(ranks.to_numpy()),
        comparisons=compare(comparisons, losses, ranks, pairs, rope, progress),
        smallest_p=distribution.smallest_p,
        smallest_p_bonferroni=min(1.0, distribution.smallest_p * max(1, len(comparisons))),
        higher_is_better=higher_is_better,
        rope=rope,
        kendalls_w=kendalls_w(ranks.to_numpy()),
        pairs=pairs,
        critical_difference=distribution.critical(2 * ALPHA / (k * (k - 1))),
        needed_difference=distribution.critical(ALPHA / max(1, len(comparisons))),
        blocks_needed=blocks_needed(k, len(comparisons), ALPHA),
    )


def _no_blocks(table: ScoreTable | None) -> str:
    if table is None:
        return "The table has no blocks: a ranking needs at least one row of scores."
    counts = table.cells.notna().sum()
    return (
        f"No block has a score for every treatment. {counts.idxmin()} has the fewest: {counts.min()} of "
        f"{len(table.cells)}. Add its scores or leave it out."
    )


def _check_names(frame: pd.DataFrame, comparisons: Sequence[tuple[str, str]]) -> None:
    if len(frame.columns) < 2:
        raise UserError(
            f"A ranking needs at least two treatments; there is {', '.join(map(str, frame.columns)) or 'none'}."
        )
    for kind, names in (("treatment", frame.columns), ("block", frame.index)):
        if not names.is_unique:
            raise UserError(f"The {kind} {names[names.duplicated()][0]!r} occurs twice in the table.")
    if unknown := [name for pair in comparisons for name in pair if name not in frame.columns]:
        raise UserError(
            f"The comparisons name {unknown[0]!r}, which is not in the table. "
            f"The treatments are: {', '.join(map(str, frame.columns))}."
        )


def _check_numbers(frame: pd.DataFrame) -> None:
    for treatment, column in frame.items():
        for block, value in column.items():
            if not isinstance(value, Real) or not math.isfinite(value):
                raise UserError(f"Block {block}, treatment {treatment}: {value!r} is not a finite number.")


def _check_scale(frame: pd.DataFrame) -> None:
    """Raise where some scores are from 0 to 1 and others from 0 to 100; what ends below may be of another kind."""
    if frame.to_numpy(dtype=float).max() <= _LOWEST_OF_100:
        return
    remedy = (
        "Give all of them from 0 to 1, or all from 0 to 100. If they are no shares, name what they are, as by "
        "ranking.metric=reward."
    )
    for kind, highest in (("block", frame.max(axis=1)), ("treatment", frame.max(axis=0))):
        low, high = highest[(highest > 0) & (highest <= 1)], highest[highest > 1.5]
        if len(low) and len(high):
            raise UserError(
                f"The scores are on two scales: {kind} {low.index[0]} has at most {low.iloc[0]:g}, {kind} "
                f"{high.index[0]} up to {high.iloc[0]:g}. {remedy}"
            )
    for block, values in frame.astype(float).iterrows():
        small, large = values[(values > 0) & (values <= 1)], values[values > 1.5]
        # A score that would stand among the others of its block if it were multiplied with 100.
        odd = small[(small * 100 >= large.min() / 2) & (small * 100 <= min(100, large.max() * 2))]
        if len(odd) and values.between(0, 100).all():
            raise UserError(
                f"The scores seem to be on two scales: block {block} has {odd.iloc[0]:g} for {odd.index[0]} and "
                f"{large.iloc[0]:g} for {large.index[0]}. {remedy} "
                f"If {odd.iloc[0]:g} of 100 is meant, give all from 0 to 1."
            )


def _check_losses(frame: pd.DataFrame) -> None:
    """Raise where one treatment's losses are from 0 to 1 and another's the same from 0 to 100.

    Losses may well lie on both sides of 1, and blocks may have units of their own: only a factor of about 100 between
    two treatments in every block is not plausible.
    """
    values = frame.astype(float)
    highest = values.max()
    for low in values.columns[(highest > 0) & (highest <= 1)]:
        for high in values.columns[(highest > 1.5) & (highest <= 100)]:
            factors = values[high] / values[low].where(values[low] > 0)
            if factors.between(30, 300).all():
                raise UserError(
                    f"The scores seem to be on two scales: treatment {low} has at most {highest[low]:g}, treatment "
                    f"{high} about 100 times as much in every block. Give all of them from 0 to 1, or all from 0 to "
                    "100."
                )
