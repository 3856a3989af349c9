"""Jobs of a sweep in processes of this machine, some at a time; one that dies costs its own job."""

import json
import logging
import os
import pickle
import queue
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hydra.core.utils import JobReturn

from ercsatz import signals, threads
from ercsatz.sweeps.jobs import Outcome, Sweep, returned

if TYPE_CHECKING:
    from ercsatz.sweeps.others import SweepStages

_LOG = logging.getLogger(__name__)
_LOOK = 0.2  # seconds until a process is looked after that may have died without a word
_OWN_SIGNAL = 0.5  # seconds in which a signal that ended a process would have come here as well
_EACH, _STARTING = 1.0, 20.0  # seconds between two looks for a free stage; until who was given work is surely at it
_HELPS = -1  # the number of what is no job
_PATIENCE = 10.0  # seconds that a process has to end in order
_START = "import sys, json; sys.path[:] = json.loads(sys.argv[1]); from ercsatz.sweeps.processes import main; main()"


def run(sweep: Sweep, job_overrides: Sequence[Sequence[str]], first: int, n_jobs: int) -> list[JobReturn]:
    """Run the jobs, as many at a time as joblib would.

    Args:
        sweep: whose jobs they are.
        job_overrides: of each job.
        first: number of the first.
        n_jobs: how many at a time; -1: one for each core.
    """
    from joblib import effective_n_jobs

    pool = _Pool(effective_n_jobs(n_jobs))
    numbered = list(enumerate(job_overrides, first))
    outcomes: dict[int, Outcome] = {}
    waiting = deque(numbered)
    spare = _Spare(sweep, pool)
    try:
        while len(outcomes) < len(numbered):
            while waiting and (worker := pool.free()):
                worker.give(sweep, *waiting.popleft())
            if not waiting:
                spare.help()
            for worker, outcome in pool.finished():
                if worker.number == _HELPS:
                    spare.ended(worker, outcome)
                else:
                    how = None if outcome else pool.buried(worker)
                    outcomes[worker.number] = outcome or sweep.died(worker.overrides, worker.number, str(how))
                worker.busy = False
        pool.dismiss()
    finally:
        pool.end()
    return [returned(overrides, outcomes[number]) for number, overrides in numbered]


