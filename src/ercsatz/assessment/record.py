"""What an assessment leaves behind: ``assessment.json`` or ``failure.json``. Reports read only these."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ercsatz.data.text_files import atomic_write, read_json
from ercsatz.errors import UserError
from ercsatz.quality.measure import Better, Measure

SCHEMA = 1
FILE, FAILURE_FILE = "assessment.json", "failure.json"
SETTINGS = ("seed", "random halvings", "sample", "dialogues compared", "a leak")
"""Keys of ``provenance`` that decide figures: data sets of different ones are measured otherwise."""
_NINETEEN_OF_20 = 1.96


@dataclass(frozen=True, slots=True)
class Line:
    """A figure of a synthetic data set, and its mark: what real dialogues have.

    Attributes:
        family: see ``quality.measure.Measure``, as for name, better, n, of, undefined, emotion and test.
        values: of the data set, one per random draw that it was measured on; empty where it is undefined.
        marks: of real dialogues, measured in the same way; empty where there is no mark.
        chance: how far value and mark differ by chance in 19 of 20 cases, were the data set real dialogues; ``None``
            where that is unknown.
        p: of a test of the data set.
        mark_p: of the same test of the real dialogues.
        title: what a measure of the user's own is called; shipped ones have theirs in ``measure_names``.
        what: what such a measure says.
    """

    family: str
    name: str
    emotion: str | None
    better: Better
    values: tuple[float, ...]
    marks: tuple[float, ...]
    n: int
    of: int
    undefined: str = ""
    chance: float | None = None
    p: float | None = None
    mark_p: float | None = None
    test: str = ""
    title: str = ""
    what: str = ""

    @property
    def value(self) -> float | None:
        """The mean of ``values``."""
        return sum(self.values) / len(self.values) if self.values else None

    @property
    def mark(self) -> float | None:
        """The mean of ``marks``."""
        return sum(self.marks) / len(self.marks) if self.marks else None


@dataclass(frozen=True, slots=True)
class Assessment:
    """All that is known of one data set; plain JSON values throughout.

    Attributes:
        data: its name.
        benchmark: what it was made for.
        embedder: what made vectors of texts.
        lexical: whether that knows words only.
        sizes: dialogues and utterances by split.
        compared: dialogues and turns of each training split that were compared.
        lines: the figures.
        label_counts: by data set (the real one too), split and emotion.
        confusion: by probe: ``labels`` and ``counts``, a row per label of the data set.
        offenders: what repeats the real validation and test sets; the columns of ``quality.leakage``.
        tests: of its splits against each other; the columns of ``quality.splits``.
        points: ``real`` and ``own``: x, y and emotion of turns on a map.
        examples: dialogues, each a list of speaker, text and emotion.
        judge: what a language model said of it, or ``not_judged``: why there is none.
        provenance: what it was made from and by.
        nearest: ``own`` and ``real``, the percentiles 0 to 100 of the distances of turns to the nearest held-out one;
            empty where there are none.
        targets: dialogues by the emotion that was wanted in them; empty where none was.
    """

    data: str
    benchmark: str
    embedder: str
    lexical: bool
    sizes: Mapping[str, Mapping[str, int]]
    compared: Mapping[str, int]
    lines: tuple[Line, ...]
    label_counts: Mapping[str, Mapping[str, Mapping[str, int]]]
    confusion: Mapping[str, Any]
    offenders: list[dict[str, Any]]
    tests: list[dict[str, Any]]
    points: Mapping[str, list[Any]]
    examples: list[list[Any]]
    judge: Mapping[str, Any]
    provenance: Mapping[str, Any]
    nearest: Mapping[str, list[float]] = field(default_factory=dict)
    targets: Mapping[str, int] = field(default_factory=dict)

    @property
    def real(self) -> str:
        """What the real data set is called."""
        return f"{self.benchmark}_org"

    def write(self, path: Path) -> None:
        """Write it whole or not at all."""
        with atomic_write(path) as file:
            json.dump({"schema": SCHEMA, **asdict(self)}, file, ensure_ascii=False, indent=1, allow_nan=False)


def read(path: Path) -> Assessment:
    """What ``Assessment.write`` wrote.

    Raises:
        UserError: it is something else.
    """
    found = read_json(path, "Delete it and assess again.")
    if not isinstance(found, dict) or found.pop("schema", None) != SCHEMA:
        raise UserError(f"{path}: no assessment of schema {SCHEMA}. Delete it and assess again.")
    return Assessment(**{**found, "lines": tuple(map(read_line, found["lines"]))})


def rows(found: Sequence[Assessment], family: str) -> list[list[Line | None]]:
    """A row per figure of a family that any data set has, one line per data set; figures of single emotions aside."""
    keyed = [
        {line.name: line for line in each.lines if line.family == family and line.emotion is None} for each in found
    ]
    return [[lines.get(name) for lines in keyed] for name in dict.fromkeys(name for lines in keyed for name in lines)]


def key_of(measure: Measure) -> tuple[str, str | None]:
    """What tells a measure from others of its family."""
    return measure.name, measure.emotion


def single(measure: Measure, mark: Measure | None) -> Line:
    """A figure that was measured once, with its mark."""

    def chance(*_: Sequence[float]) -> float | None:
        errors = [each.error for each in (measure, mark) if each is not None and each.error is not None]
        return _NINETEEN_OF_20 * math.hypot(*errors) if len(errors) == 2 else None

    return several([measure], [] if mark is None else [mark], chance)


def several(
    measures: Sequence[Measure],
    marks: Sequence[Measure],
    chance: Callable[[Sequence[float], Sequence[float]], float | None],
) -> Line:
    """A figure that was measured on several draws, with its marks.

    A figure is undefined if it is on any draw, and the first that is says why; so is a mark.
    """
    first = measures[0]
    values = tuple(measure.value for measure in measures if measure.value is not None)
    why = next((measure.undefined for measure in measures if measure.value is None), "")
    given = tuple(mark.value for mark in marks if mark.value is not None)
    complete = len(given) == len(marks) > 0
    return Line(
        family=first.family,
        name=first.name,
        emotion=first.emotion,
        better=first.better,
        values=() if why else values,
        marks=given if complete else (),
        n=first.n,
        of=first.of,
        undefined=why,
        chance=chance(values, given) if complete and not why else None,
        p=first.p,
        mark_p=marks[0].p if marks else None,
        test=first.test,
    )


def read_line(found: Mapping[str, Any]) -> Line:
    """A line from its JSON form."""
    return Line(**{**found, "values": tuple(found["values"]), "marks": tuple(found["marks"])})


@dataclass(frozen=True, slots=True)
class Failure:
    """What a job of a sweep could not do, of which data set, and why."""

    data: str
    error: str
    what: str = "Not assessed"

    def __str__(self) -> str:
        """As it stands in reports."""
        return f"{self.what}: {self.data}: {self.error}"

    def write(self, folder: Path) -> None:
        """Write it into the job's folder, whole or not at all."""
        with atomic_write(folder / FAILURE_FILE) as file:
            json.dump(asdict(self), file, ensure_ascii=False)


def read_failure(path: Path) -> Failure:
    """What ``Failure.write`` wrote."""
    return Failure(**read_json(path, "Delete it and assess again."))
