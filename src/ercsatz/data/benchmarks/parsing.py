"""What readers share: the source that they are given, and CSV and JSON with exact places in messages."""

import csv
import io
import json
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ercsatz.data.dialogue import SENTIMENTS, Dialogue, Utterance
from ercsatz.data.text_files import parse_json, read_text
from ercsatz.errors import UserError

_KINDS = {
    int: "a whole number",
    str: "a string",
    list: "a list of strings",
    dict: "a mapping from strings to strings",
}
# As pandas, Python, databases and spreadsheets write what is missing; nobody says it without a full stop.
MISSING_VALUES = {"nan", "NaN", "None", "<NA>", "null", "NULL", "N/A", "#N/A"}
_BREAKS = re.compile(r"[\t\n\r\v\f\x85\u2028\u2029]+")


@dataclass(frozen=True, slots=True)
class Source:
    """One split as a reader gets it.

    Attributes:
        path: the split's file, or the benchmark's folder where the benchmark names no file for the split.
        split: train, validation or test.
        labels: the canonical labels.
        label_names: lower-case published name to canonical label; ``None`` makes the turn context only.
        options: ``benchmark.options``, as read from the YAML.
    """

    path: Path
    split: str
    labels: tuple[str, ...]
    label_names: Mapping[str, str | None]
    options: Mapping[str, Any]

    def turn(self, speaker: str, text: str, emotion: str, where: str, sentiment: str = "") -> Utterance:
        """A turn with tidied text and a canonical label; an empty ``emotion`` makes it context only.

        Raises:
            UserError: the speaker or the text is missing, or the label or the sentiment is unknown.
        """
        speaker, text = filled(speaker, "speaker", where), filled(text, "text", where)
        label = self._label(emotion)
        if label is not None and label not in self.labels:
            known = ", ".join(sorted({*self.labels, *self.label_names}))
            raise UserError(
                f"{where}: unknown label {emotion.strip()!r}; known are: {known}. "
                f"Mend the file, or name the label in benchmark.labels or benchmark.label_names."
            )
        polarity = sentiment.strip().lower() or None
        if polarity is not None and polarity not in SENTIMENTS:
            known = ", ".join(SENTIMENTS)
            raise UserError(f"{where}: unknown sentiment {sentiment.strip()!r}; known are: {known}. Mend the file.")
        return Utterance(speaker, text, label, polarity)

    def _label(self, emotion: str) -> str | None:
        """The canonical label, however the file and the YAML compose accents: both look the same."""
        published = composed(emotion.strip().lower())
        names = {composed(name.strip().lower()): label for name, label in self.label_names.items()}
        label = names.get(published, published) or None
        return next((known for known in self.labels if label and composed(known) == composed(label)), label)

    def choices(self, defaults: Mapping[str, Any]) -> dict[str, Any]:
        """The options, with defaults for those not given.

        Args:
            defaults: every option that the reader knows; a given one must be of its default's type, and lists and
                mappings hold strings.

        Raises:
            UserError: an option is not among them, or of another type.
        """
        if unknown := sorted(self.options.keys() - defaults.keys()):
            known = ", ".join(defaults) or "none"
            raise UserError(f"benchmark.options.{unknown[0]}: this reader has no such option; it has: {known}.")
        for key, value in self.options.items():
            if type(value) is not type(defaults[key]) or not _holds_strings(value):
                raise UserError(f"benchmark.options.{key}={value!r}: must be {_KINDS[type(defaults[key])]}.")
        return {**defaults, **self.options}


def _holds_strings(option: object) -> bool:
    members = [*option, *option.values()] if isinstance(option, dict) else option if isinstance(option, list) else []
    return all(isinstance(member, str) for member in members)


def tidy(text: str) -> str:
    """``text`` without white space around it, its line breaks and tabs turned into single spaces."""
    return _BREAKS.sub(" ", text.strip())


def composed(name: str) -> str:
    """A name in Unicode's normal form C: an accent may be a character of its own in one file and not in another."""
    return unicodedata.normalize("NFC", name)


def filled(value: str, key: str, where: str) -> str:
    """The value without white space around it; see ``tidy``.

    Raises:
        UserError: there is none, or only the word that some program writes for none.
    """
    value = tidy(value)
    if not value:
        raise UserError(f"{where}: the {key} is empty.")
    if value in MISSING_VALUES:
        raise UserError(
            f"{where}: the {key} is {value!r}, which is how programs write a missing value. Leave the line out, or "
            f"write it in another way if it is meant: '{value}.'"
        )
    return value


