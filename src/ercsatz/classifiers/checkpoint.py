"""Building, saving and loading classifiers.

A saved classifier is a folder: ``classifier.json`` (options and label order), ``model.safetensors``, and the encoder's
own ``config.json`` and tokenizer files; those of an encoder beside it are in a folder of its name. Nothing in it is
pickled, and nothing in it names code: its options' class is the one that a YAML of its name has as ``_target_``.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from ercsatz.artifacts.manifest import refuse_damaged
from ercsatz.classifiers.base import Classifier
from ercsatz.classifiers.encoder.pretrained import Pretrained, reopen
from ercsatz.classifiers.finite import check_weights
from ercsatz.config.backbone import Pooling
from ercsatz.config.classifier import ClassifierConfig
from ercsatz.config.pretrained import check_sizes, weights
from ercsatz.config.registry import options_class, tell, typed
from ercsatz.data.text_files import atomic_write, read_json
from ercsatz.disk import whole
from ercsatz.errors import UserError

FORMAT = 3
_BEFORE_ROLES = 2


@dataclass(frozen=True)
class ErcClassifier:
    """A classifier with all that is needed to use it on dialogues.

    Attributes:
        config: its options.
        pretrained: tokenizer and configuration of its encoder.
        labels: the class order.
        module: from batch to (N, labels) logits.
        encoders: tokenizer and configuration of encoders beside it, by name.
    """

    config: ClassifierConfig
    pretrained: Pretrained
    labels: tuple[str, ...]
    module: Classifier
    encoders: Mapping[str, Pretrained] = field(default_factory=dict)


def build(
    config: ClassifierConfig,
    pretrained: Pretrained,
    labels: Sequence[str],
    encoders: Mapping[str, Pretrained] | None = None,
) -> ErcClassifier:
    """A new classifier on pretrained encoders; the random state decides its other weights."""
    if tokens := config.extra_tokens():
        pretrained = pretrained.registering(tokens)
    module: Classifier = config.build(pretrained, len(labels), **(encoders or {}))
    return ErcClassifier(config, pretrained, tuple(labels), module, encoders or {})


def save(classifier: ErcClassifier, folder: Path) -> None:
    """Save into a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    classifier.pretrained.save(folder)
    for name, encoder in classifier.encoders.items():
        encoder.save(folder / name)
    save_weights(classifier.module, folder / "model.safetensors")
    description = {
        "format": FORMAT,
        "role": classifier.config.role,
        "classifier": asdict(classifier.config),
        "pooling": classifier.pretrained.pooling.value,
        "encoders": {name: encoder.pooling.value for name, encoder in classifier.encoders.items()},
        "labels": list(classifier.labels),
    }
    with atomic_write(folder / "classifier.json") as file:
        json.dump(description, file, indent=2)


def save_weights(module: nn.Module, file: Path) -> None:
    """Write a module's weights as safetensors; the file appears whole or not at all."""
    with whole(file) as new:
        save_file({name: tensor.cpu().contiguous() for name, tensor in module.state_dict().items()}, new)


def load(folder: Path, labels: Sequence[str] | None = None) -> ErcClassifier:
    """Load a saved classifier, whose files are verified where it has a manifest.

    Args:
        folder: what ``save`` wrote.
        labels: the label order it is wanted for; None takes any.

    Raises:
        UserError: the folder is no saved classifier or a damaged one, was saved by another version, is of a classifier
            that is not known here, was trained for other labels or another order of them, or has weights that are no
            numbers.
    """
    refuse_damaged(folder)
    try:
        return _load(folder, labels)
    except UserError:
        raise
    except Exception as error:  # json, omegaconf, safetensors and torch each have their own for a damaged file
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"{folder} cannot be loaded ({reason}). Copy or train it again.") from error


def _load(folder: Path, labels: Sequence[str] | None) -> ErcClassifier:
    description = _description(folder)
    if labels is not None and list(labels) != description["labels"]:
        raise UserError(
            f"The classifier in {folder} was trained for the labels {', '.join(description['labels'])}; "
            f"this benchmark has {', '.join(labels)}, in this order. Take a classifier trained on the same benchmark."
        )
    config = _config(description, folder)
    there = weights(folder / "model.safetensors")
    check_sizes(asdict(config), there, str(folder / "classifier.json"))
    encoders = {name: reopen(folder / name, Pooling(pooling)) for name, pooling in description["encoders"].items()}
    pretrained = reopen(folder, Pooling(description["pooling"]))
    for name, encoder in {"": pretrained, **encoders}.items():
        _check_encoder(encoder, there, folder / name / "config.json")
    classifier = build(config, pretrained, description["labels"], encoders)
    classifier.module.load_state_dict(load_file(folder / "model.safetensors"))
    check_weights(
        classifier.module,
        f"{folder}/model.safetensors",
        "Its training diverged. Remove the folder, and train it again with a lower training.lr.",
    )
    return classifier


def _check_encoder(encoder: Pretrained, there: tuple[int, int], file: Path) -> None:
    """Refuse an encoder that is larger than all weights that there are, before there is memory for it."""
    check_sizes(encoder.config.to_dict(), there, str(file))
    if max(encoder.tokenizer.get_vocab().values()) >= encoder.config.vocab_size:
        raise UserError(f"{file.with_name('tokenizer.json')} has tokens that the weights beside it do not know.")
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        numbers = sum(tensor.numel() for tensor in encoder.scratch().parameters())
    if numbers > there[1]:
        raise UserError(
            f"{file} describes an encoder of {numbers:,} numbers, and the weights beside it have {there[1]:,}. "
            "The file is not the one that belongs to them; copy or train the classifier again."
        )


def _description(folder: Path) -> dict[str, Any]:
    if not (folder / "classifier.json").is_file():
        raise UserError(f"{folder} is not a saved classifier: it has no classifier.json.")
    file = folder / "classifier.json"
    found = read_json(file, "Copy or train the classifier again.")
    if not isinstance(found, dict) or "format" not in found:
        raise UserError(f"{file} is not one that training writes. Copy or train the classifier again.")
    if '"_target_"' in (text := json.dumps(found, ensure_ascii=False)) or "${" in text:
        raise UserError(f"{file}: a saved classifier names no code and no other key's value, and this file does.")
    if found["format"] == _BEFORE_ROLES:
        memory = found.get("memory_pooling")
        return found | {"role": ClassifierConfig.role, "encoders": {"memory": memory} if memory else {}}
    if found["format"] != FORMAT:
        raise UserError(f"{folder} was saved in format {found['format']}, this version reads {FORMAT}. Train it again.")
    return found


def _config(description: Mapping[str, Any], folder: Path) -> ClassifierConfig:
    """Options as they were before JSON made strings of their enumerations."""
    options = description["classifier"]
    name = str(options["name"])
    found = options_class(name, "classifier")
    if found is None:
        raise UserError(
            f"{folder} holds the classifier {name!r}, for which there is no classifier/{name}.yaml. Give the folder "
            "that has it: --config-dir FOLDER, in Python ercsatz.config.registry.open_folders([FOLDER]). A teacher or "
            "topic layer of an earlier version is trained again."
        )
    tell(f"{found.__module__}.{found.__qualname__}")
    others = [each for each in vars(sys.modules[found.__module__]).values() if isinstance(each, type)]
    roles = {each.role: each for each in others if issubclass(each, ClassifierConfig) and issubclass(each, found)}
    schema = cast(type[ClassifierConfig], {**roles, found.role: found}[description["role"]])
    return typed(options, schema, f"{folder}/classifier.json: classifier")
