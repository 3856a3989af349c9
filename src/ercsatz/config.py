"""The type of every configuration key, and the data sets that follow from the benchmarks.

Imported by every entry point before ``--help`` is answered, so it imports nothing heavy.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, OmegaConf

VARIANTS = {"org": None, "nat": "natural", "bal": "balanced", "per": "persona"}


class Phase(StrEnum):
    """Which stages a job runs."""

    tstr = "tstr"
    original = "original"
    pretrain = "pretrain"
    finetune = "finetune"


class Variant(StrEnum):
    """Where training dialogues come from: the benchmark itself, or a synthetic mode."""

    org = "org"
    nat = "nat"
    bal = "bal"
    per = "per"


class PromptStyle(StrEnum):
    """Who speaks in generated dialogues: the benchmark's named cast, or an unnamed male and female speaker."""

    cast = "cast"
    pair = "pair"


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
class Paths:
    """Folders; relative ones are relative to the working directory."""

    data: str = MISSING
    cache: str = MISSING


@dataclass
class Counts:
    """Published size of a split; ``utterances`` counts the labelled ones, ``labels`` may be left out."""

    dialogues: int = MISSING
    utterances: int = MISSING
    labels: dict[str, int] = field(default_factory=dict)


@dataclass
class Download:
    """One official file: where its publisher keeps it and what it must be."""

    url: str = MISSING
    sha256: str | None = None


@dataclass
class Benchmark:
    """A real corpus with its label set, speakers and published splits.

    ``files`` and ``downloads`` go by split. ``label_names`` maps lower-case published names to ``labels``; null makes
    a turn context only. What a reader takes as ``options`` is in docs/add-a-benchmark.md.
    """

    name: str = MISSING
    title: str = MISSING
    reader: str = MISSING
    path: str = MISSING
    labels: list[str] = MISSING
    label_names: dict[str, str | None] = field(default_factory=dict)
    speakers: list[str] = MISSING
    style: PromptStyle = MISSING
    files: dict[str, str] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    published: dict[str, Counts] = field(default_factory=dict)
    downloads: dict[str, Download] = field(default_factory=dict)
    licence: str = "not stated"
    obtain: str = ""


@dataclass
class Data:
    """A benchmark and a variant."""

    name: str = MISSING
    variant: Variant = MISSING
    path: str = MISSING


@dataclass
class Generator:
    """What writes synthetic dialogues, and how many requests it is given at a time (``window``)."""

    name: str = MISSING
    window: int = MISSING


@dataclass
class Plan:
    """How many dialogues are asked for, and of what length in turns."""

    n_dialogues: int = MISSING
    min_turns: int = MISSING
    max_turns: int = MISSING


@dataclass
class Split:
    """Shares of the kept dialogues that become validation and test set; the rest is for training."""

    validation: float = MISSING
    test: float = MISSING


@dataclass
class GenerateConfig:
    """What ``generate.py`` reads."""

    paths: Paths = field(default_factory=Paths)
    benchmark: Benchmark = field(default_factory=Benchmark)
    data: Data = field(default_factory=Data)
    generator: Generator = field(default_factory=Generator)
    plan: Plan = field(default_factory=Plan)
    split: Split = field(default_factory=Split)
    seed: int = MISSING
    overwrite: bool = MISSING


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


def register(config_folders: Iterable[Path]) -> None:
    """Store the schemas, and a ``data`` option ``<benchmark>_<variant>`` for every benchmark YAML in the folders.

    Also the resolver ``${ercsatz_package:}``, the folder of the installed package.

    Args:
        config_folders: the shipped ``conf`` and any folder given with ``--config-dir``.
    """
    OmegaConf.register_new_resolver("ercsatz_package", lambda: str(Path(__file__).parent), replace=True)
    store = ConfigStore.instance()
    for name, node in {"generate": GenerateConfig, "train": TrainConfig, "rank": RankConfig}.items():
        store.store(name=f"{name}_schema", node=node)
    store.store(group="classifier", name="compm_schema", node=CoMPM)
    for folder in config_folders:
        for file in sorted((folder / "benchmark").glob("*.yaml")):
            for variant in VARIANTS:
                store.store(group="data", name=f"{file.stem}_{variant}", node=_data_option(file.stem, variant))


def _data_option(benchmark: str, variant: str) -> dict[str, Any]:
    return {
        "defaults": [{"/benchmark@_global_.benchmark": benchmark}, "_self_"],
        "name": f"{benchmark}_{variant}",
        "variant": variant,
        "path": "${paths.data}/${data.name}",
    }
