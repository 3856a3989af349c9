"""Whether memory stays flat over the epochs of a training run.

    python benchmarks/memory.py [--classifier compm] [--epochs 20] [--dialogues 60] [--output FILE.json]

Trains by ``fit`` (validation, scores, checkpoints and all) with the tiny encoder on dialogues of the shipped ``mini``,
and prints the process's memory after each epoch: what is resident then, and its peak so far; on a GPU also PyTorch's
peak there. Linux only. In the first epochs allocators and caches fill; flat is what does not grow from the fifth on.
"""

import argparse
import resource
import tempfile
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from models import KINDS, configured, machine, save, settings_of, some, texts_of
from pytorch_lightning.loggers.logger import Logger

from ercsatz.classifiers import checkpoint
from ercsatz.classifiers.emoone.classifier import gray_labels
from ercsatz.classifiers.emoone.config import EmoOneConfig
from ercsatz.classifiers.encoder.pretrained import open_backbone
from ercsatz.data.benchmarks import load
from ercsatz.training.trainer import Run, fit

SETTLED = 5  # epochs


class Watch(Logger):
    """Notes the memory once an epoch, when the validation's scores are logged."""

    def __init__(self) -> None:
        super().__init__()
        self.epochs: list[dict[str, float]] = []

    @property
    def name(self) -> str:
        """Lightning wants one."""
        return "memory"

    @property
    def version(self) -> str:
        """Lightning wants one."""
        return ""

    def log_hyperparams(self, *_: Any) -> None:
        """Nothing."""

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        """Note the memory if these are scores."""
        if "validation/w_f1" not in metrics:
            return
        row = {
            "resident_mb": round(
                int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6, 1
            ),
            "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6, 1),
        }
        if torch.cuda.is_available():
            row["gpu_peak_mb"] = round(torch.cuda.max_memory_allocated() / 1e6, 1)
        self.epochs.append(row)
        print(f"epoch {len(self.epochs)}: {row}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--classifier", choices=KINDS, default="compm")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--dialogues", type=int, default=60)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    gray = ["classifier.gray=category"] if given.classifier == "emoone" else []
    cfg = configured(given.classifier, "data=mini_org", *gray)
    corpus = load(cfg.benchmark)
    dialogues = some(corpus.split("train"), given.dialogues)
    pl.seed_everything(0, verbose=False)
    classifier = checkpoint.build(cfg.classifier, open_backbone(cfg.backbone, texts_of(dialogues)), corpus.labels)
    grays = None
    if isinstance(cfg.classifier, EmoOneConfig):
        grays = gray_labels(cfg.classifier, corpus.labels, cfg.benchmark.sentiments, dialogues, ())
    watch, settings = Watch(), settings_of(cfg, epochs=given.epochs)
    checks = corpus.split("validation")
    with tempfile.TemporaryDirectory() as folder:
        work, cache = Path(folder) / "work", Path(folder) / "cache"
        run = Run(settings, cfg.trainer, 0, work, [watch], given.classifier, cache)
        fit(classifier, dialogues, checks, run, grays)
    last, settled = watch.epochs[-1], watch.epochs[min(SETTLED, len(watch.epochs)) - 1]
    grown = {key: round(last[key] / settled[key] - 1, 4) for key in last}
    print(f"from epoch {SETTLED} to epoch {given.epochs}: {grown}")
    save({**machine(), "classifier": given.classifier, "epochs": watch.epochs, "grown": grown}, given.output)


if __name__ == "__main__":
    main()
