"""How far a sweep is: its cells and their stages, from the files that it writes. Imports nothing heavy."""

import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from ercsatz.errors import UserError
from ercsatz.sweeps import result_file, sweep_file
from ercsatz.sweeps.result_file import read_result, refuse_unreadable
from ercsatz.sweeps.sweep_file import SweepFile, key_of
from ercsatz.training import pulse


class State(StrEnum):
    """Of a cell, or of a stage."""

    queued = "queued"
    running = "running"
    done = "done"
    cached = "cached"  # a stage only
    failed = "failed"
    stopped = "stopped"  # it began, and its process is gone
    missing = "missing"  # the sweep is over, and it never began
    unreadable = "unreadable"


LOST = (State.failed, State.stopped, State.missing, State.unreadable)
"""Of a cell that has no scores and will get none unless the sweep is run again."""


@dataclass(frozen=True)
class StageState:
    """A stage of a cell.

    Attributes:
        name: as its phase has it.
        variant: whose dialogues it sees.
        state: queued, running, done, cached, failed or stopped.
        seconds: that it took in this cell.
        key: of its content; empty before its job has planned it.
        pulse: of the job that trains it, or trained it when it ended: see ``training.pulse``.
        record: as in a result's ``stages``; None before it is scored, or where it is not.
    """

    name: str
    variant: str
    state: State
    seconds: float | None = None
    record: Mapping[str, Any] | None = None
    key: str = ""
    pulse: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class CellState:
    """A cell.

    Attributes:
        overrides: that make it.
        state: of the cell.
        folder: of its files; None where it has none.
        stages: in the order of its plan.
        error: what it failed with.
        result: as it is written so far, or its plan.
        settings: all that can change a score, by dotted key; empty where that is not known.
        pulse: of its job, while that runs or where it ended out of turn: see ``training.pulse``.
        last_words: of the log of a job that ended out of turn.
    """

    overrides: Sequence[str]
    state: State
    folder: Path | None
    stages: Sequence[StageState]
    error: str
    result: Mapping[str, Any]
    settings: Mapping[str, Any]
    pulse: Mapping[str, Any] | None = None
    last_words: str = ""

    @property
    def choices(self) -> Mapping[str, str]:
        """Its classifier, data, benchmark and so on."""
        return self.result.get("choices") or {}

    @property
    def seed(self) -> Any:
        """Of its random numbers."""
        return self.result.get("seed")


@dataclass(frozen=True)
class SweepState:
    """A sweep.

    Attributes:
        folder: ``multirun/NAME``.
        file: its ``sweep.json``; None in sweeps of earlier versions.
        alive: whether who runs it lives; None where that cannot be told.
        cells: in the order of its plan.
        notes: sentences on what is missing.
    """

    folder: Path
    file: SweepFile | None
    alive: bool | None
    cells: Sequence[CellState]
    notes: Sequence[str]

    @property
    def name(self) -> str:
        """Of the sweep."""
        return self.file.name if self.file else self.folder.name

    @property
    def running(self) -> bool:
        """Whether something is done, or will be: who runs it lives, or a job of it."""
        return self.count(State.running) > 0 or (self.alive is True and self.count(State.queued) > 0)

    def count(self, *states: State) -> int:
        """How many cells are in one of some states."""
        return sum(cell.state in states for cell in self.cells)


def read_sweep(folder: Path, alive: bool | None = None) -> SweepState:
    """How far the sweep of a folder is.

    Args:
        folder: of the sweep.
        alive: whether who runs it lives, where that is known; None: it is found out.

    Raises:
        UserError: there is no such folder, it is no sweep's, or its ``sweep.json`` is damaged.
    """
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}. Give a sweep's: ercsatz status multirun/NAME")
    file = sweep_file.read(folder)
    found = list(_results(folder))
    if file is None:
        if not found:
            raise UserError(
                f"{folder} has neither a {sweep_file.NAME} nor a {result_file.NAME}: it is no sweep's folder, or the "
                "sweep was refused. Give one below multirun/."
            )
        note = (
            f"There is no {sweep_file.NAME}: an earlier version ran this, or these are jobs of their own. Which cells "
            "have no result, and who runs them, is not known."
        )
        return SweepState(folder, None, None, [_cell({}, each, None, None) for each in found], [note])
    lives = is_alive(folder, file.owner) if alive is None else alive
    return SweepState(folder, file, lives, *_cells(file, found, lives))


