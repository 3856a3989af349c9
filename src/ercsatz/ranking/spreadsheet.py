"""A table from a file: CSV, TSV, Excel, JSON, JSONL or Parquet, every cell with its place."""

import csv
import json
import re
import unicodedata
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import ZipFile

from ercsatz.data.text_files import unique_keys
from ercsatz.errors import UserError

Cell = str | int | float | Decimal | None
"""Text on one line, a number, or nothing."""

# The name of a column of row names that has none, as pandas writes an index.
INDEX = "block"

# As pandas names a column without a name when it reads a table.
_UNNAMED = re.compile(r"Unnamed: \d+(\.\d+)?(_level_\d+)?")
# More than a table of scores has, and what is read in seconds.
_MOST_ROWS, _MOST_COLUMNS, MOST_CELLS = 100_000, 5_000, 1_000_000
_PARQUET_ROWS = 10_000  # read at a time
_LARGEST_SHEET, _LARGEST_PART = 32 << 20, 512 << 10  # bytes of a part of a workbook, unpacked

_Row = tuple[str, Sequence[Any]]
_Raw = tuple[Sequence[Any], Sequence[_Row]]
# What would act on a terminal or reorder a line, and half surrogate pairs, which no file can hold.
_ACTIVE = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class Sheet(NamedTuple):
    """Column names, and each row that is not blank as its place (file and line) and its cells by column.

    ``notes`` are sentences on what was passed over.
    """

    columns: tuple[str, ...]
    rows: list[tuple[str, dict[str, Cell]]]
    notes: tuple[str, ...] = ()

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


def check_area(path: Path, rows: int, columns: int) -> None:
    """Refuse a table that a small file can only ask for by leaving most of its cells out.

    Raises:
        UserError: names the file.
    """
    if rows * columns > MOST_CELLS:
        raise UserError(
            f"{path}: {rows:,} rows of {columns:,} columns, too many for a table of scores, of {MOST_CELLS:,} cells at "
            "the most."
        )