class _Worker:
    """A process that runs one job after the other."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.connection, theirs = Pipe()
        line = [sys.executable, "-c", _START, json.dumps(sys.path), str(theirs.fileno())]
        with signals.kept_from_children():
            self.process = subprocess.Popen(
                line, env={**os.environ, **environment}, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()]
            )
        theirs.close()
        self.busy = False
        self.number, self.overrides, self.given = 0, cast(Sequence[str], ()), 0.0

    def give(self, sweep: Sweep, number: int, overrides: Sequence[str]) -> None:
        """Have it run a job, or help those that run."""
        from cloudpickle import dumps  # Hydra's task function is in no module by its name

        self.busy, self.number, self.overrides, self.given = True, number, overrides, time.monotonic()
        try:
            self.connection.send_bytes(dumps((sweep, overrides, number)))
        except OSError:
            self.process.kill()  # it was dying, and is found dead

    def outcome(self) -> Outcome | None:
        """Of its job, which is done; None if it died."""
        try:
            return cast(Outcome, pickle.loads(self.connection.recv_bytes()))
        except (EOFError, OSError):
            return None


class _Pool:
    def __init__(self, size: int) -> None:
        self._size, self._environment = size, threads.share(size)
        self._workers: list[_Worker] = []

    def has_room(self) -> bool:
        """Whether one has nothing to do, or there may be one more."""
        return len(self._workers) < self._size or not all(worker.busy for worker in self._workers)

    def free(self) -> _Worker | None:
        """One that has nothing to do, if there may be one."""
        idle = next((worker for worker in self._workers if not worker.busy), None)
        if idle is None and len(self._workers) < self._size:
            idle = _Worker(self._environment)
            self._workers.append(idle)
        return idle

    def starting(self) -> int:
        """How many were given something only now."""
        return sum(worker.busy and time.monotonic() - worker.given < _STARTING for worker in self._workers)

    def finished(self) -> list[tuple[_Worker, Outcome | None]]:
        """Those that ended their job since, and what became of it; None if they died."""
        busy = [worker for worker in self._workers if worker.busy]
        wait([worker.connection for worker in busy], _LOOK)
        # What a dead one forked may keep the connection open, so the process is asked, too; and first, since it may
        # write its outcome in between.
        gone = [worker.process.poll() is not None for worker in busy]
        told = [worker.connection.poll() for worker in busy]
        return [
            (worker, worker.outcome() if has_told else None)
            for worker, is_gone, has_told in zip(busy, gone, told, strict=True)
            if is_gone or has_told
        ]

    def buried(self, worker: _Worker) -> str:
        """Take a dead one out; how it ended."""
        self._workers.remove(worker)
        _end([worker])
        time.sleep(_OWN_SIGNAL)
        return signals.ended(worker.process.returncode)

    def dismiss(self) -> None:
        """There is nothing more to do."""
        for worker in self._workers:
            worker.connection.close()
        _wait(self._workers)

    def end(self) -> None:
        """End those that are still there."""
        for worker in self._workers:
            worker.process.terminate()
        _end(self._workers)


class _Spare:
    """Has processes that no job is left for make stages of those that run, while one is free."""

    def __init__(self, sweep: Sweep, pool: _Pool) -> None:
        self._sweep, self._pool = sweep, pool
        self._looked, self._over = 0.0, False
        self._stages: SweepStages | None = None

    def help(self) -> None:
        """Give one process such work, if there is any."""
        if self._over or time.monotonic() - self._looked < _EACH or not self._pool.has_room():
            return
        self._looked = time.monotonic()
        try:
            self._stages = self._stages or self._sweep.stages()
            free = self._free()
        except Exception as error:  # the jobs go on without it
            signals.check()
            _LOG.debug("no stages of others: %s", error)
            self._over = True
            return
        if free > self._pool.starting() and (worker := self._pool.free()):
            worker.give(self._sweep, _HELPS, ())

    def ended(self, worker: _Worker, outcome: Outcome | None) -> None:
        """Where one died, which costs nobody anything, there will be no other."""
        if outcome is None:
            self._pool.buried(worker)
            self._over = True

    def _free(self) -> int:
        from ercsatz.training.choice import free
        from ercsatz.training.stage_cache import StageCache

        if self._stages is None:
            self._over = True
            return 0
        cache = StageCache(Path(str(self._sweep.config.paths.cache)))
        return sum(1 for _ in free(self._stages.graph(), cache.state_of))


def _end(workers: Sequence[_Worker]) -> None:
    _wait(workers)
    for worker in workers:
        worker.process.kill()
        worker.process.wait()
        worker.connection.close()


def _wait(workers: Sequence[_Worker]) -> None:
    until = time.monotonic() + _PATIENCE
    while any(worker.process.poll() is None for worker in workers) and time.monotonic() < until:
        time.sleep(0.02)


def main() -> None:
    """What the process does: one job after the other, until whoever started it closes the connection or dies."""
    signals.serve()
    connection = Connection(int(sys.argv[-1]))
    jobs: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    busy = threading.Event()
    threading.Thread(target=_receive, args=(connection, jobs, busy), daemon=True).start()
    while (given := jobs.get()) is not None:
        sweep, overrides, number = cast(tuple[Sweep, Any, int], pickle.loads(given))
        outcome = pickle.dumps(sweep.help() if number == _HELPS else sweep.run(overrides, number))
        busy.clear()
        connection.send_bytes(outcome)


def _receive(connection: Connection, jobs: "queue.SimpleQueue[bytes | None]", busy: threading.Event) -> None:
    try:
        while True:
            given = connection.recv_bytes()
            busy.set()
            jobs.put(given)
    except (EOFError, OSError):
        if busy.is_set():
            os._exit(1)  # nobody waits for the job any more
        jobs.put(None)
