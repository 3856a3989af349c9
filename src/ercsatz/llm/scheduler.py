"""Many units at a time, their outcomes in the plan's order; memory holds what is in flight and not more."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from typing import Generic, Protocol, TypeVar

from ercsatz.generators.interface import Answer, Request
from ercsatz.llm.endpoint_pool import StoppedError, UnansweredError, Window
from ercsatz.llm.journal import Journal
from ercsatz.llm.progress import ProgressState

Ask = Callable[[Request], Awaitable[Answer]]
Ready = Callable[[], Awaitable[None]]


class Indexed(Protocol):
    """What the engine has to know of a unit: its place among all, from 0."""

    @property
    def index(self) -> int: ...  # noqa: D102


Unit = TypeVar("Unit", bound=Indexed)
Outcome = TypeVar("Outcome")
REACH = 4096  # units that may be done before one that is not; bounds memory when one takes very long


class Engine(Generic[Unit, Outcome]):
    """Writes units from the journal where they are in it, and through the window where they are not.

    Args:
        write: makes a unit's requests and reads the answers.
        journal: is asked before any server.
        window: sends what is missing.
        worth: how many units beyond those taken are worth starting, by what is known of the goal.
        ready: called once, before the first request is sent, to probe the servers.
        state: is kept up to date for the progress panel.
    """

    def __init__(
        self,
        write: Callable[[Unit, Ask], Awaitable[Outcome]],
        journal: Journal,
        window: Window,
        ready: Ready,
        worth: Callable[[], int],
        state: ProgressState,
    ) -> None:
        self._write, self._journal, self._window, self._worth, self._state = write, journal, window, worth, state
        self._ready, self._is_ready, self._lock = ready, False, asyncio.Lock()
        self._refusals: list[tuple[Request, str]] = []
        self._finished: asyncio.Queue[tuple[int, Outcome | BaseException]] = asyncio.Queue()

    async def outcomes(self, units: Iterator[Unit], n: int | None = None) -> AsyncGenerator[Outcome, None]:
        """What became of each unit, in order. Ends early where the window is stopped.

        Args:
            units: to be asked about.
            n: how many they are, where that is known.

        Raises:
            UserError: an answer could not be written to the journal, or the servers are not what they should be.
        """
        tasks: dict[int, asyncio.Task[None]] = {}
        done: dict[int, Outcome] = {}
        begun, reached, cut, exhausted = 0, 0, False, False
        try:
            while True:
                while not exhausted and self._may_start(tasks, done):
                    unit = next(units, None)
                    exhausted = unit is None
                    if unit is not None:
                        tasks[begun] = asyncio.create_task(self._one(begun, unit))
                        self._state.asked = begun = begun + 1
                self._window.left = None if n is None else n - begun
                self._window.starved = exhausted or len(tasks) + len(done) >= self._most()
                if not tasks:
                    self._record_refusals()
                    return
                place, result = await self._finished.get()
                del tasks[place]
                if isinstance(result, StoppedError):
                    cut = True
                elif isinstance(result, BaseException):
                    raise result
                else:
                    done[place] = result
                    self._state.finish()
                while not cut and reached in done:
                    yield done.pop(reached)
                    reached += 1
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)

    def _may_start(self, tasks: dict[int, asyncio.Task[None]], done: dict[int, Outcome]) -> bool:
        """Those that wait to be sent again leave their place to others."""
        busy = len(tasks) - self._window.pausing
        return not self._window.stopping and busy < self._window.capacity and len(tasks) + len(done) < self._most()

    def _most(self) -> int:
        """Units that may be begun before the first of them is done with."""
        return min(REACH, self._worth())

    async def _one(self, place: int, unit: Unit) -> None:
        try:
            result: Outcome | BaseException = await self._write(unit, self._ask)
        except Exception as error:
            result = error
        self._finished.put_nowait((place, result))

    async def _ask(self, request: Request) -> Answer:
        answer = self._journal.find(request)
        if answer is not None:
            self._state.replayed += 1
            return answer
        if self._journal.is_refused(request):
            raise UnansweredError(refused=True)
        await self._make_ready()
        try:
            answer, seconds, server = await self._window.ask(request)
        except UnansweredError as error:
            self._state.given_up += 1
            if error.refused:
                self._refusals.append((request, str(error.__cause__)))
            raise
        self._record_refusals()
        self._journal.add(request, answer, seconds, server)
        state = self._state
        state.answered += 1
        state.prompt_tokens += answer.prompt_tokens or 0
        state.new_tokens += answer.new_tokens or 0
        return answer

    def _record_refusals(self) -> None:
        """Refusals are final once something else was answered: then they were about the request, not the server."""
        if self._window.error is None:
            for request, words in self._refusals:
                self._journal.add_refusal(request, words)
            self._refusals.clear()

    async def _make_ready(self) -> None:
        if self._is_ready:
            return
        async with self._lock:
            if self._window.stopping:
                raise StoppedError
            if not self._is_ready:
                await self._ready()
                self._is_ready = True
