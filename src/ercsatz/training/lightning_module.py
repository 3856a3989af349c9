"""A classifier as Lightning trains it."""

from contextlib import AbstractContextManager, nullcontext
from itertools import chain
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies import ParallelStrategy
from torch import Tensor, distributed, nn

from ercsatz.classifiers.base import mean_loss
from ercsatz.classifiers.checkpoint import ErcClassifier
from ercsatz.data.metrics import scores
from ercsatz.training.data_module import OptimizerStep
from ercsatz.training.optimisation import Lengths, Optimisation, parameter_groups
from ercsatz.training.ranks.share import ALONE, Place


class LightningClassifier(pl.LightningModule):
    """The classifier's loss over the batches of a step, AdamW, warm-up and the schedule after it.

    A batch counts for its share of the step, so the gradient does not depend on how many of them fit the memory, nor on
    how many processes the step is shared out among.
    """

    def __init__(
        self,
        classifier: ErcClassifier,
        optimisation: Optimisation,
        lengths: Lengths,
        seed: int,
        place: Place = ALONE,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.module = classifier.module
        self._labels = classifier.labels
        self._optimisation, self._lengths, self._seed = optimisation, lengths, seed
        self._place = place
        self._seen: list[list[tuple[Tensor, ...]]] = []  # of each step, its batches

    def on_train_epoch_start(self) -> None:
        """Draw dropout from seed, epoch and process, so that a resumed run goes on as it would have."""
        torch.manual_seed(self._seed * 1_000_003 + self.current_epoch + (self._place.rank << 53))

    def training_step(self, step: OptimizerStep, _: int) -> Tensor:
        """One step of the optimiser, and its loss. Nothing in it waits for a GPU."""
        optimizer: Any = self.optimizers()
        schedule: Any = self.lr_schedulers()
        losses = []
        counts = self._of_all(step.counts)
        weight = 0 if step.idle else self._place.of  # the gradients of the processes are averaged
        optimizer.zero_grad()
        for number, batch in enumerate(step.batches, 1):
            loss = weight * mean_loss(self.module.sums(self.module(batch), batch), counts)
            with self._kept_back(number < len(step.batches)):
                self.manual_backward(loss)
            losses.append(loss.detach())
        optimizer.step()
        schedule.step()
        mean = torch.stack(losses).sum()
        together = self._place.of > 1
        self.log(
            "train/loss", mean, on_step=False, on_epoch=True, prog_bar=True, batch_size=step.size, sync_dist=together
        )
        return mean

    def _of_all(self, counts: Tensor) -> Tensor:
        """Counts of a step over all processes."""
        if self._place.of == 1:
            return counts
        everyone = counts.clone()
        distributed.all_reduce(everyone)
        return everyone

    def _kept_back(self, more: bool) -> AbstractContextManager[None]:
        """Gradients are exchanged once a step, with those of its last batch."""
        strategy = self.trainer.strategy
        if more and isinstance(strategy, ParallelStrategy):
            return strategy.block_backward_sync()
        return nullcontext()

    def validation_step(self, step: OptimizerStep, _: int) -> Tensor:
        """Predict; scores are of the whole split. Returns a sum that is finite if what is predicted are numbers."""
        sums = []
        seen: list[tuple[Tensor, ...]] = []
        for batch in step.batches:
            output = self.module(batch)
            if self.module.scored:
                seen.append((batch.labels, output.argmax(dim=1)))
                sums.append(output.float().softmax(dim=1).sum())  # a logit may be -inf: that label never
            else:
                seen.append((self.module.sums(output, batch), batch.counts))
                sums.append(seen[-1][0].sum())
        self._seen.append([] if step.idle else seen)
        return torch.stack(sums).sum()

    def on_validation_epoch_end(self) -> None:
        """Log W-F1, macro F1 and accuracy of the validation split, in [0, 1]; or its loss."""
        first, second = zip(*self._seen_by_all(), strict=True)
        self._seen.clear()
        if not self.module.scored:
            loss = mean_loss(torch.stack(first).sum(0), torch.stack(second).sum(0))
            self.log("validation/loss", loss, prog_bar=True)
            return
        result = scores(torch.cat(first).tolist(), torch.cat(second).tolist(), self._labels)
        for name in ("w_f1", "macro_f1", "accuracy"):
            self.log(f"validation/{name}", result[name], prog_bar=name == "w_f1")

    def _seen_by_all(self) -> list[tuple[Tensor, ...]]:
        """What the processes saw of the split's batches, in the order of one process."""
        if self._place.of == 1:
            return list(chain.from_iterable(self._seen))
        own = [[tuple(tensor.cpu() for tensor in batch) for batch in step] for step in self._seen]
        everyone: list[Any] = [None] * self._place.of
        distributed.all_gather_object(everyone, own)
        return list(chain.from_iterable(chain.from_iterable(zip(*everyone, strict=True))))

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
