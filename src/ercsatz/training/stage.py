"""Train one stage into a folder: open or load the classifier, fit it, save it."""

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from ercsatz.classifiers import checkpoint
from ercsatz.classifiers.checkpoint import ErcClassifier
from ercsatz.classifiers.encoder.pretrained import open_backbone
from ercsatz.config import TrainConfig
from ercsatz.config.classifier import ClassifierConfig
from ercsatz.config.registry import instantiate
from ercsatz.errors import UserError
from ercsatz.tracking.loggers import stage_loggers
from ercsatz.tracking.wandb_run import RunName
from ercsatz.training.graph import Stage
from ercsatz.training.lightning_module import Optimisation
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


def train_stage(cfg: TrainConfig, stage: Stage, before: Before, folder: Path, title: str) -> dict[str, Any]:
    """Train a stage and save its classifier into ``folder``.

    Args:
        cfg: the job's configuration.
        stage: what is trained.
        before: what it starts from.
        folder: the stage's own; what an interrupted run left there is gone on from.
        title: for progress lines.

    Returns:
        What ``fit`` returns, and the number of threads.

    Raises:
        UserError: the backbone or ``before.start`` cannot be opened, it is another classifier than asked for, or a
            callback or logger cannot be made.
    """
    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    train, validation = (stage.corpus.split(split) for split in ("train", "validation"))
    classifier = _classifier(cfg, stage, before)
    soft = classifier.module.soft_labels(cfg.benchmark, train, before.taught)
    callbacks = [instantiate(node, f"callbacks.{name}") for name, node in cfg.callbacks.items()]
    work, optimisation = folder / "work", Optimisation(**stage.settings["optimisation"])
    own = [instantiate(node, f"logger.{name}") for name, node in cfg.logger.items()]
    with stage_loggers(cfg.wandb, _run_name(cfg, stage), stage.description, folder, own) as loggers:
        run = Run(optimisation, cfg.trainer, cfg.seed, work, loggers, title, Path(cfg.paths.cache), callbacks)
        record = fit(classifier, train, validation, run, soft)
    checkpoint.save(classifier, folder)
    (work / "last.ckpt").unlink()  # first: with it and without the best weights, a later run could not go on
    shutil.rmtree(work)
    return {**record, "threads": torch.get_num_threads()}


def _run_name(cfg: TrainConfig, stage: Stage) -> RunName:
    return RunName(
        id=f"{stage.key}-{hashlib.sha256(cfg.sweep.encode()).hexdigest()[:8]}",  # a sweep's name may have a slash
        name=f"{cfg.benchmark.name}_{stage.variant}-{cfg.classifier.name}-{stage.name}-s{cfg.seed}",
        group=cfg.sweep,
        job_type=stage.name,
        tags=(cfg.benchmark.name, stage.variant, cfg.classifier.name, cfg.backbone.name),
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
    classifier.module.target_loss = cfg.loss.total
    return classifier


def _check_same(saved: ClassifierConfig, wanted: ClassifierConfig, start: Path) -> None:
    there, here = asdict(saved.essential()), asdict(wanted.essential())
    differing = [key for key in here | there if here.get(key) != there.get(key)]
    if differing:
        listed = ", ".join(f"classifier.{key} is {there.get(key)} there and {here.get(key)} here" for key in differing)
        raise UserError(f"training.checkpoint={start} is another classifier than asked for: {listed}. Give the same.")
