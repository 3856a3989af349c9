"""The ranking at a sweep's end.

Imported by Hydra before any job, so it imports nothing heavy. Hydra 1.3 has three traps that shape this module: it
never calls ``on_multirun_end`` after a failed job, it swallows a callback's exceptions, and most launchers run jobs in
other processes, where a callback's state is lost. So a failed job records its failure and returns; the ranking reads
files only; and the exit status is kept where the entry point looks for it.
"""

import logging
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from ercsatz.config import RankingConfig, WandbConfig
from ercsatz.reporting.status import Status, message, report

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sweep:
    """A sweep that this process runs, and what is done at its end."""

    name: str
    folder: Path
    ranking: RankingConfig
    wandb: WandbConfig


class _Current:
    """The sweep that this process still has to rank."""

    sweep: Sweep | None = None


class RankingCallback(Callback):
    """Ranks a sweep's results when it ends."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Remember the sweep, in case Hydra never calls ``on_multirun_end``; say where its jobs print to."""
        if config.dry_run:
            return
        ranking, wandb = (OmegaConf.to_object(node) for node in (config.ranking, config.wandb))
        _Current.sweep = Sweep(
            config.sweep, Path(config.hydra.sweep.dir), cast(RankingConfig, ranking), cast(WandbConfig, wandb)
        )
        if logs := config.hydra.launcher.get("submitit_folder"):
            _LOG.info("What the jobs print is in %s", logs.partition("/%j")[0])

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Rank, print and write the tables."""
        finish()


def finish() -> None:
    """Rank the sweep that this process started, once; whatever goes wrong is reported, never raised.

    A sweep of which no job has started is not ranked: Hydra refused it and has said why.
    """
    sweep, _Current.sweep = _Current.sweep, None
    if sweep is None:
        return
    folder = sweep.folder
    marker = folder / "multirun.yaml"  # Hydra writes it before the first job
    if not marker.is_file() or not any(folder.rglob("result.json")):
        return
    # Every job of this sweep has just written its result; older ones are of an earlier sweep of the same name.
    since = marker.stat().st_mtime
    problem = folder / "ranking.error.txt"
    problem.unlink(missing_ok=True)
    try:
        from ercsatz.sweeps.rank import rank_sweeps

        if not rank_sweeps([folder], sweep.ranking, folder, since):
            Status.code = 1
    except Exception as error:
        problem.write_text(traceback.format_exc(), encoding="utf-8")
        _set_aside(folder, since)
        report(error, "ranking")
    else:
        _track(sweep, since)


def _set_aside(folder: Path, since: float) -> None:
    """Rename the ranking of an earlier sweep of the same name to ``*.old``: it would pass for this one's."""
    names = ("scores.csv", *(f"ranking.{suffix}" for suffix in ("html", "md", "csv", "tex", "png", "svg")))
    for file in (folder / name for name in names):
        if file.is_file() and file.stat().st_mtime < since:
            file.replace(f"{file}.old")


def _track(sweep: Sweep, since: float) -> None:
    """Log the ranking to Weights & Biases; what goes wrong there costs a line, not the exit status."""
    try:
        from ercsatz.sweeps.wandb_ranking import log_ranking

        log_ranking(sweep.wandb, sweep.name, sweep.folder, {"ranking": asdict(sweep.ranking)}, since)
    except Exception as error:
        _LOG.warning("Weights & Biases has not got the ranking: %s", " ".join(message(error).split()))
