"""Training and ranking."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from omegaconf import MISSING

from ercsatz.config.corpus import Benchmark, Data, Paths
from ercsatz.config.mode import ModeConfig


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


class SpeakerTags(StrEnum):
    """Whether a speaker's tag is ordinary text or one registered token."""

    text = "text"
    tokens = "tokens"


class Memory(StrEnum):
    """CoMPM's second encoder: trained, frozen as it was pretrained, or trained from random weights."""

    trained = "trained"
    frozen = "frozen"
    scratch = "scratch"


class Gray(StrEnum):
    """EmoOne's gray labels; ``none`` trains on hard labels alone."""

    none = "none"
    category = "category"
    word = "word"
    word_softmax = "word_softmax"
    self_teacher = "self_teacher"
    self_adjust = "self_adjust"
    future = "future"
    future_adjust = "future_adjust"


class KnowledgeSources(StrEnum):
    """Which commonsense TODKAT reads of a sidecar."""

    both = "both"
    retrieved = "retrieved"
    generated = "generated"
    none = "none"


@dataclass
class Classifier:
    """What every classifier has."""

    name: str = MISSING
    max_tokens: int = MISSING


@dataclass
class CoMPM(Classifier):
    """CoMPM (Lee and Lee, NAACL 2022); ``padded_memory`` lets padding be attended to, as the released code does."""

    speaker_tags: SpeakerTags = SpeakerTags.text
    memory: Memory = Memory.trained
    memory_backbone: Backbone | None = None
    memory_layers: int = MISSING
    memory_dropout: float = MISSING
    padded_memory: bool = False


@dataclass
class EmoOne(Classifier):
    """EmoOne-RoBERTa (Lee, Interspeech 2022); ``w1`` weighs the hard labels, ``w2`` the gray ones."""

    speaker_tags: SpeakerTags = SpeakerTags.text
    gray: Gray = MISSING
    w1: float = MISSING
    w2: float = MISSING
    word_vectors: str | None = None
    future_turns: int = MISSING


@dataclass
class TODKAT(Classifier):
    """TODKAT (Zhu et al., ACL 2021); ``max_tokens`` is of one utterance or statement."""

    topic: bool = MISSING
    topic_width: int = MISSING
    kl_weight: float = MISSING
    knowledge: KnowledgeSources = MISSING
    knowledge_width: int | None = None
    layers: int = MISSING
    heads: int = MISSING
    feedforward: int = MISSING
    dropout: float = MISSING
    causal: bool = MISSING


class Schedule(StrEnum):
    """What the learning rate's warm-up and decay count: optimiser steps, or examples as the released codes do."""

    steps = "steps"
    examples = "examples"


@dataclass
class StageOverrides:
    """What one stage does differently; null takes the value of ``training``."""

    epochs: int | None = None
    lr: float | None = None


@dataclass
class Training:
    """Optimisation.

    ``warmup`` is a share of all that the schedule counts, ``batch_tokens`` counts encoder tokens a step, and
    ``batch_targets``, if it is not null, targets in their place. ``topic`` is the fitting of TODKAT's topic layer.
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
    original: StageOverrides = field(default_factory=StageOverrides)
    pretrain: StageOverrides = field(default_factory=StageOverrides)
    finetune: StageOverrides = field(default_factory=StageOverrides)
    topic: StageOverrides = field(default_factory=StageOverrides)


@dataclass
class Hardware:
    """Where a classifier runs."""

    accelerator: str = MISSING
    precision: str = MISSING


@dataclass
class Trainer(Hardware):
    """Where it is trained.

    ``memory_tokens`` are run at once. A step of more is accumulated; dropout, and a topic layer's masks and topics, are
    then drawn anew for each part. Beside that, no key here changes what is computed beyond rounding. ``workers`` are
    processes that make batches.
    """

    memory_tokens: int = 32768
    workers: int = 0
    compile: bool = False


@dataclass
class Wandb:
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
class Ranking:
    """What is ranked (``treatment``) over what (``block``), and what each treatment is compared with.

    ``comparisons`` is ``baseline``, ``all`` or a list of [treatment, baseline]. What is null follows from the metric:
    whether a higher score is better, and ``rope``, the difference up to which two scores are practically equal, in the
    scores' own unit.
    """

    treatment: list[str] = MISSING
    block: list[str] = MISSING
    stages: list[str] = MISSING
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
    """What ``train.py`` reads."""

    sweep: str = MISSING
    seed: int = MISSING
    phase: Phase = Phase.tstr
    test_sets: list[str] | None = None
    paths: Paths = field(default_factory=Paths)
    benchmark: Benchmark = field(default_factory=Benchmark)
    data: Data = field(default_factory=Data)
    mode: ModeConfig | None = None
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
