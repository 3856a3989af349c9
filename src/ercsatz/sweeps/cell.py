"""A cell of a sweep: one job, from its configuration to its ``result.json``.

Imported by Hydra before any job, so it imports nothing heavy. A job that fails records its failure and returns: Hydra
1.3 never calls ``on_multirun_end`` after a failed job.
"""

import platform
import time
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from ercsatz.config.compose import to_object
from ercsatz.reporting.status import message, report
from ercsatz.reporting.terminal import show_log
from ercsatz.sweeps.result_file import NOT_A_SETTING

if TYPE_CHECKING:
    from ercsatz.config import TrainConfig
    from ercsatz.data.dialogue import Corpus


def run_cell(cfg: DictConfig) -> None:
    """Compose, plan, train or load each stage, score it, write the result; a failure is no exception here."""
    from ercsatz.sweeps.result_file import write_result

    show_log()  # here too: a worker process has not been through the command
    hydra = HydraConfig.get()
    folder = Path(hydra.runtime.output_dir)
    overrides = list(hydra.overrides.task)
    record: dict[str, Any] = {"overrides": overrides}
    try:
        settings: TrainConfig = to_object(cfg)
        from ercsatz.training.check_config import check

        check(settings)
        if settings.dry_run:
            _show_plan(settings, overrides)
            return
        record = identity(settings, overrides)
        write_result(folder, {"status": "running", **record})
        write_result(folder, {"status": "completed", **run_job(settings, overrides, folder)})
    except Exception as error:
        if cfg.get("dry_run") is not True:
            failure = {"error": message(error), "traceback": traceback.format_exc()}
            write_result(folder, {"status": "failed", **record, **failure})
        report(error, " ".join(overrides))


def run_job(cfg: "TrainConfig", overrides: Sequence[str], folder: Path) -> dict[str, Any]:
    """Run a job, write its predictions, and return its result (see ``sweeps.result_file``), without the status.

    Args:
        cfg: the typed configuration.
        overrides: what the user changed on the command line, for the record.
        folder: the job's own folder.

    Raises:
        UserError: data are missing or wrong, or the phase does not fit the data.
    """
    from ercsatz.sweeps.result_file import versions
    from ercsatz.training.job import load_job
    from ercsatz.training.run import StageRunner

    started = time.time()
    job = load_job(cfg)
    data = job.data
    return {
        **identity(cfg, overrides),
        "labels": list(data.real.labels),
        "label_counts": {corpus.name: _label_counts(corpus) for corpus in (data.real, data.synthetic) if corpus},
        "stages": StageRunner(job.cfg, data, folder).run(job.stages),
        "hashes": data.hashes,
        "versions": versions(),
        "host": platform.platform(),
        "started": datetime.fromtimestamp(started, UTC).isoformat(timespec="seconds"),
        "seconds": round(time.time() - started, 1),
    }


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
            "classifier": cfg.classifier.name,
            "data": cfg.data.name,
            "benchmark": cfg.benchmark.name,
            "variant": str(cfg.data.variant),
            "backbone": cfg.backbone.name,
            "phase": cfg.phase.name,
            "loss": cfg.loss.name,
        },
        "planned": _planned(cfg),
        "sweep": cfg.sweep,
        "overrides": list(overrides),
        "seed": cfg.seed,
    }


def _planned(cfg: "TrainConfig") -> list[dict[str, Any]]:
    """The ranked stages that the job is to score, for the gaps that it leaves if it fails."""
    from ercsatz.training.graph import variants_of

    return [
        {"stage": name, "variant": variant} for name, variant in variants_of(cfg).items() if name in cfg.phase.ranked
    ]


def cell_name(classifier: str, data: str, seed: int, overrides: Sequence[str]) -> str:
    """The folder of a cell: what it is, and a hash of whatever other settings were overridden."""
    import hashlib

    known = ("classifier=", "data=", "seed=", *NOT_A_SETTING)
    others = sorted(o for o in overrides if not o.startswith(known))
    suffix = f"-{hashlib.sha256(' '.join(others).encode()).hexdigest()[:6]}" if others else ""
    return f"{classifier}-{data}-seed{seed}{suffix}"
