"""A server and what is in flight on it: how many requests it may be given, and how fast it answers them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from ercsatz.generators.interface import Identity, Server

SHRINK = 0.75  # the bound's factor on 429 and time-outs
WEIGHT = 1 / 16  # of the newest answer in the mean time of answers
SILENT, LEAST_SILENCE = 8.0, 5.0  # so many of its usual times, and seconds, without any answer: it is left out


@dataclass(eq=False)
class Lane:
    """A server and what is in flight on it.

    Attributes:
        server: whom to ask.
        wanted: requests in flight, at the most.
        cap: the same, of which the server takes no more.
        bound: requests that it may have at the moment.
        up: whether it is there.
        not_before: when it may be given something again.
        seconds: mean time of its latest answers; 0: not known yet.
        answered: how many answers it gave.
    """

    server: Server
    wanted: int
    cap: int = 0
    bound: float = 0.0
    up: bool = True
    not_before: float = 0.0
    seconds: float = 0.0
    answered: int = 0
    _in_flight: int = 0
    _sent: dict[object, float] = field(default_factory=dict)  # the oldest first
    _shrunk_at: float = 0.0
    _ceiling: float = 0.0  # what was refused the last time; up to here the bound grows fast
    _heard_at: float = 0.0

    def __post_init__(self) -> None:
        self.cap, self.bound = self.wanted, float(self.wanted)

    @property
    def in_flight(self) -> int:
        """Requests that it has, or is about to be given."""
        return self._in_flight

    @property
    def rate(self) -> float:
        """Answers a second, as much as is in flight now; 0: not known yet."""
        return self._in_flight / self.seconds if self.seconds else 0.0

    def apply(self, identity: Identity) -> None:
        """Keep to what the server takes at a time."""
        self.cap = min(self.wanted, identity.limit or self.wanted)
        self.bound = min(self.bound, float(self.cap))

    def free(self, now: float) -> bool:
        """Whether it may be given another request."""
        return self.up and self._in_flight < int(self.bound) and now >= self.not_before

    def cost(self) -> float:
        """Seconds, roughly, for one more request; 0 where it is not known, which is found out by trying."""
        return self.seconds * (1 + self._in_flight / self.bound)

    def take(self) -> None:
        """Keep a place for a request."""
        self._in_flight += 1

    def give_back(self) -> None:
        """Let go of it."""
        self._in_flight -= 1

    @contextmanager
    def sending(self, now: float) -> Iterator[None]:
        """While a request is with the server."""
        mark = object()
        self._sent[mark] = now
        try:
            yield
        finally:
            del self._sent[mark]

    def hear(self, now: float, seconds: float) -> None:
        """An answer came after so many seconds."""
        self.answered += 1
        self._heard_at = now
        self.seconds += (seconds - self.seconds) * (WEIGHT if self.seconds else 1.0)
        self._grow()

    def is_silent(self, now: float, usual: float) -> bool:
        """Whether it has answered nothing for very long.

        Args:
            now: by the monotonic clock.
            usual: seconds of an answer elsewhere; counts where it never gave one.
        """
        if not self._sent or not self.up or self.bound <= 1:
            return False
        since = max(self._heard_at, next(iter(self._sent.values())))
        return now - since > max(LEAST_SILENCE, SILENT * (self.seconds or usual))

    def leave_out(self) -> None:
        """Give it nothing until it has answered what it has."""
        self._ceiling, self.bound = self.bound + 1, 1.0

    def come_back(self) -> None:
        """It was down: half of what it had, at first."""
        self._ceiling, self.bound = self.bound + 1, max(1.0, self.bound / 2)

    def shrink(self, sent_at: float, now: float, refused: bool) -> None:
        """Once for all requests that were in flight together, as they tell the same.

        Args:
            sent_at: when the request was sent that failed.
            now: by the same clock.
            refused: whether the server would not take it; else it took too long.
        """
        if sent_at >= self._shrunk_at:
            self._ceiling = self.bound if refused else 0.0
            self.bound, self._shrunk_at = max(1.0, self.bound * SHRINK), now

    def _grow(self) -> None:
        """By one for every full bound of answers.

        Faster up to what was refused the last time, and slower there, in the way of TCP's CUBIC (Ha, Rhee and Xu,
        2008): so a server that takes so many and no more is kept full, and seldom asked to take more.
        """
        near = self._ceiling - 1
        if self.bound < near:
            grown = min(near, self.bound + max(4.0, self.bound / 8) / self.bound)
        else:
            grown = self.bound + (1 / 16 if self.bound < self._ceiling else 1.0) / self.bound
        self.bound = min(float(self.cap), grown)
