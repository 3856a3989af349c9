"""What every generator takes and gives."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from ercsatz.config import Profile, PromptStyle
from ercsatz.generators.words import short

MOST_TOKENS = 10_000_000  # of a prompt or an answer; no model has room for as many


class Step(StrEnum):
    """What a request asks for; all but the last are for personas only."""

    background = "background"
    situation = "situation"
    dialogue = "dialogue"


@dataclass(frozen=True, slots=True)
class Request:
    """One thing to be written; all that any generator may know about it.

    Attributes:
        index: place of the dialogue in the plan, from 0.
        seed: for the generator's own sampling, 0 to 2**63 - 1.
        prompt: the whole prompt, for generators that read it.
        mode: name of the mode, or what else asks.
        style: who speaks.
        speakers: who may speak in this dialogue, at least two (one for a single text); one for a background.
        labels: all labels; in the answer a label stands as its place in this tuple, from 1.
        target: the emotion that has to occur, or ``None``.
        n_turns: how many utterances the prompt asks for.
        step: what is asked for.
        attempt: how often the same was asked for before, each time with another seed.
        max_new_tokens: a limit below that of ``sampling``, for probes.
    """

    index: int
    seed: int
    prompt: str
    mode: str
    style: PromptStyle
    speakers: tuple[str, ...]
    labels: tuple[str, ...]
    target: str | None
    n_turns: int
    step: Step = Step.dialogue
    attempt: int = 0
    max_new_tokens: int | None = None

    @property
    def prompt_sha256(self) -> str:
        """SHA-256 (hex) of the prompt."""
        return hashlib.sha256(self.prompt.encode()).hexdigest()


class FinishReason(StrEnum):
    """Why an answer ended: by itself, or because it ran into the length limit."""

    stop = "stop"
    length = "length"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a server says it is.

    Attributes:
        model: name and, where there is one, revision; answers of one run come from one model.
        limit: how many requests the server takes at a time; more are refused. ``None``: it does not say.
        details: all it says about itself, for the record.
    """

    model: str
    limit: int | None = None
    details: Mapping[str, object] = field(default_factory=dict)


class ServerError(Exception):
    """A request got no answer; the text is what the server said."""


class BusyError(ServerError):
    """The server takes no more at the moment (429), and may say for how many seconds."""

    def __init__(self, words: str, retry_after: float | None = None) -> None:
        super().__init__(words)
        self.retry_after = retry_after


class TimedOutError(ServerError):
    """No answer within ``generator.timeout``."""


class FailedError(ServerError):
    """The server failed (424, 5xx), or its answer broke off or cannot be read."""


class UnreachableError(ServerError):
    """Nobody listens: the connection was refused, or could not be made."""


class RefusedError(ServerError):
    """The server will not take this request (4xx); asking again is no use.

    Attributes:
        status: the HTTP status.
    """

    def __init__(self, status: int, words: str) -> None:
        super().__init__(f"HTTP {status}: {words}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Answer:
    """The text as it came, before any parsing, and how many tokens went in and out, where the server says so.

    Raises:
        FailedError: the text is none, or a number of tokens cannot be one.
    """

    text: str
    finish_reason: FinishReason
    prompt_tokens: int | None = None
    new_tokens: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise FailedError(f"An answer that is no text: {short(repr(self.text))}")
        for name in ("prompt_tokens", "new_tokens"):
            count = getattr(self, name)
            if count is not None and (type(count) is not int or not 0 <= count <= MOST_TOKENS):
                raise FailedError(f"An answer whose {name} is no number of tokens: {short(repr(count))}")


class Server(Protocol):
    """One place that answers requests. Calls overlap; an answer depends on request, settings and model alone."""

    @property
    def name(self) -> str:
        """Its URL, or the generator's name where there is no server."""
        ...

    async def identify(self) -> Identity:
        """Ask who it is.

        Raises:
            ServerError: it does not say.
            UserError: it does not have what the configuration asks for.
        """
        ...

    async def healthy(self) -> bool:
        """Whether it is ready for requests. Never raises."""
        ...

    async def answer(self, request: Request) -> Answer:
        """Answer one request.

        Raises:
            ServerError: no answer; which subclass says what to do about it.
            UserError: it can't be answered, now or later.
        """
        ...

    async def close(self) -> None:
        """Give back connections and memory."""
        ...


@dataclass(frozen=True, slots=True)
class Generator:
    """What writes dialogues: equal servers that share the load.

    Attributes:
        name: that of its configuration.
        profile: what it declares.
        settings: all that answers depend on besides the request and the model; compared before a run is resumed.
        servers: one at least.
        sent: the sampling parameters of every request, as they go out.
        dropped: those that were asked for and are not honoured.
        window: requests in flight on each server.
        tries: how often a request may fail before it is given up.
        patience: seconds that all servers may be down before the run stops.
    """

    name: str
    profile: Profile
    settings: Mapping[str, object]
    servers: tuple[Server, ...]
    sent: Mapping[str, object] = field(default_factory=dict)
    dropped: Mapping[str, object] = field(default_factory=dict)
    window: int = 1
    tries: int = 1
    patience: float = 0.0
