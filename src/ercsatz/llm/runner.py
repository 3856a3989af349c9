"""Ask a generator about the units of a plan, to its end or as far as is wanted.

Whoever asks plans the units, makes their requests and reads the answers. All else is here: who answers, how many
requests are in flight, what is sent again, what the journal has, how far it is, and what happens at Ctrl-C.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, aclosing
from typing import Any, Generic, Protocol, TypeVar

from ercsatz.errors import UserError
from ercsatz.generators.interface import Generator
from ercsatz.llm.endpoint_pool import Window
from ercsatz.llm.journal import Journal
from ercsatz.llm.lane import Lane
from ercsatz.llm.probe import identify
from ercsatz.llm.progress import ProgressState
from ercsatz.llm.scheduler import REACH, Ask, Engine, Indexed
from ercsatz.llm.stopping import on_signal

Unit = TypeVar("Unit", bound=Indexed)
Outcome = TypeVar("Outcome")
Write = Callable[[Unit, Ask], Awaitable[Outcome]]
Begin = Callable[[str], AbstractContextManager[Callable[[Outcome], bool]]]
Probe = Callable[[Window], Awaitable[None]]


class Display(AbstractContextManager[Any], Protocol):
    """Shows how far a run is, while the context is open."""

    def tick(self) -> None:
        """Show it, if it is time to."""
        ...

    async def beat(self) -> None:
        """Tick until cancelled."""
        ...


class Runner(Generic[Unit, Outcome]):
    """One run.

    Args:
        generator: whom to ask.
        journal: what was answered before, and will be.
        overwrite: whether another model may go on.
        state: is kept up to date.
        display: shows it.
        probe: tries out the servers before the first request; not called where all is in the journal.
    """

    def __init__(
        self,
        generator: Generator,
        journal: Journal,
        overwrite: bool,
        state: ProgressState,
        display: Display,
        probe: Probe | None = None,
    ) -> None:
        self._generator, self._journal, self._overwrite, self._probe = generator, journal, overwrite, probe
        self._state, self._display = state, display
        lanes = [Lane(server, generator.window) for server in generator.servers]
        self._window = Window(lanes, generator.tries, generator.patience, journal.add_failure, state)

    def run(
        self,
        write: Write[Unit, Outcome],
        units: Iterator[Unit],
        n: int | None,
        begin: Begin[Outcome],
        worth: Callable[[], int] = lambda: REACH,
    ) -> bool:
        """Ask about units and hand over what became of each, in their order.

        Args:
            write: makes a unit's requests and reads the answers.
            units: all that may be asked about.
            n: how many they are; of an endless plan ``None``.
            begin: from the model to what is given each outcome and says whether that is enough. Where all is there, it
                is left as usual, to write what is made of it; a run that is stopped raises in it.
            worth: how many units beyond those taken are worth starting.

        Returns:
            Whether the user wanted to stop it when all was there.

        Raises:
            UserError: the servers are not there or not right, or the disk is full.
            KeyboardInterrupt: the user stopped it; what was answered is in the journal.
        """
        try:
            asyncio.run(self._run(write, units, n, begin, worth))
        except asyncio.CancelledError:
            raise KeyboardInterrupt("Stopped at once. Answers that had come are in the journal.") from None
        return self._window.stopping

    async def _run(
        self,
        write: Write[Unit, Outcome],
        units: Iterator[Unit],
        n: int | None,
        begin: Begin[Outcome],
        worth: Callable[[], int],
    ) -> None:
        journal, generator = self._journal, self._generator
        try:
            model = await self._model()
            journal.answers_come_from(generator.settings, model, generator.sent, generator.dropped)
            engine = Engine(write, journal, self._window, self._meet, worth, self._state)
            async with on_signal(self._drain):
                with begin(model) as take:
                    with self._display:
                        whole = await self._collect(engine, units, n, take)
                    self._check_end(whole)
        finally:
            await self._window.close()

    async def _collect(
        self, engine: Engine[Unit, Outcome], units: Iterator[Unit], n: int | None, take: Callable[[Outcome], bool]
    ) -> bool:
        """Whether all was taken, or enough."""
        beat, taken = asyncio.create_task(self._display.beat()), 0
        try:
            async with aclosing(engine.outcomes(units, n)) as outcomes:
                async for outcome in outcomes:
                    taken += 1
                    if take(outcome):
                        return True
                    self._display.tick()
        finally:
            beat.cancel()
        return taken == n

    async def _model(self) -> str:
        """The model that the answers come from: the journal's, or the servers' where there is none yet.

        Raises:
            UserError: no server says which it has, and it matters.
        """
        journal = self._journal
        before: str | None = journal.fact("model") if journal.n_answers else None
        if before is not None and not self._overwrite:
            return before
        try:
            model, details = await identify(self._window.lanes)
        except UserError:
            if before is None:
                raise
            return before  # perhaps nothing has to be asked; if something has, it is tried again then
        journal.set_fact("model", model)
        journal.set_fact("servers", details)
        return model

    async def _meet(self) -> None:
        """Before the first request is sent: are the servers there, with the journal's model, and are they right?

        Raises:
            UserError: none is there, they have another model, or the probe finds something.
        """
        journal, window = self._journal, self._window
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
        if self._probe is not None:
            await self._probe(window)

    def _drain(self) -> None:
        """Send nothing more, and say so."""
        self._window.stop()
        self._state.note = f"stopping: waiting for {self._window.in_flight} answers; Ctrl-C again stops at once"

    def _check_end(self, whole: bool) -> None:
        goes_on = f"{self._journal.n_answers} answers are in the journal; the same command goes on from there."
        if self._window.error is not None:
            raise UserError(f"{self._window.error}\n{goes_on}") from self._window.error
        if not whole:
            raise KeyboardInterrupt(goes_on)
