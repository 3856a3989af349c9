"""How far a run is: a bar with rate and time left on a terminal, a line now and then elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

LINE_EVERY = 30.0  # seconds


@contextmanager
def progress(console: Console, what: str, total: int) -> Iterator[Callable[[], None]]:
    """Show progress while the context is open.

    Args:
        console: where to.
        what: the things counted, in the plural.
        total: how many there will be.

    Yields:
        A function to call after each of them.
    """
    if not console.is_terminal:
        yield _Lines(console, what, total).advance
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0:.1f}/s")


class _Lines:
    def __init__(self, console: Console, what: str, total: int) -> None:
        self._console, self._what, self._total = console, what, total
        self._done, self._start = 0, time.monotonic()
        self._due = self._start + LINE_EVERY

    def advance(self) -> None:
        self._done += 1
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + LINE_EVERY
        rate = self._done / (now - self._start)
        left = (self._total - self._done) / rate
        self._console.print(
            f"{self._done} of {self._total} {self._what}, {rate:.1f}/s, {left:.0f} s left", highlight=False
        )