def csv_rows(path: Path, columns: Iterable[str], delimiter: str = ",") -> Iterator[tuple[str, dict[str, str]]]:
    """Read a UTF-8 CSV file with a header, strictly.

    Args:
        path: the file.
        columns: header names that must be there; others may.
        delimiter: the character between fields.

    Yields:
        The place (file and line) and the row as a mapping from header name to field.

    Raises:
        UserError: the file is missing, not UTF-8 or not CSV, lacks a column or has it twice; the message names file
            and line.
    """
    rows = _raw_csv(path, delimiter)
    place, header = next(rows, (str(path), []))
    header = [name.strip() for name in header]
    if missing := [name for name in columns if name not in header]:
        found = ", ".join(header) or "no header"
        raise UserError(f"{place}: the column {missing[0]!r} is missing; the file has: {found}.")
    if twice := [name for name, count in Counter(header).items() if name and count > 1]:
        raise UserError(f"{place}: the column {twice[0]!r} occurs twice. Rename one, or leave it out.")
    for place, fields in rows:
        if len(fields) != len(header):
            raise UserError(f"{place}: {len(fields)} fields where the header has {len(header)}.")
        yield place, dict(zip(header, fields, strict=True))


def _raw_csv(path: Path, delimiter: str) -> Iterator[tuple[str, list[str]]]:
    text = read_text(path)
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise UserError(f"{path}, line {line}: a NUL byte. The file is damaged or not text; get it again.")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        place = f"{path}, line {reader.line_num + 1}"
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise UserError(f"{place}: not CSV ({error}). Is a quotation mark left open or not doubled?") from None
        if any(map(str.strip, fields)):  # spreadsheets save empty lines as commas
            yield place, fields


def json_value(path: Path) -> object:
    """The value that a UTF-8 JSON file holds.

    Raises:
        UserError: the file is missing, not UTF-8 or not JSON; the message names line and column.
    """
    try:
        value: object = parse_json(read_text(path), str(path))
    except json.JSONDecodeError as error:
        place = f"{path}, line {error.lineno}, column {error.colno}"
        raise UserError(f"{place}: not JSON ({error.msg}). The file is damaged; get it again.") from None
    return value


def several(names: object, where: str) -> str:
    """One speaker's name from the names of all who speak a line together.

    Raises:
        UserError: ``names`` is not a list of at least one string.
    """
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise UserError(f"{where}: the speakers must be a list of names like ['Ross Geller'], not {names!r}.")
    return " and ".join(names)


def grouped(turns: Iterable[tuple[str, Utterance]]) -> list[Dialogue]:
    """Dialogues in the order of their first turn, from (dialogue id, turn) pairs in the order of speaking."""
    dialogues: dict[str, list[Utterance]] = {}
    for dialogue, turn in turns:
        dialogues.setdefault(dialogue, []).append(turn)
    return [Dialogue(name, tuple(turns)) for name, turns in dialogues.items()]


def restarted(dialogue: str, where: str, mend: str = "a column Utterance_ID") -> UserError:
    """The error of an id that two dialogues of a file seem to have; ``mend`` is what would tell."""
    return UserError(
        f"{where}: dialogue {dialogue!r} is there before already, with another one after it. Give each dialogue an id "
        f"of its own and let its lines stand together; where they do not, {mend} must count its turns."
    )


def in_order(
    rows: Iterable[tuple[str, dict[str, str]]], dialogue: tuple[str, ...]
) -> Iterator[tuple[str, dict[str, str]]]:
    """The same rows, after a look at whether an id is that of two dialogues.

    Args:
        rows: places and rows; the column ``Utterance_ID``, where it is there, counts the turns of a dialogue.
        dialogue: the columns that tell dialogues apart.

    Raises:
        UserError: a number is none, or does not follow those before it; or there are no numbers, and a dialogue goes on
            after another one. The message names the line.
    """
    last: dict[tuple[str, ...], float] = {}
    before: tuple[str, ...] = ()
    for where, row in rows:
        name = tuple(row[column] for column in dialogue)
        if "Utterance_ID" not in row:
            if name != before and name in last:
                raise restarted(" ".join(name), where)
            last[name], before = 0, name
        else:
            number = order_number(row["Utterance_ID"], "Utterance_ID", where)
            if name in last and number <= last[name]:
                raise UserError(
                    f"{where}: Utterance_ID {number:g} comes after {last[name]:g} in dialogue {' '.join(name)!r}. Two "
                    "dialogues have one id, or the lines are not in the order of speaking: mend or sort them."
                )
            last[name] = number
        yield where, row


def order_number(value: str, column: str, where: str) -> float:
    """What turns are sorted by.

    Raises:
        UserError: it is no number, or not a finite one.
    """
    try:
        number = float(value)
    except ValueError as error:
        raise UserError(f"{where}: {column!r} must be a number to sort by ({error}).") from None
    if not math.isfinite(number):
        raise UserError(f"{where}: {column!r} must be a number to sort by, not {value!r}. Number every turn.")
    return number
