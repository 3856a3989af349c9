"""The encoder under a classifier."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from omegaconf import MISSING

from ercsatz.config.rules import Rule, at_least_1


class Pooling(StrEnum):
    """How an encoder's token states become one vector."""

    first = "first"
    mean = "mean"


@dataclass
class TinySizeConfig:
    """Shape of an encoder that is built on the spot, with random weights and its own tokenizer.

    Attributes:
        hidden: length of its vectors.
        layers: number of layers.
        heads: heads of the attention.
        vocabulary: most tokens of the tokenizer.
    """

    hidden: int = MISSING
    layers: int = MISSING
    heads: int = MISSING
    vocabulary: int = MISSING


@dataclass
class BackboneConfig:
    """The encoder under a classifier.

    Attributes:
        name: for tables.
        checkpoint: a hub name or folder; null: it is built on the spot.
        pooling: how token states become one vector: the first one, or the mean.
        lr: suggested learning rate.
        size: shape of one that is built on the spot; null: as the checkpoint has it.
    """

    name: str = MISSING
    checkpoint: str | None = None
    pooling: Pooling = Pooling.first
    lr: float = MISSING
    size: TinySizeConfig | None = None

    def open(self, texts: Sequence[str]) -> Any:
        """The encoder, a ``classifiers.encoder.pretrained.Pretrained``, where it is of a kind of its own.

        Args:
            texts: the stage's training text, with speaker tags, to train a tokenizer on.

        Returns:
            None: it is opened as ``checkpoint`` and ``size`` say.
        """
        return None

    def problems(self, key: str) -> Iterable[Rule]:
        """Rules that the options must keep; ``key`` is the node's name."""
        if self.size is None:
            wanted = f"a folder or a hub name: {key}.checkpoint=FOLDER"
            return [(f"{key}.checkpoint", self.checkpoint, self.checkpoint is not None, wanted)]
        hidden, heads = self.size.hidden, self.size.heads
        return [
            *(at_least_1(f"{key}.size.{name}", value) for name, value in vars(self.size).items()),
            (f"{key}.size.hidden", hidden, hidden % max(heads, 1) == 0, f"a multiple of the {heads} heads"),
        ]
