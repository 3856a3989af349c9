"""The processes that train one stage together, seen from the job that starts them and is none of them.

The job keeps the lock, the result and the loggers. It needs no word of a process to see that it died, so that the
others never wait for one that is gone.
"""

import json
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any

from ercsatz import signals, threads
from ercsatz.config import registry
from ercsatz.errors import UserError
from ercsatz.training.ranks.board import Board
from ercsatz.training.ranks.messages import Died, Done, Failed, Logged, Message, Order

if TYPE_CHECKING:
    from pytorch_lightning.loggers import Logger

_LOOK = 0.2  # seconds until a process is looked after that may have died without a word
_OTHERS = 1.0  # seconds for the others to say what they know, once one has ended
_PATIENCE = 10.0  # seconds that a process has to end in order
_START = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1]); from ercsatz.training.ranks.worker import main; main()"
)
LOCAL = "127.0.0.1"


@dataclass
class _Rank:
    """One process.

    Attributes:
        number: from 0.
        process: its process.
        connection: to it.
        ended: what it said last, or how it died; None while it is at work.
    """

    number: int
    process: "subprocess.Popen[bytes]"
    connection: Connection
    ended: Message | None = None


@dataclass
class Ranks:
    """Those of them that run on this machine.

    Attributes:
        of: how many there are on all machines.
        loggers: what the first one's figures go to.
    """

    of: int
    loggers: Sequence["Logger"] = ()
    _own: list[_Rank] = field(default_factory=list)

    def start(self, numbers: Sequence[int], order: Order, address: str, port: int, first_device: int = 0) -> None:
        """Start processes, and tell them what to train.

        Args:
            numbers: of those that this machine has.
            order: what they train.
            address: of the machine where they find each other.
            port: there.
            first_device: the GPU of the first of these; counted anew where fewer are seen.
        """
        for device, number in enumerate(numbers, first_device):
            meeting = {"MASTER_ADDR": address, "MASTER_PORT": str(port), "TORCHELASTIC_USE_AGENT_STORE": "True"}
            ranks = {"RANK": str(number), "NODE_RANK": str(number), "LOCAL_RANK": "0", "WORLD_SIZE": str(self.of)}
            quiet = {"TORCH_CPP_LOG_LEVEL": os.environ.get("TORCH_CPP_LOG_LEVEL", "ERROR")}  # torch's advice on DDP
            rank = _started(number, {**threads.share(len(numbers)), **meeting, **ranks, **quiet})
            self._own.append(rank)
            with suppress(OSError):  # it is dying, and is found dead
                rank.connection.send_bytes(pickle.dumps((order, device)))

    def look(self) -> dict[int, Message]:
        """Wait a moment for what they say; how those ended that did since."""
        before = [rank for rank in self._own if rank.ended is None]
        wait([rank.connection for rank in before], _LOOK)
        for rank in before:
            gone = rank.process.poll() is not None  # first: it may say its last in between
            while rank.ended is None and rank.connection.poll():
                try:
                    self._take(rank, pickle.loads(rank.connection.recv_bytes()))
                except (EOFError, OSError):
                    gone = rank.process.wait() is not None
                    break
            if rank.ended is None and gone:
                rank.ended = Died(rank.process.returncode)
        return {rank.number: rank.ended for rank in before if rank.ended is not None}

    def _take(self, rank: _Rank, said: Message) -> None:
        if isinstance(said, Logged):
            getattr(self.loggers[said.logger], said.method)(*said.given, **said.named)
        else:
            rank.ended = said

    def end(self) -> None:
        """End them all: they see that the connection is closed."""
        for rank in self._own:
            rank.connection.close()
        until = time.monotonic() + _PATIENCE
        while any(rank.process.poll() is None for rank in self._own) and time.monotonic() < until:
            time.sleep(0.02)
        for rank in self._own:
            rank.process.kill()
            rank.process.wait()


def _started(number: int, variables: dict[str, str]) -> _Rank:
    ours, theirs = Pipe()
    line = [sys.executable, "-c", _START, json.dumps(sys.path), str(theirs.fileno())]
    # Lightning would take the tasks of a Slurm job for its own processes.
    outside = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
    with signals.kept_from_children():
        process = subprocess.Popen(
            line, env={**outside, **variables}, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()]
        )
    theirs.close()
    return _Rank(number, process, ours)


def together(order: Order, of: int, loggers: Sequence["Logger"]) -> dict[str, Any]:
    """Train a stage in several processes of this machine.

    Args:
        order: what is trained.
        of: how many processes.
        loggers: what the figures go to.

    Returns:
        The record that the first one returned.

    Raises:
        UserError: what one of them raised as such, or one died.
        RuntimeError: one raised something else; with its traceback.
    """
    meeting = Board(LOCAL, 0, keeps=True)
    ranks = Ranks(of, loggers)
    try:
        ranks.start(range(of), order, LOCAL, meeting.port)
        return outcome(ranks.look, of, order.title)
    finally:
        ranks.end()


def outcome(look: Callable[[], dict[int, Message]], of: int, title: str) -> dict[str, Any]:
    """Wait for all processes; the record of the first.

    Args:
        look: waits a moment; gives how those ended that did since.
        of: how many there are.
        title: of the stage.

    Raises:
        UserError: what one of them raised as such, or one died.
        RuntimeError: one raised something else; with its traceback.
    """
    ended: dict[int, Message] = {}
    while len(ended) < of:
        ended |= look()
        if any(not isinstance(end, Done) for end in ended.values()):
            until = time.monotonic() + _OTHERS
            while time.monotonic() < until and len(ended) < of:
                ended |= look()
            raise _cause(ended, of, title)
    first = ended[0]
    assert isinstance(first, Done)
    return dict(first.record)


def _cause(ended: dict[int, Message], of: int, title: str) -> Exception:
    """What ended the first of them; that the others lost it explains nothing."""
    for end in ended.values():
        if isinstance(end, Failed) and end.for_user:
            return UserError(end.words)
    for number, end in ended.items():
        if isinstance(end, Died):
            return UserError(
                f"{title}: process {number + 1} of {of} that trained it died ({signals.ended(end.status)}). The others "
                "were ended. The state after its last whole epoch is kept: the same command again goes on from there."
            )
    words = next(end.words for end in ended.values() if isinstance(end, Failed))
    return RuntimeError(f"{title}: one of the {of} processes that trained it failed:\n{words}")


def order_of(train: Callable[..., dict[str, Any]], accelerator: str, title: str, loggers: int) -> Order:
    """What processes are to train.

    Args:
        train: trains the stage; called with loggers and a place.
        accelerator: as ``trainer`` has it.
        title: of the stage.
        loggers: how many the job has.
    """
    return Order(registry.own_folders(), pickle.dumps(train), accelerator, title, loggers)
