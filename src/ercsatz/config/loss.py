"""What a classifier minimises over its targets."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from omegaconf import MISSING

from ercsatz.config.rules import Rule

Total = Callable[[Any, Any], Any]
"""A loss summed over targets: of (N, labels) logits and (N,) labels, see ``LossConfig.total``."""


@dataclass
class LossConfig:
    """Options of a loss, which is the object itself; it has ``total``, or ``prepared`` if it reads label counts.

    Attributes:
        name: for tables.
        VERSION: raised when the same options give another loss than before.
        rebalances: whether it makes up for labels that are not equally frequent, so that a sampler must not as well.
        shifts_logits: whether the logits are trained with something added to them, so that another loss of the plain
            logits would contradict it.
    """

    name: str = MISSING

    VERSION: ClassVar[int] = 1
    rebalances: ClassVar[bool] = False
    shifts_logits: ClassVar[bool] = False

    def total(self, logits: Any, labels: Any) -> Any:
        """The loss summed over targets; here is the place to import torch.

        Args:
            logits: (N, labels) tensor of floats.
            labels: (N,) tensor of class indices, -100 where a target has no label and counts for nothing.

        Returns:
            A tensor of one number that gradients go through. It is divided by the number of targets that have a label,
            of the whole step.
        """
        raise NotImplementedError(f"{type(self).__name__} has neither total nor prepared")

    def prepared(self, counts: Sequence[int]) -> Total:
        """The loss of one stage, for ``total``.

        Args:
            counts: how often each label occurs among the stage's own training targets, in the label order; 0 is
                possible, as in a small share.
        """
        return self.total

    def problems(self) -> Iterable[Rule]:
        """Rules that the options must keep."""
        return ()
