"""Lightning's loggers that a job's configuration names: made for a stage, and given its figures.

Any logger gets figures and hyperparameters; TensorBoard and MLflow pictures and files as well. Imports Lightning only
when a logger is made.
"""

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ercsatz.config.registry import instantiate
from ercsatz.errors import UserError
from ercsatz.tracking.confusion import confusion_figure
from ercsatz.tracking.figures import Scored, curve_metrics, score_metrics
from ercsatz.tracking.wandb_run import Guarded

if TYPE_CHECKING:
    from pytorch_lightning.loggers import Logger

_EXTRAS = ("tensorboard", "mlflow")


def own_loggers(nodes: Mapping[str, Any], names: Mapping[str, str]) -> "list[Logger]":
    """The loggers of ``logger=``; ``{run}``, ``{stage}``, ``{variant}`` and ``{id}`` in their arguments are filled in.

    Args:
        nodes: by name, a ``_target_`` and its arguments.
        names: what is filled in for the words in braces.

    Raises:
        UserError: a logger cannot be made, or its package is not installed.
    """
    from pytorch_lightning.loggers import Logger

    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # it would report its use to its makers
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    logging.getLogger("pytorch_lightning.loggers.mlflow").setLevel(logging.ERROR)  # a new store is no reason to warn
    made = []
    for name, node in nodes.items():
        try:
            made.append(instantiate(_filled(node, names), f"logger.{name}", Logger))
        except UserError as error:
            if name in _EXTRAS and isinstance(error.__cause__, ModuleNotFoundError):
                raise UserError(f"logger={name} needs a package: pip install 'ercsatz[{name}]'") from error
            raise
    return made


def _filled(node: Any, names: Mapping[str, str]) -> Any:
    if isinstance(node, Mapping):
        return {key: _filled(value, names) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_filled(value, names) for value in node]
    if isinstance(node, str):
        for name, value in names.items():
            node = node.replace(f"{{{name}}}", value)
    return node


class LightningLog:
    """One of Lightning's loggers as a stage uses it; what it raises costs a warning and its own figures, no more."""

    def __init__(self, logger: "Logger", id: str) -> None:
        self.logger: Any = logger
        self.id = id
        self._guarded = Guarded(f"The log of {type(logger).__name__}")
        for name in ("log_metrics", "log_hyperparams", "log_graph", "after_save_checkpoint", "save", "finalize"):
            self._guard(name)

    def _guard(self, name: str) -> None:
        """Guard a method where Lightning calls it, too."""
        call = getattr(self.logger, name)
        setattr(self.logger, name, lambda *given, **named: self._guarded(call, *given, **named))

    def start(self, config: Mapping[str, Any], cached: bool) -> None:
        """Log what a stage is configured with."""
        self.logger.log_hyperparams(dict(config))

    def log(self, figures: Mapping[str, float], step: int) -> None:
        """Log figures at a step."""
        self.logger.log_metrics(dict(figures), step)

    def replay(self, record: Mapping[str, Any]) -> None:
        """Log the curve of a stage that was trained before."""
        for epoch, step, figures in curve_metrics(record):
            self.log({**figures, "epoch": epoch}, step)

    def end(self, config: Mapping[str, Any], best: Mapping[str, float], tests: Mapping[str, Scored], step: int) -> None:
        """Log the scores, and what more the logger can show of them."""
        self.log({**best, **score_metrics(tests)}, step)
        for name, tested in tests.items():
            self._guarded(self.show, f"test/{name}", tested, config, step)

    def show(self, name: str, tested: Scored, config: Mapping[str, Any], step: int) -> None:
        """Log more than figures of a test set."""

    def close(self, status: str) -> None:
        """End it: ``success`` or ``failed``."""
        self.logger.finalize(status)


class TensorBoardLog(LightningLog):
    """TensorBoard: the scores beside the hyperparameters, confusion matrices as pictures."""

    def replay(self, record: Mapping[str, Any]) -> None:
        """Log the curve, unless the job has it from when it trained the stage, or was run before."""
        if not any(Path(self.logger.log_dir).glob("events*")):
            super().replay(record)

    def end(self, config: Mapping[str, Any], best: Mapping[str, float], tests: Mapping[str, Scored], step: int) -> None:
        """Log the scores and, once, the settings that belong to them: its page has room for those without a dot."""
        known = {key: value for key, value in config.items() if "." not in key and not isinstance(value, list)}
        self.logger.log_hyperparams(known, {**best, **score_metrics(tests)}, step)
        super().end(config, best, tests, step)

    def show(self, name: str, tested: Scored, config: Mapping[str, Any], step: int) -> None:
        """Log the confusion matrix."""
        self.logger.experiment.add_figure(f"{name}/confusion", _figure(name, tested, config), step)


class MLflowLog(LightningLog):
    """MLflow: confusion matrices as pictures, predictions as files; one run a stage, however often it is logged."""

    def start(self, config: Mapping[str, Any], cached: bool) -> None:
        """Log what a stage is configured with, in the place of an earlier run; a finished one of the cache stands."""
        self._guarded(self._replace_earlier, cached)
        super().start(config, cached)

    def _replace_earlier(self, cached: bool) -> None:
        client, own = self.logger.experiment, self.logger.run_id
        client.set_tag(own, "id", self.id)
        client.set_tag(own, "cached", str(cached).lower())
        found = client.search_runs([self.logger.experiment_id], f"tags.id = '{self.id}'")
        earlier = {run.info.run_id: run.info.status for run in found if run.info.run_id != own}
        stands = cached and "FINISHED" in earlier.values()
        for run in [own] if stands else earlier:
            client.delete_run(run)
        self._guarded.lost = stands  # nothing more is to be logged

    def show(self, name: str, tested: Scored, config: Mapping[str, Any], step: int) -> None:
        """Log the confusion matrix and the predictions."""
        client, run = self.logger.experiment, self.logger.run_id
        client.log_figure(run, _figure(name, tested, config), f"{name}/confusion.png")
        rows = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in tested.rows)
        client.log_text(run, rows, f"{name}/predictions.jsonl")


def _figure(name: str, tested: Scored, config: Mapping[str, Any]) -> Any:
    return confusion_figure(tested.scores["confusion"], config["labels"], f"{config['data']} {config['stage']}, {name}")


_LOGS = {"TensorBoardLogger": TensorBoardLog, "MLFlowLogger": MLflowLog}


def log_of(logger: "Logger", id: str) -> LightningLog:
    """A logger as a stage uses it; ``id`` is that of the stage's run."""
    return _LOGS.get(type(logger).__name__, LightningLog)(logger, id)
