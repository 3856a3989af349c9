"""One question about each unit of a plan, asked with one seed after the other until an answer can be read."""

import asyncio
import hashlib
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

from ercsatz.errors import UserError
from ercsatz.generators.interface import Answer, Generator, Request
from ercsatz.llm.endpoint_pool import UnansweredError
from ercsatz.llm.journal import Journal
from ercsatz.llm.progress import BEAT_EVERY, LINE_EVERY, ProgressState
from ercsatz.llm.runner import Probe, Runner, Write
from ercsatz.llm.scheduler import Ask, Indexed
from ercsatz.reporting.console import unfolded

_LOG = logging.getLogger(__name__)

Unit = TypeVar("Unit", bound=Indexed)
Result = TypeVar("Result")
Why = TypeVar("Why", bound=Enum)


class Attempted(Protocol[Why]):
    """What is noted about the attempts at a unit."""

    request: Request | None
    rejected: Counter[Why]


async def ask_until_read(
    noted: Attempted[Why],
    ask: Ask,
    request: Callable[[int], Request],
    read: Callable[[Answer], Result | Why],
    attempts: int,
    reasons: type[Why],
) -> Result | Why:
    """Ask with one seed after the other; gives what was read, or the last reason why nothing was.

    Args:
        noted: is given the last request and why answers were rejected.
        ask: gives the answer to a request.
        request: of an attempt, from 0.
        read: an answer, or why it cannot be read.
        attempts: how many at the most, one at least.
        reasons: why an answer may be rejected; has the member ``unanswered`` too.

    Raises:
        UnansweredError: an attempt got no answer.
    """
    result: Result | Why = reasons["unanswered"]
    for attempt in range(attempts):
        noted.request = request(attempt)
        result = read(await ask(noted.request))
        if not isinstance(result, reasons):
            break
        noted.rejected[result] += 1
    return result


@dataclass(slots=True)
class Outcome(Generic[Unit, Result, Why]):
    """What became of a unit.

    Attributes:
        unit: as planned.
        result: what was read, or the last reason why nothing was.
        request: the last one that was sent.
        rejected: why answers were rejected; of a unit that was asked about again there may be several.
    """

    unit: Unit
    result: Result | Why
    request: Request | None = None
    rejected: Counter[Why] = field(default_factory=Counter)


async def persist(
    unit: Unit,
    ask: Ask,
    request: Callable[[int], Request],
    read: Callable[[Answer], Result | Why],
    attempts: int,
    reasons: type[Why],
) -> Outcome[Unit, Result, Why]:
    """What becomes of a unit that is asked about until an answer can be read; as ``ask_until_read``.

    Args:
        unit: what is asked about.
        ask: gives the answer to a request.
        request: of an attempt, from 0.
        read: an answer, or why it cannot be read.
        attempts: how many at the most.
        reasons: has the members ``refused`` and ``unanswered`` too.
    """
    outcome = Outcome[Unit, Result, Why](unit, reasons["unanswered"])
    try:
        outcome.result = await ask_until_read(outcome, ask, request, read, attempts, reasons)
    except UnansweredError as error:
        outcome.result = reasons["refused" if error.refused else "unanswered"]
    return outcome


class HopelessError(UserError):
    """None of the first answers can be read, so that there is no use in going on."""


class Counted(Protocol[Why]):
    """What a tally has to know of an outcome."""

    @property
    def result(self) -> Any: ...  # noqa: D102
    @property
    def rejected(self) -> Counter[Why]: ...  # noqa: D102


@dataclass(slots=True)
class Tally(Generic[Why]):
    """Units done with, those of them that have a result, and why the others have none.

    Attributes:
        of: what the units are, in the plural.
        hopeless: so many, all without an answer that can be read, end the run.
        taken: those done with.
        used: those of them that have a result.
        without: why the others have none.
        rejected: answers by why they were rejected.
    """

    of: str
    hopeless: int
    taken: int = 0
    used: int = 0
    without: Counter[Why] = field(default_factory=Counter)
    rejected: Counter[Why] = field(default_factory=Counter)

    def count(self, outcome: Counted[Why]) -> None:
        """Count one more.

        Raises:
            HopelessError: none of the first ``hopeless`` has an answer that can be read.
        """
        self.taken += 1
        self.rejected.update(outcome.rejected)
        why: Any = outcome.result
        if isinstance(outcome.result, Enum):
            self.without[why] += 1
        else:
            self.used += 1
        if not self.used and self.taken == self.hopeless:
            raise HopelessError(
                f"The first {self.hopeless} {self.of} have no answer that can be read, so the run stopped. "
                f"{self.reasons}"
            )

    @property
    def reasons(self) -> str:
        """Why units have no result, the most frequent first, in words."""
        return "; ".join(f"{why.name} {count} ({why.value})" for why, count in self.without.most_common())


