"""``progress.json`` in a job's folder: who runs the job, that it lives, and how far the stage is that it trains.

It has ``pid``, ``host``, ``machine`` and ``born`` of the process, and of the stage ``key`` and, while it is trained,
``epoch`` of ``epochs``, ``step`` of ``steps`` in it, ``rate`` (steps a second), ``left`` (seconds) and ``device``; and
``log``, the file that the process prints errors to, if that is one. A
thread renews its time every few seconds. It is gone when the job is done; of a job that failed it has ``ended``. No
result depends on it, and what cannot be written of it is left out. Imports nothing heavy.
"""

import json
import os
import platform
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

NAME = "progress.json"
BEAT = 5.0
"""Seconds between two signs of life."""
_ALSO = 4  # beats
SILENT = 180.0
"""Seconds without one, after which a process of another machine counts as gone; shared folders may lag by a minute."""


def machine() -> str:
    """What process numbers count on: the host since its start, and the container on it."""
    found = [platform.node()]
    with suppress(OSError):
        found += [
            Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip(),
            str(Path("/proc/self/ns/pid").readlink()),
        ]
    return " ".join(found)


def born(pid: int) -> int | None:
    """When a process of this machine began, in ticks; None where that cannot be told. Numbers are given out again."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        return int(stat.rpartition(")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return None


def identity() -> dict[str, Any]:
    """Of this process: ``pid``, ``host``, ``machine`` and ``born``."""
    pid = os.getpid()
    return {"pid": pid, "host": platform.node(), "machine": machine(), "born": born(pid)}


def _log() -> dict[str, str]:
    with suppress(OSError):
        target = Path("/proc/self/fd/2").readlink()
        return {"log": str(target)} if target.is_file() else {}
    return {}


def here(who: Mapping[str, Any]) -> bool:
    """Whether a process, by its ``identity``, is or was one of this machine."""
    return who.get("machine") == machine()


def lives(who: Mapping[str, Any], silent: float) -> bool:
    """Whether a process lives: on this machine the system knows, elsewhere its silence tells.

    Args:
        who: its ``identity``.
        silent: seconds since its last sign of life.
    """
    if who.get("ended"):
        return False
    if not here(who):
        return silent < SILENT
    try:
        os.kill(int(who["pid"]), 0)
    except (ProcessLookupError, KeyError, ValueError):
        return False
    except PermissionError:  # another user's
        pass
    return who.get("born") is None or born(int(who["pid"])) == who["born"]


def silence(file: Path) -> float:
    """Seconds since a file was last renewed; infinite where it is not there."""
    try:
        return time.time() - file.stat().st_mtime
    except OSError:
        return float("inf")


def read(file: Path) -> dict[str, Any] | None:
    """What a ``progress.json`` says; None where there is none that can be read."""
    with suppress(OSError, ValueError):
        told = json.loads(file.read_bytes())
        return told if isinstance(told, dict) else None
    return None


@dataclass(frozen=True)
class Pulse:
    """Writes how far a job is; may be sent to the process that trains, and then still speaks for the job's.

    Attributes:
        file: that is written; None: nobody watches.
        who: the job's process.
    """

    file: Path | None = None
    who: Mapping[str, Any] = field(default_factory=lambda: {**identity(), **_log()})

    def tell(self, **known: Any) -> None:
        """Replace what was known of the stage. Not waited for on the disk: it is worth nothing after a crash."""
        if self.file is None:
            return
        new = self.file.with_name(f".{NAME}.{os.getpid()}")
        try:
            new.write_text(json.dumps({**self.who, **known}), encoding="utf-8")
            new.replace(self.file)
        except OSError:  # as on a full disk
            with suppress(OSError):
                new.unlink()


@contextmanager
def renewed(file: Path, also: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Renew a file's time while the context is open, as a sign of life; it may be gone meanwhile.

    Args:
        file: that is renewed.
        also: is called now and then, in a thread of its own.
    """
    over = threading.Event()

    def renew() -> None:
        for beat in count(1):
            if over.wait(BEAT):
                return
            with suppress(OSError):
                os.utime(file)
            if beat % _ALSO == 0:
                also()

    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(BEAT)


@contextmanager
def beating(folder: Path, also: Callable[[], object] = lambda: None) -> Iterator[Pulse]:
    """Give what tells how far the job of a folder is, and tell meanwhile that it lives; ``also`` as of ``renewed``."""
    pulse = Pulse(folder / NAME)
    assert pulse.file is not None
    pulse.tell()
    try:
        with renewed(pulse.file, also):
            yield pulse
    except BaseException:
        pulse.tell(**{**(read(pulse.file) or {}), "ended": True})
        raise
    with suppress(OSError):
        pulse.file.unlink()
