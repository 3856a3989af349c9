"""What the options of every generator have, and what they say about it to everything else.

A generator is a dataclass of options that derives from ``GeneratorConfig``, and the servers that its ``build`` makes.
Nothing outside a generator's own file knows more of it than is here and in ``generators.interface``.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from omegaconf import MISSING

from ercsatz.config.rules import Rule, at_least_1


@dataclass(frozen=True, slots=True)
class Profile:
    """What a generator declares about itself, before it is built.

    Attributes:
        honours: the sampling parameters that change its answers, by the names of ``SamplingConfig``, and ``seed``.
        licence: the hub's tag for the licence of its text.
        rights: who may use its text, a sentence for the card.
        limits: what its text is not good for, sentences for the card.
        guided: whether it can hold to a grammar.
        language_model: whether a language model answers: then there is something to probe, and it can judge and infer.
    """

    honours: frozenset[str]
    licence: str
    rights: str
    limits: tuple[str, ...] = ()
    guided: bool = False
    language_model: bool = True


@dataclass
class GeneratorConfig(ABC):
    """Options of what writes dialogues.

    Attributes:
        name: for cards and tables.
        window: requests that are in flight at a time, on each server.
    """

    name: str = MISSING
    window: int = MISSING

    @property
    @abstractmethod
    def profile(self) -> Profile:
        """What the generator declares about itself."""

    @abstractmethod
    def build(self, grammar: str | None = None) -> Any:
        """The generator, a ``generators.interface.Generator``; here is the place to import what is heavy.

        Nothing is asked of a server yet.

        Args:
            grammar: a regular expression that every answer to a dialogue's request must match.

        Raises:
            UserError: a library is missing, or what is asked for is not honoured.
        """

    def problems(self) -> Iterator[Rule]:
        """What must hold of the options, in an order in which each rule may rely on those before it."""
        yield at_least_1("generator.window", self.window)

    @property
    def held_to_grammar(self) -> bool:
        """Whether answers to dialogues' requests are to match a grammar, which ``build`` then gets."""
        return False
