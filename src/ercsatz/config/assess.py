"""How good a synthetic data set is."""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from ercsatz.config.corpus import BenchmarkConfig, DataConfig, PathsConfig
from ercsatz.config.generation import ChecksConfig
from ercsatz.config.generator import GeneratorConfig
from ercsatz.config.measure import measures
from ercsatz.config.mode import ModeConfig
from ercsatz.config.registry import part
from ercsatz.config.training import WandbConfig


@dataclass
class AssessmentConfig:
    """What is measured, and on how much.

    Attributes:
        embedder: lexical (shared words), or a Hugging Face name or folder, of which tokens are averaged.
        dialogues: how many of each training split are compared; null: half of the real one, or all synthetic ones.
        sample: turns that measures of all pairs take at the most.
        halves: random halvings of the real training split behind every mark; three or more.
        fix: true: write a copy without the dialogues that leak.
    """

    embedder: str = MISSING
    dialogues: int | None = None
    sample: int = MISSING
    halves: int = MISSING
    fix: bool = MISSING


@dataclass
class JudgeConfig:
    """How a language model judges synthetic dialogues, each beside a real one.

    Attributes:
        n: pairs of a synthetic and a real dialogue, drawn by the seed.
        repeats: seeds for a pair in each of its two orders.
        attempts: how often a judgement is asked for until it can be read.
        turns: of a longer dialogue only the first so many are shown.
        minimum: of fewer judged pairs no figure is given.
        journal: SQLite file of every answer; a run that was stopped goes on from it.
        dry_run: true: show the first prompt and how many requests there would be, and stop.
        overwrite: true: go on though data, generator or rubric have changed.
    """

    n: int = MISSING
    repeats: int = MISSING
    attempts: int = MISSING
    turns: int = MISSING
    minimum: int = MISSING
    journal: str = MISSING
    dry_run: bool = MISSING
    overwrite: bool = MISSING


@dataclass
class AssessConfig:
    """What ``assess.py`` reads.

    ``generator`` is a ``GeneratorConfig``, of the class that its YAML names. ``measure`` holds measures of the user's
    own by name, each a ``MeasureConfig`` likewise.

    Attributes:
        assess: what is measured.
        measure: figures of your own: docs/extend/measure.md.
        seed: of samples and halvings.
        paths: folders.
        benchmark: the real corpus; chosen by ``data``.
        data: a benchmark and a variant.
        mode: how the variant was written; chosen by ``data``.
        checks: the generator's, which leakage is found with.
        judge: human-likeness by a language model.
        generator: the language model that judges; offline: none does.
        wandb: Weights & Biases.
    """

    assess: AssessmentConfig = field(default_factory=AssessmentConfig)
    measure: dict[str, Any] = field(default_factory=dict)
    seed: int = MISSING
    paths: PathsConfig = field(default_factory=PathsConfig)
    benchmark: BenchmarkConfig = field(default_factory=BenchmarkConfig)
    data: DataConfig = field(default_factory=DataConfig)
    mode: ModeConfig | None = None
    checks: ChecksConfig = field(default_factory=ChecksConfig)
    judge: JudgeConfig = field(default_factory=JudgeConfig)
    generator: Any = MISSING
    wandb: WandbConfig = field(default_factory=WandbConfig)

    def __post_init__(self) -> None:
        self.generator = part(self.generator, GeneratorConfig, "generator")
        self.measure = measures(self.measure)
