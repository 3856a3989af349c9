"""What a classifier minimises over its targets."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from omegaconf import MISSING

from ercsatz.config.rules import Rule


@dataclass
class LossConfig(ABC):
    """Options of a loss, which is the object itself.

    Attributes:
        VERSION: raised when the same options give another loss than before.
    """

    name: str = MISSING

    VERSION: ClassVar[int] = 1

    @abstractmethod
    def total(self, logits: Any, labels: Any) -> Any:
        """The loss summed over targets; here is the place to import torch.

        Args:
            logits: (N, labels) tensor of floats.
            labels: (N,) tensor of class indices, -100 where a target has no label and counts for nothing.

        Returns:
            A tensor of one number that gradients go through.
        """

    def problems(self) -> Iterable[Rule]:
        """Rules that the options must keep."""
        return ()
