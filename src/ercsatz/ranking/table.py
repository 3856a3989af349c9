"""Rank a table of scores and compare treatments with their baselines."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real

import numpy as np
import pandas as pd

from ercsatz.errors import UserError
from ercsatz.ranking.adjust import bonferroni
from ercsatz.ranking.exact import difference_distribution
from ercsatz.ranking.friedman import Friedman, friedman_test, midranks
from ercsatz.ranking.scores import ScoreTable

ALPHA = 0.05
"""The level below which a corrected p-value counts as significant."""


@dataclass(frozen=True, eq=False)
class RankResult:
    """Ranks, Friedman's test and the exact comparisons of a table of scores.

    Attributes:
        table: the scores, with the blocks that were dropped and the treatments that are missing.
        ranks: ranked blocks x treatments, midranks; 1 is the best.
        rank_sums: by treatment.
        friedman: ``None`` where all treatments are tied in every block.
        comparisons: a row per comparison: ``treatment``, ``baseline``, ``rank_sum_difference`` (the baseline's rank sum
            minus the treatment's: positive is better than the baseline), ``p`` (exact, two-sided), ``p_bonferroni``.
        smallest_p: the smallest p that any outcome of a table like this (size and ties) could have.
        smallest_p_bonferroni: the same, corrected.
    """

    table: ScoreTable
    ranks: pd.DataFrame
    rank_sums: "pd.Series[float]"
    friedman: Friedman | None
    comparisons: pd.DataFrame
    smallest_p: float
    smallest_p_bonferroni: float

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
        lines = [f"Ranking of {self.k} treatments over {self.n} blocks (rank 1 is the best)", sums.to_string()]
        if self.friedman is not None:
            chi2, df, p = self.friedman
            lines.append(f"Friedman chi-square {chi2:.4f}, {df} degrees of freedom, p = {p:.3g}")
        if len(self.comparisons):
            lines.append(self.comparisons.to_string(index=False, float_format=lambda value: f"{value:.5g}"))
        if self.limit:
            lines.append(self.limit)
        if self.table.missing:
            lines.append(f"Missing treatments: {', '.join(self.table.missing)}")
        if self.table.dropped:
            lines.append(f"Dropped blocks: {', '.join(self.table.dropped)}")
        return "\n".join(lines)


def rank(
    scores: pd.DataFrame | ScoreTable, comparisons: Sequence[tuple[str, str]], higher_is_better: bool = True
) -> RankResult:
    """Rank the treatments within each block, test, and compare pairs of rank sums exactly.

    Args:
        scores: blocks x treatments without gaps, or a ``ScoreTable``, whose blocks with gaps are left out.
        comparisons: (treatment, baseline) pairs; the correction is for their number. May be empty.
        higher_is_better: rank 1 is the highest score; otherwise the lowest.

    Raises:
        UserError: fewer than two treatments or no block, a name twice, a cell that is not a finite number, an unknown
            name in a comparison, or, where higher is better, scores of 0 to 1 beside scores of 0 to 100.

    Example:
        >>> scores = pd.DataFrame({"org": [0.50, 0.61, 0.42], "nat": [0.55, 0.64, 0.47], "bal": [0.56, 0.62, 0.45]})
        >>> result = rank(scores, [("nat", "org"), ("bal", "org")])
        >>> result.rank_sums.to_dict()
        {'org': 9.0, 'nat': 4.0, 'bal': 5.0}
        >>> result.comparisons.round(4).iloc[0].to_dict()
        {'treatment': 'nat', 'baseline': 'org', 'rank_sum_difference': 5.0, 'p': 0.0648, 'p_bonferroni': 0.1296}
    """
    table = scores if isinstance(scores, ScoreTable) else None
    frame = scores if isinstance(scores, pd.DataFrame) else scores.scores
    _check_names(frame, comparisons)
    if frame.empty:
        raise UserError(_no_blocks(table))
    _check_numbers(frame)
    if higher_is_better:
        _check_scale(frame)
    ranks = pd.DataFrame(midranks(frame.to_numpy(), higher_is_better), index=frame.index, columns=frame.columns)
    sums = ranks.sum()
    distribution = difference_distribution(ranks.to_numpy())
    pairs = pd.DataFrame(list(comparisons), columns=["treatment", "baseline"], dtype=object)
    differences = np.array([sums[baseline] - sums[treatment] for treatment, baseline in comparisons], dtype=np.float64)
    p = np.array([distribution.p(difference) for difference in differences], dtype=np.float64)
    return RankResult(
        table=table or ScoreTable.from_frame(frame),
        ranks=ranks,
        rank_sums=sums,
        friedman=friedman_test(ranks.to_numpy()),
        comparisons=pairs.assign(rank_sum_difference=differences, p=p, p_bonferroni=bonferroni(p)),
        smallest_p=distribution.smallest_p,
        smallest_p_bonferroni=min(1.0, distribution.smallest_p * max(1, len(comparisons))),
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
    for kind, highest in (("block", frame.max(axis=1)), ("treatment", frame.max(axis=0))):
        low, high = highest[(highest > 0) & (highest <= 1)], highest[highest > 1.5]
        if len(low) and len(high):
            raise UserError(
                f"The scores are on two scales: {kind} {low.index[0]} has at most {low.iloc[0]:g}, {kind} "
                f"{high.index[0]} up to {high.iloc[0]:g}. Give all of them from 0 to 1, or all from 0 to 100."
            )
