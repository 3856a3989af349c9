"""Writing synthetic data sets."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from omegaconf import MISSING

from ercsatz.config.corpus import BenchmarkConfig, DataConfig, PathsConfig
from ercsatz.config.generator import GeneratorConfig
from ercsatz.config.mode import ModeConfig
from ercsatz.config.registry import part


class PersonaStep(StrEnum):
    """Where a step of a persona comes from: the inventories, the language model, or nowhere."""

    sample = "sample"
    write = "write"
    off = "off"


class PersonaUnit(StrEnum):
    """What a persona request asks for: a dialogue, or a single text of a single speaker (PersonaGen's own unit)."""

    dialogue = "dialogue"
    text = "text"


@dataclass
class PlanConfig:
    """How much is asked for, and dialogues of what length in turns.

    One of ``n_dialogues`` (asked for), ``n_kept`` (dialogues kept) and ``n_utterances`` (in kept dialogues) is given.
    ``attempts`` is how often a dialogue is asked for, each time with another seed, before it is given up.
    """

    n_dialogues: int | None = None
    n_kept: int | None = None
    n_utterances: int | None = None
    min_turns: int = MISSING
    max_turns: int = MISSING
    attempts: int = MISSING


@dataclass
class PersonaConfig:
    """Where the steps of a persona come from, in modes with personas. ``base`` cannot be written by the model."""

    unit: PersonaUnit = PersonaUnit.dialogue
    base: PersonaStep = MISSING
    background: PersonaStep = MISSING
    situation: PersonaStep = MISSING


@dataclass
class LeakageConfig:
    """When a generated dialogue counts as taken from the real validation and test sets.

    ``words``: an utterance of at least so many words occurs there, case and punctuation aside; ``ngram`` and
    ``containment``: so great a share of the dialogue's word n-grams occurs there; ``dialogue``: so great a share of a
    real dialogue's utterances occurs in it.
    """

    words: int = MISSING
    ngram: int = MISSING
    containment: float = MISSING
    dialogue: float = MISSING


@dataclass
class ChecksConfig:
    """``near_duplicate``: Jaccard similarity of word 3-grams from which a later dialogue is left out."""

    near_duplicate: float = MISSING
    leakage: LeakageConfig = field(default_factory=LeakageConfig)


@dataclass
class SplitConfig:
    """Shares of the kept dialogues that become validation and test set; the rest is for training."""

    validation: float = MISSING
    test: float = MISSING


@dataclass
class GenerateConfig:
    """What ``generate.py`` reads; ``generator`` is a ``GeneratorConfig``, of the class that its YAML names."""

    paths: PathsConfig = field(default_factory=PathsConfig)
    benchmark: BenchmarkConfig = field(default_factory=BenchmarkConfig)
    data: DataConfig = field(default_factory=DataConfig)
    mode: ModeConfig | None = None
    generator: Any = MISSING
    plan: PlanConfig = field(default_factory=PlanConfig)
    persona: PersonaConfig = field(default_factory=PersonaConfig)
    checks: ChecksConfig = field(default_factory=ChecksConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    seed: int = MISSING
    prompts: str | None = None
    journal: str = MISSING
    dry_run: bool = MISSING
    overwrite: bool = MISSING
    push_to_hub: str | None = None

    def __post_init__(self) -> None:
        self.generator = part(self.generator, GeneratorConfig, "generator")
