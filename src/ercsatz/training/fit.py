"""One training run with Lightning: fit, keep the best epoch, resume after an interruption."""

import logging
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, ModelCheckpoint, TQDMProgressBar
from pytorch_lightning.loggers import Logger
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from ercsatz.classifiers.batching import Segment, TokenBudgetSampler, segments, tokenise
from ercsatz.classifiers.checkpoint import Batch, ErcClassifier, save_weights
from ercsatz.config import Trainer
from ercsatz.dialogue import Dialogue
from ercsatz.errors import UserError
from ercsatz.training.scores import scores

MONITOR = "validation/w_f1"

# Lightning's advice and device list, a paragraph a stage; its warnings stay.
logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")  # Lightning against torch 2.13
warnings.filterwarnings("ignore", message=".*does not have many workers.*")  # a batch is made in a millisecond
warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")  # so it is on resuming
warnings.filterwarnings("ignore", message="The dirpath has changed")  # BestEpoch does not depend on it
warnings.filterwarnings("ignore", message=".*smaller than the logging interval")  # one value an epoch is logged


@dataclass(frozen=True)
class Optimisation:
    """How a stage is optimised; see ``config.Training``."""

    epochs: int
    lr: float
    warmup: float
    weight_decay: float
    clip: float
    batch_tokens: int


class Segments(Dataset[Batch]):
    """Dialogues of one split; an index is a whole batch, a list of segments."""

    def __init__(self, classifier: ErcClassifier, dialogues: Sequence[Dialogue], batch_tokens: int) -> None:
        self._collate = classifier.module.collate
        tokenised = tokenise(dialogues, classifier.labels, classifier.pretrained.tokenizer)
        self.segments: list[Segment] = segments(tokenised, classifier.module.max_tokens, batch_tokens)
        self.batch_tokens = batch_tokens

    def __getitem__(self, indices: list[int]) -> Batch:
        batch: Batch = self._collate([self.segments[i] for i in indices])
        return batch

    def loader(self, seed: int | None) -> DataLoader[Batch]:
        """Batches of about the token budget; shuffled each epoch if a seed is given."""
        sampler = TokenBudgetSampler([segment.cost for segment in self.segments], self.batch_tokens, seed)
        # Its own generator: else each pass draws from the global one, on resuming at another point than otherwise.
        return DataLoader(self, batch_size=None, sampler=sampler, generator=torch.Generator())


