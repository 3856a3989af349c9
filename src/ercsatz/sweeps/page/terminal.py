"""How far a sweep is, on the terminal: once, or until its end."""

import time
from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ercsatz.reporting.console import SafeConsole
from ercsatz.reporting.status import together
from ercsatz.reporting.text import plain
from ercsatz.sweeps.page import view
from ercsatz.sweeps.page.state import CellState, StageState, State, SweepState, read_sweep
from ercsatz.sweeps.page.write import NAME, write_page

_LOOK = 2.0  # seconds
_PAGE = 20.0  # seconds between two pages

_STYLES = {
    State.done: "green", State.cached: "green", State.running: "cyan", State.failed: "bold red",
    State.unreadable: "bold red", State.stopped: "red", State.missing: "red", State.queued: "dim",
}  # fmt: skip
_FIRST = (State.running, State.failed, State.unreadable, State.stopped)
"""What is shown where there is no room for all cells."""


def show(sweep: SweepState, console: SafeConsole) -> None:
    """Print every cell, and what is known of the sweep as a whole."""
    console.print(_drawn(sweep, sweep.cells))
    console.print(Text(plain(f"Page: {sweep.folder / NAME}")))


def watch(folder: Path, console: SafeConsole) -> SweepState:
    """Show a sweep until it ends: drawn anew in its place on a terminal, elsewhere a line for each change.

    Raises:
        UserError: as ``read_sweep``.
    """
    sweep = read_sweep(folder)
    written = 0.0
    seen: list[str] = []
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while sweep.running:
            if console.is_terminal:
                live.update(_fitting(sweep, console), refresh=True)
            else:
                seen = _changes(sweep, seen, console)
            if time.monotonic() - written > _PAGE:
                write_page(folder)
                written = time.monotonic()
            time.sleep(_LOOK)
            sweep = read_sweep(folder)
    write_page(folder)
    show(sweep, console)
    return sweep


def _changes(sweep: SweepState, seen: Sequence[str], console: SafeConsole) -> list[str]:
    """Print a line for each cell of which something else is true than was seen; gives what is true."""
    told = [
        f"{name} {cell.state.value}: {', '.join(f'{stage.name} {stage.state.value}' for stage in cell.stages)}"
        for cell, name in zip(sweep.cells, view.short_names(sweep.cells), strict=True)
    ]
    if new := [line for line in told if line not in seen]:
        now = time.strftime("%H:%M:%S")
        console.print(*(Text(plain(f"{now} {line}")) for line in (*new, view.headline(sweep))), sep="\n")
    return told


def _fitting(sweep: SweepState, console: SafeConsole) -> Group:
    """All cells if the terminal has room for them, else those that matter most, and how many are left out."""
    height = console.height - 1
    for cells in (sweep.cells, [cell for cell in sweep.cells if cell.state in _FIRST]):
        drawn = _drawn(sweep, cells)
        if len(console.render_lines(drawn)) <= height:
            return drawn
    for number in range(height, -1, -1):
        drawn = _drawn(sweep, cells[:number])
        if len(console.render_lines(drawn)) <= height:
            return drawn
    return drawn


def _drawn(sweep: SweepState, cells: Sequence[CellState]) -> Group:
    counts = ", ".join(f"{n} {state.value}" for state in State if (n := sweep.count(state)))
    left_out = len(sweep.cells) - len(cells)
    who = view.owner(sweep)
    told = [
        *([f"{left_out} more cells are not shown: there is no room for them."] if left_out else []),
        f"{plain(view.headline(sweep))} ({counts})",
        *([f"{who[0].upper()}{who[1:]}."] if who else []),
        *sweep.notes,
    ]
    failed = [f"{view.cell_name(c)} failed: {view.shortened(c.error)}" for c in sweep.cells if c.error]
    stopped = [f"{view.cell_name(c)} was stopped. Its last words: {c.last_words}" for c in cells if c.last_words]
    return Group(
        *([_table(sweep, cells)] if cells else []),
        *(Text(plain(each)) for each in told),
        *(Text(plain(each), "red") for each in (*together(failed), *map(view.shortened, stopped))),
    )


def _table(sweep: SweepState, cells: Sequence[CellState]) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("cell", overflow="fold", ratio=2)
    table.add_column("state", no_wrap=True)
    table.add_column("stages", overflow="fold", ratio=3)
    somewhere = any(view.where(cell) for cell in cells)
    if somewhere:
        table.add_column("where", overflow="fold", ratio=1)
    for title in ("W-F1", "time"):
        table.add_column(title, no_wrap=True, justify="right")
    names = dict(zip(map(id, sweep.cells), view.short_names(sweep.cells), strict=True))
    for cell in cells:
        stages = Text(", ").join(_stage(stage) for stage in cell.stages)
        taken = view.seconds_text(cell.result.get("seconds"))
        state = Text(cell.state.value, _STYLES[cell.state])
        place = [Text(plain(view.where(cell)))] if somewhere else []
        table.add_row(Text(plain(names[id(cell)])), state, stages, *place, view.last_score(cell.stages), taken)
    return table


def _stage(stage: StageState) -> Text:
    pace = view.pace_text(stage)
    said = Text.assemble(plain(stage.name), " ", (stage.state.value, _STYLES[stage.state]))
    return said.append(f" ({plain(pace)})") if pace else said
