"""Writing synthetic data sets."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from omegaconf import MISSING

from ercsatz.config.corpus import BenchmarkConfig, DataConfig, PathsConfig
from ercsatz.config.experiment import ExperimentConfig
from ercsatz.config.generator import GeneratorConfig
from ercsatz.config.mode import ModeConfig
from ercsatz.config.registry import part
from ercsatz.config.training import WandbConfig


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
    """How much is asked for, and dialogues of what length.

    One of ``n_dialogues``, ``n_kept`` and ``n_utterances`` is given.

    Attributes:
        n_dialogues: dialogues that are asked for; a few are rejected.
        n_kept: or: dialogues that are kept.
        n_utterances: or: utterances of the kept dialogues.
        min_turns: fewest turns of a dialogue.
        max_turns: most turns.
        attempts: how often a dialogue is asked for, each time with another seed, before it is given up.
        shard: K/N, with K from 0 to N-1: ask for every N-th dialogue alone, beginning with the K-th; ``ercsatz merge``
            makes the data set of all N. null: ask for all.
    """

    n_dialogues: int | None = None
    n_kept: int | None = None
    n_utterances: int | None = None
    min_turns: int = MISSING
    max_turns: int = MISSING
    attempts: int = MISSING
    shard: str | None = None


@dataclass
class PersonaConfig:
    """Where the steps of a persona come from, in modes with personas.

    Attributes:
        unit: what a request asks for: a dialogue, or a text of a single speaker (PersonaGen's own unit).
        base: age, gender, occupation, MBTI type: sample (from the inventory) or off.
        background: socio-cultural background of each speaker: sample, write (by the model) or off.
        situation: what is going on, and how speakers are related: sample, write or off.
    """

    unit: PersonaUnit = PersonaUnit.dialogue
    base: PersonaStep = MISSING
    background: PersonaStep = MISSING
    situation: PersonaStep = MISSING


@dataclass
class LeakageConfig:
    """When a generated dialogue counts as taken from the real validation and test sets.

    Attributes:
        words: an utterance of so many words or more occurs there, case and punctuation aside.
        ngram: words of the n-grams that ``containment`` is of.
        containment: this share of the dialogue's word n-grams occurs there.
        dialogue: this share of a real dialogue's utterances occurs in it.
    """

    words: int = MISSING
    ngram: int = MISSING
    containment: float = MISSING
    dialogue: float = MISSING


@dataclass
class ChecksConfig:
    """Which generated dialogues are left out.

    Attributes:
        near_duplicate: Jaccard similarity of word 3-grams from which the later of two dialogues is left out.
        leakage: what is taken from the real validation and test sets.
    """

    near_duplicate: float = MISSING
    leakage: LeakageConfig = field(default_factory=LeakageConfig)


@dataclass
class SplitConfig:
    """Shares of the kept dialogues; the rest is for training.

    Attributes:
        validation: share of the validation split.
        test: share of the test split.
    """

    validation: float = MISSING
    test: float = MISSING


@dataclass
class GenerateConfig:
    """What ``generate.py`` reads.

    ``generator`` is a ``GeneratorConfig``, of the class that its YAML names.

    Attributes:
        paths: folders.
        benchmark: the real corpus; chosen by ``data``.
        data: a benchmark and a variant.
        mode: how the variant is written; chosen by ``data``.
        generator: what writes dialogues.
        plan: how much is asked for.
        persona: of the speakers, in modes with personas.
        checks: which dialogues are left out.
        split: shares of the kept dialogues.
        seed: of the plan and of every request.
        prompts: a folder of your own templates and inventories; null: the shipped ones.
        journal: SQLite file of every answer; a run that was stopped goes on from it.
        dry_run: true: show the first prompts and what would be asked for, and stop.
        overwrite: true: replace a data set that was made with other settings.
        push_to_hub: NAME/REPOSITORY: upload the data set (extra: hub).
        wandb: Weights & Biases.
        experiment: a whole sweep under a name.
    """

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
    wandb: WandbConfig = field(default_factory=WandbConfig)
    experiment: ExperimentConfig | None = None

    def __post_init__(self) -> None:
        self.generator = part(self.generator, GeneratorConfig, "generator")