def inquire(
    generator: Generator,
    journal: Journal,
    overwrite: bool,
    write: Write[Unit, Outcome[Unit, Result, Why]],
    units: Iterator[Unit],
    n: int,
    tally: Tally[Why],
    begin: Callable[[str], AbstractContextManager[Callable[[Outcome[Unit, Result, Why]], None]]],
    probe: Probe | None = None,
) -> None:
    """Ask about all units and hand over what became of each, in their order; say how it went.

    Args:
        generator: whom to ask.
        journal: what was answered before, and will be.
        overwrite: whether another model may go on.
        write: makes a unit's requests and reads the answers.
        units: all.
        n: how many they are.
        tally: counts.
        begin: from the model to what is given each outcome; a run that is stopped raises in it.
        probe: tries out the servers before the first request.

    Raises:
        UserError: the servers are not there or not right, nothing can be read, or the disk is full.
        KeyboardInterrupt: the user stopped it.
    """

    @contextmanager
    def counting(model: str) -> Iterator[Callable[[Outcome[Unit, Result, Why]], bool]]:
        with begin(model) as take:

            def count(outcome: Outcome[Unit, Result, Why]) -> bool:
                take(outcome)
                tally.count(outcome)
                return False

            yield count

    state = ProgressState(None, "", ())
    runner = Runner[Unit, Outcome[Unit, Result, Why]](
        generator, journal, overwrite, state, Lines(state, tally, n), probe
    )
    try:
        runner.run(write, units, n, counting)
    except HopelessError as error:
        if not state.given_up:
            raise
        raise HopelessError(f"{error} The last words: {state.last_words}") from error
    unfolded().print(state.summary())
    if tally.without:
        _LOG.warning("%d %s without: %s", tally.without.total(), tally.of, tally.reasons)
    if any(why.name == "unanswered" for why in tally.without):
        _LOG.warning("The same command asks again for those that got no answer. The last words: %s", state.last_words)


class Lines:
    """Says how far an inquiry is, now and then in a line, while the context is open.

    Args:
        state: is read, not copied.
        tally: likewise.
        n: units in all.
    """

    def __init__(self, state: ProgressState, tally: Tally[Any], n: int) -> None:
        self._state, self._tally, self._n = state, tally, n
        self._due, self._noted = time.monotonic() + LINE_EVERY, ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._say_note()
        _LOG.info("%s", self._line())

    def tick(self) -> None:
        """Say what is new or due."""
        self._say_note()
        if time.monotonic() >= self._due:
            self._due += LINE_EVERY
            _LOG.info("%s", self._line())

    async def beat(self) -> None:
        """Tick until cancelled."""
        while True:
            self.tick()
            await asyncio.sleep(BEAT_EVERY)

    def _line(self) -> str:
        state, tally = self._state, self._tally
        seconds = sum(state.waits.seconds().values())
        line = (
            f"{state.finished:,} of {self._n:,} {tally.of}; {state.answered:,} answers "
            f"({state.answered / seconds:.1f}/s), "
            f"{state.replayed:,} more from the journal; {state.in_flight:,} in flight"
        )
        if tally.rejected:
            line += "; rejected: " + ", ".join(
                f"{reason.name} {count}" for reason, count in tally.rejected.most_common()
            )
        if state.down:
            line += f"; down: {', '.join(state.down)}"
        return line

    def _say_note(self) -> None:
        if self._state.note != self._noted:
            self._noted = self._state.note
            if self._noted:
                _LOG.info("%s", self._noted)


def templates_sha256(folder: Path) -> str:
    """SHA-256 (hex) of the templates in a folder, in the order of their names."""
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in sorted(folder.glob("*.j2")))).hexdigest()
