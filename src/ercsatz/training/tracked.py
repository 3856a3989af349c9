"""What of a stage its loggers are told beside its figures: its name, its configuration, and what it reads."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ercsatz.config import ORG, TrainConfig
from ercsatz.tracking.figures import flat_config, plain
from ercsatz.tracking.stage import Tracked
from ercsatz.tracking.wandb_run import RunName
from ercsatz.training.corpora import JobData
from ercsatz.training.graph import Stage


def tracked(cfg: TrainConfig, stage: Stage, data: JobData, folder: Path) -> Tracked:
    """A stage of a job as its loggers see it.

    Args:
        cfg: the job's configuration.
        stage: what is trained, or in the cache.
        data: the job's dialogues.
        folder: the job's own.
    """
    tests = tuple(data.test_sets) if stage.scored else ()
    synthetic = data.synthetic.name if data.synthetic and stage.variant != ORG else None
    read = {synthetic: (Path(cfg.data.path), data.corpora[synthetic])} if synthetic else {}
    return Tracked(
        wandb=cfg.wandb,
        loggers=cfg.logger,
        run=_run_name(cfg, stage, tests),
        config=_config(cfg, stage, data),
        folder=folder,
        data=read,
    )


def _run_name(cfg: TrainConfig, stage: Stage, tests: Iterable[str]) -> RunName:
    """A stage is the same run in all jobs of a sweep that score it on the same test sets."""
    own = hashlib.sha256("\n".join([cfg.sweep, *tests]).encode()).hexdigest()[:8]  # a sweep's name may have a slash
    return RunName(
        id=f"{stage.key}-{own}",
        name=f"{cfg.benchmark.name}_{stage.variant}-{cfg.classifier.name}-{stage.name}-s{cfg.seed}",
        group=cfg.sweep,
        job_type=stage.name,
        tags=(cfg.benchmark.name, stage.variant, cfg.classifier.name, cfg.backbone.name),
    )


def _config(cfg: TrainConfig, stage: Stage, data: JobData) -> dict[str, Any]:
    """All that one may filter and group by.

    ``lr``, ``epochs`` and the like are this stage's own; under ``training.`` they are the job's.
    """
    return {
        **flat_config(cfg),
        **{key: plain(value) for key, value in stage.settings["optimisation"].items()},
        "data": f"{cfg.benchmark.name}_{stage.variant}",
        "benchmark": cfg.benchmark.name,
        "variant": stage.variant,
        "phase": cfg.phase.name,
        "stage": stage.name,
        "seed": cfg.seed,
        "sweep": cfg.sweep,
        "labels": list(stage.corpus.labels),
        "key": stage.key,
        "key.before": stage.before and stage.before.key,
        "key.start": stage.description["start"],
        "hash.train": stage.description["train"],
        "hash.validation": stage.description["validation"],
        **{f"hash.test.{name}": content for name, content in data.hashes.items()},
        **{f"hash.{name}": content for name, content in data.corpora.items()},
    }
