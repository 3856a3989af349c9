"""Losses over a classifier's targets; an own one is a class like these, and a YAML ``loss/NAME.yaml``."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ercsatz.config.loss import LossConfig
from ercsatz.config.rules import Rule

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class CrossEntropyConfig(LossConfig):
    """Cross-entropy with the label, whose share ``label_smoothing`` (Szegedy et al. 2016) goes to all labels alike."""

    label_smoothing: float = 0.0

    VERSION: ClassVar[int] = 1  # raise it when a change moves this loss's golden scores

    def total(self, logits: "Tensor", labels: "Tensor") -> "Tensor":
        """See ``LossConfig.total``."""
        from torch.nn.functional import cross_entropy

        return cross_entropy(logits, labels, reduction="sum", label_smoothing=self.label_smoothing)

    def problems(self) -> Iterable[Rule]:
        """The share is one."""
        share = self.label_smoothing
        return [("loss.label_smoothing", share, 0 <= share < 1, "from 0 to below 1")]
