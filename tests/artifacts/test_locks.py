"""Locks, between processes of one machine and of several, which a name stands for here."""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock, Timeout

from ercsatz.artifacts import locks
from ercsatz.artifacts.locks import HeldError, Lock, is_held, lease_of

# Takes a lock, says so, and holds it until its input ends. In turn: the lock, the machine's name ("" for this one,
# where flock reaches), seconds of silence, and what else is done.
PROCESS = """
import os, sys, time
from pathlib import Path
from ercsatz.artifacts import locks

path, host, silent, *more = sys.argv[1:]
locks.BEAT, locks.SILENT, locks.SETTLE, locks._SLOW = 0.1, float(silent), 0.3, 0.1
if host:
    locks.machine = lambda: host
    locks._flocked = lambda path: None
lock = locks.Lock(Path(path))
print("asks", flush=True)
lock.acquire()
log = os.open(f"{path}.log", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
os.write(log, b"in\\n")
print("has", flush=True)
if "fork" in more and os.fork() == 0:
    time.sleep(600)
if "soon" in more:
    time.sleep(0.05)
else:
    sys.stdin.read()
os.write(log, b"out\\n")
lock.release()
print("released", flush=True)
"""
NEVER = "1e9"


class Process:
    def __init__(self, *arguments: object, wrapped: tuple[str, ...] = ()) -> None:
        line = [*wrapped, sys.executable, "-c", PROCESS, *map(str, arguments)]
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        self.process = subprocess.Popen(line, bufsize=0, start_new_session=True, **pipes)

    def says(self, word: str) -> None:
        assert not waits(self, 60), f"not yet {word}"
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == f"{word}\n".encode()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.says("released")
        assert self.process.wait(30) == 0


@pytest.fixture
def start(tmp_path) -> Iterator[Callable[..., Process]]:
    """Start a process that takes the lock; what still runs at the end is killed."""
    started: list[Process] = []

    def run(host: str = "", silent: str = NEVER, *more: str, wrapped: tuple[str, ...] = ()) -> Process:
        started.append(Process(tmp_path / "x.lock", host, silent, *more, wrapped=wrapped))
        started[-1].says("asks")
        return started[-1]

    yield run
    for each in started:
        for signalled in (signal.SIGCONT, signal.SIGKILL):
            try:
                os.killpg(each.process.pid, signalled)
            except ProcessLookupError:
                break
        each.process.wait(10)
        for pipe in (each.process.stdin, each.process.stdout, each.process.stderr):
            assert pipe is not None
            pipe.close()


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "x.lock"


def left(path: Path) -> list[str]:
    return sorted(each.name for each in path.parent.iterdir() if not each.name.endswith(".log"))


def waits(process: Process, seconds: float = 1.0) -> bool:
    """Whether a process has nothing to say for so long."""
    return not select.select([process.process.stdout], [], [], seconds)[0]


def test_one_has_it_at_a_time_and_nothing_is_left(path):
    one, two = Lock(path), Lock(path)
    one.acquire()
    assert is_held(path)
    with pytest.raises(HeldError):
        two.acquire(0.05)
    one.release()
    assert not is_held(path)
    two.acquire(0)
    two.release()
    assert left(path) == []


@pytest.mark.parametrize("host", ["", "elsewhere"])
def test_who_waits_gets_it_when_it_is_released(start, path, host):
    first = start(host)
    first.says("has")
    second = start(f"{host}2" if host else "")
    assert waits(second, 2)
    first.end()
    second.says("has")
    second.end()
    assert left(path) == []


def test_of_a_process_that_is_killed_on_this_machine_it_is_free_at_once(start, path):
    first = start()
    first.says("has")
    assert is_held(path)
    first.kill()
    assert not is_held(path)
    second = start()
    second.says("has")
    second.end()
    assert left(path) == []


def test_a_process_whose_number_another_one_has_now_is_dead(path):
    lock = Lock(path)
    lock.acquire()
    known = json.loads(lock.lease.read_bytes())
    assert not locks.is_dead(lock.lease)
    lock.lease.write_text(json.dumps({**known, "born": "1"}))
    assert locks.is_dead(lock.lease)
    lock.release()


def test_what_a_killed_process_forked_does_not_keep_it(start):
    first = start("", NEVER, "fork")
    first.says("has")
    first.kill()
    second = start()
    second.says("has")


def test_on_another_machine_one_that_beats_has_it_and_one_that_is_killed_has_not(start, path):
    first = start("one")
    first.says("has")
    second = start("two", "3")
    assert waits(second, 7), "twice the silence, and it is beating"
    first.kill()
    second.says("has")
    second.end()
    assert left(path) == []


def test_no_clock_and_no_time_of_a_file_counts(start, path):
    first = start("one")
    first.says("has")
    second = start("two", "3")
    for then in (0, 4e9, time.time() - 1e6):
        os.utime(lease_of(path), (then, then))
        assert waits(second, 2)
    first.end()
    second.says("has")


def test_of_several_that_find_it_dead_on_several_machines_one_has_it_at_a_time(start, path):
    first = start("dead")
    first.says("has")
    first.kill()
    others = [start(f"host {n}", "3", "soon") for n in range(5)]
    for each in others:
        each.says("has")
        each.says("released")
    assert path.with_name("x.lock.log").read_text() == "in\n" + "in\nout\n" * len(others)
    assert left(path) == []


def test_one_that_stood_still_while_another_machine_took_over_ends(start):
    first = start("one")
    first.says("has")
    os.kill(first.process.pid, signal.SIGSTOP)
    second = start("two", "3")
    second.says("has")
    os.kill(first.process.pid, signal.SIGCONT)
    assert first.process.wait(60) == -signal.SIGTERM  # its standard input stays open: it was not asked to let go
    assert b"another one has taken over x" in first.process.stderr.read()
    second.end()


def test_one_that_stands_still_on_this_machine_keeps_it(start):
    first = start()
    first.says("has")
    os.kill(first.process.pid, signal.SIGSTOP)
    second = start("", "0.5")
    assert waits(second, 2)


def test_earlier_versions_are_kept_out_and_waited_for(start, path):
    lock = Lock(path)
    lock.acquire()
    with pytest.raises(Timeout):
        FileLock(path).acquire(timeout=0.1)
    lock.release()
    earlier = FileLock(path)
    earlier.acquire()
    assert is_held(path)
    later = start("", "0.5")
    assert waits(later, 2)
    earlier.release()
    later.says("has")


@pytest.mark.skipif(os.getuid() != 0 or not shutil.which("unshare"), reason="needs to make a container's processes")
def test_processes_of_another_container_are_judged_by_their_beats(start):
    inside = start("", NEVER, wrapped=("unshare", "--pid", "--fork", "--kill-child", "--mount-proc"))
    inside.says("has")
    outside = start("", "3")
    assert waits(outside, 7)
    inside.kill()
    outside.says("has")


def test_one_whose_folder_was_cleared_and_taken_by_another_refuses_to_go_on(path, monkeypatch):
    lock = Lock(path)
    lock.acquire()
    for each in path.parent.iterdir():
        each.unlink()
    assert lock.beat(), "it is still alone"
    lock.lease.unlink()
    other = Lock(path)
    other._created()
    assert not lock.beat()
    with pytest.raises(Exception, match="another one has taken over"):
        lock.check()
    lock.release()
    assert lock.lease.exists()
    other.release()
