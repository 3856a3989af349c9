"""Train one stage into a folder: open or load the classifier, fit it, save it."""

import hashlib
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from ercsatz.classifiers import checkpoint
from ercsatz.classifiers.encoder import open_backbone
from ercsatz.config import Classifier, TrainConfig
from ercsatz.errors import UserError
from ercsatz.training.fit import Optimisation, fit
from ercsatz.training.stage import Stage
from ercsatz.training.tracking import RunName, stage_loggers


def train_stage(cfg: TrainConfig, stage: Stage, start: Path | None, folder: Path, title: str) -> dict[str, Any]:
    """Train a stage and save its classifier into ``folder``.

    Args:
        cfg: the job's configuration.
        stage: what is trained.
        start: the saved classifier that it starts from; None: the backbone.
        folder: the stage's own; what an interrupted run left there is gone on from.
        title: for progress lines.

    Returns:
        What ``fit`` returns, and the number of threads.

    Raises:
        UserError: the backbone or ``start`` cannot be opened, or ``start`` is another classifier than asked for.
    """
    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    train, labels = stage.corpus.split("train"), stage.corpus.labels
    if start is None:
        texts = (f"<s{n}> {turn.text}" for d in train for n, turn in enumerate(d.utterances, 1))
        classifier = checkpoint.build(cfg.classifier, open_backbone(cfg.backbone, texts), labels)
    else:
        classifier = checkpoint.load(start, labels)
        _check_same(classifier.config, cfg.classifier, start)
    name = RunName(
        id=f"{stage.key}-{hashlib.sha256(cfg.sweep.encode()).hexdigest()[:8]}",  # a sweep's name may have a slash
        name=f"{cfg.benchmark.name}_{stage.variant}-{cfg.classifier.name}-{stage.name}-s{cfg.seed}",
        group=cfg.sweep,
        job_type=stage.name,
        tags=(cfg.benchmark.name, stage.variant, cfg.classifier.name, cfg.backbone.name),
    )
    work = folder / "work"
    with stage_loggers(cfg.wandb, name, stage.description, folder) as loggers:
        record = fit(
            classifier,
            train,
            stage.corpus.split("validation"),
            Optimisation(**stage.settings["optimisation"]),
            cfg.trainer,
            cfg.seed,
            work,
            loggers,
            title,
        )
    checkpoint.save(classifier, folder)
    (work / "last.ckpt").unlink()  # first: with it and without the best weights, a later run could not go on
    shutil.rmtree(work)
    return {**record, "threads": torch.get_num_threads()}


def _check_same(saved: Classifier, wanted: Classifier, start: Path) -> None:
    there, here = asdict(saved), asdict(wanted)
    differing = [key for key in here | there if here.get(key) != there.get(key)]
    if differing:
        listed = ", ".join(f"classifier.{key} is {there.get(key)} there and {here.get(key)} here" for key in differing)
        raise UserError(f"training.checkpoint={start} is another classifier than asked for: {listed}. Give the same.")
