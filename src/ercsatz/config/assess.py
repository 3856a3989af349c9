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

    ``embedder`` is ``lexical`` or a Hugging Face name or folder. ``dialogues`` of each training split are compared
    (null: as many as can be), ``sample`` turns at the most. Each mark comes from so many ``halves`` of the real
    training split, three or more. ``fix`` writes a copy without what leaks.
    """

    embedder: str = MISSING
    dialogues: int | None = None
    sample: int = MISSING
    halves: int = MISSING
    fix: bool = MISSING


@dataclass
class JudgeConfig:
    """How a language model judges synthetic dialogues, each beside a real one.

    ``n`` pairs are shown in both orders with ``repeats`` seeds each, of a dialogue the first ``turns``. ``attempts`` is
    how often a judgement is asked for until it can be read; under ``minimum`` judged pairs there is no figure.
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
