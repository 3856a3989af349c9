"""A callback that validates, keeps and tests the moving average of the weights in place of the weights themselves."""

from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from ercsatz.errors import UserError


class WeightAveraging(Callback):
    """Keeps an exponential moving average of the trained weights (Polyak and Juditsky 1992), from their first step.

    After step n, from 1, it is d a + (1 - d) w of the average a before and the weights w, with d the smaller of
    ``decay`` and (1 + n) / (10 + n), so that it soon forgets where it began. Training goes on with the weights
    themselves; an epoch is judged by the average, and that of the best one is what the stage leaves. Lightning's own
    averaging puts the weights back before the best epoch is kept.

    Args:
        decay: of the average before a step, from 0 (no average) to below 1.

    Raises:
        UserError: ``decay`` is out of bounds.
    """

    def __init__(self, decay: float) -> None:
        if not 0 <= decay < 1:
            raise UserError(f"callbacks: the decay={decay} of WeightAveraging must be from 0 to below 1.")
        self._decay, self._steps = decay, 0
        self._average: dict[str, Tensor] = {}
        self._weights: dict[str, Tensor] = {}  # while the average is in their place

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Take the step's weights into the average."""
        trained = _trained(pl_module)
        if not self._average:
            self._average = {name: tensor.clone() for name, tensor in trained.items()}
        self._steps += 1
        decay = min(self._decay, (1 + self._steps) / (10 + self._steps))
        for name, tensor in trained.items():
            average = self._average[name] = self._average[name].to(tensor.device)  # after a resume it is on the CPU
            average.lerp_(tensor, 1 - decay)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the average in the place of the weights."""
        trained = _trained(pl_module)
        self._weights = {name: tensor.clone() for name, tensor in trained.items()}
        _write(trained, self._average)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the weights back; the best epoch was kept before, and the run's state is saved after that."""
        _write(_trained(pl_module), self._weights)
        self._weights = {}

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs."""
        return {"steps": self._steps, "average": self._average}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a saved state."""
        self._steps, self._average = state_dict["steps"], dict(state_dict["average"])


def _trained(module: pl.LightningModule) -> dict[str, Tensor]:
    return {name: parameter.detach() for name, parameter in module.named_parameters() if parameter.requires_grad}


@torch.no_grad()
def _write(to: dict[str, Tensor], what: dict[str, Tensor]) -> None:
    for name, tensor in to.items():
        tensor.copy_(what[name])
