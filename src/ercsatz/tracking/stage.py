"""A stage as its loggers see it: one run from training, or from what the cache has of it, to its scores."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ercsatz.config import WandbConfig
from ercsatz.tracking import wandb_stage
from ercsatz.tracking.figures import Scored, best_metrics
from ercsatz.tracking.wandb_run import Guarded, RunName, open_run, remove_earlier, uploaded_by

if TYPE_CHECKING:  # a job whose stages are all in the cache never pays for importing torch
    from pytorch_lightning.loggers import Logger

    from ercsatz.tracking.loggers import LightningLog

CACHED = "cached"


@dataclass(frozen=True)
class Tracked:
    """What is tracked of a stage, and how.

    Attributes:
        wandb: settings of Weights & Biases.
        loggers: Lightning's that are asked for beside it, by name: ``_target_`` and arguments.
        run: what it is called.
        config: all that it is configured with, flat; ``data``, ``stage``, ``variant`` and ``labels`` among it.
        folder: the job's, below which runs are written.
        data: generated data sets that it reads: folder and content hash by name.
    """

    wandb: WandbConfig
    loggers: Mapping[str, Any]
    run: RunName
    config: Mapping[str, Any]
    folder: Path
    data: Mapping[str, tuple[Path, str]] = field(default_factory=dict)


@contextmanager
def track(what: Tracked) -> Iterator["StageTracker"]:
    """A stage's loggers, closed when it is trained and scored; as failed where that raises.

    Raises:
        UserError: a logger cannot be made.
    """
    with ExitStack() as stack:
        tracker = StageTracker(what, stack)
        try:
            yield tracker
        except BaseException:
            tracker.close("failed")
            raise
        tracker.close("success")


class StageTracker:
    """The loggers of a stage. None is opened before it is known whether the stage is trained or in the cache."""

    def __init__(self, what: Tracked, stack: ExitStack) -> None:
        self._what, self._stack = what, stack
        self._live: Any = None
        self._logs: list[LightningLog] = []
        self._guarded = Guarded("Weights & Biases", f" Later: {uploaded_by(what.folder)}")
        self._artifacts = Guarded("What Weights & Biases knows of data sets and weights")

    def train(self) -> "list[Logger]":
        """Open them all for training; what Lightning is to log to."""
        from pytorch_lightning.loggers import WandbLogger

        self._open(cached=False)
        loggers = [log.logger for log in self._logs]
        if self._live is None:
            return loggers
        wandb_logger = WandbLogger(experiment=self._live)
        log = wandb_logger.log_metrics
        vars(wandb_logger)["log_metrics"] = lambda *given, **named: self._guarded(log, *given, **named)
        return [wandb_logger, *loggers]

    def replay(self, record: Mapping[str, Any]) -> None:
        """Open them all for a stage from the cache, and log the curve that was kept with it.

        Where another job of the sweep has its run in Weights & Biases, that one stands for it.
        """
        self._open(cached=True)
        if self._live is not None:
            self._guarded(wandb_stage.replay, self._live, record)
        for log in self._logs:
            log.replay(record)

    def scored(self, record: Mapping[str, Any], folder: Path, tests: Mapping[str, Scored]) -> None:
        """Log what came out.

        Args:
            record: of the stage in the cache.
            folder: its own there.
            tests: by test set; none where it is not scored.
        """
        what, best = self._what, best_metrics(record)
        if self._live is not None:
            self._guarded(wandb_stage.log_scores, self._live, best, tests, what.config["labels"], what.wandb.log_text)
            if what.wandb.log_model:
                known = {"key": record["key"], **{k: v for k, v in what.config.items() if k.startswith("hash.")}}
                self._artifacts(wandb_stage.log_model, self._live, what.run.name, folder, known)
        for log in self._logs:
            log.end(what.config, best, tests, max(0, record.get("steps", 1) - 1))

    def close(self, status: str) -> None:
        """End Lightning's loggers as ``success`` or ``failed``."""
        for log in self._logs:
            log.close(status)

    def _open(self, cached: bool) -> None:
        what = self._what
        if what.loggers:
            self._logs = _opened(what, cached)
        if not (cached and _elsewhere(what)):
            run = replace(what.run, tags=(*what.run.tags, CACHED)) if cached else what.run
            self._live = self._stack.enter_context(open_run(what.wandb, run, what.config, what.folder))
        if self._live is None:
            return
        if cached:
            remove_earlier(what.folder / "wandb", run.id, Path(self._live.dir).parent)
        self._guarded(wandb_stage.define, self._live)
        self._artifacts(wandb_stage.log_data, self._live, what.wandb, what.data)


def _opened(what: Tracked, cached: bool) -> "list[LightningLog]":
    from filelock import FileLock

    from ercsatz.tracking.loggers import log_of, own_loggers

    names = {"run": what.run.name, "id": what.run.id}
    names |= {key: str(what.config[key]) for key in ("stage", "variant")}
    what.folder.mkdir(parents=True, exist_ok=True)
    with FileLock(what.folder.parent / ".loggers.lock"):  # jobs of a sweep may make one store at once
        logs = [log_of(logger, what.run.id) for logger in own_loggers(what.loggers, names)]
        for log in logs:
            log.start(what.config, cached)
    return logs


def _elsewhere(what: Tracked) -> bool:
    """Whether another job of the sweep has the stage's run."""
    found = what.folder.parent.glob(f"*/wandb/*run-*-{what.run.id}")
    return any(run.parent.parent.name != what.folder.name for run in found)
