"""Ask about every unit of a plan, to its end; as for dialogues, each answer is in a journal before it is used.

What all runs share that ask a generator is here too: who answers, and what happens at Ctrl-C.
"""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, aclosing, suppress
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from rich.console import Console

from ercsatz.errors import UserError
from ercsatz.generators.interface import Answer, Generator, Request
from ercsatz.llm.endpoint_pool import Lane, UnansweredError, Window
from ercsatz.llm.journal import Journal
from ercsatz.llm.probe import identify
from ercsatz.llm.progress import State
from ercsatz.llm.scheduler import REACH, Ask, Engine, Indexed
from ercsatz.llm.stopping import on_signal

LINE_EVERY = 30.0  # seconds between lines that say how far it is

Unit = TypeVar("Unit", bound=Indexed)
Result = TypeVar("Result")
Why = TypeVar("Why", bound=Enum)


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
    """Ask with one seed after the other until an answer can be read.

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
        for attempt in range(attempts):
            outcome.request = request(attempt)
            outcome.result = read(await ask(outcome.request))
            if not isinstance(outcome.result, reasons):
                return outcome
            outcome.rejected[outcome.result] += 1
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


def templates_sha256(folder: Path) -> str:
    """SHA-256 (hex) of the templates in a folder, in the order of their names."""
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in sorted(folder.glob("*.j2")))).hexdigest()


def open_window(generator: Generator, journal: Journal, state: State) -> Window:
    """The window through which a generator is asked, as it is configured."""
    lanes = [Lane(server, generator.window) for server in generator.servers]
    return Window(lanes, generator.tries, generator.patience, journal.add_failure, state)


async def model_of(journal: Journal, window: Window, overwrite: bool) -> str:
    """The model that the answers come from: the journal's, or the servers' where there is none yet.

    Raises:
        UserError: no server says which it has, and it matters.
    """
    before: str | None = journal.fact("model") if journal.n_answers else None
    if before is not None and not overwrite:
        return before
    try:
        model, details = await identify(window.lanes)
    except UserError:
        if before is None:
            raise
        return before  # perhaps nothing has to be asked; if something has, it is tried again then
    journal.set_fact("model", model)
    journal.set_fact("servers", details)
    return model


async def meet(journal: Journal, window: Window) -> str:
    """Before the first request is sent: are the servers there, with the journal's model? Gives that.

    Raises:
        UserError: none is there, or they have another.
    """
    model, details = await identify(window.lanes)
    before = journal.fact("model")
    if model != before:
        raise UserError(
            f"The answers in {journal.path} come from {before}, but the server has {model}. Serve that one, begin "
            f"another journal with {journal.node}journal=FILE, or ask all again with {journal.node}overwrite=true."
        )
    journal.set_fact("servers", details)
    window.model = model
    for lane in window.lanes:
        if not lane.up:
            window.watch(lane)
    return model


def drain(window: Window, state: State) -> None:
    """Send nothing more, and say so."""
    window.stop()
    state.note = f"stopping: waiting for {window.in_flight} answers; Ctrl-C again stops at once"


class Inquiry(Generic[Unit, Result, Why]):
    """One run over all units of a plan.

    Args:
        generator: whom to ask.
        journal: what was answered before, and will be.
        overwrite: whether another model may go on.
        probe: tries out every server that is up before the first request; not called where all is in the journal.
    """

    def __init__(
        self,
        generator: Generator,
        journal: Journal,
        overwrite: bool,
        probe: Callable[[Window, Lane], Awaitable[None]] | None = None,
    ) -> None:
        self._generator, self._journal, self._overwrite, self._probe = generator, journal, overwrite, probe
        self._state = State(None, "", ())
        self._window = open_window(generator, journal, self._state)

    async def run(
        self,
        write: Callable[[Unit, Ask], Awaitable[Outcome[Unit, Result, Why]]],
        units: Iterator[Unit],
        n: int,
        tally: Tally[Why],
        begin: Callable[[str], AbstractContextManager[Callable[[Outcome[Unit, Result, Why]], None]]],
        console: Console,
    ) -> None:
        """Ask about all units and hand over what became of each, in their order.

        Args:
            write: makes a unit's requests and reads the answers.
            units: all.
            n: how many they are.
            tally: counts.
            begin: from the model to what is given each outcome; a run that is stopped raises in it.
            console: told how far it is.

        Raises:
            UserError: the servers are not there or not right, nothing can be read, or the disk is full.
            KeyboardInterrupt: the user stopped it.
        """
        state, window, journal, generator = self._state, self._window, self._journal, self._generator
        try:
            model = await model_of(journal, window, self._overwrite)
            journal.answers_come_from(generator.settings, model, generator.sent, generator.dropped)
            engine = Engine(write, journal, window, self._ready, lambda: REACH, state)
            async with on_signal(partial(self._stop, console)):
                with begin(model) as take:
                    beat = asyncio.create_task(_tell_now_and_then(console, state, tally, n))
                    try:
                        async with aclosing(engine.outcomes(units)) as outcomes:
                            async for outcome in outcomes:
                                take(outcome)
                                tally.count(outcome)
                    finally:
                        beat.cancel()
                        _tell(console, state, tally, n)
                    self._check_end(tally.taken, n)
        finally:
            await window.close()
        console.print(state.summary())
        if tally.without:
            console.print(f"{tally.without.total()} {tally.of} without: {tally.reasons}", soft_wrap=True)
        if any(why.name == "unanswered" for why in tally.without):
            console.print("The same command asks again for those that got no answer.")

    async def _ready(self) -> None:
        await meet(self._journal, self._window)
        if self._probe is not None:
            await asyncio.gather(*(self._probe(self._window, lane) for lane in self._window.lanes if lane.up))

    def _stop(self, console: Console) -> None:
        drain(self._window, self._state)
        with suppress(OSError):
            console.print(self._state.note)

    def _check_end(self, taken: int, n: int) -> None:
        goes_on = f"{self._journal.n_answers} answers are in the journal; the same command goes on from there."
        if self._window.error is not None:
            raise UserError(f"{self._window.error}\n{goes_on}") from self._window.error
        if taken < n:
            raise KeyboardInterrupt(goes_on)


async def _tell_now_and_then(console: Console, state: State, tally: Tally[Any], n: int) -> None:
    while True:
        await asyncio.sleep(LINE_EVERY)
        _tell(console, state, tally, n)


def _tell(console: Console, state: State, tally: Tally[Any], n: int) -> None:
    seconds = sum(state.waits.seconds().values())
    line = (
        f"{state.finished:,} of {n:,} {tally.of}; {state.answered:,} answers ({state.answered / seconds:.1f}/s), "
        f"{state.replayed:,} more from the journal; {state.in_flight:,} in flight"
    )
    if tally.rejected:
        line += "; rejected: " + ", ".join(f"{reason.name} {count}" for reason, count in tally.rejected.most_common())
    if state.down:
        line += f"; down: {', '.join(state.down)}"
    with suppress(OSError):  # a run goes on when nobody listens any more
        console.print(line, soft_wrap=True, markup=False, highlight=False)
