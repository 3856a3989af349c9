from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from ercsatz.assessment.measures import Measured, measure
from ercsatz.assessment.record import Assessment, Line
from ercsatz.assessment.resampling import Sizes
from ercsatz.config import LeakageConfig, MeasureConfig
from ercsatz.data.dialogue import SPLITS, Dialogue, Utterance
from ercsatz.data.files import read_jsonl
from ercsatz.quality.embedder import lexical

MINI = Path(__file__).resolve().parents[2] / "src" / "ercsatz" / "data" / "benchmarks" / "mini"
LABELS = ("neutral", "joy", "surprise", "anger", "sadness", "disgust", "fear")
RULES = LeakageConfig(words=6, ngram=8, containment=0.1, dialogue=0.5)

Splits = Mapping[str, Sequence[Dialogue]]


@pytest.fixture(scope="session")
def real() -> dict[str, tuple[Dialogue, ...]]:
    """A part of mini."""
    sizes = {"train": 40, "validation": 8, "test": 10}
    return {split: read_jsonl(MINI / f"{split}.jsonl")[: sizes[split]] for split in SPLITS}


@pytest.fixture(scope="session")
def others() -> tuple[Dialogue, ...]:
    """Other real dialogues of mini."""
    return read_jsonl(MINI / "train.jsonl")[40:80]


@pytest.fixture(scope="session")
def assess(real: Splits) -> Callable[..., Measured]:
    """Measure a data set beside ``real``, on little."""

    def assess(
        own: Splits, beside: Splits = real, measures: Mapping[str, MeasureConfig] | None = None, **sizes: Any
    ) -> Measured:
        chosen = Sizes(**{"dialogues": None, "sample": 100, "halves": 2, "seed": 0, **sizes})
        return measure(beside, own, LABELS, lexical, RULES, chosen, measures or {}, lambda _: None)

    return assess


@pytest.fixture(scope="session")
def say() -> Callable[..., Dialogue]:
    """A dialogue of ``(text, emotion)``, by two speakers in turn."""

    def say(name: str, *turns: tuple[str, str | None]) -> Dialogue:
        return Dialogue(name, tuple(Utterance(("Maya", "Leo")[n % 2], *turn) for n, turn in enumerate(turns)))

    return say


@pytest.fixture(scope="session")
def line() -> Callable[..., Line]:
    """A figure; what is not given is neither here nor there."""

    def line(value: float | None = 0.5, mark: float | None = 0.5, **others: Any) -> Line:
        usual = {"family": "realism", "name": "frechet", "emotion": None, "better": "lower", "n": 10, "of": 10}
        usual["chance"] = 0.0
        values = () if value is None else (value,)
        return Line(**{**usual, "values": values, "marks": () if mark is None else (mark,), **others})

    return line


@pytest.fixture(scope="session")
def assessment(line: Callable[..., Line]) -> Callable[..., Assessment]:
    """An assessment of little; fields may be given."""

    def assessment(data: str = "mini_bal", lines: Sequence[Line] | None = None, **others: Any) -> Assessment:
        counts = {split: {"neutral": 5, "joy": 3} for split in SPLITS}
        usual: dict[str, Any] = {
            "benchmark": "mini",
            "embedder": "lexical (TF-IDF + SVD)",
            "lexical": True,
            "sizes": {split: {"dialogues": 4, "utterances": 8} for split in SPLITS},
            "compared": {"dialogues": 4, "turns": 8},
            "label_counts": {"mini_org": counts, data: counts},
            "confusion": {"words": {"labels": ["neutral", "joy"], "counts": [[4, 1], [0, 3]]}},
            "offenders": [],
            "tests": [],
            "points": {"real": [[0.0, 1.0, "joy"]], "own": [[0.5, 0.5, "neutral"], [1.0, 0.0, None]]},
            "examples": [[["Maya", "Hello there.", "joy"], ["Leo", "Who is that?", None]]],
            "judge": {"not_judged": "Not judged: nobody was asked."},
            "provenance": {"seed": "0"},
        }
        return Assessment(data=data, lines=tuple(lines if lines is not None else [line()]), **{**usual, **others})

    return assessment
