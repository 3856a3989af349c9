"""How good a synthetic data set is."""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from ercsatz.config.corpus import Benchmark, Data, Paths
from ercsatz.config.generation import Checks
from ercsatz.config.generator import GeneratorConfig
from ercsatz.config.judge import Judge
from ercsatz.config.measure import measures
from ercsatz.config.mode import ModeConfig
from ercsatz.config.registry import part
from ercsatz.config.training import Wandb


@dataclass
class Assess:
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
class AssessConfig:
    """What ``assess.py`` reads.

    ``generator`` is a ``GeneratorConfig``, of the class that its YAML names. ``measure`` holds measures of the user's
    own by name, each a ``MeasureConfig`` likewise.
    """

    assess: Assess = field(default_factory=Assess)
    measure: dict[str, Any] = field(default_factory=dict)
    seed: int = MISSING
    paths: Paths = field(default_factory=Paths)
    benchmark: Benchmark = field(default_factory=Benchmark)
    data: Data = field(default_factory=Data)
    mode: ModeConfig | None = None
    checks: Checks = field(default_factory=Checks)
    judge: Judge = field(default_factory=Judge)
    generator: Any = MISSING
    wandb: Wandb = field(default_factory=Wandb)

    def __post_init__(self) -> None:
        self.generator = part(self.generator, GeneratorConfig, "generator")
        self.measure = measures(self.measure)
