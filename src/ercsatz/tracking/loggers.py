"""Loggers of a stage: a CSV file always, Weights & Biases unless disabled."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import CSVLogger, Logger, WandbLogger

from ercsatz.config import WandbConfig
from ercsatz.tracking.wandb_run import RunName, open_run, uploaded_by

_LOG = logging.getLogger(__name__)


class _Tracked(WandbLogger):
    """Lightning's, but training goes on where W&B's process dies: the CSV file has the same numbers."""

    def __init__(self, experiment: Any, folder: Path) -> None:
        super().__init__(experiment=experiment)
        self._folder = folder
        self._lost = False

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        if self._lost:
            return
        try:
            super().log_metrics(metrics, step)
        except Exception as error:  # whatever it is that a connection to a dead process gives
            self._lost = True
            later = uploaded_by(self._folder)
            _LOG.warning("Weights & Biases is lost (%r); training goes on. Later: %s", error, later)


@contextmanager
def stage_loggers(
    settings: WandbConfig, run: RunName, config: dict[str, Any], folder: Path, more: Sequence[Logger] = ()
) -> Iterator[Sequence[Logger]]:
    """Open a stage's loggers, and close them when it ends; one run in Weights & Biases a stage (see ``open_run``).

    Args:
        settings: of Weights & Biases.
        run: its name there.
        config: what it is configured with.
        folder: the stage's own.
        more: loggers that are open already, handed on beside these.
    """
    csv = CSVLogger(folder, name="logs")  # a resumed stage gets a new version_N beside the old one
    with open_run(settings, run, config, folder) as live:
        if live is None:
            yield [csv, *more]
            return
        live.define_metric("validation/w_f1", summary="max")
        yield [csv, _Tracked(live, folder), *more]
