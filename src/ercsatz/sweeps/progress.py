"""How far a ranking is that takes its time: said once it is known to, with a bar on a terminal."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ercsatz.reporting.console import SafeConsole

_LOG = logging.getLogger(__name__)

LONG = 60.0
"""Seconds; of what takes no longer, nothing is told."""

_JUDGED_AFTER = 3.0  # seconds; the first comparisons also prepare for the others


class _Comparing:
    def __init__(self, console: SafeConsole, clock: Callable[[], float], until_done: ExitStack) -> None:
        self._console, self._clock, self._until_done = console, clock, until_done
        self._first: tuple[float, int] | None = None
        self._told = False
        self._bar: Progress | None = None

    def __call__(self, done: int, total: int) -> None:
        began, before = self._first = self._first or (self._clock(), done)
        seconds = self._clock() - began
        if not self._told and seconds >= _JUDGED_AFTER and done > before:
            left = seconds * (total - done) / (done - before)
            if left > LONG:
                self._tell(total, round(left / 60))
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=done)

    def _tell(self, total: int, minutes: int) -> None:
        self._told = True
        _LOG.info("%s comparisons: about %d minute%s to go.", f"{total:,}", minutes, "" if minutes == 1 else "s")
        if self._console.is_terminal:
            columns = (BarColumn(None), MofNCompleteColumn(), TextColumn("comparisons,"), TimeRemainingColumn())
            bar = Progress(*columns, console=self._console, transient=True, expand=True)
            self._bar = self._until_done.enter_context(bar)
            self._bar.add_task("", total=total)


@contextmanager
def comparing(
    console: SafeConsole, clock: Callable[[], float] = time.monotonic
) -> Iterator[Callable[[int, int], None]]:
    """Give what is to be called with how many of how many comparisons are done.

    Args:
        console: where the bar is shown; none where it is no terminal.
        clock: tells seconds.
    """
    with ExitStack() as until_done:
        yield _Comparing(console, clock, until_done)
