"""An assessment on the terminal."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ercsatz.assessment.measure_names import FAMILIES, describe
from ercsatz.assessment.record import Assessment, Line, rows
from ercsatz.assessment.sentences import sentences
from ercsatz.assessment.verdict import mark_of, number, verdict
from ercsatz.reporting.console import SafeConsole
from ercsatz.reporting.text import plain

_COLOURS = {"worse": "red", "better": "green"}


def show(found: Sequence[Assessment], console: SafeConsole) -> None:
    """All figures of all data sets side by side, then sentences about each."""
    table = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("measure", overflow="fold")
    for each in found:
        table.add_column(Text(plain(each.data)), justify="right", overflow="fold")
    table.add_column("real", justify="right", overflow="fold")
    for family, title in FAMILIES.items():
        shown = [row for row in rows(found, family) if any(line and line.value is not None for line in row)]
        if shown:
            table.add_section()
            table.add_row(Text(title, "bold"))
        for row in shown:
            first = next(line for line in row if line is not None)
            measure = Padding(Text(plain(describe(first).title)), (0, 0, 0, 2))  # where it is folded, too
            table.add_row(measure, *map(_shown, row), mark_of(row))
    console.print(table, "")
    for each in found:
        for sentence in sentences(each):
            console.print(f"- {sentence}", soft_wrap=True)


def _shown(line: Line | None) -> Text:
    return Text("-") if line is None else Text(number(line.value), _COLOURS.get(verdict(line).word, ""))
