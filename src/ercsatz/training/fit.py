"""One training run with Lightning: fit, keep the best epoch, resume after an interruption."""

import ctypes
import logging
import platform
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from pytorch_lightning.callbacks import Callback, ModelCheckpoint, TQDMProgressBar
from pytorch_lightning.loggers import Logger
from safetensors.torch import load_file
from torch import Tensor

from ercsatz.classifiers.checkpoint import ErcClassifier, save_weights
from ercsatz.config import Trainer
from ercsatz.dialogue import Dialogue
from ercsatz.errors import UserError
from ercsatz.training.batches import Size, Split
from ercsatz.training.module import Lengths, LightningClassifier, Optimisation

PREDICTED_TOKENS = 8192  # of a batch where nothing is trained

# Lightning's advice and device list, a paragraph a stage; its warnings stay.
logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")  # Lightning against torch 2.13
warnings.filterwarnings("ignore", message=".*does not have many workers.*")  # a batch is made in a millisecond
warnings.filterwarnings("ignore", message="Found .* module.s. in eval mode")  # a frozen encoder; fit sets the others
warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")  # so it is on resuming
warnings.filterwarnings("ignore", message="The dirpath has changed")  # BestEpoch does not depend on it
warnings.filterwarnings("ignore", message=".*smaller than the logging interval")  # one value an epoch is logged


class BestEpoch(Callback):
    """Keeps the weights of the best epoch on the validation split, and prints a line an epoch.

    The best is that of the highest W-F1, or of the lowest loss where a classifier is not scored. The file is named by
    its epoch, and those of earlier epochs go only when the run's state is saved: whenever a run is killed, the state
    that it goes on from and the weights that belong to it are both there.
    """

    def __init__(self, folder: Path, title: str, scored: bool) -> None:
        self._folder, self._title, self._scored = folder, title, scored
        self.epoch, self.score = 0, float("-inf")

    @property
    def file(self) -> Path:
        """The best weights so far."""
        return self._folder / f"best-{self.epoch}.safetensors"

    @property
    def result(self) -> dict[str, Any]:
        """The best epoch (from 1) and its validation figure."""
        figure = {"validation_w_f1": self.score} if self._scored else {"validation_loss": -self.score}
        return {"best_epoch": self.epoch, **figure}

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Remove what no state refers to any more, from the folder and from the memory."""
        _give_back_memory()
        for file in self._folder.glob("best-*.safetensors"):
            if file != self.file:
                file.unlink()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the weights if they are the best, and print the line."""
        metrics, epoch = trainer.callback_metrics, trainer.current_epoch + 1
        score = float(metrics["validation/w_f1"]) if self._scored else -float(metrics["validation/loss"])
        if score > self.score:
            self.epoch, self.score = epoch, score
            save_weights(pl_module.module, self.file)  # type: ignore[arg-type]
        name, now, best = "loss", f"{-score:.3f}", f"{-self.score:.3f}"
        if self._scored:
            name, now, best = "W-F1", f"{100 * score:.2f}", f"{100 * self.score:.2f}"
        print(
            f"  {self._title} | epoch {epoch}/{trainer.max_epochs} | loss {metrics['train/loss']:.3f} | "
            f"validation {name} {now} | best {best} (epoch {self.epoch})",
            flush=True,
        )

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs."""
        return {"epoch": self.epoch, "score": self.score}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a saved state."""
        self.epoch, self.score = state_dict["epoch"], state_dict["score"]


