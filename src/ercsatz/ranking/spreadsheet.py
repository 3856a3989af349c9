"""A table from a file: CSV, TSV, Excel, JSON, JSONL or Parquet, every cell with its place."""

import csv
import json
import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any, NamedTuple

from ercsatz.errors import UserError

Cell = str | int | float | Decimal | None
"""Text on one line, a number, or nothing."""

# The name of a column of row names that has none, as pandas writes an index.
INDEX = "block"

_Row = tuple[str, Sequence[Any]]
_Raw = tuple[Sequence[Any], Sequence[_Row]]
# What would act on a terminal or reorder a line, and half surrogate pairs, which no file can hold.
_ACTIVE = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class Sheet(NamedTuple):
    """Column names, and each row that is not blank as its place (file and line) and its cells by column."""

    columns: tuple[str, ...]
    rows: list[tuple[str, dict[str, Cell]]]

    def cells(self, column: str) -> list[Cell]:
        """A column from top to bottom."""
        return [row[column] for _, row in self.rows]


def read_bytes(path: Path) -> bytes:
    """What a file holds.

    Raises:
        UserError: it is missing, a folder, or cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"There is no file {path}.") from None
    except IsADirectoryError:
        raise UserError(f"{path} is a folder; scores are read from a file.") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}.") from None


def to_sheet(path: Path, data: bytes) -> Sheet:
    """The table in a file, whose suffix says what it is; without one it is CSV or TSV.

    Raises:
        UserError: names the file, and line or row, of what is no table.
    """
    suffix = path.suffix.lower()
    if suffix not in _FORMATS:
        known = ", ".join(filter(None, _FORMATS))
        raise UserError(f"{path}: cannot read {suffix} files. The name must end in one of {known}.")
    header, rows = _FORMATS[suffix](path, data)
    return _tidy(path, header, rows)


def _csv(path: Path, data: bytes) -> _Raw:
    text = _decoded(path, data)
    head = text.lstrip("\r\n").partition("\n")[0]
    lines = csv.reader(StringIO(text, newline=""), delimiter="\t" if "\t" in head else ",", strict=True)
    try:
        rows = [(f"{path}, line {lines.line_num}", cells) for cells in lines]
    except csv.Error as error:
        raise UserError(f"{path}, line {lines.line_num}: {error}.") from None
    header, *body = [(where, cells) for where, cells in rows if any(map(str.strip, cells))] or [("", [])]
    if len(header[1]) == 1 and ";" in header[1][0]:
        raise UserError(f"{path}: separated by semicolons. Save it with commas or tabs, and with decimal points.")
    for where, cells in body:
        if len(cells) != len(header[1]):
            raise UserError(f"{where}: {len(cells)} cells under {len(header[1])} column names.")
    return header[1], body


def _excel(path: Path, data: bytes) -> _Raw:
    """The first worksheet."""
    try:
        import openpyxl  # type: ignore[import-untyped]
    except ImportError:
        raise UserError(f"{path}: Excel files are read by openpyxl. Install it: pip install 'ercsatz[excel]'") from None
    try:
        with warnings.catch_warnings(action="ignore"):  # of charts and styles that it does not know
            values, formulas = (openpyxl.load_workbook(BytesIO(data), data_only=only) for only in (True, False))
        sheets = values.worksheets[0], formulas.worksheets[0]
        rows = [(f"{path}, row {n}", cells) for n, cells in enumerate(sheets[0].iter_rows(values_only=True), 1)]
        kinds = [[cell.data_type for cell in cells] for cells in sheets[1].iter_rows()]
    except Exception as error:  # openpyxl lets out whatever a broken part of the file leads to
        raise UserError(f"{path}: not an Excel workbook (.xlsx): {error}.") from None
    for (where, cells), row in zip(rows, kinds, strict=True):
        if ("f", None) in zip(row, cells, strict=True):
            raise UserError(f"{where}: a formula that was never computed. Open and save the file in a spreadsheet.")
    filled = [(where, cells) for where, cells in rows if any(cell is not None for cell in cells)]
    return (filled[0][1], filled[1:]) if filled else ([], [])


def _json(path: Path, data: bytes) -> _Raw:
    """Records, ``[{"column": cell}]``, or columns, ``{"column": [cell]}`` and ``{"column": {"row": cell}}``."""
    value = _loads(_decoded(path, data), path)
    if isinstance(value, list):
        return _records([(f"{path}, record {number}", record) for number, record in enumerate(value, 1)])
    columns = list(value.values()) if isinstance(value, dict) else []
    if columns and all(isinstance(column, dict) for column in columns):
        labels = list(dict.fromkeys(label for column in columns for label in column))
        cells: Iterable[Sequence[Any]] = [[label, *(column.get(label) for column in columns)] for label in labels]
        header = ["", *value]
    elif columns and all(isinstance(column, list) for column in columns):
        if len({len(column) for column in columns}) > 1:
            raise UserError(f"{path}: the columns are of different lengths.")
        header, cells = list(value), zip(*columns, strict=True)
    else:
        raise UserError(f"{path}: expected records, [{{column: value}}], or columns, {{column: [values]}}.")
    return header, [(f"{path}, row {number}", row) for number, row in enumerate(cells, 1)]


def _jsonl(path: Path, data: bytes) -> _Raw:
    lines = enumerate(_decoded(path, data).split("\n"), 1)  # not splitlines(): U+2028 may stand in a name
    return _records([(f"{path}, line {n}", _loads(line, path, n)) for n, line in lines if line.strip()])


def _records(records: list[tuple[str, Any]]) -> _Raw:
    for where, record in records:
        if not isinstance(record, dict):
            raise UserError(f"{where}: expected an object, {{column: value}}.")
    header = list(dict.fromkeys(column for _, record in records for column in record))
    return header, [(where, [record.get(column) for column in header]) for where, record in records]


def _loads(text: str, path: Path, line: int | None = None) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise UserError(f"{path}{f', line {line}' if line else ''}: the key {twice!r} occurs twice.")
        return found

    try:
        return json.loads(text, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        raise UserError(f"{path}, line {line or error.lineno}: not JSON ({error.msg}).") from None
    except (RecursionError, ValueError) as error:  # nested too deeply, a number of too many digits
        raise UserError(f"{path}: not JSON ({error}).") from None


def _parquet(path: Path, data: bytes) -> _Raw:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        table = parquet.read_table(pa.BufferReader(data))
        columns = {name: column.to_pylist() for name, column in zip(table.column_names, table.columns, strict=True)}
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a Parquet file ({str(error).splitlines()[0]}).") from None
    if len(columns) < len(table.column_names):
        raise UserError(f"{path}: a column name occurs twice.")
    # pandas keeps row names without a name under this one, at the end
    header = sorted(columns, key=lambda name: name != "__index_level_0__")
    rows = zip(*(columns[name] for name in header), strict=True)
    shown = ["" if name == "__index_level_0__" else name for name in header]
    return shown, [(f"{path}, row {number}", row) for number, row in enumerate(rows, 1)]


_FORMATS: Mapping[str, Callable[[Path, bytes], _Raw]] = {
    ".csv": _csv,
    ".tsv": _csv,
    ".txt": _csv,
    "": _csv,
    ".xlsx": _excel,
    ".xlsm": _excel,
    ".json": _json,
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".parquet": _parquet,
}


def _decoded(path: Path, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 at byte {error.start}. Convert it, e.g. with iconv -t UTF-8.") from None


def _tidy(path: Path, header: Sequence[Any], raw: Sequence[_Row]) -> Sheet:
    """Clean cells; drop blank rows, blank columns and row numbers; check the column names."""
    names = [str(_cell(name, f"{path}, name of column {number}") or "") for number, name in enumerate(header, 1)]
    places = [name or str(number) for number, name in enumerate(names, 1)]
    rows = [
        (where, [_cell(value, f"{where}, column {place}") for place, value in zip(places, row, strict=True)])
        for where, row in raw
    ]
    rows = [(where, row) for where, row in rows if any(cell is not None for cell in row)]
    if not rows:
        raise UserError(f"{path}: no scores. Expected a line of column names and a line for each row of scores.")
    columns = list(zip(*(row for _, row in rows), strict=True))
    kept = [i for i, name in enumerate(names) if name or any(cell is not None for cell in columns[i])]
    if kept[0] == 0 and not names[0]:
        if [str(cell) for cell in columns[0]] == [str(number) for number in range(len(rows))]:
            kept = kept[1:]
        else:
            names[0] = INDEX
    for i in kept:
        if not names[i]:
            raise UserError(f"{path}: column {i + 1} has no name.")
        if [names[j] for j in kept].count(names[i]) > 1:
            raise UserError(f"{path}: the column {names[i]!r} occurs twice.")
    return Sheet(tuple(names[i] for i in kept), [(where, {names[i]: row[i] for i in kept}) for where, row in rows])


def _cell(value: Any, where: str) -> Cell:
    if isinstance(value, (list, dict)):
        raise UserError(f"{where}: a list or an object where one value is expected.")
    if value is None or (isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)):
        return value
    text = " ".join(str(value).split())
    if found := _ACTIVE.search(text):
        raise UserError(f"{where}: the text has the control character U+{ord(found[0]):04X}. Remove it.")
    return text or None
