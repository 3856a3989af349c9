"""What training, saving and predicting need of a classifier."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ercsatz.classifiers.encoder.packing import Tensors
from ercsatz.classifiers.encoder.pretrained import Encoder
from ercsatz.classifiers.encoder.tokenization import Ids, TokenisedDialogue, Tokeniser
from ercsatz.classifiers.segments import Segment
from ercsatz.config import BenchmarkConfig
from ercsatz.data.dialogue import Dialogue

NO_LABEL = -100  # what cross-entropy leaves out


@dataclass(frozen=True)
class Batch(Tensors):
    """What training reads of a batch with N targets; a classifier adds what its ``forward`` reads.

    Attributes:
        labels: (N,) class indices; -100 where there is none.
        places: N pairs of dialogue and turn.
        soft: (N, labels) soft labels, or None.
        counts: (terms,) of how many each term of the loss is the mean; of one term: how many targets have a label.
    """

    labels: Tensor
    places: tuple[tuple[int, int], ...]
    soft: Tensor | None
    counts: Tensor


class Classifier(ABC, nn.Module):
    """An emotion classifier: from segments of dialogues to logits.

    Attributes:
        tokeniser: how it reads dialogues.
        target_loss: what it minimises over its targets, summed: ``LossConfig.prepared``; by default the cross-entropy.
        scored: whether its best epoch is that of the best validation W-F1; else it is that of the lowest loss.
    """

    tokeniser: Tokeniser
    target_loss: Callable[[Tensor, Tensor], Tensor] = staticmethod(
        partial(nn.functional.cross_entropy, reduction="sum")
    )
    scored = True

    @abstractmethod
    def segments(self, dialogues: Sequence[TokenisedDialogue], budget: int) -> list[Segment]:
        """Cut dialogues into what a batch is made of; ``budget``: encoder tokens of a batch."""

    @abstractmethod
    def collate(self, segments: Sequence[Segment]) -> Any:
        """Make a batch (a ``Batch``) of segments."""

    @abstractmethod
    def forward(self, batch: Any) -> Any:
        """(N, labels) logits."""

    def sums(self, output: Any, batch: Any) -> Tensor:
        """(terms,) what is minimised: each term of the loss summed over a batch, here the targets' loss."""
        return self.target_loss(output.float(), batch.labels).unsqueeze(0)

    def loss(self, output: Any, batch: Any) -> Tensor:
        """The loss of a batch that is a step of its own."""
        return mean_loss(self.sums(output, batch), batch.counts)

    def frozen(self) -> Encoder | None:
        """An encoder that is never trained, so that its vectors are computed once and kept."""
        return None

    def frozen_sequences(self, dialogue: TokenisedDialogue) -> list[Ids]:
        """What the frozen encoder reads of a dialogue; the vectors come back as ``dialogue.vectors``, row by row."""
        return []

    def soft_labels(
        self, benchmark: BenchmarkConfig, dialogues: Sequence[Dialogue], taught: Sequence[Mapping[str, Any]]
    ) -> list[NDArray[np.float32]] | None:
        """Soft labels of training dialogues, a (turns, labels) array a dialogue; None: hard labels only.

        Args:
            benchmark: with the order of the labels.
            dialogues: to train on.
            taught: a teacher's predictions on them, in their order (``dialogue``, ``turn``, ``probabilities``).
        """
        return None

    def adopt(self, model: "Classifier") -> None:
        """Take over weights of the prerequisite that was trained for it."""
        raise NotImplementedError(f"{type(self).__name__} takes no weights of a prerequisite")


def mean_loss(sums: Tensor, counts: Tensor) -> Tensor:
    """The means of the loss's terms, added up; a term of nothing is 0.

    Args:
        sums: (terms,) of one batch, or of several.
        counts: (terms,) of the whole that the batch is part of: so the losses of its parts add up to its own.
    """
    return (sums / counts.clamp(min=1)).sum()


def targets(segments: Sequence[Segment]) -> dict[str, Any]:
    """The fields of ``Batch`` for segments."""
    pairs = [(segment, turn) for segment in segments for turn in segment.targets]
    known = [segment.tokens.labels[turn] for segment, turn in pairs]
    soft = [segment.tokens.soft[turn] for segment, turn in pairs if segment.tokens.soft is not None]
    return {
        "labels": torch.tensor([NO_LABEL if label is None else label for label in known]),
        "places": tuple((segment.dialogue, turn) for segment, turn in pairs),
        "soft": torch.tensor(np.stack(soft)) if soft else None,
        "counts": torch.tensor([sum(label is not None for label in known)]),
    }
