"""What happens beside training: the best epoch is kept, the state is saved so that a killed run goes on."""

import ctypes
import hashlib
import logging
import math
import platform
import sys
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from ercsatz.classifiers.checkpoint import save_weights
from ercsatz.training.pulse import Pulse

_LOG = logging.getLogger(__name__)
_TOLD, _RECENT = 2.0, 30.0  # seconds between two words of how far a stage is; that its speed is taken from


class BestEpoch(Callback):
    """Keeps the weights of the best epoch on the validation split, and prints a line an epoch.

    The best is that of the highest W-F1, or of the lowest loss where a classifier is not scored. The file is named by
    its epoch, and those of earlier epochs go only when the run's state is saved: whenever a run is killed, the state
    that it goes on from and the weights that belong to it are both there.

    After ``patience`` epochs in a row without a better one the run ends; None: after its last.
    """

    def __init__(self, folder: Path, title: str, scored: bool, patience: int | None = None) -> None:
        self._folder, self._title, self._scored, self._patience = folder, title, scored, patience
        self.epoch, self.score = 0, float("-inf")
        self._sha256: str | None = None
        self.curve: list[dict[str, Any]] = []

    @property
    def file(self) -> Path:
        """The best weights so far."""
        return self._file(self.epoch)

    @property
    def result(self) -> dict[str, Any]:
        """The best epoch (from 1), its validation figure, and the figures of all epochs."""
        figure = {"validation_w_f1": self.score} if self._scored else {"validation_loss": -self.score}
        return {"best_epoch": self.epoch, **figure, "curve": self.curve}

    def _file(self, epoch: int) -> Path:
        return self._folder / f"best-{epoch}.safetensors"

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Train no further where a run that was killed had ended: Lightning's state does not say so."""
        self._stop(trainer)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Remove what no state refers to any more, from the folder and from the memory."""
        _give_back_memory()
        if not trainer.is_global_zero:
            return
        for file in self._folder.glob("best-*.safetensors"):
            if file != self.file:
                file.unlink()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the weights if they are the best, and print the line."""
        metrics, epoch = trainer.callback_metrics, trainer.current_epoch + 1
        score = float(metrics["validation/w_f1"]) if self._scored else -float(metrics["validation/loss"])
        if score > self.score:
            self.epoch, self.score = epoch, score
            if trainer.is_global_zero:
                save_weights(pl_module.module, self.file)  # type: ignore[arg-type]
                self._sha256 = _sha256(self.file)
        loss = float(metrics["train/loss"])
        figures = {"loss": loss, **({"w_f1": score} if self._scored else {"validation_loss": -score})}
        known = {name: value if math.isfinite(value) else None for name, value in figures.items()}  # for JSON
        self.curve.append({"epoch": epoch, **known})
        name, now, best = "loss", f"{-score:.3f}", f"{-self.score:.3f}"
        if self._scored:
            name, now, best = "W-F1", f"{100 * score:.2f}", f"{100 * self.score:.2f}"
        _LOG.info(
            f"  {self._title} | epoch {epoch}/{trainer.max_epochs} | loss {loss:.3f} | "
            f"validation {name} {now} | best {best} (epoch {self.epoch})"
        )
        if self._stop(trainer) and epoch < (trainer.max_epochs or 0):
            _LOG.info(f"  {self._title} | stops early: none of {self._patience} epochs was better (training.patience)")

    def _stop(self, trainer: pl.Trainer) -> bool:
        over = self._patience is not None and len(self.curve) - self.epoch >= self._patience
        trainer.should_stop |= over
        return over

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs."""
        return {"epoch": self.epoch, "score": self.score, "curve": self.curve, "sha256": self._sha256}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a saved state."""
        self.epoch, self.score, self.curve = state_dict["epoch"], state_dict["score"], list(state_dict["curve"])
        self._sha256 = state_dict.get("sha256")  # which states of earlier versions lack

    def damage(self, state_dict: Mapping[str, Any] | None = None) -> str | None:
        """What is wrong with the best weights of a saved state, or of this run; None if they are whole."""
        state = self.state_dict() if state_dict is None else state_dict
        if not state.get("epoch"):
            return None
        file = self._file(state["epoch"])
        if not file.is_file():
            return f"{file} is missing"
        return None if state.get("sha256") in {None, _sha256(file)} else f"{file} was changed"


class Pace(Callback):
    """Tells how far a stage is, now and then; a step costs a look at the clock, and no device is waited for.

    Args:
        pulse: is told.
        key: of the stage.
    """

    def __init__(self, pulse: Pulse, key: str) -> None:
        self._pulse, self._key = pulse, key
        self._began: tuple[float, float] | None = None  # when, and after how many epochs
        self._recent: deque[tuple[float, int]] = deque()  # times, and the steps of the run by then
        self._next = 0.0

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Tell, if it is time to."""
        now, epochs, steps = time.monotonic(), trainer.max_epochs or 0, int(trainer.num_training_batches)
        gone = trainer.current_epoch + (batch_idx + 1) / steps
        self._began = self._began or (now, gone)
        if now < self._next or not trainer.is_global_zero:
            return
        self._next = now + _TOLD
        self._recent.append((now, trainer.current_epoch * steps + batch_idx + 1))
        while now - self._recent[0][0] > _RECENT and len(self._recent) > 2:
            self._recent.popleft()
        told: dict[str, float] = {
            "epoch": trainer.current_epoch + 1,
            "epochs": epochs,
            "step": batch_idx + 1,
            "steps": steps,
        }
        if now > self._recent[0][0]:
            (first, before), (began, at_first) = self._recent[0], self._began
            told |= {"rate": (self._recent[-1][1] - before) / (now - first)}
            told |= {"left": round((now - began) * (epochs - gone) / (gone - at_first), 1)}
        self._pulse.tell(key=self._key, device=_device(trainer), **told)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """What comes now is prediction."""
        if trainer.is_global_zero:
            self._pulse.tell(key=self._key, device=_device(trainer))


def _device(trainer: pl.Trainer) -> str:
    device, number = trainer.strategy.root_device, trainer.world_size
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return name if number == 1 else f"{number} of {name}"


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _give_back_memory() -> None:
    """Hand freed memory back to the system; glibc keeps it in pieces that the next epoch's tensors do not fit."""
    if sys.platform == "linux" and platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