def _csv(path: Path, data: bytes) -> _Raw:
    text = _decoded(path, data)
    head = text.lstrip("\r\n").partition("\n")[0]
    delimiter = "\t" if "\t" in head else ";" if ";" in head and "," not in head else ","
    lines = csv.reader(StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        rows = [(f"{path}, line {lines.line_num}", cells) for cells in lines]
    except csv.Error as error:
        raise UserError(f"{path}, line {lines.line_num}: {error}.") from None
    header, *body = [(where, cells) for where, cells in rows if any(map(str.strip, cells))] or [("", [])]
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
        _check_parts(path, data)
        with warnings.catch_warnings(action="ignore"):  # of charts and styles that it does not know
            books = [
                openpyxl.load_workbook(BytesIO(data), read_only=True, data_only=only, keep_links=False)
                for only in (True, False)
            ]
        values, formulas = (_cells(path, book.worksheets[0]) for book in books)
    except UserError:
        raise
    except Exception as error:  # openpyxl lets out whatever a broken part of the file leads to
        raise UserError(f"{path}: not an Excel workbook (.xlsx): {error}.") from None
    for (number, row), (_, formula) in zip(values, formulas, strict=True):
        if any(kind == "f" and place not in row for place, (_, kind) in formula.items()):
            where = f"{path}, row {number}"
            raise UserError(f"{where}: a formula that was never computed. Open and save the file in a spreadsheet.")
    width = max((max(row, default=0) for _, row in values), default=0) + 1
    filled = [
        (f"{path}, row {number}", [row.get(place, (None, ""))[0] for place in range(width)])
        for number, row in values
        if row
    ]
    return (filled[0][1], filled[1:]) if filled else ([], [])


def _check_parts(path: Path, data: bytes) -> None:
    """Refuse a workbook whose parts would fill the memory once they are unpacked; zip files say how large they are."""
    with ZipFile(BytesIO(data)) as archive:
        for part in archive.infolist():
            name = part.filename
            large = name.startswith("xl/worksheets/") or name == "xl/sharedStrings.xml" or not name.endswith("xml")
            if part.file_size > (_LARGEST_SHEET if large else _LARGEST_PART):
                raise UserError(
                    f"{path}: its part {name!r} has {part.file_size:,} bytes unpacked, too many for a table "
                    "of scores. Save the table as CSV."
                )


def _cells(path: Path, sheet: Any) -> list[tuple[int, dict[int, tuple[Any, str]]]]:
    """Every row: its number, and value and kind of the cells that are not empty, by column."""
    sheet.reset_dimensions()  # what a file says of its size need not be so
    rows, total = [], 0
    for number, row in enumerate(sheet.iter_rows(), 1):
        total += len(row)
        if number > _MOST_ROWS or len(row) > _MOST_COLUMNS or total > MOST_CELLS:
            far = next((cell for cell in reversed(row) if cell.value is not None), None)
            name = far.coordinate if far is not None else f"of row {number}"
            raise UserError(
                f"{path}: the cell {name} is too far out for a table of scores, of {_MOST_ROWS:,} rows, "
                f"{_MOST_COLUMNS:,} columns and {MOST_CELLS:,} cells at the most. Delete what lies beyond the table."
            )
        kept = {place: (cell.value, cell.data_type) for place, cell in enumerate(row) if cell.value is not None}
        rows.append((number, kept))
    return rows


def _json(path: Path, data: bytes) -> _Raw:
    """Records, ``[{"column": cell}]``, or columns, ``{"column": [cell]}`` and ``{"column": {"row": cell}}``."""
    value = _loads(_decoded(path, data), path)
    if isinstance(value, list):
        return _records(path, [(f"{path}, record {number}", record) for number, record in enumerate(value, 1)])
    columns = list(value.values()) if isinstance(value, dict) else []
    if columns and all(isinstance(column, dict) for column in columns):
        labels = list(dict.fromkeys(label for column in columns for label in column))
        check_area(path, len(labels), len(columns))
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
    return _records(path, [(f"{path}, line {n}", _loads(line, path, n)) for n, line in lines if line.strip()])


def _records(path: Path, records: list[tuple[str, Any]]) -> _Raw:
    for where, record in records:
        if not isinstance(record, dict):
            raise UserError(f"{where}: expected an object, {{column: value}}.")
    header = list(dict.fromkeys(column for _, record in records for column in record))
    check_area(path, len(records), len(header))
    return header, [(where, [record.get(column) for column in header]) for where, record in records]


def _loads(text: str, path: Path, line: int | None = None) -> Any:
    try:
        return json.loads(text, object_pairs_hook=unique_keys(f"{path}, line {line}" if line else str(path)))
    except json.JSONDecodeError as error:
        raise UserError(f"{path}, line {line or error.lineno}: not JSON ({error.msg}).") from None
    except (RecursionError, ValueError) as error:  # nested too deeply, a number of too many digits
        raise UserError(f"{path}: not JSON ({error}).") from None


def _parquet(path: Path, data: bytes) -> _Raw:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(pa.BufferReader(data), read_dictionary=_check_parquet(path, data))
        columns: dict[str, list[Any]] = {name: [] for name in file.schema_arrow.names}
        for batch in file.iter_batches(_PARQUET_ROWS):
            for name, column in zip(batch.schema.names, batch.columns, strict=True):
                columns[name] += _parquet_cells(path, name, column)
    except (pa.ArrowException, OSError, UnicodeDecodeError, OverflowError) as error:
        raise UserError(f"{path}: not a Parquet file ({str(error).splitlines()[0]}).") from None
    # pandas keeps row names without a name under this one, at the end
    header = sorted(columns, key=lambda name: name != "__index_level_0__")
    rows = zip(*(columns[name] for name in header), strict=True)
    shown = ["" if name == "__index_level_0__" else name for name in header]
    return shown, [(f"{path}, row {number}", row) for number, row in enumerate(rows, 1)]


def _check_parquet(path: Path, data: bytes) -> list[str]:
    """Refuse a file that would fill the memory: a run of a million equal cells takes a few bytes.

    Returns:
        The columns of text, to be read as each different text once.
    """
    import pyarrow as pa
    from pyarrow import parquet

    metadata = parquet.read_metadata(pa.BufferReader(data))
    schema = metadata.schema.to_arrow_schema()
    if len(set(schema.names)) < len(schema.names):
        raise UserError(f"{path}: a column name occurs twice.")
    if metadata.num_rows > _MOST_ROWS or len(schema.names) > _MOST_COLUMNS:
        raise UserError(
            f"{path}: {metadata.num_rows:,} rows and {len(schema.names):,} columns, too many for a table of scores, of "
            f"{_MOST_ROWS:,} rows and {_MOST_COLUMNS:,} columns at the most."
        )
    groups = (metadata.row_group(number) for number in range(metadata.num_row_groups))
    if (size := sum(group.total_byte_size for group in groups)) > _LARGEST_SHEET:
        raise UserError(f"{path}: {size:,} bytes unpacked, too many for a table of scores.")
    check_area(path, metadata.num_rows, len(schema.names))
    for field in schema:
        kinds = (pa.types.is_nested, pa.types.is_fixed_size_binary)
        if any(kind(field.type) for kind in kinds):
            raise UserError(f"{path}: the column {field.name!r} holds {field.type}, where one value is expected.")
    texts = (pa.types.is_string, pa.types.is_binary, pa.types.is_large_string, pa.types.is_large_binary)
    return [field.name for field in schema if any(kind(field.type) for kind in texts)]


def _parquet_cells(path: Path, name: str, column: Any) -> list[Any]:
    import pyarrow as pa

    if not pa.types.is_dictionary(column.type):
        return column.to_pylist()  # type: ignore[no-any-return]
    if column.dictionary.nbytes > _LARGEST_PART:
        raise UserError(f"{path}: the texts of the column {name!r} are too long for names.")
    known = column.dictionary.to_pylist()
    return [None if place is None else known[place] for place in column.indices.to_pylist()]


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
    names = ["" if _UNNAMED.fullmatch(name) else name for name in names]
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
    numbers = [str(number) for number in range(len(rows))]
    numbering = [i for i in kept if not names[i] and list(map(_whole, columns[i])) == numbers]
    kept = [i for i in kept if i not in numbering]
    if kept and kept[0] == 0 and not names[0]:
        names[0] = INDEX
    for i in kept:
        if not names[i]:
            raise UserError(f"{path}: column {i + 1} has no name. Give it one, or leave it out.")
        if [names[j] for j in kept].count(names[i]) > 1:
            raise UserError(
                f"{path}: the column {names[i]!r} occurs twice. Rename one, or leave it out; where a data frame wrote "
                "two lines of names, make one of them."
            )
    notes = tuple(f"Column {i + 1} has no name and numbers the rows: it is left out." for i in numbering)
    tidy = [(where, {names[i]: row[i] for i in kept}) for where, row in rows]
    return Sheet(tuple(names[i] for i in kept), tidy, notes)


def _whole(cell: Cell) -> str:
    """The cell as text, a whole number without a decimal point."""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


def _cell(value: Any, where: str) -> Cell:
    if isinstance(value, (list, dict)):
        raise UserError(f"{where}: a list or an object where one value is expected.")
    if value is None or (isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)):
        return value
    text = unicodedata.normalize("NFC", " ".join(str(value).split()))  # accents are composed in one way
    if found := _ACTIVE.search(text):
        raise UserError(f"{where}: the text has the control character U+{ord(found[0]):04X}. Remove it.")
    return text or None
