"""Samplers of training dialogues; an own one is a class like these, and a YAML ``sampler/NAME.yaml``."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from ercsatz.config.sampler import SamplerConfig


@dataclass
class OversamplingConfig(SamplerConfig):
    """A segment's weight is the mean of 1 / n_c over its targets, n_c the training targets of the target's label c.

    Where each target is a segment (``training.batch_targets``), every label is drawn equally often. Turns of a dialogue
    come together, so with whole dialogues rare labels come more often and no longer equally often. The mean, and not
    the sum or the maximum, as these also favour long dialogues, which are the most neutral ones.
    """

    VERSION: ClassVar[int] = 1  # raise it when a change moves its weights
    rebalances: ClassVar[bool] = True

    def weights(self, labels: Sequence[Sequence[int]]) -> Sequence[float]:
        """See ``SamplerConfig.weights``."""
        counts = Counter(label for own in labels for label in own)
        return [sum(1 / counts[label] for label in own) / len(own) if own else 0.0 for own in labels]
