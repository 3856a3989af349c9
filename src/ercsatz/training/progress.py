"""How far a job's stages are, for whoever watches it."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ercsatz.training.graph import Stage

Tell = Callable[[list[dict[str, Any]]], None]


def tell_nobody(_: list[dict[str, Any]]) -> None:
    """Where nobody watches."""


@dataclass(frozen=True)
class Progress:
    """The stages that a job has to do, and what became of them so far.

    Whoever is told gets all of them at each change: ``stage``, ``variant``, ``key``, ``scored``, ``state`` (waiting,
    running, done or cached), of one that has begun ``started`` (seconds since 1970), of one that has ended ``seconds``
    and, if it is scored, its ``record`` as in a result's ``stages``.

    Attributes:
        stages: in the order in which they were planned.
        tell: is called at each change.
    """

    stages: Iterable[Stage]
    tell: Tell
    _told: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for stage in self.stages:
            known = {"stage": stage.name, "variant": stage.variant, "key": stage.key, "scored": stage.scored}
            self._told[stage.key] = {**known, "state": "waiting"}

    def begin(self, stage: Stage) -> None:
        """A stage is trained, loaded or waited for from now on."""
        self._change(stage, state="running", started=round(time.time(), 1))

    def end(self, stage: Stage, cached: bool, record: Mapping[str, Any] | None) -> None:
        """It is there, and scored if it is to be."""
        seconds = round(time.time() - self._told[stage.key]["started"], 1)
        more = {} if record is None else {"record": record}
        self._change(stage, state="cached" if cached else "done", seconds=seconds, **more)

    def _change(self, stage: Stage, **news: Any) -> None:
        self._told[stage.key] |= news
        self.tell(list(self._told.values()))
