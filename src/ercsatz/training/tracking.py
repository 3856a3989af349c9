"""Loggers of a stage: a CSV file always, Weights & Biases unless disabled."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import CSVLogger, Logger, WandbLogger

from ercsatz.config import Wandb
from ercsatz.training.wandb_run import RunName, open_run


@contextmanager
def stage_loggers(settings: Wandb, run: RunName, config: dict[str, Any], folder: Path) -> Iterator[Sequence[Logger]]:
    """Open a stage's loggers, and close them when it ends; one run in Weights & Biases a stage (see ``open_run``)."""
    csv = CSVLogger(folder, name="logs")  # a resumed stage gets a new version_N beside the old one
    with open_run(settings, run, config, folder) as live:
        if live is None:
            yield [csv]
            return
        live.define_metric("validation/w_f1", summary="max")
        yield [csv, WandbLogger(experiment=live)]
