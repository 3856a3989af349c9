"""Which dialogues an epoch trains on."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from omegaconf import MISSING

from ercsatz.config.rules import Rule


@dataclass
class SamplerConfig(ABC):
    """Options of a sampler, which is the object itself.

    What is drawn are segments: the turns of a dialogue that are classified in one batch, all of them where they fit a
    step.

    Attributes:
        name: of its YAML.
        VERSION: raised when the same options give other weights than before.
        draws: whether it draws segments at all; one that does not is no part of a stage's key.
        rebalances: whether it makes up for labels that are not equally frequent, so that a loss must not as well.
    """

    name: str = MISSING

    VERSION: ClassVar[int] = 1
    draws: ClassVar[bool] = True
    rebalances: ClassVar[bool] = False

    @abstractmethod
    def weights(self, labels: Sequence[Sequence[int]]) -> Sequence[float]:
        """How often segments are drawn, in proportion to each other.

        Args:
            labels: of each segment the class indices of its targets, without those that have none.

        Returns:
            A finite number for each segment, 0 or more, one of them at least above 0. Each epoch as many segments are
            drawn as there are, with replacement, by the seed and the epoch.
        """

    def problems(self) -> Iterable[Rule]:
        """Rules that the options must keep."""
        return ()


@dataclass
class EachOnceConfig(SamplerConfig):
    """Every segment once an epoch."""

    draws: ClassVar[bool] = False

    def weights(self, labels: Sequence[Sequence[int]]) -> Sequence[float]:
        """All alike; nothing asks for them."""
        return [1.0] * len(labels)
