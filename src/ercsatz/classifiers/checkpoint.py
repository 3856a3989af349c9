"""Building, saving and loading classifiers.

A saved classifier is a folder: ``classifier.json`` (configuration and label order), ``model.safetensors``, and the
encoder's own ``config.json`` and tokenizer files; those of another encoder for CoMPM's memory are in ``memory/``.
Nothing in it is pickled.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from safetensors.torch import load_file, save_file
from torch import nn

from ercsatz.classifiers.base import Classifier
from ercsatz.classifiers.compm.classifier import CoMPM
from ercsatz.classifiers.emoone.classifier import EmoOne
from ercsatz.classifiers.encoder.pretrained import Pretrained, reopen
from ercsatz.classifiers.encoder.tokenization import REGISTERED
from ercsatz.classifiers.prerequisites import FUTURE_TEACHER, TOPIC
from ercsatz.classifiers.todkat.classifier import TODKAT
from ercsatz.classifiers.todkat.topic import TopicModel
from ercsatz.config import TODKAT as TODKATConfig  # noqa: N811
from ercsatz.config import Classifier as ClassifierConfig
from ercsatz.config import CoMPM as CoMPMConfig
from ercsatz.config import EmoOne as EmoOneConfig
from ercsatz.config import Pooling, SpeakerTags
from ercsatz.data.text_files import atomic_write, read_text
from ercsatz.errors import UserError

FORMAT = 2


@dataclass(frozen=True)
class Kind:
    """A classifier by name: the type of its options, and what builds it."""

    config: type[ClassifierConfig]
    module: Callable[..., Classifier]


KINDS = {
    "compm": Kind(CoMPMConfig, CoMPM),
    "emoone": Kind(EmoOneConfig, EmoOne),
    "todkat": Kind(TODKATConfig, TODKAT),
    FUTURE_TEACHER: Kind(EmoOneConfig, EmoOne),
    TOPIC: Kind(TODKATConfig, TopicModel),
}


@dataclass(frozen=True)
class ErcClassifier:
    """A classifier with all that is needed to use it on dialogues.

    Attributes:
        config: its options.
        pretrained: tokenizer and configuration of its encoder.
        labels: the class order.
        module: from batch to (N, labels) logits.
        memory: tokenizer and configuration of CoMPM's other encoder, or None.
    """

    config: ClassifierConfig
    pretrained: Pretrained
    labels: tuple[str, ...]
    module: Classifier
    memory: Pretrained | None = None


def build(
    config: ClassifierConfig, pretrained: Pretrained, labels: Sequence[str], memory: Pretrained | None = None
) -> ErcClassifier:
    """A new classifier on pretrained encoders; the random state decides its other weights."""
    if getattr(config, "speaker_tags", None) == SpeakerTags.tokens:
        pretrained = pretrained.registering(f"<s{number}>" for number in range(1, REGISTERED + 1))
    others = {"memory": memory} if memory else {}
    module = KINDS[config.name].module(config, pretrained, len(labels), **others)
    return ErcClassifier(config, pretrained, tuple(labels), module, memory)


def save(classifier: ErcClassifier, folder: Path) -> None:
    """Save into a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    classifier.pretrained.save(folder)
    if classifier.memory:
        classifier.memory.save(folder / "memory")
    save_weights(classifier.module, folder / "model.safetensors")
    description = {
        "format": FORMAT,
        "classifier": asdict(classifier.config),
        "pooling": classifier.pretrained.pooling.value,
        "memory_pooling": classifier.memory.pooling.value if classifier.memory else None,
        "labels": list(classifier.labels),
    }
    with atomic_write(folder / "classifier.json") as file:
        json.dump(description, file, indent=2)


def save_weights(module: nn.Module, file: Path) -> None:
    """Write a module's weights as safetensors; the file appears whole or not at all."""
    temporary = file.with_name(f".{file.name}")
    save_file({name: tensor.cpu().contiguous() for name, tensor in module.state_dict().items()}, temporary)
    temporary.replace(file)


def load(folder: Path, labels: Sequence[str] | None = None) -> ErcClassifier:
    """Load a saved classifier.

    Args:
        folder: what ``save`` wrote.
        labels: the label order it is wanted for; None takes any.

    Raises:
        UserError: the folder is no saved classifier, was saved by another version, or was trained for other labels or
            another order of them.
    """
    if not (folder / "classifier.json").is_file():
        raise UserError(f"{folder} is not a saved classifier: it has no classifier.json.")
    description = json.loads(read_text(folder / "classifier.json"))
    if description["format"] != FORMAT:
        raise UserError(
            f"{folder} was saved in format {description['format']}, this version reads {FORMAT}. Train it again."
        )
    if labels is not None and list(labels) != description["labels"]:
        raise UserError(
            f"The classifier in {folder} was trained for the labels {', '.join(description['labels'])}; "
            f"this benchmark has {', '.join(labels)}, in this order. Take a classifier trained on the same benchmark."
        )
    config = _config(description["classifier"])
    pooling = description["memory_pooling"]
    memory = reopen(folder / "memory", Pooling(pooling)) if pooling else None
    classifier = build(config, reopen(folder, Pooling(description["pooling"])), description["labels"], memory)
    classifier.module.load_state_dict(load_file(folder / "model.safetensors"))
    return classifier


def _config(settings: dict[str, Any]) -> ClassifierConfig:
    """Options as they were before JSON made strings of their enumerations."""
    schema = OmegaConf.structured(KINDS[settings["name"]].config)
    config: Any = OmegaConf.to_object(OmegaConf.merge(schema, settings))
    assert isinstance(config, ClassifierConfig)
    return config
