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
    """Commonsense that is looked up in ATOMIC.

    Attributes:
        atomic: a CSV file of ATOMIC's format.
        encoder: lexical (shared words), or a Hugging Face name or folder.
        top: events for an utterance.
    """

    atomic: str | None = None
    encoder: str = MISSING
    top: int = MISSING


@dataclass
class InferConfig:
    """Commonsense that a language model is asked for.

    Attributes:
        turns: utterances before the one that is asked about.
        attempts: how often an answer is asked for until it can be read.
    """

    turns: int = MISSING
    attempts: int = MISSING


@dataclass
class TextFilesConfig:
    """Files of TODKAT's text form, by split; splits without one stay as they are.

    Attributes:
        train: of the training split.
        validation: of the validation split.
        test: of the test split.
    """

    train: str | None = None
    validation: str | None = None
    test: str | None = None


@dataclass
class CosmicConfig:
    """COSMIC's features of COMET.

    Attributes:
        file: the pickle; it is read without running anything of it.
        match: id: dialogues have our ids there; order: they stand in our order.
        splits: for match=order: what is in the file, in its order.
    """

    file: str | None = None
    match: CosmicMatch = MISSING
    splits: list[str] = MISSING


@dataclass
class KnowledgeConfig:
    """What ``knowledge.py`` reads.

    ``generator`` is a ``GeneratorConfig``, of the class that its YAML names.

    Attributes:
        source: retrieve (from ATOMIC), generate (ask a language model), or read others' files: text, cosmic.
        retrieve: for source=retrieve.
        generate: for source=generate.
        text: for source=text.
        cosmic: for source=cosmic.
        paths: folders.
        benchmark: the real corpus; chosen by ``data``.
        data: a benchmark and a variant.
        mode: how a synthetic variant was written; chosen by ``data``.
        generator: the language model that is asked.
        seed: of every request.
        prompts: a folder of your own templates; null: the shipped ones.
        journal: SQLite file of every answer; a run that was stopped goes on from it.
        overwrite: true: replace what is from another source, or go on under other settings.
    """

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
