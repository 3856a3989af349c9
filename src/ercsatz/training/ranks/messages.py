"""What a job and the processes that train a stage for it say to each other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Order:
    """What processes are to train.

    Attributes:
        folders: config folders of the user's.
        train: trains the stage, with loggers and a place; pickled: its settings may be of classes in these folders.
        accelerator: as ``trainer`` has it.
        title: of the stage.
        loggers: how many loggers the job has.
    """

    folders: Sequence[Path]
    train: bytes
    accelerator: str
    title: str
    loggers: int


@dataclass(frozen=True)
class Logged:
    """The first process calls a method of one of the job's loggers."""

    logger: int
    method: str
    given: tuple[Any, ...]
    named: Mapping[str, Any]


@dataclass(frozen=True)
class Done:
    """A process is done.

    Attributes:
        record: what ``train_stage`` returned.
    """

    record: Mapping[str, Any]


@dataclass(frozen=True)
class Failed:
    """A process raised an error.

    Attributes:
        words: of a user's error its message, else the traceback.
        for_user: whether it is one.
    """

    words: str
    for_user: bool


@dataclass(frozen=True)
class Died:
    """A process ended without a word.

    Attributes:
        status: as ``subprocess`` gives it.
    """

    status: int


Message = Logged | Done | Failed | Died
