"""Several tasks of one Slurm step, which srun started with the same command line: the first is the job.

The others start processes on their machines where the first one says so, and do nothing else: they read no
configuration, run no sweep, and write nothing. Imports nothing heavy: every command asks whether it is one of these.
"""

import atexit
import logging
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, NoReturn

from ercsatz import signals
from ercsatz.errors import UserError
from ercsatz.reporting.terminal import show_log

if TYPE_CHECKING:
    from pytorch_lightning.loggers import Logger

    from ercsatz.training.ranks.board import Board
    from ercsatz.training.ranks.messages import Message, Order

_LOG = logging.getLogger(__name__)
_PATIENCE = 10.0  # seconds for the others to hear that all is done
_SILENCE = 40.0  # seconds without a sign of life after which a task counts as dead
_PORTS = range(20_000, 30_000)


@dataclass(frozen=True)
class Step:
    """A step of several tasks.

    Attributes:
        tasks: how many.
        task: this one, from 0.
        local: this one on its machine, from 0.
        nodes: the step's machines, as Slurm writes them.
        id: of job and step.
    """

    tasks: int
    task: int
    local: int
    nodes: str
    id: str

    @property
    def port(self) -> int:
        """Where the first task listens; all work it out alike."""
        return _PORTS[int.from_bytes(self.id.encode()[-6:], "big") % len(_PORTS)]

    def numbers(self, of: int) -> range:
        """Which of all processes this task starts."""
        own = of // self.tasks
        return range(self.task * own, (self.task + 1) * own)


def step(variables: Mapping[str, str] = os.environ) -> Step | None:
    """The step that this process is one of several tasks of, or None. Only srun sets the number of a step's tasks."""
    tasks = int(variables.get("SLURM_STEP_NUM_TASKS", "1"))
    if tasks < 2:
        return None
    return Step(
        tasks,
        int(variables["SLURM_PROCID"]),
        int(variables.get("SLURM_LOCALID", "0")),
        variables["SLURM_STEP_NODELIST"],
        f"{variables['SLURM_JOB_ID']}.{variables['SLURM_STEP_ID']}",
    )


def join() -> None:
    """Begin a step: the first task goes on from here, and the others serve it and end with it."""
    own = step()
    if own is None:
        return
    if own.task:
        _serve(own)
    _lead(own)


@cache
def _lead(own: Step) -> "Board":
    """The board where orders are put up; the others end when this process does."""
    from ercsatz.training.ranks.board import Board

    board = Board(_address(own), own.port, keeps=True)
    atexit.register(_dismiss, board, own)
    return board


def _dismiss(board: "Board", own: Step) -> None:
    board.put("end")
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until and board.count("gone", 0) < own.tasks - 1:
        time.sleep(0.05)


def _address(own: Step) -> str:
    from lightning_fabric.plugins.environments.slurm import SLURMEnvironment

    return SLURMEnvironment.resolve_root_node_address(own.nodes)


def together(own: Step, order: "Order", of: int, loggers: Sequence["Logger"]) -> dict[str, Any]:
    """Train a stage in processes of all tasks; see ``processes.together``.

    Raises:
        UserError: as there, or the processes cannot be shared out among the tasks.
    """
    from ercsatz.training.ranks.board import Board
    from ercsatz.training.ranks.messages import Died
    from ercsatz.training.ranks.processes import Ranks, outcome

    if of % own.tasks:
        raise UserError(
            f"srun started {own.tasks} tasks, and trainer.devices x trainer.nodes is {of}: it must be a multiple of "
            "them. Take srun --ntasks-per-node=1, or trainer.devices and trainer.nodes as srun has them."
        )
    board, address = _lead(own), _address(own)
    meeting = Board(address, 0, keeps=True)
    ranks, number = Ranks(of, loggers), board.count("orders", 1)
    others = range(len(own.numbers(of)), of)
    pulse = _Pulse(board, own.tasks)

    def look() -> "dict[int, Message]":
        ended = ranks.look()
        for rank in others:
            if (end := board.find(f"ended/{number}/{rank}")) is not None:
                ended[rank] = end
            elif rank // len(own.numbers(of)) in pulse.silent():
                ended[rank] = Died(1)
        return ended

    try:
        board.put(f"order/{number}", (order, of, address, meeting.port))
        ranks.start(own.numbers(of), order, address, meeting.port, own.local * len(own.numbers(of)))
        return outcome(look, of, order.title)
    finally:
        board.put(f"over/{number}")
        ranks.end()


class _Pulse:
    """Which tasks give no sign of life any more."""

    def __init__(self, board: "Board", tasks: int) -> None:
        self._board = board
        self._last = dict.fromkeys(range(1, tasks), (-1, time.monotonic()))

    def silent(self) -> set[int]:
        now = time.monotonic()
        for task, (beats, _) in self._last.items():
            if (counted := self._board.count(f"beat/{task}", 0)) != beats:
                self._last[task] = counted, now
        return {task for task, (_, heard) in self._last.items() if now - heard > _SILENCE}


def _serve(own: Step) -> NoReturn:
    """Start processes as the first task says, until it ends."""
    from ercsatz.training.ranks.board import Board

    signals.serve()
    show_log()
    try:
        board = Board(_address(own), own.port, keeps=False)
        number = 1
        while not board.find("end"):
            board.count(f"beat/{own.task}", 1)
            if (order := board.find(f"order/{number}")) is not None:
                _obey(own, board, number, *order)
                number += 1
            time.sleep(0.2)
        board.count("gone", 1)
    except RuntimeError as error:
        _LOG.error("Task %d of the step lost the first one, which runs the job (%s).", own.task, _first_line(error))
        sys.exit(1)
    sys.exit(0)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _obey(own: Step, board: "Board", number: int, order: "Order", of: int, address: str, port: int) -> None:
    from ercsatz.training.ranks.processes import Ranks

    ranks = Ranks(of)
    try:
        ranks.start(own.numbers(of), order, address, port, own.local * len(own.numbers(of)))
        while not board.find(f"over/{number}"):
            board.count(f"beat/{own.task}", 1)
            for rank, end in ranks.look().items():
                board.put(f"ended/{number}/{rank}", end)
    finally:
        ranks.end()
