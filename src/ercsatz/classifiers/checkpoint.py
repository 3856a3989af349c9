"""Building, saving and loading classifiers.

A saved classifier is a folder: ``classifier.json`` (configuration and label order), ``model.safetensors``, and the
encoder's own ``config.json`` and tokenizer files. Nothing in it is pickled.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from safetensors.torch import load_file, save_file
from torch import Tensor, device, nn

from ercsatz.classifiers.compm import CoMPM
from ercsatz.classifiers.encoder import Pretrained, reopen
from ercsatz.config import Classifier, Pooling
from ercsatz.config import CoMPM as CoMPMConfig
from ercsatz.dialogue import atomic_write, read_text
from ercsatz.errors import UserError

FORMAT = 1
CONFIGS: dict[str, type[Classifier]] = {"compm": CoMPMConfig}
MODULES: dict[str, Any] = {"compm": CoMPM}


class Batch(Protocol):
    """What training reads of a batch; the rest is between a classifier's ``collate`` and its ``forward``."""

    @property
    def labels(self) -> Tensor:
        """(N,) class indices."""

    @property
    def places(self) -> tuple[tuple[int, int], ...]:
        """N pairs of dialogue and turn."""

    def to(self, device: device) -> "Batch":
        """The same on another device."""


@dataclass(frozen=True)
class ErcClassifier:
    """A classifier with all that is needed to use it on dialogues."""

    config: Classifier
    pretrained: Pretrained
    labels: tuple[str, ...]
    module: Any  # an nn.Module from batch to (N, labels) logits, with ``max_tokens`` and ``collate(segments)``


def build(config: Classifier, pretrained: Pretrained, labels: Sequence[str]) -> ErcClassifier:
    """A new classifier on pretrained encoders; the random state decides its other weights."""
    return ErcClassifier(config, pretrained, tuple(labels), MODULES[config.name](config, pretrained, len(labels)))


def save(classifier: ErcClassifier, folder: Path) -> None:
    """Save into a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    classifier.pretrained.config.save_pretrained(folder)
    classifier.pretrained.tokenizer.save_pretrained(folder)
    save_weights(classifier.module, folder / "model.safetensors")
    description = {
        "format": FORMAT,
        "classifier": asdict(classifier.config),
        "pooling": classifier.pretrained.pooling.value,
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
        UserError: the folder is no saved classifier, or was trained for other labels or another order of them.
    """
    if not (folder / "classifier.json").is_file():
        raise UserError(f"{folder} is not a saved classifier: it has no classifier.json.")
    description = json.loads(read_text(folder / "classifier.json"))
    if labels is not None and list(labels) != description["labels"]:
        raise UserError(
            f"The classifier in {folder} was trained for the labels {', '.join(description['labels'])}; "
            f"this benchmark has {', '.join(labels)}, in this order. Take a classifier trained on the same benchmark."
        )
    settings = description["classifier"]
    config = CONFIGS[settings["name"]](**settings)
    classifier = build(config, reopen(folder, Pooling(description["pooling"])), description["labels"])
    classifier.module.load_state_dict(load_file(folder / "model.safetensors"))
    return classifier
