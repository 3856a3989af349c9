"""The report as files, and what the CSV file among them has."""

import math
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from ercsatz.disk import whole
from ercsatz.ranking.report.background import Background
from ercsatz.ranking.report.cells import cell_marks, several_seeds
from ercsatz.ranking.report.comparisons import CONOVER, baseline_pairs
from ercsatz.ranking.report.critical_difference import diagram
from ercsatz.ranking.report.html import to_html
from ercsatz.ranking.report.latex import labels_to_latex, to_latex
from ercsatz.ranking.report.layout import Published
from ercsatz.ranking.report.markdown import to_markdown
from ercsatz.ranking.report.per_class import class_tables
from ercsatz.ranking.report.rarity import known_shares, label_scores, to_labels_csv
from ercsatz.ranking.scores import LEARNT_NOTHING, ScoreTable
from ercsatz.ranking.table import RankResult
from ercsatz.reporting.figures import png, svg
from ercsatz.reporting.text import csv_text

_ALWAYS = ("ranking.html", "ranking.md")
_RANKED = ("ranking.csv", "ranking.tex", "ranking.png", "ranking.svg")
_LABELS = "labels.csv"


def write(ranked: RankResult | ScoreTable | str, background: Background, scale: float, output: Path) -> list[Path]:
    """Write ``ranking.html`` and ``ranking.md`` and, of a ranking, also ``.csv``, ``.tex``, ``.png`` and ``.svg``.

    And ``labels.csv``, F1 by label, where it is known how rare a label is.

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
        drawn, published = diagram(ranked), background.layout.published
        labels = known_shares(label_scores(background, ranked.table, baseline_pairs(ranked)))
        tex = to_latex(ranked, scale, background.layout) + labels_to_latex(class_tables(labels, ranked.table))
        made = (to_csv(ranked, scale, published), tex, png(drawn), svg(drawn))
        files |= dict(zip(_RANKED, made, strict=True))
        if labels:
            files[_LABELS] = to_labels_csv(labels)
    for name, content in files.items():
        _write(output / name, content)
    for name in {*_RANKED, _LABELS} - set(files):
        (output / name).unlink(missing_ok=True)
    return [output / name for name in files]


def _write(path: Path, content: str | bytes) -> None:
    with whole(path) as new:
        new.write_bytes(content.encode() if isinstance(content, str) else content)


def to_csv(result: RankResult, scale: float = 1.0, published: Published | None = None) -> str:
    """The ranking as CSV: a row per treatment, in full precision.

    Columns: ``treatment, rank_sum``, those of ``RankResult.comparisons``, then for each block ``<block>``
    (the score) and ``<block>_rank``, and where there are several seeds ``<block>_std`` and ``<block>_seeds``. Where a
    cell of the table learnt nothing, there are also ``baseline_learnt_nothing`` and ``<block>_learnt_nothing``, true or
    false. Of a block of which scores are published there are ``<block>_published`` and ``<block>_difference``, the
    score here less the published one. What does not apply is empty, and so is Conover's p where all blocks agree; a
    treatment that is compared with several baselines has a row for each. A block that is called as another column, such
    as ``p``, is ``block:p``. Scores, their spread and their differences are multiplied with ``scale``. ``equivalent``
    is what pages call the same. A name that a spreadsheet would run as a formula gets a leading apostrophe.

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
    if table.unlearnt:
        void = rows["baseline"].isin(result.void_baselines)
        rows = rows.assign(**{f"baseline_{LEARNT_NOTHING}": void.where(rows["baseline"].notna())})
    columns = [rows]
    theirs = published.scores.T if published else pd.DataFrame()
    beside = ["published", "difference"] if len(theirs.columns) else []
    kinds = [
        "rank",
        *beside,
        *(["std", "seeds"] if several_seeds(table) else []),
        *([LEARNT_NOTHING] if table.unlearnt else []),
    ]
    names = _score_columns(rows.columns, table.cells.index, kinds)
    for block in table.cells.index:
        parts = {names[block]: (table.cells.loc[block] * scale).round(10), f"{block}_rank": result.ranks.T.get(block)}
        if several_seeds(table):
            parts |= {f"{block}_std": table.spread.loc[block] * scale, f"{block}_seeds": table.seeds.loc[block]}
        if table.unlearnt:
            marks = [bool(mark) for mark in cell_marks(table, block)]
            parts[f"{block}_{LEARNT_NOTHING}"] = pd.Series(marks, index=table.cells.columns)
        if block in theirs:
            gap = table.cells.loc[block] - theirs[block]
            parts |= {f"{block}_published": theirs[block] * scale, f"{block}_difference": (gap * scale).round(10)}
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
