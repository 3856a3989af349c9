"""A bounded number of requests in flight on each server, with no batches and no barriers.

The bound shrinks on 429 and time-outs and grows back with answers (AIMD). A request that failed joins the same queue
again after a jittered pause. A server that is down is set aside and asked after until it is back; one that falls silent
is given nothing until it has answered. Where there is a choice, and towards the end, the quicker servers get more.
"""

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Callable, Sequence

from ercsatz.errors import UserError
from ercsatz.generators.interface import (
    Answer,
    BusyError,
    FailedError,
    RefusedError,
    Request,
    ServerError,
    TimedOutError,
    UnreachableError,
)
from ercsatz.llm.lane import LEAST_SILENCE, Lane
from ercsatz.llm.progress import ProgressState

_LOG = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds before a failed request is sent again; doubles with every failure
LONGEST_HOLD = 900.0  # seconds; whatever Retry-After says
REFUSED_TRIES = 4  # of one request; proxies refuse now and then what they take a second later
REFUSALS = 5  # different requests refused in a row, after which the run stops
FATAL = (401, 403, 404)  # the answer to every request
KINDS = {
    BusyError: "busy",
    TimedOutError: "timed out",
    FailedError: "failed",
    UnreachableError: "unreachable",
    RefusedError: "refused",
}


class StoppedError(Exception):
    """The window takes no more requests."""


class UnansweredError(Exception):
    """A request was given up; ``refused`` says whether the server would not take it."""

    def __init__(self, refused: bool) -> None:
        super().__init__()
        self.refused = refused


