"""What the benchmarks of the classifiers share: the machine, MELD, classifiers as a job builds them, and a clock."""

import json
import os
import platform
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import transformers
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from torch import Tensor

from ercsatz.classifiers.checkpoint import ErcClassifier
from ercsatz.classifiers.encoder.packed_layers import PLAIN
from ercsatz.classifiers.encoder.packing import Sequences
from ercsatz.classifiers.encoder.pretrained import Encoder
from ercsatz.classifiers.todkat.topic import TopicEncoder
from ercsatz.config import TrainConfig, register
from ercsatz.data.dialogue import Dialogue
from ercsatz.data.text_files import atomic_write
from ercsatz.resources import resource
from ercsatz.training.graph import optimisation
from ercsatz.training.lightning_module import LightningClassifier
from ercsatz.training.optimisation import Lengths, Optimisation

warnings.filterwarnings("ignore", message=".*validation_step.*")  # it is left out on purpose

KINDS = ("compm", "emoone", "todkat")


def machine() -> dict[str, str]:
    """What a result file says of where it was measured."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "machine": gpu or f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def configured(kind: str, *overrides: str) -> TrainConfig:
    """The options of a job that trains a classifier, without knowledge, which MELD does not have."""
    register([resource("conf")])
    without = ["classifier.knowledge=none"] if kind == "todkat" else []
    with initialize_config_dir(str(resource("conf")), version_base="1.3"):
        composed = compose("train", [f"classifier={kind}", *without, *overrides])
    config: Any = OmegaConf.to_object(composed)
    return config


def on_meld(kind: str, folder: Path | None, *overrides: str) -> TrainConfig:
    """The same on real MELD; None: where ``ercsatz fetch`` puts it."""
    where = [f"benchmark.path={folder}"] if folder else []
    return configured(kind, "data=meld_org", *where, *overrides)


def settings_of(cfg: TrainConfig, **changed: Any) -> Optimisation:
    return replace(Optimisation(**optimisation(cfg, "original")), **changed)


def some(dialogues: Sequence[Dialogue], n: int | None) -> list[Dialogue]:
    """So many dialogues, evenly spaced, so that short and long ones are among them as in all; None: all."""
    n = min(n or len(dialogues), len(dialogues))
    return [dialogues[i * len(dialogues) // n] for i in range(n)]


def texts_of(dialogues: Sequence[Dialogue]) -> list[str]:
    """What a job trains a tiny encoder's tokenizer on."""
    return [f"<s{n}> {turn.text}" for d in dialogues for n, turn in enumerate(d.utterances, 1)]


@dataclass
class Clock(pl.Callback):
    """Seconds, and seconds of CPU time of all threads, of what it is put around, or of each epoch of a training."""

    device: torch.device
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)

    def on_train_epoch_start(self, *_: Any) -> None:
        """Begin."""
        self._began = self._now()

    def on_train_epoch_end(self, *_: Any) -> None:
        """End."""
        seconds, cpu = (now - began for now, began in zip(self._now(), self._began, strict=True))
        self.seconds.append(seconds)
        self.cpu_seconds.append(cpu)

    def __enter__(self) -> "Clock":
        self.on_train_epoch_start()
        return self

    def __exit__(self, *_: object) -> None:
        self.on_train_epoch_end()

    def _now(self) -> tuple[float, float]:
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter(), time.process_time()


def train(
    classifier: ErcClassifier, batches: Any, lengths: Lengths, settings: Optimisation, clock: Clock, precision: str
) -> None:
    """What ``fit`` does, by the same module and loader, but without validation and without writing weights."""
    classifier.module.train()
    runner = pl.Trainer(
        accelerator=clock.device.type,
        devices=1,
        precision=precision,  # type: ignore[arg-type]
        max_epochs=settings.epochs,
        callbacks=[clock],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    runner.fit(LightningClassifier(classifier, settings, lengths, seed=0), batches)


@dataclass
class Read:
    """What encoders read: token ids that were looked up, and packed sequences that were attended over."""

    pad: int
    packed: bool
    ids: list[Tensor] = field(default_factory=list)
    sequences: list[Sequences] = field(default_factory=list)

    @property
    def tokens(self) -> int:
        """Without padding."""
        return sum(int((ids != self.pad).sum()) for ids in self.ids)

    @property
    def padding(self) -> float:
        """The share of padding in what token-wise layers read."""
        if self.sequences and not self.packed:  # groups go through the whole encoder
            return self.attention_padding
        return 1 - self.tokens / sum(ids.numel() for ids in self.ids)

    @property
    def attention_padding(self) -> float:
        """The share of padding in the groups that attention runs on; that of the token-wise layers without groups."""
        if not self.sequences:
            return self.padding
        padding = sum(sequences.padding for sequences in self.sequences)
        return padding / (padding + sum(len(sequences.ids) for sequences in self.sequences))


@contextmanager
def reading(*classifiers: ErcClassifier) -> Iterator[Read]:
    """Notes what the classifiers' encoders read; TODKAT's topic tokens are attended over and not looked up."""
    first = classifiers[0].pretrained
    read = Read(first.tokenizer.pad_token_id, packed=first.config.model_type in PLAIN)

    def encoded(module: Any, arguments: tuple[Any, ...]) -> None:
        given = arguments[0]
        read.sequences += [given] if isinstance(given, Sequences) else [given.tokens, given.longer]

    hooks = []
    for part in (part for classifier in classifiers for part in classifier.module.modules()):
        if isinstance(part, Encoder):
            table = part.model.get_input_embeddings()
            hooks.append(table.register_forward_pre_hook(lambda _, arguments: read.ids.append(arguments[0])))
        if isinstance(part, Encoder | TopicEncoder):
            hooks.append(part.register_forward_pre_hook(encoded))
    try:
        yield read
    finally:
        for hook in hooks:
            hook.remove()


def save(result: dict[str, Any], output: Path | None) -> None:
    """Print a result, and write it if there is a file for it."""
    text = json.dumps(result, indent=2)
    print(text)
    if output:
        with atomic_write(output) as file:
            file.write(text + "\n")
