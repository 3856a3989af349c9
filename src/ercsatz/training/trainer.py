"""One training run with Lightning: fit, keep the best epoch, resume after an interruption."""

import logging
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from numpy.typing import NDArray
from pytorch_lightning.callbacks import Callback, ModelCheckpoint, TQDMProgressBar
from pytorch_lightning.loggers import Logger
from pytorch_lightning.strategies import DDPStrategy
from safetensors.torch import load_file
from torch import Tensor

from ercsatz.classifiers.checkpoint import ErcClassifier
from ercsatz.classifiers.finite import check_weights
from ercsatz.config import SamplerConfig, TrainerConfig
from ercsatz.data.dialogue import Dialogue
from ercsatz.errors import UserError
from ercsatz.training.callbacks import BestEpoch
from ercsatz.training.data_module import PREDICTED_TOKENS, DialogueDataModule, DialogueSplit, Size
from ercsatz.training.divergence import Divergence
from ercsatz.training.lightning_module import LightningClassifier
from ercsatz.training.optimisation import Lengths, Optimisation
from ercsatz.training.ranks.share import ALONE, Place
from ercsatz.training.state import WholeCheckpoints, resumable

_LOG = logging.getLogger(__name__)

# Lightning's advice and device list, a paragraph a stage; its warnings stay.
for _library in ("pytorch_lightning", "lightning_fabric"):
    logging.getLogger(_library).setLevel(logging.WARNING)
warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")  # Lightning against torch 2.13
warnings.filterwarnings("ignore", message=".*does not have many workers.*")  # a batch is made in a millisecond
warnings.filterwarnings("ignore", message="Found .* module.s. in eval mode")  # a frozen encoder; fit sets the others
warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")  # so it is on resuming
warnings.filterwarnings("ignore", message="The dirpath has changed")  # BestEpoch does not depend on it
warnings.filterwarnings("ignore", message=".*smaller than the logging interval")  # one value an epoch is logged
warnings.filterwarnings("ignore", message="The `srun` command is available")  # processes are started otherwise
warnings.filterwarnings("ignore", message=".*broadcast_buffers. is deprecated")  # of Lightning against torch 2.13
warnings.filterwarnings("ignore", message=".*sync_dist=True")  # scores are of all processes' predictions already


@dataclass(frozen=True)
class Run:
    """How and where a classifier is trained.

    Attributes:
        optimisation: how.
        trainer: where.
        seed: of shuffling and dropout.
        folder: for the state of the run.
        loggers: Lightning's.
        title: for progress lines.
        cache: a folder for tokens and frozen vectors, shared with other runs.
        callbacks: Lightning's, beside the project's own.
        sampler: which training dialogues an epoch has; None: each once.
        place: which of the processes this is that train the classifier together.
    """

    optimisation: Optimisation
    trainer: TrainerConfig
    seed: int
    folder: Path
    loggers: Sequence[Logger]
    title: str
    cache: Path | None = None
    callbacks: Sequence[Callback] = ()
    sampler: SamplerConfig | None = None
    place: Place = ALONE


