"""A ranking as a table for the terminal."""

from collections.abc import Sequence
from itertools import accumulate, pairwise

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text, TextType

from ercsatz.ranking.report.cells import digits, number, rank_text, ranked_rows, scaled_title, score_cells
from ercsatz.ranking.report.layout import Layout, TextTable
from ercsatz.ranking.scores import ScoreTable
from ercsatz.ranking.table import RankResult
from ercsatz.reporting.text import plain

MOST_COLUMNS = 30
"""Treatments side by side; more fit on no terminal."""

MOST_LINES = 40
"""Treatments below one another."""

_BETWEEN = 2  # cells from a column to the next


def to_rich(result: RankResult, scale: float = 1.0, layout: Layout = Layout()) -> Table:  # noqa: B008 - frozen
    """The table of ``to_markdown`` for the terminal; print ``sentences`` below it, with ``markup=False``.

    More treatments than ``MOST_COLUMNS`` have a line each instead, with mean, rank sum and mean rank; the best first.

    Example:
        >>> import pandas as pd
        >>> from ercsatz.ranking import rank
        >>> scores = pd.DataFrame({"org": [0.5, 0.6], "nat": [0.55, 0.58]}, index=["meld", "iemocap"])
        >>> [str(column.header) for column in to_rich(rank(scores, [])).columns]
        ['score (rank)', 'org', 'nat']
    """
    if result.k > MOST_COLUMNS:
        return _best(result, scale)
    table = _table([f"{scaled_title(result.table.metric, scale)} (rank)", *result.ranks.columns])
    for line, row in enumerate(ranked_rows(result, scale, layout.p_digits)):
        if line == len(result.table.cells):
            table.add_section()
        cells = [Text(cell, "bold" if best else "") for cell, best in zip(row.cells, row.best, strict=True)]
        table.add_row(Text(plain(row.label)), *cells)
    return table


def _best(result: RankResult, scale: float) -> Table:
    table = _table(["treatment", f"mean {scaled_title(result.table.metric, scale)}", "rank sum", "mean rank"])
    means, form = (result.table.scores.mean() * scale).to_dict(), f".{digits(result.table, scale)}f"
    for name, total in result.rank_sums.sort_values(kind="stable")[:MOST_LINES].items():
        cells = (number(means[name], form), rank_text(total), f"{total / result.n:.2f}")
        table.add_row(Text(plain(name)), *map(Text, cells))
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


def text_table_to_rich(table: TextTable) -> Table:
    """A table of ``layout_tables`` for the terminal; print its notes below it."""
    shown = _bare(f"\n{plain(table.title)}")
    spans = [name for name, span in table.groups for _ in range(span)] or [""] * (len(table.head) - table.names)
    for place, (above, head) in enumerate(zip([""] * table.names + spans, table.head, strict=True)):
        label = Text("\n".join(filter(None, map(plain, (above, head)))))
        shown.add_column(label, justify="left" if place < table.names else "right", overflow="fold")
    for place, row in enumerate(table.rows):
        if place in table.starts:
            shown.add_section()
        shown.add_row(*(Text(plain(cell.text), "bold" if cell.best else "") for cell in row))
    return shown


def fitted(table: Table, width: int, names: int = 1, runs: Sequence[int] = ()) -> list[Table]:
    """A table that is too wide for the terminal as several, one below the other, each with all rows.

    Args:
        table: from this module.
        width: of the terminal, in cells.
        names: how many columns, from the left, stand in each of the tables.
        runs: sizes of the groups of the other columns, which stay together where there is room for one.

    Example:
        >>> import pandas as pd
        >>> table = scores_to_rich(ScoreTable.from_frame(pd.DataFrame([[0.5] * 9], columns=list("abcdefghi"))))
        >>> [len(part.columns) for part in fitted(table, 100)], [len(part.columns) for part in fitted(table, 40)]
        ([10], [5, 5, 2])
    """
    sizes = [max(_cells_wide(text) for text in (column.header, *column.cells)) + _BETWEEN for column in table.columns]
    room = width - sum(sizes[:names])
    if sum(sizes[names:]) <= room or room < max(sizes[names:]):
        return [table]
    parts: list[list[int]] = [[]]
    for run in _runs(len(sizes), names, runs):
        whole = sum(sizes[place] for place in run) <= room
        for places in [run] if whole else [[place] for place in run]:
            if parts[-1] and sum(sizes[place] for place in (*parts[-1], *places)) > room:
                parts.append([])
            parts[-1] += places
    return [_columns_of(table, [*range(names), *part], first=not number) for number, part in enumerate(parts)]


def _runs(columns: int, names: int, sizes: Sequence[int]) -> list[list[int]]:
    sizes = sizes if sum(sizes) == columns - names else [1] * (columns - names)
    ends = list(accumulate(sizes, initial=names))
    return [list(range(start, end)) for start, end in pairwise(ends)]


def _columns_of(table: Table, places: Sequence[int], first: bool) -> Table:
    part = _bare(table.title if first else None)
    for place in places:
        column = table.columns[place]
        part.add_column(column.header, justify=column.justify, overflow="fold")
    for row, cells in zip(table.rows, zip(*(table.columns[place].cells for place in places), strict=True), strict=True):
        part.add_row(*cells, end_section=row.end_section)
    return part


def _cells_wide(text: object) -> int:
    return max(cell_len(line) for line in str(text).split("\n"))


def _bare(title: TextType | None = None) -> Table:
    return Table(
        box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, title=title, title_style="bold", title_justify="left"
    )


def _table(columns: list[str]) -> Table:
    table = _bare()
    table.add_column(Text(plain(columns[0])), overflow="fold")
    for column in columns[1:]:
        table.add_column(Text(plain(column)), justify="right", overflow="fold")
    return table
