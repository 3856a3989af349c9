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
    """Folders; relative ones are relative to the working directory."""

    data: str = MISSING
    cache: str = MISSING


@dataclass
class CountsConfig:
    """Published size of a split; ``utterances`` counts the labelled ones, ``labels`` may be left out."""

    dialogues: int = MISSING
    utterances: int = MISSING
    labels: dict[str, int] = field(default_factory=dict)


@dataclass
class DownloadConfig:
    """One official file: where its publisher keeps it and what it must be."""

    url: str = MISSING
    sha256: str | None = None


@dataclass
class BenchmarkConfig:
    """A real corpus with its label set, speakers and published splits.

    ``files`` and ``downloads`` go by split. ``label_names`` maps lower-case published names to ``labels``; null makes
    a turn context only. ``sentiments`` maps ``labels`` to negative, neutral or positive; null: it depends on the turn.
    ``genders`` (female or male, by speaker) is for personas. What a reader takes as ``options`` is in
    docs/extend/benchmark.md.
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
    published: dict[str, CountsConfig] = field(default_factory=dict)
    downloads: dict[str, DownloadConfig] = field(default_factory=dict)
    licence: str = "not stated"
    obtain: str = ""


@dataclass
class DataConfig:
    """A benchmark and a variant: ``org``, the benchmark itself, or the short name of the mode it was written in."""

    name: str = MISSING
    variant: str = MISSING
    path: str = MISSING
