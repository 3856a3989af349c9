"""Train one stage into a folder: open or load the classifier, fit it, save it."""

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from numpy.typing import NDArray

from ercsatz.classifiers import checkpoint
from ercsatz.classifiers.checkpoint import ErcClassifier
from ercsatz.classifiers.emoone.classifier import gray_labels
from ercsatz.classifiers.encoder.pretrained import open_backbone
from ercsatz.classifiers.prerequisites import essential
from ercsatz.classifiers.todkat.classifier import TODKAT
from ercsatz.config import Classifier, CoMPM, EmoOne, TrainConfig
from ercsatz.errors import UserError
from ercsatz.tracking.loggers import stage_loggers
from ercsatz.tracking.wandb_run import RunName
from ercsatz.training.lightning_module import Optimisation
from ercsatz.training.stage_cache import Stage
from ercsatz.training.trainer import Run, fit


@dataclass(frozen=True)
class Before:
    """What a stage starts from.

    Attributes:
        start: the saved classifier whose weights it takes; None: the backbone.
        topic: the saved topic layer that TODKAT takes over, or None.
        taught: the teacher's predictions on the training dialogues, for EmoOne.
    """

    start: Path | None = None
    topic: Path | None = None
    taught: Sequence[Mapping[str, Any]] = ()


def train_stage(cfg: TrainConfig, stage: Stage, before: Before, folder: Path, title: str) -> dict[str, Any]:
    """Train a stage and save its classifier into ``folder``.

    Args:
        cfg: the job's configuration; ``cfg.classifier`` is what the stage trains.
        stage: what is trained.
        before: what it starts from.
        folder: the stage's own; what an interrupted run left there is gone on from.
        title: for progress lines.

    Returns:
        What ``fit`` returns, and the number of threads.

    Raises:
        UserError: the backbone or ``before.start`` cannot be opened, or it is another classifier than asked for.
    """
    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    train, validation = (stage.corpus.split(split) for split in ("train", "validation"))
    classifier = _classifier(cfg, stage, before)
    work, optimisation = folder / "work", Optimisation(**stage.settings["optimisation"])
    with stage_loggers(cfg.wandb, _run_name(cfg, stage), stage.description, folder) as loggers:
        run = Run(optimisation, cfg.trainer, cfg.seed, work, loggers, title, Path(cfg.paths.cache))
        record = fit(classifier, train, validation, run, _gray(cfg, stage, before))
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
    labels = stage.corpus.labels
    if before.start is not None:
        classifier = checkpoint.load(before.start, labels)
        _check_same(classifier.config, cfg.classifier, before.start)
        return classifier
    texts = [f"<s{n}> {turn.text}" for d in stage.corpus.split("train") for n, turn in enumerate(d.utterances, 1)]
    other = cfg.classifier.memory_backbone if isinstance(cfg.classifier, CoMPM) else None
    memory = open_backbone(other, texts) if other else None
    classifier = checkpoint.build(cfg.classifier, open_backbone(cfg.backbone, texts), labels, memory)
    if before.topic is not None:
        assert isinstance(classifier.module, TODKAT)
        classifier.module.adopt(checkpoint.load(before.topic, labels).module)  # type: ignore[arg-type]
    return classifier


def _gray(cfg: TrainConfig, stage: Stage, before: Before) -> list[NDArray[Any]] | None:
    if not isinstance(cfg.classifier, EmoOne):
        return None
    labels, train = stage.corpus.labels, stage.corpus.split("train")
    return gray_labels(cfg.classifier, labels, cfg.benchmark.sentiments, train, before.taught)


def _check_same(saved: Classifier, wanted: Classifier, start: Path) -> None:
    there, here = asdict(essential(saved)), asdict(essential(wanted))
    differing = [key for key in here | there if here.get(key) != there.get(key)]
    if differing:
        listed = ", ".join(f"classifier.{key} is {there.get(key)} there and {here.get(key)} here" for key in differing)
        raise UserError(f"training.checkpoint={start} is another classifier than asked for: {listed}. Give the same.")