@contextmanager
def _dead_workers_told() -> Iterator[None]:
    """Tell the user of a process that makes batches and has died; torch notices, and raises wherever it is."""
    try:
        yield
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker (pid"):
            raise
        raise UserError(
            f"A process that makes batches died; the system may have lacked memory ({str(error).strip(' .')}). "
            "Make batches without any, trainer.workers=0, or give the machine more memory."
        ) from error


@_dead_workers_told()
def fit(
    classifier: ErcClassifier,
    train: Sequence[Dialogue],
    validation: Sequence[Dialogue],
    run: Run,
    soft: Sequence[NDArray[Any]] | None = None,
) -> dict[str, Any]:
    """Train a classifier in place and leave it with the weights of its best epoch on the validation split.

    Of several processes the first does so; the others leave theirs as they are after the last epoch.

    After each epoch the whole state is kept in the run's folder; a run that finds one there goes on from it, and ends
    with the same weights as one that was never interrupted.

    Args:
        classifier: to train.
        train: dialogues to train on.
        validation: dialogues that decide the best epoch.
        run: how and where.
        soft: soft labels of the training dialogues, a (turns, labels) array a dialogue.

    Returns:
        ``best_epoch`` (from 1), ``validation_w_f1`` in [0, 1] (or ``validation_loss``), ``curve`` (a mapping an epoch:
        ``epoch``, the training ``loss``, ``w_f1`` or ``validation_loss``; None where it is no number), ``steps`` and
        ``epochs`` that were run, and the ``accelerator`` and ``precision`` that it ran with. Nothing in processes
        beside the first.

    Raises:
        UserError: the accelerator is not there, the loss, the weights or the predictions became NaN or infinite, or a
            process that makes batches died.
    """
    device = resolve_device(run.trainer.accelerator)
    best = BestEpoch(run.folder, run.title, classifier.module.scored, run.optimisation.patience)
    runner = _runner(run, device, best)
    data = _data(classifier, train, validation, run, device, soft)
    _train(runner, classifier, data, run, resumable(run.folder, best, run.title))
    if not runner.is_global_zero:
        return {}
    if (damage := best.damage()) is not None:
        raise UserError(f"{run.title}: {damage} since it was written. Run the same command again: it trains it anew.")
    classifier.module.load_state_dict(load_file(best.file))
    # An earlier version, which was killed here, may have kept them.
    check_weights(classifier.module, f"{run.title}: {best.file}", "Remove its folder, and lower training.lr.")
    name = torch.cuda.get_device_name() if device.type == "cuda" else device.type
    epochs = len(best.curve)
    ran = {"steps": epochs * data.steps, "epochs": epochs, "accelerator": name, "precision": runner.precision}
    return {**best.result, **ran}


def _data(
    classifier: ErcClassifier,
    train: Sequence[Dialogue],
    validation: Sequence[Dialogue],
    run: Run,
    device: torch.device,
    soft: Sequence[NDArray[Any]] | None,
) -> DialogueDataModule:
    """The dialogues to train on and those to check on; says so where one of the former is too long for the memory."""
    size = Size(run.optimisation.batch_tokens, run.optimisation.batch_targets)
    split = DialogueSplit(classifier, train, size, run.trainer, device, run.cache, soft, place=run.place)
    largest = max((part for segment in split.segments for part in split.parts(segment)), key=lambda part: part.held)
    if largest.held > run.trainer.memory_tokens:
        _LOG.warning(
            f"  {run.title} | dialogue {train[largest.dialogue].id!r} has {largest.held:,} tokens that are read at "
            f"once, more than trainer.memory_tokens={run.trainer.memory_tokens}. Leave it out if the memory is too "
            "small, or lower classifier.max_tokens."
        )
    checks = DialogueSplit(classifier, validation, Size(PREDICTED_TOKENS), run.trainer, device, run.cache)
    return DialogueDataModule(split, checks, run.seed, run.sampler, run.place)


def _train(
    runner: pl.Trainer, classifier: ErcClassifier, data: DialogueDataModule, run: Run, resume: Path | None
) -> None:
    """Train, or go on from a state."""
    run.folder.mkdir(parents=True, exist_ok=True)
    lengths = Lengths(data.steps, data.train.targets)
    module = LightningClassifier(classifier, run.optimisation, lengths, run.seed, run.place)
    classifier.module.train()  # from_pretrained leaves encoders in eval mode, and Lightning keeps what it finds
    if run.trainer.compile:
        classifier.module.compile(dynamic=True)
    runner.fit(module, datamodule=data, ckpt_path=resume, weights_only=True)


def _runner(run: Run, device: torch.device, best: BestEpoch) -> pl.Trainer:
    last = ModelCheckpoint(run.folder, "last", save_on_train_epoch_end=True, enable_version_counter=False)
    terminal = sys.stderr.isatty() and run.place.rank == 0
    bar = [TQDMProgressBar(refresh_rate=10, leave=False)] if terminal else []  # each refresh waits for the GPU
    return pl.Trainer(
        accelerator=device.type,
        **_together(run.place, device),
        precision=resolve_precision(run.trainer.precision, device),  # type: ignore[arg-type]
        max_epochs=run.optimisation.epochs,
        callbacks=[Divergence(run.title, run.optimisation), best, last, *bar, *run.callbacks],
        logger=list(run.loggers),
        plugins=[WholeCheckpoints(), LightningEnvironment()],  # on Slurm it would look for more ranks, and requeue
        log_every_n_steps=10,
        num_sanity_val_steps=0,
        enable_progress_bar=terminal,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )


def _together(place: Place, device: torch.device) -> dict[str, Any]:
    """The devices of a trainer and how gradients are exchanged; to Lightning each process is a node of one device."""
    if place.of == 1:
        return {"devices": 1}
    strategy = DDPStrategy(
        find_unused_parameters=True,  # a batch without earlier turns or knowledge leaves parts of a classifier out
        broadcast_buffers=False,  # none of them changes
    )
    devices = [torch.cuda.current_device()] if device.type == "cuda" else 1
    return {"devices": devices, "num_nodes": place.of, "strategy": strategy}


@_dead_workers_told()
def predict(
    classifier: ErcClassifier,
    dialogues: Sequence[Dialogue],
    trainer: TrainerConfig,
    cache: Path | None = None,
    every_turn: bool = False,
) -> list[tuple[int, int, Tensor]]:
    """Class probabilities of every labelled turn, or of every turn.

    Returns:
        (dialogue, turn, probabilities) in the order of the dialogues.

    Raises:
        UserError: a probability is NaN.
    """
    device = resolve_device(trainer.accelerator)
    module = classifier.module.to(device).eval()
    split = DialogueSplit(classifier, dialogues, Size(PREDICTED_TOKENS), trainer, device, cache, every_turn=every_turn)
    split.segments.sort(key=lambda segment: segment.cost)
    half = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}.get(resolve_precision(trainer.precision, device))
    result: list[tuple[int, int, Tensor]] = []
    with torch.inference_mode(), torch.autocast(device.type, half, enabled=half is not None):
        for step in split.loader(None):
            for batch in step.batches:
                probabilities = module(batch.to(device)).float().softmax(dim=1).cpu()
                _check_numbers(dialogues, batch.places, probabilities, trainer.precision)
                result += [(d, t, p) for (d, t), p in zip(batch.places, probabilities, strict=True)]
    return sorted(result, key=lambda row: row[:2])


