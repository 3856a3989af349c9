"""Read a user's dialogues: our JSONL form, a table, plain text, or a benchmark's layout. No turn needs a label."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ercsatz.config import BenchmarkConfig
from ercsatz.config.registry import choices
from ercsatz.data.benchmarks import read
from ercsatz.data.benchmarks.parsing import csv_rows, filled, grouped
from ercsatz.data.dialogue import Dialogue, Utterance
from ercsatz.data.files import from_json
from ercsatz.data.text_files import json_lines, read_text
from ercsatz.errors import UserError
from ercsatz.prediction.saved_classifier import check_texts

_LINE = re.compile("([^:\N{FULLWIDTH COLON}]*)[:\N{FULLWIDTH COLON}](.*)")
_COLUMNS = ("dialogue", "speaker", "text")


def read_dialogues(path: Path, benchmark: BenchmarkConfig | None = None, split: str = "test") -> tuple[Dialogue, ...]:
    """Read dialogues; a benchmark says which layout they have, else the file's suffix which form.

    - ``.jsonl``: as ``ercsatz.data.files`` describes, but ``emotion`` may be left out.
    - ``.csv``, ``.tsv``: a header, then an utterance a row; columns dialogue, speaker, text and, if there is one,
      emotion. Others are passed over.
    - ``.txt``: ``Speaker: text`` a line, a blank line between dialogues, which are numbered from 1.

    Args:
        path: the file; of a benchmark whose reader takes a folder, that.
        benchmark: whose reader, labels and options are meant; None: one of these forms.
        split: which one of such a folder.

    Raises:
        UserError: the file is not of its form, empty, or has an id twice; the message names the place.
    """
    dialogues = _own_form(path) if benchmark is None else _laid_out(path, benchmark, split)
    if not dialogues:
        raise UserError(f"{path}: no dialogues.")
    seen = set[str]()
    for dialogue in dialogues:
        where = f"{path}, dialogue {dialogue.id!r}"
        if dialogue.id in seen:
            raise UserError(f"{where}: the id occurs twice. Every dialogue needs its own.")
        seen.add(dialogue.id)
        check_texts(dialogue, where)
    return dialogues


def _own_form(path: Path) -> tuple[Dialogue, ...]:
    readers: dict[str, Callable[[Path], Iterable[Dialogue]]] = {
        ".jsonl": _jsonl,
        ".csv": partial(_table, ","),
        ".tsv": partial(_table, "\t"),
        ".txt": _text,
    }
    hint = (
        f"Is it a benchmark's file? Then say whose: benchmark=NAME, one of {', '.join(sorted(choices('benchmark')))}."
    )
    if path.suffix.lower() not in readers:
        raise UserError(f"dialogues={path}: the name must end in .jsonl, .csv, .tsv or .txt. {hint}")
    try:
        return tuple(readers[path.suffix.lower()](path))
    except UserError as error:
        if path.suffix.lower() == ".txt" or not path.is_file():
            raise
        raise UserError(f"{error} {hint}") from None


def _laid_out(path: Path, benchmark: BenchmarkConfig, split: str) -> tuple[Dialogue, ...]:
    try:
        return read(benchmark, path, split)
    except UserError as error:
        if not path.exists():
            raise
        raise UserError(
            f"{error} It was read as {benchmark.name} is laid out (reader {benchmark.reader}). Another layout: "
            "benchmark=NAME; labels and columns of your own: a YAML, as docs/extend/benchmark.md says. A turn without "
            "a label has an empty field in its place."
        ) from None


@dataclass(frozen=True)
class Given:
    """Labels that a file has.

    Attributes:
        classes: class index of each turn of each dialogue; ``None`` where it has no label that the classifier knows.
        notes: what to tell the user.
    """

    classes: tuple[tuple[int | None, ...], ...]
    notes: tuple[str, ...]


def given_labels(
    dialogues: Sequence[Dialogue], labels: Sequence[str], where: str, benchmark: BenchmarkConfig | None = None
) -> Given:
    """The labels that dialogues were given, as the classifier's classes.

    Args:
        dialogues: as read.
        labels: of the classifier, in its order; letter case does not matter.
        where: the file, for messages.
        benchmark: whose labels these are; none of them counts where some are not the classifier's.

    Raises:
        UserError: some are the classifier's and some are not; the message names the first.
    """
    index = {label.lower(): i for i, label in enumerate(labels)}
    given = [[(turn.emotion or "").strip().lower() for turn in d.utterances] for d in dialogues]
    there = {name for names in given for name in names if name}
    if benchmark is not None and not {label.lower() for label in benchmark.labels} <= index.keys():
        note = (
            f"{benchmark.name} has other labels than the classifier ({', '.join(benchmark.labels)}): nothing is scored."
        )
        return Given(tuple((None,) * len(names) for names in given), (note,))
    unknown = sorted(there - index.keys())
    if unknown and len(unknown) < len(there):
        number, turn = next((n, i) for n, names in enumerate(given) for i, name in enumerate(names) if name in unknown)
        place = f"{where}, dialogue {dialogues[number].id!r}, turn {turn + 1}"
        raise UserError(
            f"{place}: unknown label {given[number][turn]!r}, while others are the classifier's: "
            f"{', '.join(labels)}. Mend it, or leave the turn without a label."
        )
    others = (
        f"The labels in {where} ({', '.join(map(repr, unknown))}) are none of the classifier's, so nothing is scored."
    )
    classes = tuple(tuple(map(index.get, names)) for names in given)
    return Given(classes, (others,) if unknown else ())


def _jsonl(path: Path) -> Iterator[Dialogue]:
    return (from_json(_with_emotions(line), where) for where, line in json_lines(path))


def _with_emotions(line: Any) -> Any:
    """``emotion: null`` where a turn has none; whatever else is wrong is left as it is."""
    if not isinstance(line, dict) or not isinstance(line.get("utterances"), list):
        return line
    turns = [{"emotion": None, **turn} if isinstance(turn, dict) else turn for turn in line["utterances"]]
    return {**line, "utterances": turns}


def _table(delimiter: str, path: Path) -> list[Dialogue]:
    rows = csv_rows(path, _COLUMNS, delimiter)
    return grouped((_filled(row["dialogue"], "dialogue", where), _row(row, where)) for where, row in rows)


def _row(row: dict[str, str], where: str) -> Utterance:
    speaker, text = (_filled(row[key], key, where) for key in ("speaker", "text"))
    return Utterance(speaker, text, row.get("emotion", "").strip() or None)


def _text(path: Path) -> Iterator[Dialogue]:
    number, turns = 1, list[Utterance]()
    for place, line in enumerate([*read_text(path).split("\n"), ""], 1):
        if line.strip():
            turns.append(_line(line, f"{path}, line {place}"))
        elif turns:
            yield Dialogue(str(number), tuple(turns))
            number, turns = number + 1, []


def _line(line: str, where: str) -> Utterance:
    parts = _LINE.fullmatch(line)
    if parts is None:
        raise UserError(f'{where}: there is no colon. A line must be "Speaker: text", or blank between dialogues.')
    speaker, text = (_filled(part, key, where) for part, key in zip(parts.groups(), ("speaker", "text"), strict=True))
    return Utterance(speaker, text)


def _filled(value: str, key: str, where: str) -> str:
    filled(value, key, where)
    return value.strip()
