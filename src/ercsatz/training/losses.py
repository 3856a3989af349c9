"""Losses over a classifier's targets; an own one is a class like these, and a YAML ``loss/NAME.yaml``.

Each is a sum over targets, which training divides by their number in the step (not, as torch's weighted mean does, by
their weights in it): a step in parts gives the gradient of the whole, and a rare label weighs the same in every step.
Weights are 1 in the mean over the training targets. A label that does not occur there counts as if it occurred once.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, ClassVar

from ercsatz.config.loss import LossConfig, Total
from ercsatz.config.rules import Rule

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass
class CrossEntropyConfig(LossConfig):
    """Cross-entropy with the label.

    Attributes:
        label_smoothing: share of the target that goes to all labels alike (Szegedy et al. 2016), from 0 to below 1.
    """

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


@dataclass
class FocalConfig(LossConfig):
    """Focal loss: -(1 - p)^gamma log p of the label's probability p, so that what is already right counts less.

    Lin, Goyal, Girshick, He and Dollar, "Focal Loss for Dense Object Detection" (ICCV 2017), equation 4.

    Attributes:
        gamma: how much less what is already right counts; 0 is the cross-entropy.
    """

    gamma: float = 2.0

    VERSION: ClassVar[int] = 1  # raise it when a change moves this loss's golden scores

    def total(self, logits: "Tensor", labels: "Tensor") -> "Tensor":
        """See ``LossConfig.total``."""
        import torch
        from torch.nn.functional import cross_entropy

        losses = cross_entropy(logits, labels, reduction="none")  # 0 where there is no label
        wrong = -torch.expm1(-losses)
        # The slope of a power below 1 is infinite at 0.
        return (wrong.clamp(min=torch.finfo(wrong.dtype).eps).pow(self.gamma) * losses).sum()

    def problems(self) -> Iterable[Rule]:
        """The exponent is one."""
        return [("loss.gamma", self.gamma, 0 <= self.gamma < math.inf, "0 or more")]


@dataclass
class ClassWeightsConfig(LossConfig):
    """Cross-entropy times n / (k n_c): of n training targets of k labels, n_c have the target's label c.

    Every label has the same part in the whole; King and Zeng, "Logistic Regression in Rare Events Data" (Political
    Analysis 9:2, 2001), and scikit-learn's ``class_weight="balanced"``. ``k`` are the labels that occur.
    """

    VERSION: ClassVar[int] = 1  # raise it when a change moves this loss's golden scores
    rebalances: ClassVar[bool] = True

    def prepared(self, counts: Sequence[int]) -> Total:
        """See ``LossConfig.prepared``."""
        return _weighted(_mean_1([1 / max(count, 1) for count in counts], counts))


@dataclass
class EffectiveNumberConfig(LossConfig):
    """Cross-entropy times a weight proportional to (1 - beta) / (1 - beta^n_c), n_c the training targets of the label.

    Cui, Jia, Lin, Song and Belongie, "Class-Balanced Loss Based on Effective Number of Samples" (CVPR 2019).
    There the weights add up to the number of labels; here they are 1 in the mean over targets, another constant, by
    which 0 is the cross-entropy and a ``beta`` near 1 gives the class weights.

    Attributes:
        beta: from 0, which weighs all labels alike, to below 1.
    """

    beta: float = 0.999

    VERSION: ClassVar[int] = 1  # raise it when a change moves this loss's golden scores
    rebalances: ClassVar[bool] = True

    def prepared(self, counts: Sequence[int]) -> Total:
        """See ``LossConfig.prepared``."""
        # expm1: near 1, beta^n is lost to rounding.
        log = math.log(self.beta) if self.beta > 0 else -math.inf
        return _weighted(_mean_1([-1 / math.expm1(max(count, 1) * log) for count in counts], counts))

    def problems(self) -> Iterable[Rule]:
        """An effective number is finite."""
        return [("loss.beta", self.beta, 0 <= self.beta < 1, "from 0 to below 1")]


@dataclass
class LogitAdjustmentConfig(LossConfig):
    """Cross-entropy of the logits plus ``tau`` log pi, where pi_c = n_c / n is the label's share of training targets.

    Menon, Jayasumana, Rawat, Jain, Veit and Kumar, "Long-tail learning via logit adjustment" (ICLR 2021): the
    loss and not the adjustment after training: predictions are of the plain logits, which ``tau=1`` trains for the
    mean of the labels' recalls.

    Attributes:
        tau: how far the logits are shifted; 0 is the cross-entropy.
    """

    tau: float = 1.0

    VERSION: ClassVar[int] = 1  # raise it when a change moves this loss's golden scores
    rebalances: ClassVar[bool] = True
    shifts_logits: ClassVar[bool] = True

    def prepared(self, counts: Sequence[int]) -> Total:
        """See ``LossConfig.prepared``."""
        n = max(sum(counts), 1)
        added = _on_device([self.tau * math.log(max(count, 1) / n) for count in counts])

        def total(logits: "Tensor", labels: "Tensor") -> "Tensor":
            from torch.nn.functional import cross_entropy

            return cross_entropy(logits + added(logits.dtype, logits.device), labels, reduction="sum")

        return total

    def problems(self) -> Iterable[Rule]:
        """The strength is one."""
        return [("loss.tau", self.tau, 0 <= self.tau < math.inf, "0 or more")]


def _mean_1(weights: Sequence[float], counts: Sequence[int]) -> list[float]:
    """Weights of labels, scaled to be 1 in the mean over targets."""
    whole = sum(weight * count for weight, count in zip(weights, counts, strict=True))
    return [weight * sum(counts) / whole if whole else 1.0 for weight in weights]


def _weighted(weights: Sequence[float]) -> Total:
    """Cross-entropy times the weight of the label."""
    of_label = _on_device(weights)

    def total(logits: "Tensor", labels: "Tensor") -> "Tensor":
        from torch.nn.functional import cross_entropy

        return cross_entropy(logits, labels, of_label(logits.dtype, logits.device), reduction="sum")

    return total


def _on_device(values: Sequence[float]) -> "Callable[[torch.dtype, torch.device], Tensor]":
    """Numbers as a tensor, copied once: a copy at each step would wait for the GPU."""

    @cache
    def tensor(dtype: "torch.dtype", device: "torch.device") -> "Tensor":
        import torch

        return torch.tensor(values, dtype=dtype, device=device)

    return tensor
