"""The options of CoMPM (Lee and Lee, NAACL 2022)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, ClassVar, Self

from omegaconf import MISSING

from ercsatz.classifiers.speaker_tags import REGISTERED_TAGS, SpeakerTags
from ercsatz.config.backbone import BackboneConfig
from ercsatz.config.classifier import ClassifierConfig
from ercsatz.config.registry import part
from ercsatz.config.rules import Rule, at_least_1

MEMORY_KEY = "classifier.memory_backbone"


class Memory(StrEnum):
    """The second encoder: trained, frozen as it was pretrained, or trained from random weights."""

    trained = "trained"
    frozen = "frozen"
    scratch = "scratch"


@dataclass
class CoMPMConfig(ClassifierConfig):
    """Options of CoMPM.

    Attributes:
        max_tokens: most tokens of the dialogue up to the target turn; the oldest are dropped.
        speaker_tags: a speaker's tag is ordinary text, or one registered token.
        memory: the second encoder: trained, frozen as it was pretrained, or trained from random weights (scratch).
        memory_backbone: another encoder for the memory: ``backbone@classifier.memory_backbone=roberta-base``; null: the
            same.
        memory_layers: layers of the GRU over the speaker's earlier turns.
        memory_dropout: dropout between these layers.
        padded_memory: true: padding of memory turns is attended to, as in the released code.
    """

    speaker_tags: SpeakerTags = SpeakerTags.text
    memory: Memory = Memory.trained
    memory_backbone: Any = None
    memory_layers: int = MISSING
    memory_dropout: float = MISSING
    padded_memory: bool = False

    module: ClassVar[str] = "ercsatz.classifiers.compm.classifier.CoMPM"
    VERSION: ClassVar[int] = 1  # raise it when a change moves this classifier's golden scores

    def __post_init__(self) -> None:
        self.memory_backbone = part(self.memory_backbone, BackboneConfig, MEMORY_KEY, BackboneConfig)

    def problems(self, cfg: Any) -> Iterable[Rule]:
        """Sizes and shares that can be."""
        dropout = self.memory_dropout
        return [
            at_least_1("classifier.memory_layers", self.memory_layers),
            ("classifier.memory_dropout", dropout, 0 <= dropout < 1, "from 0 to below 1"),
            *(self.memory_backbone.problems(MEMORY_KEY) if self.memory_backbone else ()),
        ]

    def essential(self) -> Self:
        """The memory's checkpoint counts by its content."""
        if self.memory_backbone is None:
            return self
        return replace(self, memory_backbone=replace(self.memory_backbone, name="", lr=0.0, checkpoint=None))

    def encoders(self) -> Mapping[str, BackboneConfig]:
        """Another encoder for the memory, if there is one."""
        return {"memory": self.memory_backbone} if self.memory_backbone else {}

    def extra_tokens(self) -> Sequence[str]:
        """The speaker tags, where each is a token."""
        return REGISTERED_TAGS if self.speaker_tags == SpeakerTags.tokens else ()
