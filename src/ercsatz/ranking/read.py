"""Score records from anybody's table, long or wide."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from ercsatz.errors import UserError
from ercsatz.ranking.scores import BLOCK, METRIC, SEED, TREATMENT
from ercsatz.ranking.sheet import Cell, Sheet, read_bytes, to_sheet

_SCORE = "score"


@dataclass(frozen=True)
class Columns:
    """Which columns hold what.

    Attributes:
        treatment: what is ranked; several columns are joined to one name.
        block: over what.
        metric: the scores; ``None`` for ``w_f1`` where there is one, else ``score``.
        seed: what tells repeated runs of a cell apart; ``"seed"`` may be absent.
    """

    treatment: tuple[str, ...] = TREATMENT
    block: tuple[str, ...] = BLOCK
    metric: str | None = None
    seed: str = SEED


OURS = Columns()
"""The columns of our own score tables."""


class Records(NamedTuple):
    """Score records in the long form for ``pivot``, and where they are from.

    Attributes:
        long: text columns, and the scores as numbers (NaN: missing); the index is file and line.
        treatment, block, metric, seed: the columns of ``long``, for ``pivot``.
        sha256: of the file, in hex.
    """

    long: pd.DataFrame
    treatment: tuple[str, ...]
    block: tuple[str, ...]
    metric: str
    seed: str
    sha256: str


def read_scores(path: Path) -> pd.DataFrame:
    r"""The records of a table in one of our own two forms; see ``read_records``.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp(), "scores.csv")
        >>> _ = file.write_text("benchmark,test_set,compm_org,compm_nat\nmeld,org,65.43,65.52\n")
        >>> read_scores(file)[["classifier", "variant", "w_f1"]].values.tolist()
        [['compm', 'org', 65.43], ['compm', 'nat', 65.52]]
    """
    return read_records(path).long


def read_records(path: Path, columns: Columns = OURS) -> Records:
    r"""Read scores from CSV, TSV, Excel, JSON, JSONL or Parquet, long or wide; an empty cell is a missing score.

    Long, if the file has a column of ``columns.treatment`` or the metric: a row per score. Columns that are not asked
    for are kept as text. Wide otherwise: a row per block, and a column of numbers per treatment. Its blocks are named
    by the columns ``columns.block``, or else by the first column of text. With the columns ``benchmark`` and
    ``test_set`` and none but ``<classifier>_<variant>`` beside them, treatments have these two parts.

    Args:
        path: the file; its suffix says what it is, without one it is CSV or TSV.
        columns: what is where.

    Raises:
        UserError: names file, line and column of what cannot be read.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp(), "scores.json")
        >>> _ = file.write_text('[{"model": "a", "data": "x", "acc": 0.5}, {"model": "b", "data": "x", "acc": 0.6}]')
        >>> records = read_records(file, Columns(("model",), ("data",), "acc"))
        >>> records.long.drop(columns="data").values.tolist(), records.metric
        ([['a', 0.5], ['b', 0.6]], 'acc')
    """
    data = read_bytes(path)
    sheet = to_sheet(path, data)
    reader = _long if _is_long(path, sheet, columns) else _wide
    found, rows, places = reader(path, sheet, columns)
    assert found.metric is not None
    long = pd.DataFrame(rows, index=places)
    if long[found.metric].isna().all():
        raise UserError(f"{path}: there is no score in it, so nothing to rank.")
    sha256 = hashlib.sha256(data).hexdigest()
    return Records(long, found.treatment, found.block, found.metric, found.seed, sha256)


_Rows = tuple[Columns, list[dict[str, str | float]], list[str]]


def _is_long(path: Path, sheet: Sheet, columns: Columns) -> bool:
    if {*columns.treatment, columns.metric or METRIC} & set(sheet.columns):
        return True
    if columns.treatment != TREATMENT:
        raise UserError(
            f"{path}: there is no column {columns.treatment[0]!r} (ranking.treatment). {_there(sheet)} Where each "
            "treatment has a column of its own, leave ranking.treatment out."
        )
    return False


def _long(path: Path, sheet: Sheet, columns: Columns) -> _Rows:
    metric = columns.metric or next((name for name in (METRIC, _SCORE) if name in sheet.columns), METRIC)
    needed = {**dict.fromkeys(columns.treatment, "treatment"), **dict.fromkeys(columns.block, "block")}
    needed |= {metric: "metric"} | ({columns.seed: "seed"} if _has_seed(sheet, columns) else {})
    for name, key in needed.items():
        if name not in sheet.columns:
            raise UserError(f"{path}: there is no column {name!r}. {_there(sheet)} ranking.{key} names another.")
    rows: list[dict[str, str | float]] = []
    for where, row in sheet.rows:
        if empty := [name for name in needed if name != metric and row[name] is None]:
            raise UserError(f"{where}, column {empty[0]}: empty. Only a score may be left out.")
        score = {metric: _number(row[metric], f"{where}, column {metric}")}
        rows.append({name: _text(cell) for name, cell in row.items()} | score)
    return Columns(columns.treatment, columns.block, metric, columns.seed), rows, [where for where, _ in sheet.rows]


def _wide(path: Path, sheet: Sheet, columns: Columns) -> _Rows:
    block = _wide_block(path, sheet, columns)
    texts = [*block, *([columns.seed] if _has_seed(sheet, columns) else [])]
    if absent := [name for name in texts if name not in sheet.columns]:
        raise UserError(f"{path}: there is no column {absent[0]!r}. {_there(sheet)}")
    treatments = [name for name in sheet.columns if name not in texts]
    if not treatments:
        raise UserError(f"{path}: there is no column of scores beside {', '.join(texts)}.")
    ours = block == BLOCK and all(all(name.rpartition("_")[::2]) for name in treatments)
    unexpected = [name for name in treatments if _is_text(sheet.cells(name))]
    if unexpected and not ours:
        raise UserError(
            f"{path}: the column {unexpected[0]!r} holds text, where each column beside {', '.join(texts)} should hold "
            "the scores of one treatment. Name it in ranking.block, or leave it out. If each row is one score, name "
            f"the columns: ranking.treatment=[NAME] ranking.block=[NAME] ranking.metric=NAME. {_there(sheet)}"
        )
    names = TREATMENT if ours else (_free("treatment", texts),)
    metric = columns.metric or (METRIC if ours else _free(_SCORE, texts))
    rows: list[dict[str, str | float]] = []
    for where, row in sheet.rows:
        if empty := [name for name in texts if row[name] is None]:
            raise UserError(f"{where}, column {empty[0]}: empty. Only a score may be left out.")
        known = {name: _text(row[name]) for name in texts}
        for name in treatments:
            parts = dict(zip(names, name.rsplit("_", 1) if ours else [name], strict=True))
            rows.append({**parts, **known, metric: _number(row[name], f"{where}, column {name}")})
    return Columns(names, block, metric, columns.seed), rows, [where for where, _ in sheet.rows for _ in treatments]


def _wide_block(path: Path, sheet: Sheet, columns: Columns) -> tuple[str, ...]:
    if columns.block != BLOCK or set(columns.block) <= set(sheet.columns):
        return columns.block
    for number, name in enumerate(sheet.columns):
        filled = [cell for cell in sheet.cells(name) if cell is not None]
        # names in the first column may be numbers in part; a column of scores may have a slip
        if name != columns.seed and (_is_text(filled) or (number == 0 and not all(map(_is_number, filled)))):
            return (name,)
    raise UserError(
        f"{path}: no column holds the names of blocks. {_there(sheet)} ranking.block=[NAME] says which does."
    )


def _has_seed(sheet: Sheet, columns: Columns) -> bool:
    """Whether there is a column of seeds, or one was asked for."""
    return columns.seed in sheet.columns or columns.seed != SEED


def _there(sheet: Sheet) -> str:
    return f"The columns are: {', '.join(sheet.columns)}."


def _free(name: str, taken: Sequence[str]) -> str:
    return _free(f"{name}_", taken) if name in taken else name


def _is_text(cells: Sequence[Cell]) -> bool:
    filled = [cell for cell in cells if cell is not None]
    return bool(filled) and not any(map(_is_number, filled))


def _is_number(cell: Cell) -> bool:
    try:
        float(cell or 0)
    except (ValueError, OverflowError):
        return False
    return cell is not None


def _number(cell: Cell, where: str) -> float:
    if cell is None:
        return math.nan
    value = float(cell) if _is_number(cell) else math.nan
    if not math.isfinite(value):
        raise UserError(f"{where}: {str(cell)!r} is not a number. Leave the cell empty where there is no score.")
    return value


def _text(cell: Cell) -> str:
    """The cell as a name: a whole number without a decimal point, as spreadsheets and data frames may have it."""
    return "" if cell is None else str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)
