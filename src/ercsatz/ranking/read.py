"""Score records from anybody's table, long or wide."""

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from ercsatz.errors import UserError
from ercsatz.ranking.derived import derived_columns, derived_rows, kinds, matches, rounding
from ercsatz.ranking.numbers import is_number, is_score, read_numbers, values
from ercsatz.ranking.scores import BLOCK, METRIC, SEED, TREATMENT
from ercsatz.ranking.spreadsheet import Cell, Sheet, check_area, read_bytes, to_sheet

_SCORE = "score"
_AVERAGE = re.compile(r"((macro|micro|weighted|grand)[ _-]?)?(average|avg\.?|mean|overall|total)", re.IGNORECASE)
_MODEL = re.compile("(model|method|system|classifier)s?([ _]?name)?", re.IGNORECASE)
_EXACT = 2**53  # whole numbers from here on have neighbours that are the same float
_CHANCE = 1e-3  # below it, that a row is the mean of the others is no coincidence


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
        notes: a sentence for everything in the file that was left out, or read in another way than it is written.
    """

    long: pd.DataFrame
    treatment: tuple[str, ...]
    block: tuple[str, ...]
    metric: str
    seed: str
    sha256: str
    notes: tuple[str, ...] = ()


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


def read_records(path: Path, columns: Columns = OURS, baseline: str | None = None) -> Records:
    r"""Read scores from CSV, TSV, Excel, JSON, JSONL or Parquet, long or wide; an empty cell is a missing score.

    Long, if the file has a column of ``columns.treatment`` or the metric: a row per score. Columns that are not asked
    for are kept as text. Wide otherwise: a row per block, and a column of numbers per treatment. Its blocks are named
    by the columns ``columns.block``, or else by the first column of text. With the columns ``benchmark`` and
    ``test_set`` and none but ``<classifier>_<variant>`` beside them, treatments have these two parts.

    Args:
        path: the file; its suffix says what it is, without one it is CSV or TSV.
        columns: what is where.
        baseline: a treatment. A wide table of which a row has this name has its treatments in rows, and is refused.

    Raises:
        UserError: names file, line and column of what cannot be read; a row or a column is an average of the others; a
            wide table has its treatments in rows.

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
    found, rows, places, notes = reader(path, sheet, columns)
    assert found.metric is not None
    long = pd.DataFrame(rows, index=places)
    if found.seed in long.columns:
        long[found.seed] = long[found.seed].map(_run)
    if reader is _wide and found.block != columns.block:
        _refuse_transposed(path, long, found, baseline)
    if long[found.metric].isna().all():
        raise UserError(f"{path}: there is no score in it, so nothing to rank.")
    area = (len(long[list(by)].drop_duplicates()) for by in (found.block, found.treatment))
    check_area(path, *area)
    long, left_out = _without_derived(long, found, wide=reader is _wide)
    _refuse_averages(path, long, found, wide=reader is _wide)
    sha256 = hashlib.sha256(data).hexdigest()
    told = (*sheet.notes, *notes, *left_out)
    return Records(long, found.treatment, found.block, found.metric, found.seed, sha256, told)


def _without_derived(long: pd.DataFrame, found: Columns, wide: bool) -> tuple[pd.DataFrame, list[str]]:
    """The scores without those that are made of others, and a sentence for each block, treatment and seed of these."""
    told: list[str] = []
    if found.seed in long.columns and not long[found.seed].map(lambda seed: bool(kinds(seed))).all():
        named = long[found.seed].map(lambda seed: bool(kinds(seed)))
        told = [
            f"The {found.seed} {seed!r} is left out: it is made of the others."
            for seed in long[found.seed][named].unique()
        ]
        long = long[~named]
    for what, by in (("block", found.block), ("treatment", found.treatment)):
        if what == "treatment" and wide:
            continue  # which went by their columns
        cells = _cells(long, found)
        cells = cells if what == "block" else cells.T
        made, sentences = derived_rows(list(cells.index), cells.to_numpy(dtype=float), what)
        told += sentences
        names = pd.Series(list(long[list(by)].itertuples(index=False, name=None)), index=long.index)
        long = long[~names.isin(made)]
    return long, told


