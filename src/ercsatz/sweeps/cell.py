"""A cell of a sweep: one job, from its configuration to its ``result.json``.

Imported by Hydra before any job, so it imports nothing heavy. A job that fails records its failure and returns: Hydra
1.3 never calls ``on_multirun_end`` after a failed job.
"""

import logging
import math
import platform
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, OmegaConf

from ercsatz import signals
from ercsatz.config import WandbConfig
from ercsatz.config.compose import to_object
from ercsatz.config.objective import goals_of
from ercsatz.errors import UserError
from ercsatz.reporting.status import message, report_recorded
from ercsatz.reporting.terminal import show_log
from ercsatz.sweeps.result_file import NOT_A_SETTING
from ercsatz.sweeps.sweep_file import id_of
from ercsatz.training.ranks import step

if TYPE_CHECKING:
    from ercsatz.config import TrainConfig
    from ercsatz.data.dialogue import Corpus
    from ercsatz.sweeps.others import SweepStages
    from ercsatz.tracking.agent import Agent
    from ercsatz.training.graph import Stage
    from ercsatz.training.progress import Tell
    from ercsatz.training.pulse import Pulse
    from ercsatz.training.run import StageRunner

_LOG = logging.getLogger(__name__)


def run_cell(cfg: DictConfig) -> Any:
    """Compose, plan, train or load each stage, score it, write the result; a failure is no exception here.

    Returns:
        What the job reached of its ``objective``: a number, or a list where it names several; NaN where it failed; None
        where nothing was to be trained.
    """
    from ercsatz.tracking.agent import take_over

    step.join()  # here too: submitit's jobs have not been through the command
    agent = take_over()
    reached = _run(cfg)
    if reached is None:
        return None
    if agent is not None:
        _tell(agent, cfg, reached)
    if isinstance(cfg.objective, ListConfig):
        return [reached.get(name, math.nan) for name in cfg.objective]
    return reached.get(cfg.objective, math.nan)


def _tell(agent: "Agent", cfg: DictConfig, reached: Mapping[str, float]) -> None:
    """Log what was reached to the run of W&B's agent; what goes wrong there costs a line, not the job."""
    settings = cast(WandbConfig, OmegaConf.to_object(cfg.wandb))
    folder = Path(HydraConfig.get().runtime.output_dir)
    try:
        agent.log(settings, cfg.sweep, reached or None, folder)
    except Exception as error:
        _LOG.warning("Weights & Biases has not got the objective: %s", " ".join(message(error).split()))


@dataclass(frozen=True)
class _Keeper:
    """Writes a job's result, and after it the page of its sweep.

    Attributes:
        folder: the job's own.
        sweep: the sweep's.
        record: what is known of the job as yet.
    """

    folder: Path
    sweep: Path
    record: dict[str, Any]

    def keep(self, status: str, **result: Any) -> None:
        """Write the result."""
        from ercsatz.sweeps.result_file import write_result

        write_result(self.folder, {"status": status, **result})
        self.show()

    def show(self) -> None:
        """Have the page show it."""
        from ercsatz.sweeps.page.write import refresh

        if self.record.get("sweep_id"):
            refresh(self.sweep)

    def tell(self, progress: list[dict[str, Any]]) -> None:
        """Keep how far the stages are."""
        self.record["progress"] = progress
        with suppress(OSError):  # a disk that does not take it does not take the result either, which says so
            self.keep("running", **self.record)


def _run(cfg: DictConfig) -> dict[str, float] | None:
    """What the job reached, by name: nothing where it failed; None where nothing was to be trained."""
    show_log()  # here too: a worker process has not been through the command
    hydra = HydraConfig.get()
    overrides = list(hydra.overrides.task)
    record: dict[str, Any] = {"overrides": overrides, "begun": datetime.now(UTC).isoformat(timespec="seconds")}
    sweep = Path(hydra.runtime.cwd, hydra.sweep.dir)  # hydra.job.chdir may have left that folder
    keeper = _Keeper(Path(hydra.runtime.output_dir), sweep, record)
    try:
        owner = {"sweep_id": id_of(sweep) if hydra.mode == RunMode.MULTIRUN else None}
        record |= owner
        settings: TrainConfig = to_object(cfg)
        from ercsatz.training.check_config import check

        check(settings)
        if settings.cluster is not None and hydra.mode != RunMode.MULTIRUN:
            raise UserError("cluster= is where the jobs of a sweep run: give -m too, also for a single job.")
        if settings.dry_run:
            _show_plan(settings, overrides)
            return None
        record |= identity(settings, overrides)
        from ercsatz.training.pulse import beating

        with beating(keeper.folder, keeper.show) as pulse:
            keeper.keep("running", **record)
            result = run_job(settings, overrides, keeper.folder, keeper.tell, _others(sweep, settings.sweep), pulse)
            keeper.keep("completed", **owner, **result)
        return dict(result["objective"])
    except Exception as error:
        signals.check()
        failure = {**record, "error": message(error), "traceback": traceback.format_exc()}
        dry = cfg.get("dry_run") is True
        report_recorded(error, " ".join(overrides), lambda: None if dry else keeper.keep("failed", **failure))
        return {}


