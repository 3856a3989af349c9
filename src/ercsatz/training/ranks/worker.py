"""One of the processes that train a stage together: what it runs."""

import logging
import os
import pickle
import sys
import threading
import traceback
from multiprocessing.connection import Connection
from typing import Any

from pytorch_lightning.loggers import Logger
from pytorch_lightning.loggers.logger import DummyLogger

from ercsatz import signals
from ercsatz.config import registry
from ercsatz.errors import UserError
from ercsatz.reporting.status import message
from ercsatz.reporting.terminal import show_log
from ercsatz.training.ranks.messages import Done, Failed, Logged, Message, Order
from ercsatz.training.ranks.share import Place


class Relay(Logger):
    """A logger that hands what Lightning logs on to one of the job's."""

    def __init__(self, connection: Connection, number: int) -> None:
        super().__init__()
        self._connection, self._number = connection, number

    @property
    def name(self) -> str:
        """None of its own."""
        return "relay"

    @property
    def version(self) -> int:
        """None of its own."""
        return self._number

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Hand figures on."""
        _say(self._connection, Logged(self._number, "log_metrics", (metrics, step), {}))

    def log_hyperparams(self, params: Any, *given: Any, **named: Any) -> None:
        """Hand settings on."""
        _say(self._connection, Logged(self._number, "log_hyperparams", (params, *given), named))


def _say(connection: Connection, said: Message) -> None:
    connection.send_bytes(pickle.dumps(said))


def main() -> None:
    """Train what the job says, tell it what became of it, and stay until the job has heard of all processes."""
    signals.serve()
    show_log()
    connection = Connection(int(sys.argv[-1]))
    place = Place(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))
    if place.rank:  # the first one speaks for all
        for name in ("ercsatz", "pytorch_lightning"):
            logging.getLogger(name).setLevel(logging.ERROR)
    order, device = _received(connection)
    job = threading.Thread(target=_outlive_nobody, args=(connection,), daemon=True)
    job.start()
    _say(connection, _outcome(connection, order, device, place))
    job.join()  # leaving now would break what another process is still told


def _received(connection: Connection) -> tuple[Order, int]:
    try:
        order, device = pickle.loads(connection.recv_bytes())
    except (EOFError, OSError):
        os._exit(1)
    return order, device


def _outcome(connection: Connection, order: Order, device: int, place: Place) -> Message:
    try:
        return Done(_trained(connection, order, device, place))
    except Exception as error:
        signals.check()
        known = isinstance(error, UserError)
        return Failed(message(error) if known else traceback.format_exc(), known)


def _trained(connection: Connection, order: Order, device: int, place: Place) -> dict[str, Any]:
    import torch

    registry.open_folders(order.folders)
    if torch.cuda.is_available() and order.accelerator != "cpu":
        torch.cuda.set_device(device % torch.cuda.device_count())
    loggers: list[Logger] = [Relay(connection, number) for number in range(order.loggers)]
    record: dict[str, Any] = pickle.loads(order.train)(loggers if place.rank == 0 else [DummyLogger()], place)
    return record


def _outlive_nobody(connection: Connection) -> None:
    """End when the job does, or has what it wants: its end of the connection is closed."""
    try:
        connection.recv_bytes()
    except (EOFError, OSError):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)
