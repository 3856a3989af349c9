"""When a sweep's page is written: at its start, when a stage or a cell begins or ends, and at its end.

The page is made from the files of all cells, so what it costs grows with them. A job therefore writes it only when it
is older than its size allows, and else a moment later: the cost stays a small share of the time, however many stages
there are. Whoever writes holds a lock while it reads, so that nothing new is replaced by what is older. Imports nothing
heavy.
"""

import logging
import os
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from ercsatz.disk import let_go, whole
from ercsatz.reporting.status import message

NAME = "index.html"
_LOCK = ".index.html.lock"
_RATE = 100_000.0  # bytes of the page a second; making one takes some 2 MB/s, so that this is about a twentieth
_SOON = 0.3  # seconds at the least between two pages
_PATIENCE = 10.0  # seconds for another one who is at the page
_LOG = logging.getLogger(__name__)


class _Pending:
    """Of this process."""

    timers: ClassVar[dict[Path, threading.Timer]] = {}
    events: ClassVar[dict[Path, float]] = {}  # when the latest thing happened that the page should show
    troubled: ClassVar[set[Path]] = set()


def write_page(folder: Path, alive: bool | None = None) -> None:
    """Write the page of a sweep now; what goes wrong costs a line.

    Args:
        folder: of the sweep.
        alive: whether who runs it lives; None: it is found out.
    """
    if timer := _Pending.timers.pop(folder, None):
        timer.cancel()
    try:
        _write(folder, alive, _PATIENCE)
    except Exception as error:
        _complain(folder, error)


def refresh(folder: Path) -> None:
    """Have the page show what has just been written to the sweep's files: now, or in a moment."""
    _Pending.events[folder] = time.time()
    _refresh(folder)


def _refresh(folder: Path) -> None:
    _Pending.timers.pop(folder, None)
    try:
        from ercsatz.sweeps.page import view  # noqa: F401 - here, since a timer's thread should import nothing

        written, pause = _last(folder)
        if written > _Pending.events[folder]:
            return  # by another job, which has read it
        left = written + pause - time.time()
        if left > 0 or not _write(folder, None, 0.0):
            timer = threading.Timer(max(left, _SOON), _refresh, (folder,))
            timer.daemon = True
            _Pending.timers[folder] = timer
            timer.start()
    except Exception as error:
        _complain(folder, error)


def _last(folder: Path) -> tuple[float, float]:
    """When what the page shows was read, and how long it should stand."""
    try:
        about = (folder / NAME).stat()
    except FileNotFoundError:
        return 0.0, 0.0
    return about.st_mtime, max(_SOON, about.st_size / _RATE)


def _write(folder: Path, alive: bool | None, patience: float) -> bool:
    """Whether it was written; not where another process is at it."""
    from filelock import FileLock, Timeout

    from ercsatz.sweeps.page.state import read_sweep
    from ercsatz.sweeps.page.view import page

    lock = FileLock(folder / _LOCK, thread_local=False)
    try:
        lock.acquire(timeout=patience)
    except Timeout:
        return False
    try:
        now = time.time()
        text = page(read_sweep(folder, alive), now)
        with whole(folder / NAME) as new:
            new.write_text(text, encoding="utf-8")
            os.utime(new, (now, now))  # from its first moment on: what happened after is not on it
    finally:
        let_go(lock)
    return True


def _complain(folder: Path, error: Exception) -> None:
    if folder not in _Pending.troubled:
        _Pending.troubled.add(folder)
        with suppress(Exception):
            _LOG.warning("%s is not written: %s", folder / NAME, " ".join(message(error).split()))
