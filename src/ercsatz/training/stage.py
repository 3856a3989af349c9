"""Train one stage into a folder: open or load the classifier, fit it, save it."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
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
from ercsatz.training.callbacks import BestEpoch, Pace
from ercsatz.training.graph import Stage
from ercsatz.training.optimisation import Optimisation
from ercsatz.training.pulse import Pulse
from ercsatz.training.ranks.processes import order_of, together
from ercsatz.training.ranks.share import ALONE, Place
from ercsatz.training.ranks.step import Step, step
from ercsatz.training.ranks.step import together as step_together
from ercsatz.training.state import resumable
from ercsatz.training.trainer import Run, fit, resolve_device


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
    place: Place = ALONE,
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
        place: which of the processes this is that train the stage together; the first one saves it.
        pulse: is told how far it is.

    Returns:
        What ``fit`` returns, the number of threads and, of several, of processes.

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
    callbacks += [Pace(pulse, stage.key)] if pulse and place.rank == 0 else []
    work, optimisation = folder / "work", Optimisation(**stage.settings["optimisation"])
    # A resumed stage gets a new version_N beside the old one.
    csv = [CSVLogger(folder, name="logs")] if place.rank == 0 else []
    sampler = cfg.sampler if stage.classifier.predicts else None
    cache = Path(cfg.paths.cache)
    run = Run(optimisation, cfg.trainer, cfg.seed, work, [*csv, *more], title, cache, callbacks, sampler, place)
    record = fit(classifier, train, validation, run, soft)
    if place.rank:
        return {}
    checkpoint.save(classifier, folder)
    (work / "last.ckpt").unlink()  # first: with it and without the best weights, a later run could not go on
    shutil.rmtree(work)
    return {**record, "threads": torch.get_num_threads(), **({"processes": place.of} if place.of > 1 else {})}


def train_together(
    cfg: TrainConfig,
    stage: Stage,
    before: Before,
    folder: Path,
    title: str,
    more: Sequence[Logger] = (),
    pulse: Pulse | None = None,
) -> dict[str, Any]:
    """As ``train_stage``, in as many processes as ``trainer`` says.

    Raises:
        UserError: as there, or a process died.
        RuntimeError: a process failed otherwise; with its traceback.
    """
    of, own = cfg.trainer.devices * cfg.trainer.nodes, step()
    if of == 1 and own is None:
        return train_stage(cfg, stage, before, folder, title, more, pulse=pulse)
    _check_machine(cfg, own)
    work = folder / "work"
    resumable(work, BestEpoch(work, title, scored=True), title)  # what is damaged is removed once, before they look
    train = partial(train_stage, cfg, stage, before, folder, title, pulse=pulse)
    order = order_of(train, cfg.trainer.accelerator, title, len(more))
    return together(order, of, more) if own is None else step_together(own, order, of, more)


def _check_machine(cfg: TrainConfig, own: Step | None) -> None:
    """Refuse more machines or GPUs than there are."""
    if own is None and cfg.trainer.nodes > 1:
        raise UserError(
            f"trainer.nodes={cfg.trainer.nodes}: this is one machine. On a Slurm cluster: srun "
            f"--nodes={cfg.trainer.nodes} --ntasks-per-node=1 python train.py ..."
        )
    there = torch.cuda.device_count() if resolve_device(cfg.trainer.accelerator).type == "cuda" else None
    if own is None and there is not None and cfg.trainer.devices > there:
        raise UserError(f"trainer.devices={cfg.trainer.devices}: this machine has {there} GPUs. Take {there} or fewer.")


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
