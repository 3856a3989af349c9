"""A stage that diverges ends with an error that names the step, and what to try."""

import math
from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from ercsatz.classifiers.finite import not_finite
from ercsatz.errors import UserError
from ercsatz.training.optimisation import Optimisation

_EVERY = 50  # steps between two looks at the losses


class Divergence(Callback):
    """Ends a stage whose loss, weights or predictions become NaN or infinite.

    Losses stay on their device and are looked at every few steps: each look waits for a GPU. Weights are looked at once
    an epoch, after its last step: before they are validated or kept.

    With float16 a scaler leaves out the steps whose gradients overflow, and the weights stay as they are. So a loss
    that is no number is no failure there, unless an epoch has no other.

    Raises:
        UserError: from its hooks; names step and epoch.
    """

    def __init__(self, title: str, optimisation: Optimisation) -> None:
        self._title, self._optimisation = title, optimisation
        self._losses: list[Tensor] = []
        self._predicted: list[Tensor] = []
        self._any_finite = False

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Forget the epoch before."""
        self._losses.clear()
        self._any_finite = False

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look at the losses of some steps, and after the last one at the weights."""
        self._losses.append(outputs["loss"])
        if len(self._losses) == _EVERY or trainer.is_last_batch:
            losses = torch.stack(self._losses).tolist()
            self._losses.clear()
            self._look(trainer, dict(enumerate(losses, batch_idx + 2 - len(losses))))
        if trainer.is_last_batch and (name := not_finite(pl_module.named_parameters())) is not None:
            self._fail(trainer, batch_idx + 1, f"the weight {name.removeprefix('module.')} is not finite after")

    def _look(self, trainer: pl.Trainer, losses: Mapping[int, float]) -> None:
        bad = [step for step, loss in losses.items() if not math.isfinite(loss)]
        self._any_finite |= len(bad) < len(losses)
        if trainer.precision == "16-mixed":
            if trainer.is_last_batch and not self._any_finite:
                self._fail(trainer, max(losses), "the loss was never a finite number in its epoch, up to")
        elif bad:
            self._fail(trainer, bad[0], f"the loss is {losses[bad[0]]:g} at")

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep whether what was predicted are numbers."""
        self._predicted.append(outputs)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look at the predictions, before they are scored: the largest of NaN would count as the first label."""
        finite = bool(torch.stack(self._predicted).isfinite().all())
        self._predicted.clear()
        if not finite:
            last = int(trainer.num_training_batches)
            self._fail(trainer, last, "what it makes of the validation split is not finite after")

    def _fail(self, trainer: pl.Trainer, step: int, what: str) -> None:
        """Raise; ``step`` counts from 1 in the epoch."""
        epoch, whole = trainer.current_epoch, int(trainer.num_training_batches)
        place = f"step {epoch * whole + step} of {self._optimisation.epochs * whole:,} (epoch {epoch + 1})"
        raise UserError(f"{self._title}: {what} {place}, so it learns nothing more. {self._advice(trainer.precision)}")

    def _advice(self, precision: str) -> str:
        clip, lr = self._optimisation.clip, self._optimisation.lr
        tries = [f"a learning rate below {lr:g} (training.lr, or the stage's own: training.STAGE.lr)"]
        tries.append(f"training.clip={1.0 if clip == 0 else clip / 10:g}")
        if precision != "32-true":
            tries.append("trainer.precision=32-true")
        return f"Try {', '.join(tries[:-1])} or {tries[-1]}. A loss or classifier of one's own may be at fault as well."
