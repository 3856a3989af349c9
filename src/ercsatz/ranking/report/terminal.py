"""A ranking as a table for the terminal."""

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from ercsatz.ranking.report.cells import ranked_rows, scaled_title, score_cells
from ercsatz.ranking.scores import ScoreTable
from ercsatz.ranking.table import RankResult
from ercsatz.reporting.text import plain


def to_rich(result: RankResult, scale: float = 1.0) -> Table:
    """The table of ``to_markdown`` for the terminal; print ``sentences`` below it, with ``markup=False``.

    Example:
        >>> import pandas as pd
        >>> from ercsatz.ranking import rank
        >>> scores = pd.DataFrame({"org": [0.5, 0.6], "nat": [0.55, 0.58]}, index=["meld", "iemocap"])
        >>> [str(column.header) for column in to_rich(rank(scores, [])).columns]
        ['score (rank)', 'org', 'nat']
    """
    table = _table([f"{scaled_title(result.table.metric, scale)} (rank)", *result.ranks.columns])
    for line, row in enumerate(ranked_rows(result, scale)):
        if line == len(result.table.cells):
            table.add_section()
        cells = [Text(cell, "bold" if best else "") for cell, best in zip(row.cells, row.best, strict=True)]
        table.add_row(Text(plain(row.label)), *cells)
    return table


def scores_to_rich(table: ScoreTable, scale: float = 1.0) -> Table:
    """The table of ``scores_to_markdown`` for the terminal.

    Example:
        >>> import pandas as pd
        >>> scores_to_rich(ScoreTable.from_frame(pd.DataFrame({"nat": [0.5]}, index=["meld"]))).row_count
        1
    """
    shown = _table([scaled_title(table.metric, scale), *table.cells.columns])
    for block in table.cells.index:
        shown.add_row(Text(plain(block)), *map(Text, score_cells(table, block, scale)))
    return shown


def _table(columns: list[str]) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column(Text(plain(columns[0])), overflow="fold")
    for column in columns[1:]:
        table.add_column(Text(plain(column)), justify="right", overflow="fold")
    return table