class Window:
    """Sends requests to servers and stays with each until it is answered or given up.

    Args:
        lanes: one at least.
        tries: how often a request may fail.
        patience: seconds that all servers may be down, or take nothing.
        failed: told of every failure: request, kind, words, server.
        state: is told what the window is doing.

    Attributes:
        lanes: a lane for each server.
        model: what a server that comes back must still have.
        error: why the window was stopped, where the user did not do it.
        probing: set while only the start-up probe is sent.
        starved: set while there is nothing more to be asked.
        left: how many units have not been begun; ``None``: nobody knows.
        pausing: how many requests wait to be sent again.
    """

    def __init__(
        self,
        lanes: Sequence[Lane],
        tries: int,
        patience: float,
        failed: Callable[[Request, str, str, str], None],
        state: ProgressState,
    ) -> None:
        self.lanes = lanes
        self.model: str | None = None
        self.error: UserError | None = None
        self._tries, self._patience, self._failed, self._state = tries, patience, failed, state
        self._queue: deque[asyncio.Future[None]] = deque()
        self._refused: set[tuple[int, str, int]] = set()
        self._stopping = asyncio.Event()
        self.pausing = 0
        self._dark_since: float | None = None
        self._busy_since: float | None = None  # without an answer in between
        self._watches: dict[Lane, asyncio.Task[None]] = {}
        self.starved = self.probing = False
        self.left: int | None = None

    @property
    def in_flight(self) -> int:
        """On all servers."""
        return sum(lane.in_flight for lane in self.lanes)

    @property
    def bound(self) -> int:
        """On all servers that are up."""
        return sum(int(lane.bound) for lane in self.lanes if lane.up)

    @property
    def capacity(self) -> int:
        """The most that can ever be in flight."""
        return sum(lane.cap for lane in self.lanes)

    def stop(self, error: UserError | None = None) -> None:
        """Send nothing more; what is in flight is still waited for. The first error given is kept."""
        self.error = self.error or error
        self._stopping.set()
        self._wake()

    @property
    def stopping(self) -> bool:
        """Whether nothing more is sent."""
        return self._stopping.is_set()

    async def ask(self, request: Request, only: Lane | None = None) -> tuple[Answer, float, str]:
        """An answer, the seconds it took, and the server it is from.

        Args:
            request: to be answered.
            only: the server that is to answer it; any if left out.

        Raises:
            StoppedError: the window was stopped before the request was sent (again).
            UnansweredError: it failed too often, or the only server is down.
        """
        failures = refusals = 0
        lane: Lane | None = None
        while True:
            lane = await self._free_lane([only] if only else self.lanes, lane)
            try:
                result = await self._send(lane, request)
            finally:
                self._release(lane)
            if not isinstance(result, ServerError):
                return result
            failures += not isinstance(result, BusyError)
            refusals += isinstance(result, RefusedError)
            if failures >= self._tries or refusals >= REFUSED_TRIES:
                raise UnansweredError(isinstance(result, RefusedError)) from result
            await self._pause(failures)

    async def close(self) -> None:
        """Stop asking after servers that are down, and give back connections."""
        for watch in self._watches.values():
            watch.cancel()
        await asyncio.gather(*self._watches.values(), return_exceptions=True)
        for lane in self.lanes:
            await lane.server.close()

    async def _send(self, lane: Lane, request: Request) -> tuple[Answer, float, str] | ServerError:
        sent_at = time.monotonic()
        try:
            with lane.sending(sent_at):
                answer = await lane.server.answer(request)
        except ServerError as error:
            kind = next((kind for each, kind in KINDS.items() if isinstance(error, each)), "failed")
            self._state.retries[kind] += 1
            self._failed(request, kind, str(error), lane.server.name)
            self._state.last_words = f"{lane.server.name}: {error}"
            self._react(error, request, lane, sent_at)
            return error
        now = time.monotonic()
        if request.max_new_tokens is None:  # else a probe, whose answers are short
            lane.hear(now, now - sent_at)
        self._state.servers[lane.server.name] = (lane.answered, int(lane.bound))
        self._leave_out_silent(lane, now)
        self._refused.clear()
        if self._busy_since is not None and not self.stopping:
            self._busy_since, self._state.note = None, ""
        return answer, now - sent_at, lane.server.name

    def _react(self, error: ServerError, request: Request, lane: Lane, sent_at: float) -> None:
        now = time.monotonic()
        if isinstance(error, BusyError | TimedOutError):
            lane.shrink(sent_at, now, refused=isinstance(error, BusyError))
        if isinstance(error, BusyError):
            self._bear(error, lane, now)
        if isinstance(error, UnreachableError):
            self._set_up(lane, False)
        if isinstance(error, TimedOutError | FailedError | UnreachableError):
            self.watch(lane)
        if isinstance(error, RefusedError):
            self._refused.add((request.index, request.step.value, request.attempt))
            if error.status in FATAL or error.status < 400 or len(self._refused) >= REFUSALS:
                self.stop(UserError(f"{lane.server.name} refuses the requests. It says: {error}"))

    def _bear(self, error: BusyError, lane: Lane, now: float) -> None:
        """Hold back as long as a busy server asks for, but not for ever: while nothing else is on its way, say so."""
        hold = min(error.retry_after or 0.0, LONGEST_HOLD, self._patience + 1)
        if hold > 0:
            lane.not_before = max(lane.not_before, now + hold)
            asyncio.get_running_loop().call_later(hold, self._wake)
        self._busy_since = now if self._busy_since is None else self._busy_since
        if self.in_flight > 1 or self.stopping:  # what is on its way may still be answered
            return
        if now - self._busy_since > self._patience:
            for_long = f"{lane.server.name} has taken no request for {self._patience:g} s (generator.patience)."
            self.stop(UserError(f"{for_long} It says: {error}"))
        else:
            pause = f" in {hold:.0f} s" if hold > 0 else ""
            self._state.note = f"{lane.server.name} is busy and is asked again{pause}; it says: {error}"

    def _leave_out_silent(self, answering: Lane, now: float) -> None:
        """Give nothing to servers that say nothing while another one answers."""
        for lane in self.lanes:
            if lane is not answering and lane.is_silent(now, answering.seconds):
                _LOG.warning("%s has fallen silent; it is given nothing until it answers.", lane.server.name)
                lane.leave_out()
                self.watch(lane)

    def watch(self, lane: Lane) -> None:
        """Ask after a server that failed; while it is not well it gets nothing."""
        if lane not in self._watches:
            self._watches[lane] = asyncio.create_task(self._watch(lane))

    async def _watch(self, lane: Lane) -> None:
        delay = 0.5
        while not await self._is_well(lane):
            self._set_up(lane, False)
            if self._dark_since is not None and time.monotonic() - self._dark_since > self._patience:
                self.stop(UserError(f"{lane.server.name} has been down for {self._patience:g} s (generator.patience)."))
            await asyncio.sleep(delay)
            delay = min(delay * 1.5, 10.0)
        del self._watches[lane]
        if not lane.up:
            lane.come_back()
            self._set_up(lane, True)
        self._wake()

    async def _is_well(self, lane: Lane) -> bool:
        """Whether a server can do its share; one that is back must still be the same."""
        if not await lane.server.healthy():
            return False
        if lane.up:
            return True
        try:
            identity = await lane.server.identify()
        except ServerError:
            return False
        except UserError as error:
            self.stop(error)
            return False
        if self.model not in (None, identity.model):
            name = lane.server.name
            self.stop(UserError(f"{name} came back with another model: {identity.model}, before it was {self.model}."))
        lane.apply(identity)
        return True

    def _set_up(self, lane: Lane, up: bool) -> None:
        lane.up = up
        if any(other.up for other in self.lanes):
            self._dark_since = None
        elif self._dark_since is None:
            self._dark_since = time.monotonic()
        self._state.down = tuple(other.server.name for other in self.lanes if not other.up)
        self._mark()

    async def _free_lane(self, lanes: Sequence[Lane], failed: Lane | None) -> Lane:
        """The server with most room for its speed; another one than where the request failed, if there is one."""
        while True:
            if self.stopping:
                raise StoppedError
            now = time.monotonic()
            if len(lanes) < len(self.lanes) and not lanes[0].up:
                raise UnansweredError(refused=False)
            free = [lane for lane in lanes if lane.free(now)]
            in_time = [lane for lane in free if len(lanes) == 1 or not self._too_late(lane, now)]
            if in_time:
                lane = min(in_time, key=lambda lane: (lane is failed, lane.cost(), lane.in_flight / lane.bound))
                lane.take()
                self._mark()
                return lane
            loop = asyncio.get_running_loop()
            if free:
                loop.call_later(LEAST_SILENCE, self._wake)  # a quicker server may have fallen silent
            turn = loop.create_future()
            self._queue.append(turn)
            await turn

    def _too_late(self, lane: Lane, now: float) -> bool:
        """Whether the quicker servers will have answered all that is left before this one has answered one."""
        if self.left is None:
            return False
        quicker = sum(
            other.rate
            for other in self.lanes
            if other.up and other.seconds < lane.seconds and not other.is_silent(now, lane.seconds)
        )
        return quicker > 0 and (self.left + len(self._queue) + 1) / quicker < lane.seconds

    def _release(self, lane: Lane) -> None:
        lane.give_back()
        self._mark()
        self._wake()

    def _wake(self) -> None:
        """Let as many that wait look for a server as there is room for; all, when the window is being stopped."""
        now = time.monotonic()
        room = sum(int(lane.bound) - lane.in_flight for lane in self.lanes if lane.free(now))
        while self._queue and (room > 0 or self.stopping):
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(None)
                room -= 1

    async def _pause(self, failures: int) -> None:
        longest = min(FIRST_PAUSE * 2 ** max(failures - 1, 0), LONGEST_PAUSE)
        self.pausing += 1
        self._mark()
        try:
            await asyncio.wait_for(self._stopping.wait(), longest * random.uniform(0.5, 1.0))
        except TimeoutError:
            pass
        finally:
            self.pausing -= 1

    def _mark(self) -> None:
        """Note what time is spent on from now."""
        state = self._state
        state.in_flight, state.limit = self.in_flight, self.bound
        if self.probing:
            kind = "probe"
        elif state.in_flight >= state.limit > 0:
            kind = "full"
        elif state.down:
            kind = "server_down"
        elif self.pausing or any(lane.not_before > time.monotonic() for lane in self.lanes):
            kind = "backing_off"
        else:
            kind = "tail" if self.starved or self.stopping else "own_work"
        state.waits.switch(kind)