def is_alive(folder: Path, owner: Mapping[str, Any]) -> bool | None:
    """Whether a sweep's owner lives: by the lock that dies with it, of one on another machine by its silence.

    None where the folder cannot be written, so that nobody can ask for the lock. Whoever asks renews its time, and so
    it is not asked for on other machines, where it may not reach anyway. Jobs on a cluster need no owner: they are
    alive until they are ranked.
    """
    from filelock import FileLock, Timeout

    if (folder / sweep_file.SUBMITTED).exists():
        return True
    if not (folder / sweep_file.LOCK).exists():
        return False
    if not pulse.here(owner) and owner.get("host") != platform.node():
        return pulse.silence(folder / sweep_file.LOCK) < pulse.SILENT
    lock = FileLock(folder / sweep_file.LOCK, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except OSError:
        return None
    lock.release()  # and the file stays: where locks do not reach other machines, it may be somebody's all the same
    return False


_TAIL = 4096  # bytes of a log
_Found = tuple[Path, dict[str, Any] | str]
_READ: dict[Path, tuple[tuple[int, int], dict[str, Any]]] = {}


def _results(folder: Path) -> Iterator[_Found]:
    """The result files below a folder, or what is wrong with one; read again only when they have changed."""
    for file in sorted(folder.rglob(result_file.NAME)):
        with suppress(FileNotFoundError):
            about = file.stat()
            stamp = (about.st_mtime_ns, about.st_size)
            if _READ.get(file, ((), {}))[0] != stamp:
                try:
                    result = read_result(file)
                    refuse_unreadable(result, file)
                    _READ[file] = stamp, result
                except UserError as error:
                    yield file.parent, str(error)
                    continue
            yield file.parent, _READ[file][1]


def _cells(file: SweepFile, found: Sequence[_Found], alive: bool | None) -> tuple[list[CellState], list[str]]:
    own: dict[sweep_file.Key, _Found] = {}
    unreadable: list[_Found] = []
    others = 0
    for folder, result in found:
        if isinstance(result, str):
            unreadable.append((folder, result))
        elif result.get("sweep_id") == file.id:
            own[key_of(result.get("overrides", ()))] = folder, result
        else:
            others += 1
    notes = [f"Results of another sweep lie here, and are left out: {others}."] if others else []
    since = str(file.owner.get("started", "")) if alive else None
    if file.cells is None:
        notes.append("The sweeper plans its jobs as it goes: cells that are still to come are not known.")
        cells = [_cell({}, each, alive, since) for each in own.values()]
    else:
        cells = [_cell(cell, own.get(key_of(cell["overrides"])), alive, since) for cell in file.cells]
    cells += [_cell({}, each, alive, since) for each in unreadable]
    if any(cell.state is State.running for cell in cells):  # jobs that outlive who submitted them
        cells = [replace(cell, state=State.queued) if cell.state is State.missing else cell for cell in cells]
    return _with_pulses(cells), notes


def _cell(plan: Mapping[str, Any], found: _Found | None, alive: bool | None, since: str | None) -> CellState:
    """A cell from its plan and its result.

    Args:
        plan: as in ``sweep.json``; empty where there is none.
        found: its folder, and its result or what is wrong with that.
        alive: whether its sweep's owner lives.
        since: when a living owner began: what did not complete before then is to be done again.
    """
    settings = plan.get("settings") or {}
    folder, result = (None, None) if found is None else found
    if isinstance(result, str):
        return CellState([], State.unreadable, folder, [], result, {}, settings)
    if result and since and result["status"] != "completed" and str(result.get("begun", since)) < since:
        folder, result = None, None
    if result is None:
        state = State.queued if alive else State.missing
        return CellState(plan["overrides"], state, folder, _planned(plan), "", plan, settings)
    told = pulse.read(folder / pulse.NAME) if folder and result["status"] != "completed" else None
    state = {"completed": State.done, "failed": State.failed}.get(result["status"]) or _life(folder, told, alive)
    given, error = result.get("overrides", []), str(result.get("error", ""))
    ended = told is not None and (state is State.stopped or (state is State.failed and not result.get("traceback")))
    words = _last_words(str(told.get("log", "")), folder and folder.parent) if told and ended else ""
    return CellState(given, state, folder, _stages(result, state), error, result, settings, told, words)


def _life(folder: Path | None, told: Mapping[str, Any] | None, alive: bool | None) -> State:
    """The state of a cell whose job has begun: by its own signs of life, or by its sweep's owner where it gives none.

    One that is gone, of an owner that lives, will be called failed by that or run again.
    """
    if folder is None or told is None:
        return State.stopped if alive is False else State.running
    if pulse.lives(told, pulse.silence(folder / pulse.NAME)):
        return State.running
    return State.queued if alive and not told.get("ended") else State.stopped


def _last_words(log: str, sweep: Path | None) -> str:
    """The last line that a process printed, where it had a file of its own in its sweep's folder, as submitit's do."""
    file = Path(log)
    if log and sweep is not None and file.is_relative_to(sweep.absolute()):
        with suppress(OSError), file.open("rb") as printed:
            printed.seek(max(0, file.stat().st_size - _TAIL))
            lines = printed.read().decode("utf-8", "replace").split("\n")
            return next((line.strip() for line in reversed(lines) if line.strip()), "")
    return ""


def _with_pulses(cells: Sequence[CellState]) -> list[CellState]:
    """The cells, each stage with what is known of who trains it; that may be another cell's job."""
    living: dict[str, Mapping[str, Any]] = {}
    for cell in cells:
        if cell.state is State.running and cell.pulse and (key := cell.pulse.get("key")):
            living[key] = max(living.get(key, {}), cell.pulse, key=lambda told: "epoch" in told)
    return [replace(cell, stages=[_with_pulse(stage, cell, living) for stage in cell.stages]) for cell in cells]


def _with_pulse(stage: StageState, cell: CellState, living: Mapping[str, Mapping[str, Any]]) -> StageState:
    if cell.state in (State.running, State.queued) and stage.state in (State.running, State.queued):
        told = living.get(stage.key)
        return replace(stage, state=State.running, pulse=told) if told else stage
    if stage.state in (State.stopped, State.failed) and cell.pulse and cell.pulse.get("key") == stage.key:
        return replace(stage, pulse=cell.pulse)
    return stage


def _finished(stage: Mapping[str, Any]) -> StageState:
    """The time that a cached stage took once was not spent in this cell."""
    if stage.get("cached"):
        return StageState(stage["stage"], stage["variant"], State.cached, None, stage)
    return StageState(stage["stage"], stage["variant"], State.done, stage.get("seconds"), stage)


def _planned(plan: Mapping[str, Any]) -> list[StageState]:
    return [StageState(stage["stage"], str(stage["variant"]), State.queued) for stage in plan.get("planned", ())]


def _stages(result: Mapping[str, Any], cell: State) -> list[StageState]:
    if result["status"] == "completed":
        return [_finished(stage) for stage in result["stages"]]
    if "progress" not in result:
        return _planned(result)
    states = {"waiting": State.queued, "running": cell, "done": State.done, "cached": State.cached}
    return [
        StageState(
            name=told["stage"],
            variant=told["variant"],
            state=states[told["state"]],
            seconds=told.get("seconds"),
            record=told.get("record"),
            key=str(told.get("key", "")),
        )
        for told in result["progress"]
    ]
