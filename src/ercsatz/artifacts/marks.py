"""Who uses which artifacts: ``<cache>/in-use/``, a list a process, beside a lock that dies with the process.

A list only grows while its process lives; whoever comes next removes those of the dead.
"""

import atexit
import os
import platform
import secrets
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

FOLDER = "in-use"


def mark(cache: Path, kind: str, key: str) -> None:
    """Say that this process uses an artifact, from now until it ends."""
    place = (cache.absolute(), os.getpid())  # a forked process needs its own
    if place not in _MARKS:
        _MARKS[place] = _Marks(cache / FOLDER)
    _MARKS[place].add(f"{kind}/{key}")


def in_use(cache: Path) -> set[tuple[str, str]]:
    """Kind and key of what living processes use, this one among them; clears up after the dead."""
    used: set[tuple[str, str]] = set()
    for lock in (cache / FOLDER).glob("*.lock"):
        if not _remove_dead(lock):
            with suppress(FileNotFoundError):  # it has just ended
                lines = lock.with_suffix(".txt").read_text(encoding="utf-8").splitlines()
                used |= {(kind, key) for kind, _, key in (line.partition("/") for line in lines)}
    return used


class _Marks:
    """What this process uses of one cache."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for lock in folder.glob("*.lock"):
            _remove_dead(lock)
        file = folder / f"{platform.node()}-{os.getpid()}-{secrets.token_hex(4)}.lock"
        self._lock = FileLock(file, thread_local=False)  # any thread may end the process
        self._lock.acquire()
        self._list = file.with_suffix(".txt")
        self._known: set[str] = set()
        self._pid = os.getpid()
        atexit.register(self._end)

    def add(self, name: str) -> None:
        if name not in self._known:
            with self._list.open("a", encoding="utf-8") as file:
                file.write(f"{name}\n")
            self._known.add(name)

    def _end(self) -> None:
        if os.getpid() == self._pid:  # and not a forked child
            with suppress(OSError):
                _remove(Path(self._lock.lock_file))
            self._lock.release()


_MARKS: dict[tuple[Path, int], _Marks] = {}


def _remove_dead(lock: Path) -> bool:
    """Remove the list of a process if that is dead; whether it was."""
    try:
        with FileLock(lock, blocking=False):
            _remove(lock)
    except Timeout:
        return False
    except OSError:  # nobody may write here, so nobody can mark or prune anything either
        return False
    return True


def _remove(lock: Path) -> None:
    lock.with_suffix(".txt").unlink(missing_ok=True)
    lock.unlink(missing_ok=True)  # while it is ours: nobody may lock a file without a name
