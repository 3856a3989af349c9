"""A ranking as CSV."""

import pandas as pd

from ercsatz.pages.text import csv_text
from ercsatz.ranking.report.cells import several_seeds
from ercsatz.ranking.table import RankResult


def to_csv(result: RankResult, scale: float = 1.0) -> str:
    """The ranking as CSV: a row per treatment, in full precision.

    Columns: ``treatment, rank_sum``, those of ``RankResult.comparisons``, then for each block ``<block>``
    (the score) and ``<block>_rank``, and where there are several seeds ``<block>_std`` and ``<block>_seeds``. What does
    not apply is empty; a treatment that is compared with several baselines has a row for each. Differences of scores
    are scaled as the scores are. A name that a spreadsheet would run as a formula gets a leading apostrophe.

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
    sums = pd.DataFrame({"treatment": result.rank_sums.index, "rank_sum": result.rank_sums.to_numpy()})
    rows = sums.merge(compared, on="treatment", how="left").set_index("treatment", drop=False)
    columns = [rows]
    for block in table.cells.index:
        parts = {block: (table.cells.loc[block] * scale).round(10), f"{block}_rank": result.ranks.T.get(block)}
        if several_seeds(table):
            parts |= {f"{block}_std": table.spread.loc[block] * scale, f"{block}_seeds": table.seeds.loc[block]}
        columns.append(pd.DataFrame(parts, index=result.ranks.columns).loc[rows.index])
    frame = pd.concat(columns, axis=1)
    frame = frame.assign(**{name: frame[name].map(csv_text, na_action="ignore") for name in ("treatment", "baseline")})
    return frame.rename(columns=csv_text).to_csv(index=False, lineterminator="\n")
