"""How far it is: a bar on a terminal, a line now and then elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar

from ercsatz.reporting.console import SafeConsole

LINE_EVERY = 10.0  # seconds

Advance = Callable[[int], None]


@contextmanager
def progress(console: SafeConsole, total: int, clock: Callable[[], float] = time.monotonic) -> Iterator[Advance]:
    """Give what counts turns that are done.

    Args:
        console: where the progress is shown.
        total: turns in all.
        clock: tells seconds.
    """
    began = clock()
    if console.is_terminal:
        columns = (BarColumn(None), TextColumn("{task.fields[words]}"))
        with Bar(*columns, console=console, transient=True, expand=True) as bar:
            task = bar.add_task("", total=total, words=words(0, total, 0.0))
            done = 0

            def advance(count: int) -> None:
                nonlocal done
                done += count
                bar.update(task, advance=count, words=words(done, total, clock() - began))

            yield advance
        return
    yield _lines(console, total, began, clock)


def words(done: int, total: int, seconds: float) -> str:
    """What was done in so many seconds, how fast, and what is left at that rate."""
    rate = done / seconds if seconds > 0 else 0.0
    left = str(timedelta(seconds=round((total - done) / rate))) if rate else "?"
    return f"{done:,}/{total:,} turns, {rate:,.{0 if rate >= 10 else 1}f}/s, {left} left"


def _lines(console: SafeConsole, total: int, began: float, clock: Callable[[], float]) -> Advance:
    done, due = 0, began + LINE_EVERY

    def advance(count: int) -> None:
        nonlocal done, due
        done += count
        if clock() >= due:
            due = clock() + LINE_EVERY
            console.print(words(done, total, clock() - began), soft_wrap=True)

    return advance
