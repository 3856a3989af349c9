"""How small a difference a ranking could show, and how far its scores move with the seed, in sentences."""

import math

import numpy as np
import pandas as pd

from ercsatz.ranking.exact_test import difference_distribution
from ercsatz.ranking.metrics import one_point
from ercsatz.ranking.report.cells import digits, rank_text
from ercsatz.ranking.report.outcome import plural
from ercsatz.ranking.scores import ScoreTable
from ercsatz.ranking.table import ALPHA, RankResult

_MOST_FORESEEN = 2000  # ranks in a table of which one of twice the blocks is foreseen; that takes well under a second


def findable(result: RankResult) -> list[str]:
    """From which difference of rank sums on a comparison is significant, here and with twice the blocks.

    Nothing where none is made, or where none could be significant.

    Example:
        >>> from ercsatz.ranking import rank
        >>> scores = pd.DataFrame({"org": [1, 2, 3], "nat": [2, 3, 4], "bal": [3, 4, 5]}) / 10
        >>> print(findable(rank(scores, [("nat", "org"), ("bal", "org")]))[0].split(";")[0])
        At this size (3 blocks, 3 treatments, 2 comparisons) rank sums differ significantly from 6 apart
    """
    made, needed = len(result.comparisons), result.needed_difference
    if not made or needed is None or result.friedman is None:
        return []
    size = f"{plural(result.n, 'block')}, {result.k} treatments, {plural(made, 'comparison')}"
    text = (
        f"At this size ({size}) rank sums differ significantly from {rank_text(needed)} apart; in mean ranks, "
        f"{needed / result.n:.2f} of at most {result.k - 1}"
    )
    if result.n * result.k <= _MOST_FORESEEN:
        twice = difference_distribution(np.tile(np.arange(1, result.k + 1), (2 * result.n, 1))).critical(ALPHA / made)
        text += f", and with twice the blocks {twice / (2 * result.n):.2f}" if twice is not None else ""
    return [f"{text}. More seeds make scores steadier, but are no blocks."]


def seed_spread(table: ScoreTable, blocks: "pd.Index[str]", scale: float) -> str:
    """Over how many seeds scores are means, how far single seeds lie apart, and what that means for a difference.

    The spread is the pooled sample standard deviation: the root of the mean variance, weighted by degrees of freedom.

    Args:
        table: the scores.
        blocks: those that count.
        scale: what scores are multiplied with.
    """
    counts = table.seeds.loc[blocks].to_numpy()
    fewest, most = int(counts[counts > 0].min()), int(counts.max())
    finding = (
        "a difference under one point (of 100) is not a finding."
        if one_point(table.metric, table.cells)
        else "how far it would move with another seed is not known."
    )
    if most == 1:
        return f"One score stands in each cell: {finding}"
    number = f"{most}" if fewest == most else f"{fewest} to {most}"
    caution = f" Where there is one score, {finding}" if fewest == 1 else ""
    spread = _spread(table, blocks, scale, fewest)
    return f"Scores are means over {number} seeds, with their sample standard deviation.{spread}{caution}"


def _spread(table: ScoreTable, blocks: "pd.Index[str]", scale: float, fewest: int) -> str:
    spread = table.spread.loc[blocks].to_numpy(dtype=float) * scale
    freedom = np.where(np.isnan(spread), 0, table.seeds.loc[blocks].to_numpy() - 1)
    if not freedom.any():
        return ""
    pooled = math.sqrt(float(np.nansum(spread**2 * freedom)) / int(freedom.sum()))
    row, column = map(int, np.unravel_index(int(np.nanargmax(spread)), spread.shape))
    form = f".{digits(table, scale)}f"
    widest = f"{table.cells.columns[column]} on {blocks[row]}, {spread[row, column]:{form}}"
    text = f" Inside a cell, seeds spread by {pooled:{form}} (pooled standard deviation; the most: {widest})"
    if fewest > 1:
        text += (
            f", so the difference of two cells has a standard error of about {pooled * math.sqrt(2 / fewest):{form}}"
        )
    return f"{text}."
