"""Locks that hold over machines, on any folder that they share.

A lock ``NAME.lock`` is two files. Whoever has created ``NAME.lease.lock`` (``O_EXCL``) has the lock; the file says who
that is, and a thread writes a new number into it every ``BEAT`` seconds. A holder on this machine is dead when its
process is; one on another machine when its number has not changed for ``SILENT`` seconds of the observer's own clock,
so that no two clocks are compared. What a dead one left is replaced by a rename, and belongs to whoever is named in it
``SETTLE`` seconds later, should several have replaced it. A holder that finds itself replaced, since its machine stood
still for so long, ends its process.

``NAME.lock`` is locked with ``flock`` beside that, where the file system has it: earlier versions know no other lock.

Imports nothing heavy.
"""

import errno
import fcntl
import json
import logging
import os
import platform
import secrets
import signal
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from ercsatz.errors import UserError

BEAT, SILENT, SETTLE = 10.0, 120.0, 1.0  # seconds
_POLL, _SLOW = 0.02, 1.0  # seconds between two looks at a lock that somebody has: at first, and at last
_ORPHANED = 2.0  # seconds after which what a dead process forked may not keep its flock any longer
_FULL = {errno.ENOSPC, errno.EDQUOT}
_LOG = logging.getLogger(__name__)


class HeldError(TimeoutError):
    """Another one has the lock."""


