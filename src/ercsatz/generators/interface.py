"""What every generator takes and gives, and what each declares about itself."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from ercsatz.config import PromptStyle


@dataclass(frozen=True, slots=True)
class Request:
    """One dialogue to be written; all that any generator may know about it.

    Attributes:
        index: place in the plan, from 0.
        seed: for the generator's own sampling, 0 to 2**63 - 1.
        prompt: the whole prompt, for generators that read it.
        mode: ``natural`` or ``balanced``.
        style: who speaks.
        speakers: who may speak in this dialogue, at least two.
        labels: all labels; in the answer a label stands as its place in this tuple, from 1.
        target: the emotion that has to occur, or ``None``.
        n_turns: how many utterances the prompt asks for.
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

    @property
    def prompt_sha256(self) -> str:
        """SHA-256 (hex) of the prompt."""
        return hashlib.sha256(self.prompt.encode()).hexdigest()


class FinishReason(StrEnum):
    """Why an answer ended: by itself, or because it ran into the length limit."""

    stop = "stop"
    length = "length"


@dataclass(frozen=True, slots=True)
class Answer:
    """The text as it came, before any parsing."""

    text: str
    finish_reason: FinishReason


class Generator(Protocol):
    """What writes dialogues. Calls may overlap; an answer depends on the request and on ``settings`` alone."""

    @property
    def settings(self) -> Mapping[str, str]:
        """All that answers depend on besides the request: recorded with a data set, compared before it is remade."""
        ...

    async def answer(self, request: Request) -> Answer:
        """Answer one request.

        Raises:
            UserError: the request cannot be answered, now or later.
        """
        ...


@dataclass(frozen=True, slots=True)
class Profile:
    """What a generator declares about itself, before it is built.

    Attributes:
        honours: the sampling parameters that change its answers, as ``temperature`` and ``top_p`` may.
        licence: the hub's tag for the licence of its text.
        rights: who may use its text, a sentence for the card.
        limits: what its text is not good for, sentences for the card.
    """

    honours: frozenset[str]
    licence: str
    rights: str
    limits: tuple[str, ...]
