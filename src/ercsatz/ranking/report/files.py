"""The report as files, and what the CSV file among them has."""

import io
import math
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from ercsatz.data.text_files import atomic_write
from ercsatz.ranking.report.background import Background
from ercsatz.ranking.report.cells import several_seeds
from ercsatz.ranking.report.comparisons import CONOVER
from ercsatz.ranking.report.critical_difference import diagram
from ercsatz.ranking.report.html import to_html
from ercsatz.ranking.report.latex import to_latex
from ercsatz.ranking.report.markdown import to_markdown
from ercsatz.ranking.scores import ScoreTable
from ercsatz.ranking.table import RankResult
from ercsatz.reporting.figures import png, svg
from ercsatz.reporting.text import csv_text

_ALWAYS = ("ranking.html", "ranking.md")
_RANKED = ("ranking.csv", "ranking.tex", "ranking.png", "ranking.svg")


def write(ranked: RankResult | ScoreTable | str, background: Background, scale: float, output: Path) -> list[Path]:
    """Write ``ranking.html`` and ``ranking.md`` and, of a ranking, also ``.csv``, ``.tex``, ``.png`` and ``.svg``.

    All are made before the first is written, and each appears whole or not at all. Where nothing is ranked, the others
    of an earlier report in the same folder are deleted: they would contradict the page.

    Args:
        ranked: from ``rank``; scores that are shown without being ranked; or a sentence that says why there are none.
        background: what is shown beside the ranking.
        scale: what scores are multiplied with; 100 for scores from 0 to 1.
        output: a folder, made if it is not there.

    Returns:
        The files that were written.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> [path.name for path in write("No job completed.", Background(), 1.0, folder)]
        ['ranking.html', 'ranking.md']
    """
    picture = "ranking.svg" if isinstance(ranked, RankResult) else None
    pages = (to_html(ranked, scale, background), to_markdown(ranked, scale, background, picture))
    files: dict[str, str | bytes] = dict(zip(_ALWAYS, pages, strict=True))
    if isinstance(ranked, RankResult):
        drawn = diagram(ranked)
        made = (to_csv(ranked, scale), to_latex(ranked, scale), png(drawn), svg(drawn))
        files |= dict(zip(_RANKED, made, strict=True))
    for name, content in files.items():
        _write(output / name, content)
    for name in set(_RANKED) - set(files):
        (output / name).unlink(missing_ok=True)
    return [output / name for name in files]


def _write(path: Path, content: str | bytes) -> None:
    with atomic_write(path) as file:
        if isinstance(content, str):
            file.write(content)
        else:
            assert isinstance(file, io.TextIOWrapper)
            file.buffer.write(content)


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