def fit(
    classifier: ErcClassifier,
    train: Sequence[Dialogue],
    validation: Sequence[Dialogue],
    optimisation: Optimisation,
    trainer: Trainer,
    seed: int,
    folder: Path,
    loggers: Sequence[Logger],
    title: str,
    cache: Path | None = None,
    soft: Sequence[NDArray[Any]] | None = None,
) -> dict[str, Any]:
    """Train a classifier in place and leave it with the weights of its best epoch on the validation split.

    After each epoch the whole state is kept in ``folder``; a run that finds one there goes on from it, and ends with
    the same weights as one that was never interrupted.

    Args:
        classifier: to train.
        train: dialogues to train on.
        validation: dialogues that decide the best epoch.
        optimisation: how.
        trainer: where.
        seed: of shuffling and dropout.
        folder: for the state of the run.
        loggers: Lightning's.
        title: for progress lines.
        cache: a folder for tokens and frozen vectors, shared with other runs.
        soft: soft labels of the training dialogues, a (turns, labels) array a dialogue.

    Returns:
        ``best_epoch`` (from 1), ``validation_w_f1`` in [0, 1] (or ``validation_loss``), ``steps``, ``epochs``, and the
        ``accelerator`` and ``precision`` that it ran with.

    Raises:
        UserError: the accelerator is not there.
    """
    device = resolve_device(trainer.accelerator)
    size = Size(optimisation.batch_tokens, optimisation.batch_targets)
    split = Split(classifier, train, size, trainer, device, cache, soft)
    batches = split.loader(seed)
    checks = Split(classifier, validation, Size(PREDICTED_TOKENS), trainer, device, cache).loader(None)
    module = LightningClassifier(classifier, optimisation, Lengths(len(batches), split.targets), seed)
    folder.mkdir(parents=True, exist_ok=True)
    best = BestEpoch(folder, title, classifier.module.scored)
    runner = _runner(device, resolve_precision(trainer.precision, device), optimisation.epochs, best, folder, loggers)
    classifier.module.train()  # from_pretrained leaves encoders in eval mode, and Lightning keeps what it finds
    if trainer.compile:
        classifier.module.compile(dynamic=True)
    resume = folder / "last.ckpt"
    runner.fit(module, batches, checks, ckpt_path=resume if resume.exists() else None, weights_only=True)
    if not best.epoch:
        raise UserError(f"{title}: the validation loss was never a number. Lower the learning rate (training.lr).")
    classifier.module.load_state_dict(load_file(best.file))
    return {
        **best.result,
        "steps": len(batches) * optimisation.epochs,
        "epochs": optimisation.epochs,
        "accelerator": torch.cuda.get_device_name() if device.type == "cuda" else device.type,
        "precision": runner.precision,
    }


def _give_back_memory() -> None:
    """Hand freed memory back to the system; glibc keeps it in pieces that the next epoch's tensors do not fit."""
    if sys.platform == "linux" and platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


def _runner(
    device: torch.device, precision: str, epochs: int, best: BestEpoch, folder: Path, loggers: Sequence[Logger]
) -> pl.Trainer:
    last = ModelCheckpoint(folder, "last", save_on_train_epoch_end=True, enable_version_counter=False)
    terminal = sys.stderr.isatty()
    bar = [TQDMProgressBar(refresh_rate=10, leave=False)] if terminal else []  # each refresh waits for the GPU
    return pl.Trainer(
        accelerator=device.type,
        devices=1,
        precision=precision,  # type: ignore[arg-type]
        max_epochs=epochs,
        callbacks=[best, last, *bar],
        logger=list(loggers),
        log_every_n_steps=10,
        num_sanity_val_steps=0,
        enable_progress_bar=terminal,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )


def predict(
    classifier: ErcClassifier,
    dialogues: Sequence[Dialogue],
    trainer: Trainer,
    cache: Path | None = None,
    every_turn: bool = False,
) -> list[tuple[int, int, Tensor]]:
    """Class probabilities of every labelled turn, or of every turn.

    Returns:
        (dialogue, turn, probabilities) in the order of the dialogues.
    """
    device = resolve_device(trainer.accelerator)
    module = classifier.module.to(device).eval()
    split = Split(classifier, dialogues, Size(PREDICTED_TOKENS), trainer, device, cache, every_turn=every_turn)
    split.segments.sort(key=lambda segment: segment.cost)
    half = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}.get(resolve_precision(trainer.precision, device))
    result: list[tuple[int, int, Tensor]] = []
    with torch.inference_mode(), torch.autocast(device.type, half, enabled=half is not None):
        for step in split.loader(None):
            for batch in step.batches:
                probabilities = module(batch.to(device)).float().softmax(dim=1).cpu()
                result += [(d, t, p) for (d, t), p in zip(batch.places, probabilities, strict=True)]
    return sorted(result, key=lambda row: row[:2])


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