class Lock:
    """A lock on a path that ends in ``.lock``; of each use one is made."""

    def __init__(self, path: Path) -> None:
        self.path, self.lease = path, lease_of(path)
        self._token, self._beats = secrets.token_hex(8), 0
        self._handle: int | None = None
        self._orphaned: float | None = None

    def acquire(self, seconds: float | None = None) -> None:
        """Take it; wait for it for so long, or until it is free.

        Raises:
            HeldError: another one has it all the time.
            OSError: the folder cannot be written.
        """
        until = None if seconds is None else time.monotonic() + seconds
        pause = _POLL
        while not self._taken():
            if until is not None and time.monotonic() >= until:
                raise HeldError(f"{self.path} is held")
            time.sleep(pause)
            pause = min(1.5 * pause, _SLOW)
        _HEART.add(self)

    def release(self) -> None:
        """Let others have it."""
        _HEART.remove(self)
        with suppress(OSError):  # on a disk that has become read-only it stays, and is a dead one's
            if self._is_ours():
                self.lease.unlink()
        self._let_go()

    def check(self) -> None:
        """Refuse to go on where another one has taken over.

        Raises:
            UserError: it has.
        """
        if not self._is_ours():
            raise UserError(
                f"This process was not heard of for {SILENT:.0f} s, and another one has taken over {self.path.stem}: "
                "what it made is left to that one. The same command again goes on."
            )

    def beat(self) -> bool:
        """Say that the holder lives; whether it still is the holder."""
        self._beats += 1
        try:
            handle = os.open(self.lease, os.O_RDWR)
        except FileNotFoundError:
            return not self.lease.parent.is_dir() or self._created()  # somebody has cleared the folder
        try:
            found = _parsed(os.read(handle, 4096))
            if found is not None and found.get("token") != self._token:
                return False
            os.pwrite(handle, self._content(), 0)
            return True
        finally:
            os.close(handle)

    def _taken(self) -> bool:
        """Try once."""
        try:
            self._handle = _flocked(self.path)
        except BlockingIOError:
            self._look_after_orphan()
            return False
        self._orphaned = None
        try:
            taken = self._created() or (is_dead(self.lease) and self._stolen())
        except BaseException:
            self._let_go()
            raise
        if not taken:
            self._let_go()
        return taken

    def _look_after_orphan(self) -> None:
        """Let go what is kept from us in the name of one that is dead: by what it forked, or by a file server."""
        if not (self.lease.exists() and is_dead(self.lease)):
            self._orphaned = None
        elif self._orphaned is None:
            self._orphaned = time.monotonic()
        elif time.monotonic() - self._orphaned > _ORPHANED:
            self._orphaned = None
            self.path.unlink(missing_ok=True)

    def _created(self) -> bool:
        try:
            handle = os.open(self.lease, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        except FileExistsError:
            return False
        try:
            os.write(handle, self._content())
        except OSError as error:
            if error.errno not in _FULL:  # without a word it is a lock all the same
                self.lease.unlink(missing_ok=True)
                raise
        finally:
            os.close(handle)
        return True

    def _stolen(self) -> bool:
        """Replace what a dead one left; whether it is ours then, and not that of one who did so at the same time."""
        new = self.lease.with_name(f".{self.path.stem}.{self._token}.lock")
        new.write_bytes(self._content())
        new.replace(self.lease)
        time.sleep(SETTLE)
        return self._is_ours()

    def _is_ours(self) -> bool:
        try:
            content = self.lease.read_bytes()
        except FileNotFoundError:
            return False
        return not content or (_parsed(content) or {}).get("token") == self._token

    def _content(self) -> bytes:
        """Always of the same length, since it is written over the one before."""
        return json.dumps({"token": self._token, **_self(os.getpid()), "beat": f"{self._beats:012d}"}).encode()

    def _let_go(self) -> None:
        if self._handle is not None:
            with suppress(OSError):
                self.path.unlink(missing_ok=True)  # while it is ours: nobody may lock a file without a name
            with suppress(OSError):
                fcntl.flock(self._handle, fcntl.LOCK_UN)  # a forked process may have the handle, too
            os.close(self._handle)
            self._handle = None


def lease_of(path: Path) -> Path:
    """The file that says who has a lock."""
    return path.with_name(f"{path.stem}.lease.lock")


def is_held(path: Path) -> bool:
    """Whether somebody has a lock; leaves no trace.

    One that is held on another machine counts as held until it was looked at for ``SILENT`` seconds.
    """
    if lease_of(path).exists():
        return not is_dead(lease_of(path))
    if not path.exists():
        return False
    try:
        handle = _flocked(path)
    except OSError:  # held; or in a folder that cannot be written: whoever holds it has not removed it
        return True
    if handle is not None:
        os.close(handle)
    return False


def is_dead(lease: Path) -> bool:
    """Whether whoever wrote a lease is dead."""
    try:
        content = lease.read_bytes()
    except OSError:
        return False
    owner = _parsed(content)
    if owner is not None and owner.get("machine") == machine():
        return bool(_birth(int(owner["pid"])) != owner["born"])
    return _silent(lease, content)


_SEEN: dict[Path, tuple[bytes, float, float]] = {}


def _silent(lease: Path, content: bytes) -> bool:
    """Whether a lease has not changed for long; a time in which nobody looked, or could look, does not count."""
    now = time.monotonic()
    before, first, last = _SEEN.get(lease, (b"", now, now))
    if before != content or now - last > SILENT / 4:
        first = now
    _SEEN[lease] = content, first, now
    return now - first >= SILENT


@cache
def machine() -> str:
    """What processes have in common that see each other: this start of the machine, and a container's own processes."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return platform.node()


@cache
def _self(pid: int) -> Mapping[str, Any]:
    """This process, for others."""
    return {"host": platform.node(), "machine": machine(), "pid": pid, "born": _birth(pid)}


def _birth(pid: int) -> str | None:
    """When a process was started, as its system counts; None if there is none, or only what its parent has to bury."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return None if state in "ZX" else fields[18]
    except OSError:
        if Path("/proc/self/stat").exists():
            return None
    import psutil

    try:
        return str(psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        return None


def _parsed(content: bytes) -> Mapping[str, Any] | None:
    """None for what is being written."""
    try:
        found = json.loads(content)
        return found if {"token", "machine", "pid", "born"} <= found.keys() else None
    except (ValueError, AttributeError):
        return None


def _flocked(path: Path) -> int | None:
    """A handle of a file that is locked with ``flock``; None where the file system has no such lock.

    Raises:
        BlockingIOError: another one has it, or has just let it go.
    """
    handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o666)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        named = os.fstat(handle).st_nlink > 0 and path.stat().st_ino == os.fstat(handle).st_ino
    except BlockingIOError:
        os.close(handle)
        raise
    except FileNotFoundError:
        named = False
    except OSError:
        os.close(handle)
        path.unlink(missing_ok=True)
        return None
    if not named:
        os.close(handle)
        raise BlockingIOError(errno.EAGAIN, "it was let go", str(path))
    return handle


class _Heart:
    """The thread that beats for all locks that this process has."""

    def __init__(self) -> None:
        self._locks: dict[int, Lock] = {}
        self._mutex = threading.Lock()
        self._thread: threading.Thread | None = None

    def add(self, lock: Lock) -> None:
        with self._mutex:
            self._locks[id(lock)] = lock
            if self._thread is None:
                self._thread = threading.Thread(target=self._beat, name="locks", daemon=True)
                self._thread.start()

    def remove(self, lock: Lock) -> None:
        with self._mutex:
            self._locks.pop(id(lock), None)

    def _beat(self) -> None:
        while True:
            time.sleep(BEAT)
            with self._mutex:
                for lock in list(self._locks.values()):
                    with suppress(OSError):  # of a disk that is full or away for a moment
                        if not lock.beat():
                            self._end(lock)

    def _end(self, lock: Lock) -> None:
        """End this process in order: another one is at its work."""
        del self._locks[id(lock)]
        try:
            lock.check()
        except UserError as error:
            _LOG.error("%s", error)
        os.kill(os.getpid(), signal.SIGTERM)


_HEART = _Heart()


def _forget() -> None:
    """A forked process has no lock, and no thread."""
    global _HEART
    _HEART = _Heart()


os.register_at_fork(after_in_child=_forget)
