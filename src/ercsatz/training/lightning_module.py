"""A classifier as Lightning trains it."""

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from ercsatz.classifiers.base import mean_loss
from ercsatz.classifiers.checkpoint import ErcClassifier
from ercsatz.data.metrics import scores
from ercsatz.training.data_module import OptimizerStep
from ercsatz.training.optimisation import Lengths, Optimisation, parameter_groups


class LightningClassifier(pl.LightningModule):
    """The classifier's loss over the batches of a step, AdamW, warm-up and the schedule after it.

    A batch counts for its share of the step, so the gradient does not depend on how many of them fit the memory.
    """

    def __init__(self, classifier: ErcClassifier, optimisation: Optimisation, lengths: Lengths, seed: int) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.module = classifier.module
        self._labels = classifier.labels
        self._optimisation, self._lengths, self._seed = optimisation, lengths, seed
        self._seen: list[tuple[Tensor, ...]] = []

    def on_train_epoch_start(self) -> None:
        """Draw dropout from seed and epoch, so that a resumed run goes on as it would have."""
        torch.manual_seed(self._seed * 1_000_003 + self.current_epoch)

    def training_step(self, step: OptimizerStep, _: int) -> Tensor:
        """One step of the optimiser, and its loss. Nothing in it waits for a GPU."""
        optimizer: Any = self.optimizers()
        schedule: Any = self.lr_schedulers()
        losses = []
        optimizer.zero_grad()
        for batch in step.batches:
            loss = mean_loss(self.module.sums(self.module(batch), batch), step.counts)
            self.manual_backward(loss)
            losses.append(loss.detach())
        optimizer.step()
        schedule.step()
        mean = torch.stack(losses).sum()
        self.log("train/loss", mean, on_step=False, on_epoch=True, prog_bar=True, batch_size=step.size)
        return mean

    def validation_step(self, step: OptimizerStep, _: int) -> Tensor:
        """Predict; scores are of the whole split. Returns a sum that is finite if what is predicted are numbers."""
        sums = []
        for batch in step.batches:
            output = self.module(batch)
            if self.module.scored:
                self._seen.append((batch.labels, output.argmax(dim=1)))
                sums.append(output.float().softmax(dim=1).sum())  # a logit may be -inf: that label never
            else:
                self._seen.append((self.module.sums(output, batch), batch.counts))
                sums.append(self._seen[-1][0].sum())
        return torch.stack(sums).sum()

    def on_validation_epoch_end(self) -> None:
        """Log W-F1, macro F1 and accuracy of the validation split, in [0, 1]; or its loss."""
        first, second = zip(*self._seen, strict=True)
        self._seen.clear()
        if not self.module.scored:
            loss = mean_loss(torch.stack(first).sum(0), torch.stack(second).sum(0))
            self.log("validation/loss", loss, prog_bar=True)
            return
        result = scores(torch.cat(first).tolist(), torch.cat(second).tolist(), self._labels)
        for name in ("w_f1", "macro_f1", "accuracy"):
            self.log(f"validation/{name}", result[name], prog_bar=name == "w_f1")

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        """Clip the global norm; Lightning's own refuses a fused optimiser, although bfloat16 needs no scaling."""
        if self._optimisation.clip > 0:
            nn.utils.clip_grad_norm_(self.parameters(), self._optimisation.clip)

    def configure_optimizers(self) -> Any:
        """AdamW, fused where it can be, at rates by layer that warm up and then follow the schedule."""
        settings = self._optimisation
        optimizer = torch.optim.AdamW(
            parameter_groups(self.module, settings.lr, settings.layer_decay),
            lr=settings.lr,
            weight_decay=settings.weight_decay,
            fused=self.trainer.precision != "16-mixed",  # with float16 it would clip gradients that are still scaled
        )
        factor = self._lengths.factor(settings)
        return {"optimizer": optimizer, "lr_scheduler": torch.optim.lr_scheduler.LambdaLR(optimizer, factor)}
