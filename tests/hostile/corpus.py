"""The corpus of hostile files: how each is made, what reads it, and how much it may take.

To add one: a function that writes the file (small, of no more than a MiB), and a line in ``CORPUS``.
"""

import io
import zipfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple


class Hostile(NamedTuple):
    """A hostile file.

    Attributes:
        name: of the file.
        write: writes it.
        read: Python that reads ``path``.
        told: what the message says beside the name of the file.
        seconds, mebibytes: what reading may take, imports included, on a busy machine.
    """

    name: str
    write: Callable[[Path], None]
    read: str
    told: str
    seconds: float = 30
    mebibytes: float = 500


SCORES = "from ercsatz.ranking.read import read_scores; read_scores(path)"
YAML = "from ercsatz.config.yaml_files import load_yaml; load_yaml(path)"
MODE = "from ercsatz.config.mode import modes; modes([path.parent.parent])"
INVENTORY = "from ercsatz.config.yaml_files import parse_yaml; parse_yaml(path.read_bytes(), path)"
DIALOGUES = "from ercsatz.data.files import read_jsonl; read_jsonl(path)"
JSON = "from ercsatz.data.benchmarks.parsing import json_value; json_value(path)"
RESULT = "from ercsatz.sweeps.results import collect; collect([path.parent])"
DATA_SET = "from ercsatz.data.figure import read; read(str(path.parent), ('train',))"
PICKLE = "from ercsatz.knowledge.unpickle import load_plain; load_plain(path)"
SPEAKERS = (
    "from ercsatz.data.benchmarks.parsing import Source; from ercsatz.data.benchmarks.emorynlp_csv import read; "
    "read(Source(path, 'train', ('joy',), {}, {}))"
)
DEEP = 100_000


def text(content: str) -> Callable[[Path], None]:
    """Writes a text."""
    return lambda path: path.write_text(content)


def laughs(path: Path) -> None:
    """A billion laughs: ten lists, each of ten times the one before."""
    names = "abcdefghij"
    lists = [f"{names[0]}: &{names[0]} [" + ", ".join(["ha"] * 10) + "]"]
    lists += [f"{new}: &{new} [" + ", ".join([f"*{old}"] * 10) + "]" for old, new in pairwise(names)]
    path.write_text("\n".join(lists))


def workbook(path: Path, **parts: bytes) -> None:
    """A workbook of one sheet with some of its parts replaced; ``sheet1`` or ``styles``."""
    import openpyxl

    book, buffer = openpyxl.Workbook(), io.BytesIO()
    book.active.append(["block", "a", "b"])
    book.active.append(["x", 1, 2])
    book.save(buffer)
    with zipfile.ZipFile(buffer) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for part in old.infolist():
            new.writestr(part.filename, parts.get(Path(part.filename).stem, old.read(part)))


def sheet(body: str, head: str = "") -> bytes:
    """A worksheet."""
    space = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    return f"{head}<worksheet {space}>{body}</worksheet>".encode()


def rows(cells: str) -> str:
    """Rows of a worksheet, the second and last as given."""
    first = '<row r="1"><c r="A1" t="inlineStr"><is><t>block</t></is></c><c r="B1" t="n"><v>1</v></c></row>'
    return f"<sheetData>{first}{cells}</sheetData>"


def cell(place: str) -> Callable[[Path], None]:
    """A workbook with a cell somewhere."""
    row = place.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    return lambda path: workbook(path, sheet1=sheet(rows(f'<row r="{row}"><c r="{place}"><v>1</v></c></row>')))


def wide(path: Path) -> None:
    """Many rows, each with its last cell far out."""
    body = "".join(f'<row r="{n}"><c r="XFD{n}"><v>1</v></c></row>' for n in range(2, 20_000))
    workbook(path, sheet1=sheet(rows(body)))


def merged(path: Path) -> None:
    """All cells merged, and a size that says so."""
    cells = 'ref="A1:XFD1048576"'
    workbook(path, sheet1=sheet(f"<dimension {cells}/>{rows('')}<mergeCells><mergeCell {cells}/></mergeCells>"))


