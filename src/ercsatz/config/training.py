"""Training and ranking."""

from dataclasses import dataclass, field
from enum import StrEnum

from omegaconf import MISSING

from ercsatz.config.corpus import Benchmark, Data, Paths, Variant


class Phase(StrEnum):
    """Which stages a job runs."""

    tstr = "tstr"
    original = "original"
    pretrain = "pretrain"
    finetune = "finetune"


class WandbMode(StrEnum):
    """``auto`` is online when logged in and offline otherwise."""

    auto = "auto"
    online = "online"
    offline = "offline"
    disabled = "disabled"


class Pooling(StrEnum):
    """How an encoder's token states become one vector."""

    first = "first"
    mean = "mean"


@dataclass
class TinySize:
    """Shape of an encoder that is built on the spot, with random weights and its own tokenizer."""

    hidden: int = MISSING
    layers: int = MISSING
    heads: int = MISSING
    vocabulary: int = MISSING


@dataclass
class Backbone:
    """The encoder under a classifier: a hub name or folder, or the size of one that is built on the spot."""

    name: str = MISSING
    checkpoint: str | None = None
    pooling: Pooling = Pooling.first
    lr: float = MISSING
    size: TinySize | None = None


@dataclass
class Classifier:
    """What every classifier has."""

    name: str = MISSING
    max_tokens: int = MISSING


@dataclass
class CoMPM(Classifier):
    """CoMPM (Lee and Lee, NAACL 2022)."""

    memory_layers: int = MISSING
    memory_dropout: float = MISSING


@dataclass
class StageOverrides:
    """What one stage does differently; null takes the value of ``training``."""

    epochs: int | None = None
    lr: float | None = None


@dataclass
class Training:
    """Optimisation. ``warmup`` is a share of the optimiser steps, ``batch_tokens`` counts encoder tokens a step."""

    epochs: int = MISSING
    lr: float = MISSING
    warmup: float = MISSING
    weight_decay: float = MISSING
    clip: float = MISSING
    batch_tokens: int = MISSING
    checkpoint: str | None = None
    original: StageOverrides = field(default_factory=StageOverrides)
    pretrain: StageOverrides = field(default_factory=StageOverrides)
    finetune: StageOverrides = field(default_factory=StageOverrides)


@dataclass
class Trainer:
    """Where it runs; no key here changes what is computed beyond rounding."""

    accelerator: str = MISSING
    precision: str = MISSING


@dataclass
class Wandb:
    """Weights & Biases."""

    mode: WandbMode = WandbMode.auto
    project: str = MISSING
    entity: str | None = None


@dataclass
class Ranking:
    """What is ranked (``treatment``) over what (``block``), and what each treatment is compared with."""

    treatment: list[str] = MISSING
    block: list[str] = MISSING
    stages: list[str] = MISSING
    metric: str = MISSING
    baseline: str = MISSING


@dataclass
class TrainConfig:
    """What ``train.py`` reads."""

    sweep: str = MISSING
    seed: int = MISSING
    phase: Phase = Phase.tstr
    test_sets: list[Variant] | None = None
    paths: Paths = field(default_factory=Paths)
    benchmark: Benchmark = field(default_factory=Benchmark)
    data: Data = field(default_factory=Data)
    classifier: Classifier = field(default_factory=Classifier)
    backbone: Backbone = field(default_factory=Backbone)
    training: Training = field(default_factory=Training)
    trainer: Trainer = field(default_factory=Trainer)
    wandb: Wandb = field(default_factory=Wandb)
    ranking: Ranking = field(default_factory=Ranking)


@dataclass
class RankConfig:
    """What ``rank.py`` reads: a table of scores, or finished sweeps."""

    scores: str | None = None
    sweeps: list[str] = field(default_factory=list)
    output: str | None = None
    ranking: Ranking = field(default_factory=Ranking)
