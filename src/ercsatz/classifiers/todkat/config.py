"""The options of TODKAT (Zhu et al., ACL 2021)."""

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any, ClassVar, Self

from omegaconf import MISSING

from ercsatz.config.classifier import ClassifierConfig, Gives, Prerequisite
from ercsatz.config.rules import Rule, at_least_1


class KnowledgeSources(StrEnum):
    """Which commonsense is read of a sidecar."""

    both = "both"
    retrieved = "retrieved"
    generated = "generated"
    none = "none"


_SOURCES = {
    KnowledgeSources.none: frozenset[str](),
    KnowledgeSources.retrieved: frozenset({"retrieved"}),
    KnowledgeSources.generated: frozenset({"generated"}),
    KnowledgeSources.both: frozenset({"retrieved", "generated"}),
}


@dataclass
class TODKATConfig(ClassifierConfig):
    """Options of TODKAT.

    Attributes:
        max_tokens: most tokens of an utterance, and of a statement.
        topic: a topic layer, fitted first on the training dialogues; false: none.
        topic_width: length of the latent topic.
        kl_weight: weight of the KL term while the topic layer is fitted.
        knowledge: which commonsense is read of a sidecar in paths.data/knowledge.
        knowledge_width: length of knowledge vectors that come ready made (768 for COSMIC's); null: statements.
        layers: layers of the transformer encoder, and of the decoder.
        heads: heads of their attention.
        feedforward: width of its inner layers.
        dropout: dropout in both.
        causal: an utterance sees earlier ones only; false: the whole dialogue.
    """

    topic: bool = MISSING
    topic_width: int = MISSING
    kl_weight: float = MISSING
    knowledge: KnowledgeSources = MISSING
    knowledge_width: int | None = None
    layers: int = MISSING
    heads: int = MISSING
    feedforward: int = MISSING
    dropout: float = MISSING
    causal: bool = MISSING

    module: ClassVar[str] = "ercsatz.classifiers.todkat.classifier.TODKAT"
    VERSION: ClassVar[int] = 1  # raise it when a change moves this classifier's golden scores

    def problems(self, cfg: Any) -> Iterable[Rule]:
        """Sizes and shares that can be; batches are of whole dialogues."""
        counts = ("topic_width", "layers", "heads", "feedforward", "knowledge_width")
        given = {name: value for name in counts if (value := getattr(self, name)) is not None}
        targets = cfg.training.batch_targets
        return [
            *(at_least_1(f"classifier.{name}", value) for name, value in given.items()),
            ("classifier.kl_weight", self.kl_weight, self.kl_weight >= 0, "0 or more"),
            ("classifier.dropout", self.dropout, 0 <= self.dropout < 1, "from 0 to below 1"),
            (
                "training.batch_targets",
                targets,
                targets is None,
                "null: todkat reads whole dialogues, batch_tokens counts",
            ),
        ]

    def prerequisite(self) -> Prerequisite | None:
        """The topic layer, fitted as a masked language model."""
        if not self.topic:
            return None
        topic = TopicConfig(**{field.name: getattr(self, field.name) for field in fields(self)})
        return Prerequisite("topic", topic.essential(), Gives.weights, always=False)

    @property
    def reads_later_turns(self) -> bool:
        """Unless ``causal``."""
        return not self.causal

    @property
    def knowledge_sources(self) -> frozenset[str]:
        """As ``knowledge`` says."""
        return _SOURCES[self.knowledge]

    def with_sources(self, sources: frozenset[str]) -> Self:
        """The same with another ``knowledge``."""
        (knowledge,) = (name for name, those in _SOURCES.items() if those == sources)
        return replace(self, knowledge=knowledge)


@dataclass
class TopicConfig(TODKATConfig):
    """The topic layer by itself, a masked language model; it classifies nothing."""

    module: ClassVar[str] = "ercsatz.classifiers.todkat.topic.TopicModel"
    role: ClassVar[str] = "topic"
    predicts: ClassVar[bool] = False
    reads_loss: ClassVar[bool] = False

    def essential(self) -> Self:
        """What comes after the topic layer determines nothing of it."""
        here = {"knowledge": KnowledgeSources.none, "knowledge_width": None}
        return replace(self, **here, layers=1, heads=1, feedforward=1, dropout=0.0, causal=True)  # type: ignore[arg-type]