def _refuse_transposed(path: Path, long: pd.DataFrame, found: Columns, baseline: str | None) -> None:
    """Raise where the rows of a wide table are what is to be ranked; its block is the column ``found.block``."""
    (block,) = found.block
    named = baseline in set(long[block]) and baseline not in set(long[found.treatment[0]])
    if not named and not _MODEL.fullmatch(block):
        return
    reason = f"ranking.baseline={baseline} is one of its rows" if named else f"its first column of names is {block!r}"
    raise UserError(
        f"{path}: its rows are models ({reason}), where each column should be one. Transpose it, or have a row per "
        f"score and name the columns: ranking.treatment=[{block}] ranking.block=[NAME] ranking.metric=NAME. If its "
        f"rows are what to rank over, say so: ranking.block=[{block}]"
    )


def _refuse_averages(path: Path, long: pd.DataFrame, found: Columns, wide: bool) -> None:
    """Raise where a block, or the column of a wide table, is an average: it would count what is there already twice."""
    for name in found.block:
        for where, value in long[name].items():
            if _AVERAGE.fullmatch(value):
                raise UserError(f"{where}: {name} {value!r} is no test set of its own. Leave it out, or rename it.")
    for value in long[found.treatment[0]].unique() if wide else ():
        if _AVERAGE.fullmatch(value):
            raise UserError(f"{path}: the column {value!r} is no treatment of its own. Leave it out, or rename it.")
    cells = _cells(long, found)
    for place, rows in (("last", cells), ("first", cells[::-1])):
        if _is_mean(rows):
            raise UserError(
                f"{path}: the {place} row, {'_'.join(rows.index[-1])}, is the mean of the others in every column. "
                "Leave it out: it is no test set of its own."
            )


def _cells(long: pd.DataFrame, found: Columns) -> pd.DataFrame:
    """Blocks x treatments, in the order of the file, averaged over what repeats a cell."""
    blocks, treatments = (
        pd.Index(list(long[list(by)].itertuples(index=False, name=None)), tupleize_cols=False)
        for by in (found.block, found.treatment)
    )
    values = pd.Series(long[found.metric].to_numpy(), dtype=float).groupby([blocks, treatments], sort=False).mean()
    return values.unstack(sort=False)


def _is_mean(cells: pd.DataFrame) -> bool:
    """Whether the last row is the mean of the others within rounding, and that is unlikely to be by chance."""
    others, last = cells.to_numpy(dtype=float)[:-1], cells.to_numpy(dtype=float)[-1]
    if len(others) < 2 or cells.isna().any(axis=None):
        return False
    unsure = rounding(others, last)
    chance = np.prod(2 * unsure / np.maximum(np.ptp(others, axis=0), 2 * unsure))
    return bool(chance < _CHANCE and matches("mean", others, last))


_Rows = tuple[Columns, list[dict[str, str | float]], list[str], list[str]]


def _is_long(path: Path, sheet: Sheet, columns: Columns) -> bool:
    found = {*columns.treatment, columns.metric or METRIC} & set(sheet.columns)
    # "classifier" alone heads the rows of a wide table
    if found and not (found == {"classifier"} and columns.treatment == TREATMENT and _SCORE not in sheet.columns):
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
    _refuse_mangled(path, sheet, list(needed), [])
    numbers, told = read_numbers([(f"{where}, column {metric}", row[metric]) for where, row in sheet.rows])
    rows: list[dict[str, str | float]] = []
    for (where, row), number in zip(sheet.rows, numbers, strict=True):
        _refuse_nameless(where, row, [name for name in needed if name != metric])
        rows.append({name: _text(cell) for name, cell in row.items()} | {metric: number})
    found = Columns(columns.treatment, columns.block, metric, columns.seed)
    return found, rows, [where for where, _ in sheet.rows], told


