"""One job of a sweep, and the ranking at the sweep's end.

Imported by Hydra before any job, so it imports nothing heavy. Hydra 1.3 has three traps that shape this module: it
never calls ``on_multirun_end`` after a failed job, it swallows a callback's exceptions, and most launchers run jobs in
other processes, where a callback's state is lost. So a failed job records its failure and returns; the ranking reads
files only; and the exit status is kept here, where the entry point looks for it.
"""

import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from ercsatz.config import Ranking, Wandb
from ercsatz.config.registry import open_folders
from ercsatz.errors import UserError
from ercsatz.sweeps.result_file import NOT_A_SETTING
from ercsatz.training.check_config import check


@dataclass(frozen=True)
class Sweep:
    """A sweep that this process runs, and what is done at its end."""

    name: str
    folder: Path
    ranking: Ranking
    wandb: Wandb


class Status:
    """The exit status of this process, and the sweep that still has to be ranked."""

    code = 0
    unranked: Sweep | None = None


def run_cell(cfg: DictConfig) -> None:
    """Run one job and leave ``result.json`` in its folder, also when it fails; a failure is no exception here."""
    from ercsatz.sweeps.result_file import versions, write_result

    hydra = HydraConfig.get()
    open_composed_folders()
    folder = Path(hydra.runtime.output_dir)
    overrides = list(hydra.overrides.task)
    record: dict[str, Any] = {"overrides": overrides}
    try:
        settings = to_object(cfg)
        check(settings)
        from ercsatz.training.cell import identity, run_job

        record = identity(settings, overrides)
        write_result(folder, {"status": "running", **record})
        write_result(folder, {"status": "completed", **run_job(settings, overrides, folder), "versions": versions()})
    except Exception as error:
        failure = {"error": message(error), "traceback": traceback.format_exc()}
        write_result(folder, {"status": "failed", **record, **failure})
        report(error, " ".join(overrides))


def open_composed_folders() -> None:
    """Look for parts where Hydra found this job's YAMLs: a worker process has not seen the command line."""
    sources = HydraConfig.get().runtime.config_sources
    open_folders(Path(source.path) for source in sources if source.schema == "file")


def to_object(cfg: DictConfig) -> Any:
    """The configuration as its dataclasses.

    Raises:
        UserError: a key has no value, or one that cannot be resolved; the message names it.
    """
    from omegaconf.errors import OmegaConfBaseException

    try:
        OmegaConf.resolve(cfg)
        return OmegaConf.to_object(cfg)
    except OmegaConfBaseException as error:
        text = str(error).splitlines()[0].rstrip(".")
        raise UserError(f"The configuration is incomplete: {text}. Give it a value: {error.full_key}=VALUE") from None


def message(error: BaseException) -> str:
    """One paragraph for people."""
    return str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"


def report(error: BaseException, what: str = "") -> None:
    """Print an error and set the exit status; a traceback only for our own faults or with HYDRA_FULL_ERROR=1."""
    Status.code = 1
    if not isinstance(error, UserError) or os.environ.get("HYDRA_FULL_ERROR") == "1":
        traceback.print_exception(error)
    print(f"error{f' ({what})' if what else ''}: {message(error)}", file=sys.stderr, flush=True)


class RankingCallback(Callback):
    """Ranks a sweep's results when it ends."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Remember the sweep, in case Hydra never calls ``on_multirun_end``; say where its jobs print to."""
        ranking, wandb = (OmegaConf.to_object(node) for node in (config.ranking, config.wandb))
        Status.unranked = Sweep(config.sweep, Path(config.hydra.sweep.dir), cast(Ranking, ranking), cast(Wandb, wandb))
        if logs := config.hydra.launcher.get("submitit_folder"):
            print(f"What the jobs print is in {logs.partition('/%j')[0]}", flush=True)

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Rank, print and write the tables."""
        finish()


def finish() -> None:
    """Rank the sweep that this process started, once; whatever goes wrong is reported, never raised.

    A sweep of which no job has started is not ranked: Hydra refused it and has said why.
    """
    sweep, Status.unranked = Status.unranked, None
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
        print(f"Weights & Biases has not got the ranking: {' '.join(message(error).split())}", flush=True)


def cell_name(classifier: str, data: str, seed: int, overrides: Sequence[str]) -> str:
    """The folder of a cell: what it is, and a hash of whatever other settings were overridden."""
    import hashlib

    known = ("classifier=", "data=", "seed=", *NOT_A_SETTING)
    others = sorted(o for o in overrides if not o.startswith(known))
    suffix = f"-{hashlib.sha256(' '.join(others).encode()).hexdigest()[:6]}" if others else ""
    return f"{classifier}-{data}-seed{seed}{suffix}"
