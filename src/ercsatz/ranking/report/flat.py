"""A ranking as CSV."""

import math
from collections.abc import Iterable

import pandas as pd

from ercsatz.ranking.report.cells import several_seeds
from ercsatz.ranking.report.compared import CONOVER
from ercsatz.ranking.table import RankResult
from ercsatz.reporting.text import csv_text


def to_csv(result: RankResult, scale: float = 1.0) -> str:
    """The ranking as CSV: a row per treatment, in full precision.

    Columns: ``treatment, rank_sum``, those of ``RankResult.comparisons``, then for each block ``<block>``
    (the score) and ``<block>_rank``, and where there are several seeds ``<block>_std`` and ``<block>_seeds``. What does
    not apply is empty, and so is Conover's p where all blocks agree; a treatment that is compared with several
    baselines has a row for each. A block that is called as another column, such as ``p``, is ``block:p``. Scores, their
    spread and their differences are multiplied with ``scale``. ``equivalent`` is what pages call the same. A name that
    a spreadsheet would run as a formula gets a leading apostrophe.

    Example:
        >>> import io
        >>> from ercsatz.ranking import rank
        >>> scores = pd.DataFrame({"org": [0.5, 0.6], "nat": [0.55, 0.58]}, index=["meld", "iemocap"])
        >>> frame = pd.read_csv(io.StringIO(to_csv(rank(scores, [("nat", "org")]), scale=100)))
        >>> print(frame[["treatment", "rank_sum", "baseline", "p", "meld", "meld_rank"]].to_csv(index=False))
        treatment,rank_sum,baseline,p,meld,meld_rank
        org,3.0,,,50.0,2.0
        nat,3.0,org,1.0,55.0,1.0
        <BLANKLINE>
    """
    table = result.table
    differences = ["median_difference", "low", "high"]
    compared = result.comparisons.assign(**{name: (result.comparisons[name] * scale).round(10) for name in differences})
    compared[CONOVER] = compared[CONOVER].replace(0.0, math.nan)
    sums = pd.DataFrame({"treatment": result.rank_sums.index, "rank_sum": result.rank_sums.to_numpy()})
    rows = sums.merge(compared, on="treatment", how="left").set_index("treatment", drop=False)
    columns = [rows]
    kinds = ("rank", "std", "seeds") if several_seeds(table) else ("rank",)
    names = _score_columns(rows.columns, table.cells.index, kinds)
    for block in table.cells.index:
        parts = {names[block]: (table.cells.loc[block] * scale).round(10), f"{block}_rank": result.ranks.T.get(block)}
        if several_seeds(table):
            parts |= {f"{block}_std": table.spread.loc[block] * scale, f"{block}_seeds": table.seeds.loc[block]}
        columns.append(pd.DataFrame(parts, index=result.ranks.columns).loc[rows.index])
    frame = pd.concat(columns, axis=1)
    frame = frame.assign(**{name: frame[name].map(csv_text, na_action="ignore") for name in ("treatment", "baseline")})
    return frame.rename(columns=csv_text).to_csv(index=False, lineterminator="\n")


def _score_columns(fixed: Iterable[str], blocks: Iterable[str], kinds: Iterable[str]) -> dict[str, str]:
    """Block to the column of its scores, with as many ``block:`` before its name as set it apart from all others."""
    names, kinds = list(blocks), list(kinds)
    taken = {*fixed, *(f"{name}_{kind}" for name in names for kind in kinds)}
    columns: dict[str, str] = {}
    for name in names:
        column = name
        while column in taken or (column != name and column in names):
            column = f"block:{column}"
        taken.add(column)
        columns[name] = column
    return columns
