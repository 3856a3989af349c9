"""Many units at a time, their outcomes in the plan's order; memory holds what is in flight and not more."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator

from ercsatz.generation.journal import Journal
from ercsatz.generation.plan import Unit
from ercsatz.generation.progress import State
from ercsatz.generation.window import StoppedError, UnansweredError, Window
from ercsatz.generation.write import Outcome, Writer
from ercsatz.generators.interface import Answer, Request

Ready = Callable[[Request], Awaitable[None]]
REACH = 4096  # units that may be done before one that is not; bounds memory when one takes very long


class Engine:
    """Writes units from the journal where they are in it, and through the window where they are not.

    Args:
        writer: makes requests and reads answers.
        journal: is asked before any server.
        window: sends what is missing.
        worth: how many units beyond those taken are worth starting, by what is known of the goal.
        ready: called once, with the first request before it is sent, to probe the servers.
        state: is kept up to date for the progress panel.
    """

    def __init__(
        self, writer: Writer, journal: Journal, window: Window, ready: Ready, worth: Callable[[], int], state: State
    ) -> None:
        self._writer, self._journal, self._window, self._worth, self._state = writer, journal, window, worth, state
        self._ready, self._is_ready, self._lock = ready, False, asyncio.Lock()
        self._finished: asyncio.Queue[tuple[int, Outcome | BaseException]] = asyncio.Queue()

    async def outcomes(self, units: Iterator[Unit]) -> AsyncGenerator[Outcome, None]:
        """What became of each unit, in order. Ends early where the window is stopped.

        Raises:
            UserError: an answer could not be written to the journal, or the servers are not what they should be.
        """
        tasks: dict[int, asyncio.Task[None]] = {}
        done: dict[int, Outcome] = {}
        reached, cut = 0, False
        try:
            while True:
                while not self._window.starved and self._may_start(tasks, done):
                    unit = next(units, None)
                    self._window.starved = unit is None
                    if unit is not None:
                        self._state.asked += 1
                        tasks[unit.index] = asyncio.create_task(self._one(unit))
                if not tasks:
                    return
                index, result = await self._finished.get()
                del tasks[index]
                if isinstance(result, StoppedError):
                    cut = True
                elif isinstance(result, BaseException):
                    raise result
                else:
                    done[index] = result
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
        busy, ahead = len(tasks) - self._window.pausing, len(tasks) + len(done)
        return not self._window.stopping and busy < self._window.capacity and ahead < min(REACH, self._worth())

    async def _one(self, unit: Unit) -> None:
        try:
            result: Outcome | BaseException = await self._writer.write(unit, self._ask)
        except Exception as error:
            result = error
        self._finished.put_nowait((unit.index, result))

    async def _ask(self, request: Request) -> Answer:
        answer = self._journal.find(request)
        if answer is not None:
            self._state.replayed += 1
            return answer
        if self._journal.is_refused(request):
            raise UnansweredError(refused=True)
        await self._make_ready(request)
        try:
            answer, seconds, server = await self._window.ask(request)
        except UnansweredError as error:
            if error.refused:
                self._journal.add_refusal(request, str(error.__cause__))
            raise
        self._journal.add(request, answer, seconds, server)
        state = self._state
        state.answered += 1
        state.prompt_tokens += answer.prompt_tokens or 0
        state.new_tokens += answer.new_tokens or 0
        return answer

    async def _make_ready(self, request: Request) -> None:
        if self._is_ready:
            return
        async with self._lock:
            if self._window.stopping:
                raise StoppedError
            if not self._is_ready:
                await self._ready(request)
                self._is_ready = True