class LightningClassifier(pl.LightningModule):
    """Cross-entropy over the labelled turns of a batch, AdamW, linear warm-up and decay counted in steps."""

    def __init__(self, classifier: ErcClassifier, optimisation: Optimisation, steps: int, seed: int) -> None:
        super().__init__()
        self.module = classifier.module
        self._labels = classifier.labels
        self._optimisation, self._steps, self._seed = optimisation, steps, seed
        self._gold: list[Tensor] = []
        self._predicted: list[Tensor] = []

    def on_train_epoch_start(self) -> None:
        """Draw dropout from seed and epoch, so that a resumed run goes on as it would have."""
        torch.manual_seed(self._seed * 1_000_003 + self.current_epoch)

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """The mean cross-entropy of a batch."""
        loss = nn.functional.cross_entropy(self.module(batch).float(), batch.labels)
        self.log("train/loss", loss, on_step=False, on_epoch=True, prog_bar=True, batch_size=len(batch.labels))
        return loss

    def validation_step(self, batch: Batch, _: int) -> None:
        """Predict; scores are of the whole split."""
        self._gold.append(batch.labels)
        self._predicted.append(self.module(batch).argmax(dim=1))

    def on_validation_epoch_end(self) -> None:
        """Log W-F1, macro F1 and accuracy of the validation split, in [0, 1]."""
        result = scores(torch.cat(self._gold).tolist(), torch.cat(self._predicted).tolist(), self._labels)
        for name in ("w_f1", "macro_f1", "accuracy"):
            self.log(f"validation/{name}", result[name], prog_bar=name == "w_f1")
        self._gold.clear()
        self._predicted.clear()

    def configure_gradient_clipping(
        self, optimizer: Any, gradient_clip_val: Any = None, gradient_clip_algorithm: Any = None
    ) -> None:
        """Clip the global norm; Lightning's own refuses a fused optimiser, although bfloat16 needs no scaling."""
        if self._optimisation.clip > 0:
            nn.utils.clip_grad_norm_(self.parameters(), self._optimisation.clip)

    def configure_optimizers(self) -> Any:
        """AdamW, fused where it can be, with linear warm-up to ``lr`` and linear decay to 0."""
        settings = self._optimisation
        optimizer = torch.optim.AdamW(
            self.parameters(),
            lr=settings.lr,
            weight_decay=settings.weight_decay,
            fused=self.trainer.precision != "16-mixed",  # with float16 it would clip gradients that are still scaled
        )
        warmup = max(1, round(settings.warmup * self._steps))
        decay = max(1, self._steps - warmup)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: min((step + 1) / warmup, max(0.0, (self._steps - step) / decay))
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class BestEpoch(Callback):
    """Keeps the weights of the best epoch by validation W-F1, and prints a line an epoch.

    The file is named by its epoch, and those of earlier epochs go only when the run's state is saved: whenever a run is
    killed, the state that it goes on from and the weights that belong to it are both there.
    """

    def __init__(self, folder: Path, title: str) -> None:
        self._folder, self._title = folder, title
        self.epoch, self.score = 0, -1.0

    @property
    def file(self) -> Path:
        """The best weights so far."""
        return self._folder / f"best-{self.epoch}.safetensors"

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Remove what no state refers to any more."""
        for file in self._folder.glob("best-*.safetensors"):
            if file != self.file:
                file.unlink()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the weights if they are the best, and print the line."""
        score, epoch = float(trainer.callback_metrics[MONITOR]), trainer.current_epoch + 1
        if score > self.score:
            self.epoch, self.score = epoch, score
            save_weights(pl_module.module, self.file)  # type: ignore[arg-type]
        print(
            f"  {self._title} | epoch {epoch}/{trainer.max_epochs} | "
            f"loss {trainer.callback_metrics['train/loss']:.3f} | validation W-F1 {100 * score:.2f} | "
            f"best {100 * self.score:.2f} (epoch {self.epoch})",
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
) -> dict[str, Any]:
    """Train a classifier in place and leave it with the weights of its best epoch by validation W-F1.

    After each epoch the whole state is kept in ``folder``; a run that finds one there goes on from it, and ends with
    the same weights as one that was never interrupted.

    Returns:
        ``best_epoch`` (from 1), ``validation_w_f1`` in [0, 1], ``steps``, ``epochs``, and the ``accelerator`` and
        ``precision`` that it ran with.

    Raises:
        UserError: the accelerator is not there.
    """
    batches = Segments(classifier, train, optimisation.batch_tokens).loader(seed)
    checks = Segments(classifier, validation, optimisation.batch_tokens).loader(None)
    steps = len(batches) * optimisation.epochs
    module = LightningClassifier(classifier, optimisation, steps, seed)
    folder.mkdir(parents=True, exist_ok=True)
    best = BestEpoch(folder, title)
    device = resolve_device(trainer.accelerator)
    runner = _runner(device, _precision(trainer.precision, device), optimisation.epochs, best, folder, loggers)
    classifier.module.train()  # from_pretrained leaves encoders in eval mode, and Lightning keeps what it finds
    resume = folder / "last.ckpt"
    runner.fit(module, batches, checks, ckpt_path=resume if resume.exists() else None, weights_only=False)
    classifier.module.load_state_dict(load_file(best.file))
    return {
        "best_epoch": best.epoch,
        "validation_w_f1": best.score,
        "steps": steps,
        "epochs": optimisation.epochs,
        "accelerator": torch.cuda.get_device_name() if device.type == "cuda" else device.type,
        "precision": runner.precision,
    }


def _runner(
    device: torch.device, precision: str, epochs: int, best: BestEpoch, folder: Path, loggers: Sequence[Logger]
) -> pl.Trainer:
    last = ModelCheckpoint(folder, "last", save_on_train_epoch_end=True, enable_version_counter=False)
    terminal = sys.stderr.isatty()
    return pl.Trainer(
        accelerator=device.type,
        devices=1,
        precision=precision,  # type: ignore[arg-type]
        max_epochs=epochs,
        callbacks=[best, last, *([TQDMProgressBar(leave=False)] if terminal else [])],
        logger=list(loggers),
        log_every_n_steps=10,
        num_sanity_val_steps=0,
        enable_progress_bar=terminal,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )


def predict(
    classifier: ErcClassifier, dialogues: Sequence[Dialogue], trainer: Trainer
) -> list[tuple[int, int, Tensor]]:
    """Class probabilities of every labelled turn.

    Returns:
        (dialogue, turn, probabilities) in the order of the dialogues.
    """
    data = Segments(classifier, dialogues, batch_tokens=8192)
    data.segments.sort(key=lambda segment: segment.cost)
    device = resolve_device(trainer.accelerator)
    module = classifier.module.to(device).eval()
    result: list[tuple[int, int, Tensor]] = []
    with torch.inference_mode():
        for batch in data.loader(None):
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


def _precision(wanted: str, device: torch.device) -> str:
    if wanted != "auto":
        return wanted
    return "bf16-mixed" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "32-true"
