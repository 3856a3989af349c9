"""What all language models have: sampling parameters, and what is sent of those that are asked for."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from omegaconf import MISSING

from ercsatz.config import GeneratorConfig, Profile
from ercsatz.config.rules import Rule, at_least_1
from ercsatz.errors import UserError
from ercsatz.generators.chat import ChatTemplate

# Values at which a parameter does nothing. They are left out: TGI even refuses top_p=1 and typical_p=1.
NEUTRAL: Mapping[str, float] = {"top_p": 1.0, "top_k": 0, "repetition_penalty": 1.0, "typical_p": 1.0}

TABLE_2 = frozenset({"temperature", "top_p", "top_k", "repetition_penalty", "typical_p", "max_new_tokens"})


class OnUnsupported(StrEnum):
    """What happens to a sampling parameter that a generator does not honour: an error, or a record of the omission."""

    error = "error"
    record = "record"


@dataclass
class SamplingConfig:
    """Sampling parameters; the defaults are Table II of Kaplan, Carneiro and Wermter (2025).

    ``max_new_tokens`` is not in the table. Neutral values (``top_p``, ``typical_p`` and ``repetition_penalty`` 1,
    ``top_k`` 0) are left out where a server then does nothing, and sent where it would do something of its own.

    Attributes:
        temperature: above 0.
        top_p: share of the likeliest tokens that is drawn from; 1: all.
        top_k: how many of the likeliest tokens are drawn from; 0: all.
        repetition_penalty: 1: none.
        typical_p: share of the most typical tokens that is drawn from; 1: all.
        max_new_tokens: longest answer.
    """

    temperature: float = MISSING
    top_p: float = MISSING
    top_k: int = MISSING
    repetition_penalty: float = MISSING
    typical_p: float = MISSING
    max_new_tokens: int = MISSING

    def problems(self) -> Iterator[Rule]:
        """What must hold of the values."""
        for name, value in vars(self).items():
            yield f"generator.sampling.{name}", value, abs(value) < math.inf, "a finite number"
        rules = {
            "temperature": (self.temperature > 0, "above 0; a seed needs sampling"),
            "top_p": (0 < self.top_p <= 1, "above 0 and at most 1"),
            "typical_p": (0 < self.typical_p <= 1, "above 0 and at most 1"),
            "top_k": (self.top_k >= 0, "0 (off) or more"),
            "repetition_penalty": (self.repetition_penalty > 0, "above 0"),
            "max_new_tokens": (self.max_new_tokens >= 1, "1 or more"),
        }
        for name, (holds, wanted) in rules.items():
            yield f"generator.sampling.{name}", f"{getattr(self, name):g}", holds, wanted


@dataclass
class LanguageModelConfig(GeneratorConfig):
    """What all language models have.

    Attributes:
        sampling: parameters.
        on_unsupported: a sampling parameter that is not honoured: an error, or left out and on record.
        chat_template: what a prompt is wrapped in: nothing (raw), the model's own template, or Vicuna's.
        guided: true: one fixed grammar holds for every dialogue.
    """

    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    on_unsupported: OnUnsupported = OnUnsupported.error
    chat_template: ChatTemplate = MISSING
    guided: bool = False

    @property
    def held_to_grammar(self) -> bool:
        """Whether ``guided``."""
        return self.guided

    def problems(self) -> Iterator[Rule]:
        """What must hold of the options."""
        yield from super().problems()
        yield from self.sampling.problems()

    def negotiate(self, what: str) -> tuple[dict[str, float | int], dict[str, float | int]]:
        """Divide the sampling parameters into those to send and those not honoured; neutral ones are in neither.

        Args:
            what: the generator, for the message.

        Returns:
            What is sent and what is dropped, by the names of ``SamplingConfig``.

        Raises:
            UserError: a parameter is not honoured and ``on_unsupported`` is ``error``.
        """
        wanted = {name: value for name, value in asdict(self.sampling).items() if value != NEUTRAL.get(name)}
        dropped = {name: value for name, value in wanted.items() if name not in self.profile.honours}
        if dropped and self.on_unsupported is OnUnsupported.error:
            name, value = next(iter(dropped.items()))
            neutral = f"leave it out with generator.sampling.{name}={NEUTRAL[name]:g}, or " if name in NEUTRAL else ""
            raise UserError(
                f"{what} does not honour generator.sampling.{name}={value:g}: it would be ignored without a word. "
                f"Either {neutral}go on without it and have that on record with generator.on_unsupported=record."
            )
        return {name: value for name, value in wanted.items() if name not in dropped}, dropped


@dataclass
class ServedConfig(LanguageModelConfig):
    """A model behind one URL or a list of them.

    Attributes:
        url: http://HOST:PORT, or a list of them that share the load.
        timeout: seconds for one answer.
        tries: how often a request may fail before it is given up.
        patience: seconds for which all servers may be down, or take nothing, before the run stops.
    """

    url: Any = MISSING
    timeout: float = MISSING
    tries: int = MISSING
    patience: float = MISSING

    def problems(self) -> Iterator[Rule]:
        """What must hold of the options."""
        yield from super().problems()
        yield at_least_1("generator.tries", self.tries)
        yield "generator.timeout", self.timeout, 0 < self.timeout < math.inf, "above 0 and finite"
        yield "generator.patience", self.patience, self.patience >= 0, "0 or more"


def profile(honours: frozenset[str], guided: bool = False) -> Profile:
    """What a language model declares that honours these sampling parameters; all honour the seed."""
    return Profile(
        honours=honours | {"seed"},
        licence="other",
        rights="A language model wrote the text; the licence of the model says who may use it and how.",
        limits=(
            "A language model wrote text and labels; no person has checked them. It may repeat what it was trained on, "
            "scripts of TV series among it.",
        ),
        guided=guided,
    )
