"""Commonsense knowledge about utterances."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from omegaconf import MISSING

from ercsatz.config.corpus import BenchmarkConfig, DataConfig, PathsConfig
from ercsatz.config.generator import GeneratorConfig
from ercsatz.config.mode import ModeConfig
from ercsatz.config.registry import part


class KnowledgeOrigin(StrEnum):
    """Where it is from: ATOMIC, a language model, or a file of TODKAT's text form or of COSMIC's features."""

    retrieve = "retrieve"
    generate = "generate"
    text = "text"
    cosmic = "cosmic"


class CosmicMatch(StrEnum):
    """How dialogues are found in a file of COSMIC's: by their ids, or by their place."""

    id = "id"
    order = "order"


@dataclass
class RetrieveConfig:
    """``atomic`` is a CSV file, ``encoder`` is ``lexical`` or a Hugging Face name or folder, ``top`` counts events."""

    atomic: str | None = None
    encoder: str = MISSING
    top: int = MISSING


@dataclass
class InferConfig:
    """What a language model is asked: about an utterance after so many ``turns``, so often until it can be read."""

    turns: int = MISSING
    attempts: int = MISSING


@dataclass
class TextFilesConfig:
    """Files of TODKAT's text form, by split; splits without one stay as they are."""

    train: str | None = None
    validation: str | None = None
    test: str | None = None


@dataclass
class CosmicConfig:
    """A pickle of COSMIC's; ``splits``, in the file's order, are for ``match=order``."""

    file: str | None = None
    match: CosmicMatch = MISSING
    splits: list[str] = MISSING


@dataclass
class KnowledgeConfig:
    """What ``knowledge.py`` reads; ``generator`` is a ``GeneratorConfig``, of the class that its YAML names."""

    source: KnowledgeOrigin = MISSING
    retrieve: RetrieveConfig = field(default_factory=RetrieveConfig)
    generate: InferConfig = field(default_factory=InferConfig)
    text: TextFilesConfig = field(default_factory=TextFilesConfig)
    cosmic: CosmicConfig = field(default_factory=CosmicConfig)
    paths: PathsConfig = field(default_factory=PathsConfig)
    benchmark: BenchmarkConfig = field(default_factory=BenchmarkConfig)
    data: DataConfig = field(default_factory=DataConfig)
    mode: ModeConfig | None = None
    generator: Any = MISSING
    seed: int = MISSING
    prompts: str | None = None
    journal: str = MISSING
    overwrite: bool = MISSING

    def __post_init__(self) -> None:
        self.generator = part(self.generator, GeneratorConfig, "generator")
