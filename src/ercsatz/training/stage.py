"""Train one stage into a folder: open or load the classifier, fit it, save it."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from pytorch_lightning.callbacks import Callback, StochasticWeightAveraging, WeightAveraging
from pytorch_lightning.loggers import CSVLogger, Logger

from ercsatz import threads
from ercsatz.classifiers import checkpoint
from ercsatz.classifiers.checkpoint import ErcClassifier
from ercsatz.classifiers.encoder.pretrained import open_backbone
from ercsatz.config import TrainConfig
from ercsatz.config.classifier import ClassifierConfig
from ercsatz.config.registry import instantiate
from ercsatz.data.dialogue import Dialogue, label_counts
from ercsatz.errors import UserError
from ercsatz.training.callbacks import Pace
from ercsatz.training.graph import Stage
from ercsatz.training.optimisation import Optimisation
from ercsatz.training.pulse import Pulse
from ercsatz.training.trainer import Run, fit


@dataclass(frozen=True)
class Before:
    """What a stage starts from.

    Attributes:
        start: the saved classifier whose weights it takes; None: the backbone.
        adopted: the saved prerequisite whose weights the classifier takes over, or None.
        taught: the prerequisite's predictions on the training dialogues, where these are what it gives.
    """

    start: Path | None = None
    adopted: Path | None = None
    taught: Sequence[Mapping[str, Any]] = ()


def train_stage(
    cfg: TrainConfig,
    stage: Stage,
    before: Before,
    folder: Path,
    title: str,
    more: Sequence[Logger] = (),
    pulse: Pulse | None = None,
) -> dict[str, Any]:
    """Train a stage and save its classifier into ``folder``.

    Args:
        cfg: the job's configuration.
        stage: what is trained.
        before: what it starts from.
        folder: the stage's own; what an interrupted run left there is gone on from.
        title: for progress lines.
        more: loggers beside the CSV file, which is kept with the stage.
        pulse: is told how far it is.

    Returns:
        What ``fit`` returns, and the number of threads.

    Raises:
        UserError: the backbone or ``before.start`` cannot be opened, it is another classifier than asked for, a soft
            label is no number, a callback cannot be made, or the training diverged.
    """
    threads.use(cfg.trainer.threads)
    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    train, validation = (stage.corpus.split(split) for split in ("train", "validation"))
    classifier = _classifier(cfg, stage, before)
    soft = classifier.module.soft_labels(cfg.benchmark, train, before.taught)
    _check_soft(soft, train, title)
    callbacks = [_callback(node, f"callbacks.{name}") for name, node in cfg.callbacks.items()]
    callbacks += [Pace(pulse, stage.key)] if pulse else []
    work, optimisation = folder / "work", Optimisation(**stage.settings["optimisation"])
    csv = CSVLogger(folder, name="logs")  # a resumed stage gets a new version_N beside the old one
    sampler = cfg.sampler if stage.classifier.predicts else None
    cache = Path(cfg.paths.cache)
    run = Run(optimisation, cfg.trainer, cfg.seed, work, [csv, *more], title, cache, callbacks, sampler)
    record = fit(classifier, train, validation, run, soft)
    checkpoint.save(classifier, folder)
    (work / "last.ckpt").unlink()  # first: with it and without the best weights, a later run could not go on
    shutil.rmtree(work)
    return {**record, "threads": torch.get_num_threads()}


def _callback(node: Mapping[str, Any], key: str) -> Callback:
    """A callback of Lightning's.

    Raises:
        UserError: it cannot be made, or its averaging would be lost: it puts the weights back before the best are kept.
    """
    made = instantiate(node, key, Callback)
    if isinstance(made, (StochasticWeightAveraging, WeightAveraging)):
        raise UserError(
            f"{key}: the average of {node['_target_']} would not be what is kept of the best epoch. Take "
            "callbacks=weight_averaging."
        )
    return made


def _check_soft(soft: Sequence[NDArray[Any]] | None, dialogues: Sequence[Dialogue], title: str) -> None:
    for dialogue, rows in zip(dialogues, soft or (), strict=soft is not None):
        if not np.isfinite(rows).all():
            turn = int(np.argmin(np.isfinite(rows).all(axis=1))) + 1
            raise UserError(
                f"{title}: dialogue {dialogue.id!r}, turn {turn}: its soft label is not finite (NaN or infinite). Mend "
                "what makes it: the teacher, or soft_labels of a classifier of one's own."
            )


def _classifier(cfg: TrainConfig, stage: Stage, before: Before) -> ErcClassifier:
    labels, config = stage.corpus.labels, stage.classifier
    if before.start is not None:
        classifier = checkpoint.load(before.start, labels)
        _check_same(classifier.config, config, before.start)
    else:
        texts = [f"<s{n}> {turn.text}" for d in stage.corpus.split("train") for n, turn in enumerate(d.utterances, 1)]
        encoders = {name: open_backbone(each, texts) for name, each in config.encoders().items()}
        classifier = checkpoint.build(config, open_backbone(cfg.backbone, texts), labels, encoders)
    if before.adopted is not None:
        classifier.module.adopt(checkpoint.load(before.adopted, labels).module)
    counts = label_counts(stage.corpus.split("train"))
    classifier.module.target_loss = cfg.loss.prepared([counts[label] for label in labels])
    return classifier


def _check_same(saved: ClassifierConfig, wanted: ClassifierConfig, start: Path) -> None:
    there, here = asdict(saved.essential()), asdict(wanted.essential())
    differing = [key for key in here | there if here.get(key) != there.get(key)]
    if differing:
        listed = ", ".join(f"classifier.{key} is {there.get(key)} there and {here.get(key)} here" for key in differing)
        raise UserError(f"training.checkpoint={start} is another classifier than asked for: {listed}. Give the same.")
