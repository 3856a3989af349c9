"""What the options of every classifier have, and what they say about it to everything else.

A classifier is a dataclass of options that derives from ``ClassifierConfig``, and the module that its ``build`` makes.
Nothing outside a classifier's own file or folder knows more of it than is here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, Self

from omegaconf import MISSING

from ercsatz.config.backbone import BackboneConfig
from ercsatz.config.registry import load
from ercsatz.config.rules import Rule


class Gives(StrEnum):
    """What a classifier takes from its prerequisite: its weights, or its predictions on the training dialogues."""

    weights = "weights"
    predictions = "predictions"


@dataclass(frozen=True)
class Prerequisite:
    """What is trained before a classifier, on the same dialogues.

    Attributes:
        stage: its name, for results and progress; ``training.<stage>`` says how it is trained where it gives weights.
        config: of what is trained.
        gives: what is taken from it.
        always: whether a stage that starts from another's weights needs it, too.
    """

    stage: str
    config: "ClassifierConfig"
    gives: Gives
    always: bool


@dataclass
class ClassifierConfig:
    """Options of a classifier.

    Attributes:
        name: for tables.
        max_tokens: the most tokens that its encoder reads at once.
        module: dotted path of the module, which is made with the options, the backbone and the number of labels.
        VERSION: raised when the same options, data and seed give other weights than before.
        role: tells what is trained before a classifier from the classifier itself, where both have the same options.
        predicts: whether it classifies utterances; a prerequisite need not.
        reads_loss: whether ``loss`` is what it minimises.
    """

    name: str = MISSING
    max_tokens: int = MISSING

    module: ClassVar[str]
    VERSION: ClassVar[int] = 1
    role: ClassVar[str] = "classifier"
    predicts: ClassVar[bool] = True
    reads_loss: ClassVar[bool] = True

    def build(self, pretrained: Any, n_labels: int, **encoders: Any) -> Any:
        """The module, a ``classifiers.base.Classifier``; only now is torch imported.

        Args:
            pretrained: the backbone, a ``classifiers.encoder.pretrained.Pretrained``.
            n_labels: number of classes.
            encoders: what was opened of ``encoders``, by the same names.
        """
        return load(self.module, "module")(self, pretrained, n_labels, **encoders)

    def problems(self, cfg: Any) -> Iterable[Rule]:
        """Rules that the options must keep; ``cfg`` is the whole configuration, a ``TrainConfig``."""
        return ()

    def prerequisite(self) -> Prerequisite | None:
        """What has to be trained before it, if anything."""
        return None

    def essential(self) -> Self:
        """The same with every option that determines nothing at one value, so that what is equal is found to be.

        Paths are among them: what lies there is part of a stage's key by its content (``encoders``, ``inputs``).
        """
        return self

    def encoders(self) -> Mapping[str, BackboneConfig]:
        """Encoders beside the backbone, each under the name that ``build`` takes it by."""
        return {}

    def inputs(self, benchmark: Any) -> Mapping[str, Any]:
        """What else determines the weights, as plain JSON: the content of files, parts of the benchmark's YAML."""
        return {}

    def extra_tokens(self) -> Sequence[str]:
        """Tokens that are registered with the backbone's tokenizer."""
        return ()

    @property
    def reads_later_turns(self) -> bool:
        """Whether a prediction depends on turns after it, so that it changes when a dialogue goes on."""
        return False

    @property
    def knowledge_sources(self) -> frozenset[str]:
        """Which commonsense about the turns it reads: ``retrieved``, ``generated``."""
        return frozenset()

    def with_sources(self, sources: frozenset[str]) -> Self:
        """The same, reading only these sources of knowledge."""
        return self