def _check_numbers(
    dialogues: Sequence[Dialogue], places: Sequence[tuple[int, int]], probabilities: Tensor, precision: str
) -> None:
    """Refuse what would pass for the first label."""
    bad = (~probabilities.isfinite().all(dim=1)).nonzero()
    if len(bad):
        dialogue, turn = places[int(bad[0])]
        raise UserError(
            f"Dialogue {dialogues[dialogue].id!r}, turn {turn + 1}: the classifier's output is not finite (NaN or "
            f"infinite), in trainer.precision={precision}. Try trainer.precision=32-true; if it is the same there, "
            "train it again with a lower training.lr."
        )


def resolve_device(accelerator: str) -> torch.device:
    """The device that ``trainer.accelerator`` means on this machine.

    Raises:
        UserError: it names one that is not there.
    """
    there = [name for name, module in (("cuda", torch.cuda), ("mps", torch.backends.mps)) if module.is_available()]
    name = {"auto": [*there, "cpu"][0], "gpu": [*there, "gpu"][0]}.get(accelerator, accelerator)
    if name not in {"cpu", *there}:
        raise UserError(f"trainer.accelerator={accelerator}: this machine has none. Take auto or cpu.")
    return torch.device(name)


def resolve_precision(wanted: str, device: torch.device) -> str:
    """The precision that ``trainer.precision`` means on a device."""
    if wanted != "auto":
        return wanted
    return "bf16-mixed" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "32-true"