def _wide(path: Path, sheet: Sheet, columns: Columns) -> _Rows:
    block = _wide_block(path, sheet, columns)
    texts = [*block, *([columns.seed] if _has_seed(sheet, columns) else [])]
    if absent := [name for name in texts if name not in sheet.columns]:
        raise UserError(f"{path}: there is no column {absent[0]!r}. {_there(sheet)}")
    treatments = [name for name in sheet.columns if name not in texts]
    _refuse_mangled(path, sheet, texts, treatments)
    made, told = _derived(sheet, texts, treatments)
    treatments = [name for name in treatments if name not in made]
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
    scores = [(f"{where}, column {name}", row[name]) for where, row in sheet.rows for name in treatments]
    numbers, written = read_numbers(scores)
    rows: list[dict[str, str | float]] = []
    for where, row in sheet.rows:
        _refuse_nameless(where, row, texts)
        known = {name: _text(row[name]) for name in texts}
        for name in treatments:
            parts = dict(zip(names, name.rsplit("_", 1) if ours else [name], strict=True))
            rows.append({**parts, **known, metric: numbers[len(rows)]})
    places = [where for where, _ in sheet.rows for _ in treatments]
    return Columns(names, block, metric, columns.seed), rows, places, [*told, *written]


def _refuse_nameless(where: str, row: Mapping[str, Cell], needed: Sequence[str]) -> None:
    for name in needed:
        if row[name] is None:
            raise UserError(f"{where}, column {name}: empty. Only a score may be left out.")
        if str(row[name]) in ("nan", "NaN", "<NA>"):
            raise UserError(f"{where}, column {name}: {row[name]} is how data frames write a missing value. Name it.")


def _derived(sheet: Sheet, texts: Sequence[str], treatments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The columns of a wide table that are made of others, and what to tell of them."""
    columns = {name: np.array(values(sheet.cells(name))) for name in treatments if not _is_text(sheet.cells(name))}
    blocks = [not any(kinds(_text(row[name])) for name in texts) for _, row in sheet.rows]
    return derived_columns(columns, blocks)


def _refuse_mangled(path: Path, sheet: Sheet, needed: Sequence[str], treatments: Sequence[str]) -> None:
    """Raise where two columns had one name before a data frame numbered them: ``a`` and ``a.1``."""
    for name in sheet.columns:
        base, point, number = name.rpartition(".")
        if not (point and number.isdecimal() and base in sheet.columns):
            continue
        # gpt-4 and gpt-4.1 are two models
        twice = base in treatments and (not base[-1].isdigit() or sheet.cells(base) == sheet.cells(name))
        if base in needed or twice:
            raise UserError(
                f"{path}: the columns {base!r} and {name!r} are of one name, twice, as data frames write it. Give each "
                "a name of its own, or leave one out."
            )


def _wide_block(path: Path, sheet: Sheet, columns: Columns) -> tuple[str, ...]:
    if columns.block != BLOCK or set(columns.block) <= set(sheet.columns):
        return columns.block
    for number, name in enumerate(sheet.columns):
        filled = [cell for cell in sheet.cells(name) if cell is not None]
        # names in the first column may be numbers in part; a column of scores may have a slip
        if name != columns.seed and (_is_text(filled) or (number == 0 and not all(map(is_number, filled)))):
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
    return bool(filled) and not any(map(is_score, filled))


def _run(seed: str) -> str:
    """The seed, a whole number in one way of writing: ``1`` and ``1.0`` of two files joined are one run, not two."""
    number = float(seed) if is_number(seed) else math.nan
    return str(int(number)) if number.is_integer() and abs(number) < _EXACT else seed


def _text(cell: Cell) -> str:
    """The cell as a name: a whole number without a decimal point, as spreadsheets and data frames may have it."""
    return "" if cell is None else str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)
