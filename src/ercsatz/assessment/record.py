"""What an assessment leaves behind: ``assessment.json``. Reports read only these."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ercsatz.dialogue import atomic_write, read_text
from ercsatz.errors import UserError
from ercsatz.quality.measure import Better, Measure

SCHEMA = 1
FILE = "assessment.json"


@dataclass(frozen=True, slots=True)
class Line:
    """A figure of a synthetic data set, and its mark: what real dialogues have.

    Attributes:
        family: see ``quality.measure.Measure``, as for name, better, n, of, undefined, emotion and test.
        values: of the data set, one per random draw that it was measured on; empty where it is undefined.
        marks: of real dialogues, measured in the same way; empty where there is no mark.
        p: of a test of the data set.
        mark_p: of the same test of the real dialogues.
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
    p: float | None = None
    mark_p: float | None = None
    test: str = ""

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

    def write(self, path: Path) -> None:
        """Write it whole or not at all."""
        with atomic_write(path) as file:
            json.dump({"schema": SCHEMA, **asdict(self)}, file, ensure_ascii=False, indent=1, allow_nan=False)


def read(path: Path) -> Assessment:
    """What ``Assessment.write`` wrote.

    Raises:
        UserError: it is something else.
    """
    try:
        found = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise UserError(f"{path}, line {error.lineno}: not JSON ({error.msg}). Delete it and assess again.") from None
    if not isinstance(found, dict) or found.pop("schema", None) != SCHEMA:
        raise UserError(f"{path}: no assessment of schema {SCHEMA}. Delete it and assess again.")
    lines = (
        Line(**{**line, "values": tuple(line["values"]), "marks": tuple(line["marks"])}) for line in found["lines"]
    )
    return Assessment(**{**found, "lines": tuple(lines)})


def line(measures: list[Measure], marks: list[Measure]) -> Line:
    """A figure that was measured on several draws, with its marks; the first that is undefined says why."""
    values = tuple(measure.value for measure in measures if measure.value is not None)
    complete = values if len(values) == len(measures) else ()
    first = measures[0]
    why = next((measure.undefined for measure in measures if measure.value is None), "")
    made = Line(first.family, first.name, first.emotion, first.better, complete, (), first.n, first.of, why)
    found = tuple(mark.value for mark in marks if mark.value is not None)
    mark_p = marks[0].p if marks else None
    return replace(made, marks=found, p=first.p, mark_p=mark_p, test=first.test)
