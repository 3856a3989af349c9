"""Corpora: a benchmark, a variant, and where things lie."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from omegaconf import MISSING


class PromptStyle(StrEnum):
    """Who speaks in generated dialogues: the benchmark's named cast, or an unnamed male and female speaker."""

    cast = "cast"
    pair = "pair"


@dataclass
class PathsConfig:
    """Folders; relative ones are relative to the working directory.

    Attributes:
        data: data sets; environment: ERCSATZ_DATA.
        cache: what was computed once; environment: ERCSATZ_CACHE.
    """

    data: str = MISSING
    cache: str = MISSING


@dataclass
class CountsConfig:
    """Published size of a split.

    Attributes:
        dialogues: how many.
        utterances: how many have a label.
        labels: how many of each label; may be left out.
    """

    dialogues: int = MISSING
    utterances: int = MISSING
    labels: dict[str, int] = field(default_factory=dict)


@dataclass
class DownloadConfig:
    """One official file.

    Attributes:
        url: where its publisher keeps it.
        sha256: what it must be; null: unknown.
    """

    url: str = MISSING
    sha256: str | None = None


@dataclass
class BenchmarkConfig:
    """A real corpus with its label set, speakers and published splits.

    Attributes:
        name: the YAML's own name.
        title: for tables and pages.
        reader: what reads its files: the name of a shipped reader, or module.function.
        path: the folder of its files.
        labels: in the order of the classes.
        label_names: label by lower-case published name; null makes a turn context only.
        sentiments: negative, neutral or positive, by label; null: it depends on the turn.
        speakers: who speaks in generated dialogues.
        style: of prompts: the named cast, or an unnamed male and female pair.
        genders: female or male, by speaker, for personas.
        files: names of the files, by split.
        options: the reader's own: docs/extend/benchmark.md.
        published: counts to check against, by split; null: none.
        downloads: official files, by split.
        licence: who may use it.
        obtain: how to get the files, where they cannot be fetched.
    """

    name: str = MISSING
    title: str = MISSING
    reader: str = MISSING
    path: str = MISSING
    labels: list[str] = MISSING
    label_names: dict[str, str | None] = field(default_factory=dict)
    sentiments: dict[str, str | None] = field(default_factory=dict)
    speakers: list[str] = MISSING
    style: PromptStyle = MISSING
    genders: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    published: dict[str, CountsConfig] | None = field(default_factory=dict)
    downloads: dict[str, DownloadConfig] = field(default_factory=dict)
    licence: str = "not stated"
    obtain: str = ""


@dataclass
class DataConfig:
    """A benchmark and a variant.

    Attributes:
        name: BENCHMARK_VARIANT.
        variant: org, the benchmark itself, or the short name of the mode it was written in.
        path: the folder of a synthetic data set.
    """

    name: str = MISSING
    variant: str = MISSING
    path: str = MISSING