def _others(sweep: Path, name: str) -> "SweepStages | None":
    """The stages of the other jobs of a sweep; None for a job of its own."""
    from ercsatz.sweeps.others import stages_of

    config = cast(DictConfig, HydraConfig.instance().cfg)
    return stages_of(sweep, config, name) if HydraConfig.get().mode == RunMode.MULTIRUN else None


def run_job(
    cfg: "TrainConfig",
    overrides: Sequence[str],
    folder: Path,
    tell: "Tell | None" = None,
    others: "SweepStages | None" = None,
    pulse: "Pulse | None" = None,
) -> dict[str, Any]:
    """Run a job, write its predictions, and return its result (see ``sweeps.result_file``), without the status.

    Args:
        cfg: the typed configuration.
        overrides: what the user changed on the command line, for the record.
        folder: the job's own folder.
        tell: is told how far the stages are.
        others: jobs of its sweep, for which it works while its own stages are made elsewhere.
        pulse: is told how far the one is that is trained.

    Raises:
        UserError: data are missing or wrong, or the phase does not fit the data.
    """
    from ercsatz.sweeps.result_file import versions
    from ercsatz.training.job import load_job
    from ercsatz.training.progress import tell_nobody
    from ercsatz.training.pulse import Pulse
    from ercsatz.training.run import StageRunner, note_nothing

    started = time.time()
    job = load_job(cfg)
    note = others.note if others else note_nothing
    data, tell, pulse = job.data, tell or tell_nobody, pulse or Pulse()
    runner = StageRunner(job.cfg, data, folder, tell, others, note, pulse)
    stages = runner.run(job.stages)
    return {
        **identity(cfg, overrides),
        "labels": list(data.real.labels),
        "label_counts": {corpus.name: _label_counts(corpus) for corpus in (data.real, data.synthetic) if corpus},
        "stages": stages,
        "objective": _reached(cfg, runner, job.stages, stages),
        "hashes": data.hashes,
        "corpora": data.corpora,
        "versions": versions(),
        "host": platform.platform(),
        "started": datetime.fromtimestamp(started, UTC).isoformat(timespec="seconds"),
        "seconds": round(time.time() - started, 1),
    }


def _reached(
    cfg: "TrainConfig", runner: "StageRunner", stages: Sequence["Stage"], records: Sequence[Mapping[str, Any]]
) -> dict[str, float]:
    """What the last stage reached on its validation split, and what training the stages took, as ``objective`` asks."""
    last = [stage for stage in stages if stage.scored][-1]
    found = {}
    for goal in goals_of(cfg.objective):
        if goal.name == "seconds":
            found[goal.name] = sum(record["seconds"] for record in records)
        elif goal.name == "validation/w_f1":
            found[goal.name] = records[-1]["validation_w_f1"]
        else:
            found[goal.name] = runner.validated(last)[goal.name.partition("/")[2]]
    return found


def _show_plan(cfg: "TrainConfig", overrides: Sequence[str]) -> None:
    from ercsatz.sweeps.dry_run import show
    from ercsatz.training.job import load_job

    job = load_job(cfg)
    show(job.stages, Path(cfg.paths.cache), " ".join(overrides))


def _label_counts(corpus: "Corpus") -> dict[str, dict[str, int]]:
    """How often each label occurs in each split, in the order of the labels."""
    from ercsatz.data.dialogue import label_counts

    counts = {split: label_counts(dialogues) for split, dialogues in corpus.splits.items()}
    return {split: {label: found[label] for label in corpus.labels} for split, found in counts.items()}


def identity(cfg: "TrainConfig", overrides: Sequence[str]) -> dict[str, Any]:
    """What tells a cell from the others of a sweep."""
    return {
        "choices": {
            **({"experiment": cfg.experiment.name} if cfg.experiment else {}),
            "classifier": cfg.classifier.name,
            "data": cfg.data.name,
            "benchmark": cfg.benchmark.name,
            "variant": str(cfg.data.variant),
            "backbone": cfg.backbone.name,
            "phase": cfg.phase.name,
            "loss": cfg.loss.name,
            "sampler": cfg.sampler.name,
        },
        "planned": _planned(cfg),
        "sweep": cfg.sweep,
        "overrides": list(overrides),
        "seed": cfg.seed,
    }


def _planned(cfg: "TrainConfig") -> list[dict[str, Any]]:
    """The stages whose scores are to be ranked, for the gaps that the job leaves if it fails."""
    from ercsatz.training.graph import variants_of

    ranked = cfg.phase.ranked if cfg.ranking.stages is None else cfg.ranking.stages
    return [{"stage": name, "variant": variant} for name, variant in variants_of(cfg).items() if name in ranked]


def cell_name(classifier: str, data: str, seed: int, overrides: Sequence[str]) -> str:
    """The folder of a cell: what it is, and a hash of whatever other settings were overridden."""
    import hashlib

    known = ("classifier=", "data=", "seed=", *NOT_A_SETTING)
    others = sorted(o for o in overrides if not o.startswith(known))
    suffix = f"-{hashlib.sha256(' '.join(others).encode()).hexdigest()[:6]}" if others else ""
    return f"{classifier}-{data}-seed{seed}{suffix}"
