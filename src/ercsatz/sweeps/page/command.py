"""``ercsatz status multirun/NAME``: how far a sweep is, on the terminal and as a page."""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from ercsatz.config.command_line import named
from ercsatz.errors import UserError
from ercsatz.reporting.console import unfolded
from ercsatz.reporting.status import report, together
from ercsatz.reporting.terminal import show_log
from ercsatz.reporting.text import plain
from ercsatz.sweeps.page import view
from ercsatz.sweeps.page.state import LOST, State, SweepState, read_sweep
from ercsatz.sweeps.page.write import NAME, write_page

_LOG = logging.getLogger(__name__)

RUNNING = 3
"""Exit status of a sweep that runs and has lost no cell so far."""

_STYLES = {
    State.done: "green", State.cached: "green", State.running: "cyan", State.failed: "bold red",
    State.unreadable: "bold red", State.stopped: "red", State.missing: "red", State.planned: "dim",
}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line.

    Returns:
        0: every cell is done. 1: a cell failed, was stopped or is missing, or the folder is no sweep's. 3: the sweep
        runs, and nothing failed so far.
    """
    parser = argparse.ArgumentParser(
        prog="ercsatz status",
        description=f"Show every cell and stage of a sweep, running or ended, and write its page ({NAME}).",
        epilog="Exit status: 0 all cells are done; 3 the sweep runs, nothing failed; 1 a cell has no result, or error.",
    )
    parser.add_argument("sweep", type=named, metavar="FOLDER", help="of a sweep: multirun/NAME")
    folder: Path = parser.parse_args(arguments).sweep
    show_log()
    try:
        sweep = read_sweep(folder)
        _show(sweep)
    except UserError as error:
        report(error)
        return 1
    write_page(folder)
    return _code(sweep)


def _code(sweep: SweepState) -> int:
    if sweep.count(*LOST):
        return 1
    return RUNNING if sweep.count(State.planned, State.running) else 0


def _show(sweep: SweepState) -> None:
    console = unfolded()
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("cell", overflow="fold", ratio=2)
    table.add_column("state", no_wrap=True)
    table.add_column("stages", overflow="fold", ratio=3)
    for title in ("W-F1", "time"):
        table.add_column(title, no_wrap=True, justify="right")
    for cell, name in zip(sweep.cells, view.short_names(sweep.cells), strict=True):
        stages = Text(", ").join(_stage(stage.name, stage.state) for stage in cell.stages)
        taken = view.seconds_text(cell.result.get("seconds"))
        table.add_row(
            Text(plain(name)), Text(cell.state.value, _STYLES[cell.state]), stages, view.last_score(cell.stages), taken
        )
    counts = ", ".join(f"{n} {state.value}" for state in State if (n := sweep.count(state)))
    who = view.owner(sweep)
    told = [
        f"{plain(view.headline(sweep))} ({counts})",
        *([f"{who[0].upper()}{who[1:]}."] if who else []),
        *sweep.notes,
    ]
    failed = [f"{view.cell_name(c)} failed: {view.shortened(c.error)}" for c in sweep.cells if c.error]
    console.print(*([table] if sweep.cells else []), *(Text(plain(each)) for each in told), sep="\n")
    if failed:
        console.print(*(Text(plain(each), "red") for each in together(failed)), sep="\n")
    console.print(Text(plain(f"Page: {sweep.folder / NAME}")))


def _stage(name: str, state: State) -> Text:
    return Text.assemble(plain(name), " ", (state.value, _STYLES[state]))
