"""Bring your own: CSV, TSV, JSON or JSONL files of utterances or of dialogues, by a mapping of columns."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ercsatz.data.benchmarks.parsing import Source, csv_rows, filled, json_value, order_number, restarted
from ercsatz.data.dialogue import Dialogue
from ercsatz.data.text_files import json_lines
from ercsatz.errors import UserError

_COLUMNS = ("dialogue", "speaker", "text", "emotion", "sentiment", "order")


@dataclass(frozen=True, slots=True)
class _Row:
    """A turn; ``record`` is the number of the record that is its whole dialogue, 0 where a record is an utterance."""

    where: str
    dialogue: str
    fields: Mapping[str, Any]
    record: int = 0


def read(source: Source) -> list[Dialogue]:
    """Read one split; the file's suffix says which of the formats it is.

    Options:
        columns: column or key of ``text`` and ``emotion``, and as far as there are any, ``dialogue``, ``speaker``,
            ``sentiment`` (negative, neutral or positive) and ``order`` (a number to sort the turns of a dialogue by;
            without it the order of the file counts).
        turns: JSON only: a record is a dialogue, and its turns are the list under this key.
        alternate: speakers in turn, where no column names the speaker.

    A JSON record whose ``text`` is a list is a dialogue, too: its other columns are lists of the same length. Where
    records are dialogues without an id they are numbered from 1. A turn without ``emotion`` is context only.

    Raises:
        UserError: the file is not of that form, or an option is wrong; the message names the place.
    """
    options = source.choices({"columns": {}, "turns": "", "alternate": []})
    columns = options["columns"]
    if unknown := sorted(columns.keys() - set(_COLUMNS)):
        raise UserError(f"benchmark.options.columns.{unknown[0]}: unknown; known are {', '.join(_COLUMNS)}.")
    if missing := [name for name in ("text", "emotion") if name not in columns]:
        raise UserError(f"benchmark.options.columns lacks {missing[0]}: name the column that holds it.")
    if ("speaker" in columns) == bool(options["alternate"]):
        raise UserError("benchmark.options needs either columns.speaker or alternate, the speakers in turn.")
    dialogues = _gathered(_rows(source.path, columns, options["turns"]), "order" in columns)
    _check_optional_keys(source.path, columns, itertools.chain.from_iterable(dialogues.values()))
    return [_dialogue(source, name, rows, columns, options["alternate"]) for name, rows in dialogues.items()]


def _gathered(rows: Iterable[_Row], ordered: bool) -> dict[str, list[_Row]]:
    """Rows by dialogue; only where a column tells their order may those of one dialogue stand apart."""
    dialogues: dict[str, list[_Row]] = {}
    last: _Row | None = None
    for row in rows:
        begins = last is None or (row.dialogue, row.record) != (last.dialogue, last.record)
        if begins and row.dialogue in dialogues and (row.record or not ordered):
            raise restarted(row.dialogue, row.where, "a column that benchmark.options.columns.order names")
        last = row
        dialogues.setdefault(row.dialogue, []).append(row)
    return dialogues


def _check_optional_keys(path: Path, columns: Mapping[str, str], rows: Iterable[_Row]) -> None:
    """A single record may lack such a key, as a turn may have no label; in all of them it is misnamed."""
    found = list(dict.fromkeys(itertools.chain.from_iterable(row.fields for row in rows)))
    for name in ("emotion", "sentiment"):
        if found and name in columns and columns[name] not in found:
            raise UserError(
                f"{path}: the key {columns[name]!r} is missing; the file has: {', '.join(found)}. "
                f"Mend benchmark.options.columns.{name}."
            )


def _dialogue(
    source: Source, name: str, rows: list[_Row], columns: Mapping[str, str], alternate: list[str]
) -> Dialogue:
    if "order" in columns:
        rows = _sorted(rows, columns["order"])
    turns = []
    for row, speaker in zip(rows, itertools.cycle(alternate or [""]), strict=False):
        named = _field(row.fields, columns["speaker"], row.where) if "speaker" in columns else speaker
        text = _field(row.fields, columns["text"], row.where)
        emotion, sentiment = (_optional(row.fields, columns.get(name)) for name in ("emotion", "sentiment"))
        turns.append(source.turn(named, text, emotion, row.where, sentiment))
    return Dialogue(name, tuple(turns))


def _field(fields: Mapping[str, Any], key: str, where: str) -> str:
    value = fields.get(key)
    if value is None:
        raise UserError(f"{where}: {key!r} is missing.")
    if isinstance(value, (list, dict, bool)):
        raise UserError(f"{where}: {key!r} is {str(value)[:40]!r} where a text or a number is expected.")
    return str(value)


def _optional(fields: Mapping[str, Any], key: str | None) -> str:
    value = None if key is None else fields.get(key)
    return "" if value is None else str(value)


def _sorted(rows: Sequence[_Row], key: str) -> list[_Row]:
    numbers = [order_number(_field(row.fields, key, row.where), key, row.where) for row in rows]
    order = sorted(range(len(rows)), key=numbers.__getitem__)
    for first, second in itertools.pairwise(order):
        if numbers[first] == numbers[second]:
            raise UserError(
                f"{rows[second].where}: {key!r} is {numbers[second]:g}, as it is at {rows[first].where}, in the same "
                f"dialogue {rows[first].dialogue!r}. Two dialogues have one id, or a turn is there twice: mend it."
            )
    return [rows[place] for place in order]


def _rows(path: Path, columns: Mapping[str, str], turns: str) -> Iterator[_Row]:
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv"):
        records: Iterator[tuple[str, Any]] = csv_rows(path, columns.values(), "," if suffix == ".csv" else "\t")
    elif suffix in (".json", ".jsonl"):
        records = _json_records(path)
    else:
        raise UserError(f"{path}: the name must end in .csv, .tsv, .json or .jsonl.")
    for number, (where, record) in enumerate(records, 1):
        fields = _turns(record, columns, turns, where)
        if fields is None and "dialogue" not in columns:
            raise UserError(f"{where}: one utterance a record needs benchmark.options.columns.dialogue.")
        name = str(number)
        if "dialogue" in columns:
            name = filled(_field(record, columns["dialogue"], where), columns["dialogue"], where)
        if fields is None:
            yield _Row(where, name, record)
        else:
            yield from (_Row(f"{where}, turn {turn}", name, field, number) for turn, field in enumerate(fields, 1))


def _json_records(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for where, record in json_lines(path) if path.suffix.lower() == ".jsonl" else _listed(path):
        if not isinstance(record, dict):
            raise UserError(f"{where}: expected an object.")
        yield where, record


def _listed(path: Path) -> Iterator[tuple[str, Any]]:
    records = json_value(path)
    if not isinstance(records, list):
        raise UserError(f"{path}: expected a list of objects.")
    return ((f"{path}, record {number}", record) for number, record in enumerate(records, 1))


def _turns(
    record: Mapping[str, Any], columns: Mapping[str, str], turns: str, where: str
) -> list[Mapping[str, Any]] | None:
    """The turns of a record that is a dialogue; ``None`` for one that is an utterance."""
    if turns:
        nested = record.get(turns)
        if not isinstance(nested, list) or not all(isinstance(turn, dict) for turn in nested):
            raise UserError(f"{where}: {turns!r} must be a list of objects (benchmark.options.turns).")
        return nested
    if not isinstance(record.get(columns["text"]), list):
        return None
    keys = [columns[name] for name in ("speaker", "text", "emotion", "sentiment", "order") if name in columns]
    if absent := [key for key in keys if key not in record]:
        raise UserError(f"{where}: {absent[0]!r} is missing; there are: {', '.join(record)}.")
    lists = [record[key] for key in keys]
    lengths = {len(values) if isinstance(values, list) else None for values in lists}
    if len(lengths) > 1:
        raise UserError(f"{where}: {', '.join(keys)} must be lists of the same length.")
    return [dict(zip(keys, values, strict=True)) for values in zip(*lists, strict=True)]