def entities(path: Path) -> None:
    """A billion laughs in the XML of a sheet."""
    entity = "".join(f'<!ENTITY {new} "{f"&{old};" * 10}">' for old, new in zip("abcdefghi", "bcdefghij", strict=True))
    head = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha">{entity}]>'
    workbook(path, sheet1=sheet(rows('<row r="2"><c r="A2" t="inlineStr"><is><t>&j;</t></is></c></row>'), head))


def parquet(path: Path, rows: int, width: int = 1) -> None:
    """A column of equal texts, which is a few bytes, however many and long they are."""
    import pyarrow as pa
    from pyarrow import parquet as pq

    column = pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), rows), ["x" * width])
    pq.write_table(pa.table({"block": column, "a": pa.repeat(1.0, rows)}), path, compression="zstd")


def columns(path: Path) -> None:
    """Many columns, each of one long text."""
    import pyarrow as pa
    from pyarrow import parquet as pq

    pq.write_table(pa.table({f"c{number}": ["x" * (1 << 20)] for number in range(400)}), path, compression="zstd")


def full(path: Path) -> None:
    """Styles that nearly fill the largest part that is read."""
    space = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    xfs = "<xf/>" * ((512 << 10) // 5 - 100)
    workbook(path, styles=f"<styleSheet {space}><cellXfs>{xfs}</cellXfs></styleSheet>".encode(), sheet1=sheet(""))


def nested(path: Path) -> None:
    """A column of lists."""
    import pyarrow as pa
    from pyarrow import parquet as pq

    pq.write_table(pa.table({"block": ["x"], "a": [[1.0] * 10]}), path)


def diagonal(path: Path) -> None:
    """Many columns and many rows, and of the table between them the diagonal alone."""
    numbers = range(20_000)
    if path.suffix == ".csv":
        path.write_text("treatment,block,score\n" + "".join(f"t{n},b{n},1\n" for n in numbers))
    elif path.suffix == ".jsonl":
        path.write_text("".join(f'{{"c{n}": 1}}\n' for n in numbers))
    else:
        path.write_text("{" + ", ".join(f'"c{n}": {{"r{n}": 1}}' for n in numbers) + "}")


LONG = (
    "from ercsatz.ranking.read import read_records, Columns; "
    "read_records(path, Columns(('treatment',), ('block',), 'score'))"
)
CORPUS = [
    # YAML
    Hostile("mode/laughs.yaml", laughs, MODE, "more than 100,000 values", 15, 200),
    Hostile("laughs.yaml", laughs, INVENTORY, "more than 100,000 values", 15, 200),
    Hostile("lists.yaml", text("[" * DEEP), YAML, "more than 50 mappings", 15, 200),
    Hostile("mappings.yaml", text("{a: " * DEEP), YAML, "more than 50 mappings", 15, 200),
    Hostile("dashes.yaml", text("- " * DEEP), YAML, "more than 50 mappings", 15, 200),
    Hostile("keys.yaml", text("? " * DEEP), YAML, "more than 50 mappings", 15, 200),
    Hostile("itself.yaml", text("a: &a [1, *a]"), YAML, "stands in what it repeats", 15, 200),
    Hostile("merges.yaml", text("a: &a {b: 1}\n<<: [" + "*a, " * 60_000 + "*a]"), YAML, "100,000 values", 15, 300),
    Hostile("large.yaml", text("a: 1\n" * 900_000), YAML, "larger than", 15, 200),
    Hostile("digits.yaml", text("a: " + "9" * DEEP), YAML, "more than 100 digits", 15, 200),
    Hostile("sixties.yaml", text("a: 1" + ":59" * DEEP), YAML, "more than 100 digits", 15, 200),
    Hostile("object.yaml", text("a: !!python/object/apply:os.system [touch harmed]"), YAML, "not valid YAML", 15, 200),
    Hostile("date.yaml", text("a: 2024-13-45"), YAML, "not valid YAML", 15, 200),
    Hostile("bytes.yaml", lambda path: path.write_bytes(b"a: \xff"), YAML, "not UTF-8", 15, 200),
    # JSON
    Hostile("lists.jsonl", text("[" * DEEP), DIALOGUES, "line 1: not JSON (nested too deeply)"),
    Hostile("objects.jsonl", text('{"a":' * DEEP), DIALOGUES, "line 1: not JSON (nested too deeply)"),
    Hostile("digits.jsonl", text("9" * DEEP), DIALOGUES, "too many digits"),
    Hostile("lists.json", text("[" * DEEP), JSON, "nested too deeply"),
    Hostile("scores.json", text("[" * DEEP), SCORES, "not JSON"),
    Hostile("scores.jsonl", text('{"a":' * DEEP), SCORES, "not JSON"),
    Hostile("sweep/result.json", text("[" * DEEP), RESULT, "nested too deeply"),
    Hostile("data/config.json", text("[" * DEEP), DATA_SET, "is not one that generate.py writes"),
    Hostile("diagonal.json", diagonal, SCORES, "20,000 rows of 20,000 columns"),
    Hostile("diagonal.jsonl", diagonal, SCORES, "20,000 rows of 20,000 columns"),
    # CSV
    Hostile("diagonal.csv", diagonal, LONG, "20,000 rows of 20,000 columns"),
    Hostile(
        "speakers.csv",
        text(f"Utterance,Speaker,Emotion,Scene_ID,Season,Episode\nHi,{'[' * DEEP},joy,1,1,1"),
        SPEAKERS,
        "line 2: Speaker must be a list",
    ),
    Hostile(
        "minus.csv",
        text(f"Utterance,Speaker,Emotion,Scene_ID,Season,Episode\nHi,{'-' * DEEP}1,joy,1,1,1"),
        SPEAKERS,
        "line 2: Speaker must",
    ),
    # pickles, which are read as plain data
    Hostile(
        "memory.pkl", lambda path: path.write_bytes(b"\x80\x04Nr\xff\xff\xff\x3f."), PICKLE, "to remember 1,073,741,823"
    ),
    Hostile("text.pkl", lambda path: path.write_bytes(b"Np1073741823\n."), PICKLE, "to remember 1,073,741,823"),
    Hostile(
        "bytes.pkl",
        lambda path: path.write_bytes(b"\x80\x04\x8e" + b"\0" * 5 + b"\x01\0\0x."),
        PICKLE,
        "not a readable",
    ),
    Hostile("name.pkl", lambda path: path.write_bytes(b"cos\nsystem\n(S'touch harmed'\ntR."), PICKLE, "refused"),
    # Excel
    Hostile("far.xlsx", cell("XFD1048576"), SCORES, "is too far out"),
    Hostile("low.xlsx", cell("A1048576"), SCORES, "is too far out"),
    Hostile("right.xlsx", cell("XFD2"), SCORES, "the cell XFD2 is too far out"),
    Hostile("beyond.xlsx", cell("A99999999999"), SCORES, "is too far out"),
    Hostile("outside.xlsx", cell("ZZZZZZ1"), SCORES, "not an Excel workbook"),
    Hostile("wide.xlsx", wide, SCORES, "is too far out"),
    Hostile("merged.xlsx", merged, SCORES, "no scores"),
    Hostile("zeros.xlsx", lambda path: workbook(path, sheet1=bytes(1 << 30)), SCORES, "1,073,741,824 bytes unpacked"),
    Hostile("styles.xlsx", lambda path: workbook(path, styles=b"<x/>" * (4 << 20)), SCORES, "bytes unpacked"),
    Hostile("full.xlsx", full, SCORES, "no scores"),
    Hostile("entities.xlsx", entities, SCORES, "not an Excel workbook"),
    # Parquet
    Hostile("rows.parquet", lambda path: parquet(path, 5_000_000), SCORES, "5,000,000 rows"),
    Hostile("long.parquet", lambda path: parquet(path, 90_000, 16 << 20), SCORES, "too long for names"),
    Hostile("columns.parquet", columns, SCORES, "bytes unpacked"),
    Hostile("nested.parquet", nested, SCORES, "where one value is expected"),
]
