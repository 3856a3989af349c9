"""``ercsatz status [SWEEP]``: how far a sweep is, on the terminal and as a page."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from ercsatz import signals
from ercsatz.config.command_line import named
from ercsatz.errors import UserError
from ercsatz.reporting.console import unfolded
from ercsatz.reporting.status import report
from ercsatz.reporting.terminal import show_log
from ercsatz.sweeps import sweep_file
from ercsatz.sweeps.page import terminal
from ercsatz.sweeps.page.state import LOST, State, SweepState, read_sweep
from ercsatz.sweeps.page.write import NAME, write_page

RUNNING = 3
"""Exit status of a sweep that runs and has lost no cell so far."""

_SWEEPS = Path("multirun")


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
    parser.add_argument(
        "sweep", type=named, metavar="SWEEP", nargs="?", help="its folder or its name; none: the newest in multirun/"
    )
    parser.add_argument("--watch", action="store_true", help="go on until the sweep ends, or Ctrl-C")
    given = parser.parse_args(arguments)
    show_log()
    try:
        folder = _newest() if given.sweep is None else _folder(given.sweep)
        if given.watch:
            signals.say_nothing()
            return _code(terminal.watch(folder, unfolded()))
        sweep = read_sweep(folder)
        terminal.show(sweep, unfolded())
    except UserError as error:
        report(error)
        return 1
    write_page(folder)
    return _code(sweep)


def _code(sweep: SweepState) -> int:
    if sweep.count(*LOST):
        return 1
    return RUNNING if sweep.count(State.queued, State.running) else 0


def _folder(given: Path) -> Path:
    """Of a sweep that is given by its folder or its name."""
    return _SWEEPS / given if not given.exists() and (_SWEEPS / given).is_dir() else given


def _newest() -> Path:
    """Of the sweep that began, or went on, last.

    Raises:
        UserError: there is none.
    """
    files = [file for below in ("*", "*/*") for file in _SWEEPS.glob(f"{below}/{sweep_file.NAME}")]
    found = {file.parent: file.stat().st_mtime for file in files}
    if not found:
        raise UserError(f"There is no sweep below {_SWEEPS}/. Give one's folder: ercsatz status FOLDER")
    return max(found, key=lambda folder: found[folder])
