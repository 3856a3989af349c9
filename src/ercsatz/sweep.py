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
from pathlib import Path
from typing import Any, cast

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from ercsatz.check import check
from ercsatz.config import Ranking
from ercsatz.errors import UserError

# Overrides of these keys leave what is computed as it is.
NOT_A_SETTING = (
    *("sweep=", "hydra.", "paths.", "wandb.", "ranking."),
    *(f"trainer.{key}=" for key in ("accelerator", "workers", "memory_tokens", "compile")),
)


class Status:
    """The exit status of this process, and the sweep that still has to be ranked: its folder and how."""

    code = 0
    unranked: tuple[Path, Ranking] | None = None


def run_cell(cfg: DictConfig) -> None:
    """Run one job and leave ``result.json`` in its folder, also when it fails; a failure is no exception here."""
    from ercsatz.training.result import write_result

    hydra = HydraConfig.get()
    folder = Path(hydra.runtime.output_dir)
    overrides = list(hydra.overrides.task)
    record: dict[str, Any] = {"overrides": overrides}
    try:
        settings = to_object(cfg)
        check(settings)
        from ercsatz.training.job import identity, run_job

        record = identity(settings, overrides)
        write_result(folder, {"status": "running", **record})
        write_result(folder, {"status": "completed", **run_job(settings, overrides, folder)})
    except Exception as error:
        failure = {"error": message(error), "traceback": traceback.format_exc()}
        write_result(folder, {"status": "failed", **record, **failure})
        report(error, " ".join(overrides))


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
        """Remember the sweep, in case Hydra never calls ``on_multirun_end``."""
        Status.unranked = Path(config.hydra.sweep.dir), cast(Ranking, OmegaConf.to_object(config.ranking))

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Rank, print and write the tables."""
        finish()


def finish() -> None:
    """Rank the sweep that this process started, once; whatever goes wrong is reported, never raised.

    A sweep of which no job has started is not ranked: Hydra refused it and has said why.
    """
    if Status.unranked is None:
        return
    (folder, ranking), Status.unranked = Status.unranked, None
    marker = folder / "multirun.yaml"  # Hydra writes it before the first job
    if not marker.is_file() or not any(folder.rglob("result.json")):
        return
    problem = folder / "ranking.error.txt"
    problem.unlink(missing_ok=True)
    try:
        from ercsatz.collect import rank_sweeps

        # Every job of this sweep has just written its result; older ones are of an earlier sweep of the same name.
        if not rank_sweeps([folder], ranking, folder, since=marker.stat().st_mtime):
            Status.code = 1
    except Exception as error:
        problem.write_text(traceback.format_exc(), encoding="utf-8")
        report(error, "ranking")


def cell_name(classifier: str, data: str, seed: int, overrides: Sequence[str]) -> str:
    """The folder of a cell: what it is, and a hash of whatever other settings were overridden."""
    import hashlib

    known = ("classifier=", "data=", "seed=", *NOT_A_SETTING)
    others = sorted(o for o in overrides if not o.startswith(known))
    suffix = f"-{hashlib.sha256(' '.join(others).encode()).hexdigest()[:6]}" if others else ""
    return f"{classifier}-{data}-seed{seed}{suffix}"
