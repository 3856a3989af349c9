"""Training and ranking."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from omegaconf import MISSING

from ercsatz.config.backbone import BackboneConfig
from ercsatz.config.classifier import ClassifierConfig
from ercsatz.config.corpus import BenchmarkConfig, DataConfig, PathsConfig
from ercsatz.config.loss import LossConfig
from ercsatz.config.mode import ModeConfig
from ercsatz.config.phase import PhaseConfig
from ercsatz.config.registry import part


class WandbMode(StrEnum):
    """``auto`` is online when logged in and offline otherwise."""

    auto = "auto"
    online = "online"
    offline = "offline"
    disabled = "disabled"


class Schedule(StrEnum):
    """What the learning rate's warm-up and decay count: optimiser steps, or examples as the released codes do."""

    steps = "steps"
    examples = "examples"


@dataclass
class StageOverridesConfig:
    """What one stage does differently; null takes the value of ``training``."""

    epochs: int | None = None
    lr: float | None = None


@dataclass
class TrainingConfig:
    """Optimisation.

    ``warmup`` is a share of all that the schedule counts, ``batch_tokens`` counts encoder tokens a step, and
    ``batch_targets``, if it is not null, targets in their place. ``topic`` is the fitting of a topic layer.
    """

    epochs: int = MISSING
    lr: float = MISSING
    warmup: float = MISSING
    schedule: Schedule = Schedule.steps
    weight_decay: float = MISSING
    clip: float = MISSING
    batch_tokens: int = MISSING
    batch_targets: int | None = None
    checkpoint: str | None = None
    original: StageOverridesConfig = field(default_factory=StageOverridesConfig)
    pretrain: StageOverridesConfig = field(default_factory=StageOverridesConfig)
    finetune: StageOverridesConfig = field(default_factory=StageOverridesConfig)
    topic: StageOverridesConfig = field(default_factory=StageOverridesConfig)


@dataclass
class HardwareConfig:
    """Where a classifier runs."""

    accelerator: str = MISSING
    precision: str = MISSING


@dataclass
class TrainerConfig(HardwareConfig):
    """Where it is trained.

    ``memory_tokens`` are run at once. A step of more is accumulated; dropout, and a topic layer's masks and topics, are
    then drawn anew for each part. Beside that, no key here changes what is computed beyond rounding. ``workers`` are
    processes that make batches.
    """

    memory_tokens: int = 32768
    workers: int = 0
    compile: bool = False


@dataclass
class WandbConfig:
    """Weights & Biases."""

    mode: WandbMode = WandbMode.auto
    project: str = MISSING
    entity: str | None = None


class Missing(StrEnum):
    """What becomes of a block that lacks a score: it is left out, or nothing is ranked."""

    drop = "drop"
    refuse = "refuse"


class Repeats(StrEnum):
    """Which score counts where a cell has two for one seed."""

    refuse = "refuse"
    first = "first"
    last = "last"


@dataclass
class RankingConfig:
    """What is ranked (``treatment``) over what (``block``), and what each treatment is compared with.

    ``stages`` are those of a sweep whose scores count; null: what each job's phase says.

    ``comparisons`` is ``baseline``, ``all`` or a list of [treatment, baseline]. What is null follows from the metric:
    whether a higher score is better, and ``rope``, the difference up to which two scores are practically equal, in the
    scores' own unit.
    """

    treatment: list[str] = MISSING
    block: list[str] = MISSING
    stages: list[str] | None = None
    metric: str | None = None
    baseline: str = MISSING
    comparisons: Any = "baseline"
    seed: str = "seed"
    higher_is_better: bool | None = None
    rope: float | None = None
    missing: Missing = Missing.drop
    repeats: Repeats = Repeats.refuse


@dataclass
class TrainConfig:
    """What ``train.py`` reads.

    ``classifier``, ``backbone`` and ``loss`` are parts: their YAML names the class of their options. ``callbacks`` and
    ``logger`` are Lightning's, by any name, each with a ``_target_`` and its arguments.
    """

    sweep: str = MISSING
    seed: int = MISSING
    phase: PhaseConfig = field(default_factory=PhaseConfig)
    test_sets: list[str] | None = None
    paths: PathsConfig = field(default_factory=PathsConfig)
    benchmark: BenchmarkConfig = field(default_factory=BenchmarkConfig)
    data: DataConfig = field(default_factory=DataConfig)
    mode: ModeConfig | None = None
    classifier: Any = MISSING
    backbone: Any = MISSING
    loss: Any = MISSING
    callbacks: dict[str, Any] = field(default_factory=dict)
    logger: dict[str, Any] = field(default_factory=dict)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    wandb: WandbConfig = field(default_factory=WandbConfig)
    ranking: RankingConfig = field(default_factory=RankingConfig)
    dry_run: bool = False

    def __post_init__(self) -> None:
        self.classifier = part(self.classifier, ClassifierConfig, "classifier")
        self.backbone = part(self.backbone, BackboneConfig, "backbone", BackboneConfig)
        self.loss = part(self.loss, LossConfig, "loss")


@dataclass
class RankConfig:
    """What ``rank.py`` reads: a table of scores, or finished sweeps."""

    scores: str | None = None
    sweeps: list[str] = field(default_factory=list)
    output: str | None = None
    ranking: RankingConfig = field(default_factory=RankingConfig)
