"""Score records in, a table of blocks x treatments out."""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from itertools import product
from pathlib import Path

import pandas as pd

from ercsatz.dialogue import read_text
from ercsatz.errors import UserError

TREATMENT = ("classifier", "variant")
BLOCK = ("benchmark", "test_set")
METRIC = "w_f1"

# Means of the same scores in another order differ in the last bits, which would break ties.
_DECIMALS = 12


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """Scores of treatments (columns) on blocks (rows), averaged over seeds.

    Attributes:
        cells: blocks x treatments, all that have any score; NaN is a gap.
        keys: the parts of each treatment's name, e.g. ``{"compm_org": ("compm", "org")}``.
        missing: treatments without any score, which are not in ``cells``.
        seeds: blocks x treatments, the number of scores behind each cell.
        spread: blocks x treatments, their sample standard deviation; NaN where there are fewer than two.
        metric: what the scores are.
    """

    cells: pd.DataFrame
    keys: Mapping[str, tuple[str, ...]]
    missing: tuple[str, ...]
    seeds: pd.DataFrame
    spread: pd.DataFrame
    metric: str

    @classmethod
    def from_frame(cls, scores: pd.DataFrame, metric: str = "score") -> "ScoreTable":
        """Take a ready table of blocks x treatments, each cell as one score.

        Example:
            >>> ScoreTable.from_frame(pd.DataFrame({"org": [0.4], "nat": [0.5]}, index=["meld"])).keys
            {'org': ('org',), 'nat': ('nat',)}
        """
        seeds = scores.notna().astype(int)
        return cls(scores, {t: (t,) for t in scores.columns}, (), seeds, scores.astype(float) * math.nan, metric)

    @property
    def scores(self) -> pd.DataFrame:
        """The blocks that have a score for every treatment: what can be ranked."""
        return self.cells.dropna()

    @property
    def dropped(self) -> tuple[str, ...]:
        """The blocks that have a gap and so cannot be ranked."""
        return tuple(self.cells.index[self.cells.isna().any(axis=1)])


def pivot(long: pd.DataFrame, treatment: Sequence[str], block: Sequence[str], metric: str) -> ScoreTable:
    """Arrange score records as a table of blocks x treatments, averaging over seeds inside a cell.

    Args:
        long: a row per score. Besides the named columns, ``seed`` tells repeated runs of a cell apart and ``source``
            says where a score is from, both optional. A row without a score (NaN) is a run that failed.
        treatment: columns whose values, joined by ``_``, name a treatment.
        block: columns whose values, joined by ``_``, name a block.
        metric: the column of scores.

    Returns:
        The table, in the order of the records. A treatment is missing if each part of its name occurs in the records
        and it has no score.

    Raises:
        UserError: a column is missing, scores are not numbers, there are none, or two are for the same cell and seed.

    Example:
        >>> records = pd.DataFrame({"variant": ["org", "org", "nat"], "test_set": "org", "seed": [1, 2, 1],
        ...                         "w_f1": [0.5, 0.7, 0.8]})
        >>> table = pivot(records, ["variant"], ["test_set"], "w_f1")
        >>> table.cells.loc["org"].to_dict(), table.seeds.loc["org"].to_dict()
        ({'org': 0.6, 'nat': 0.8}, {'org': 2, 'nat': 1})
    """
    if absent := [column for column in (*treatment, *block, metric) if column not in long.columns]:
        raise UserError(f"The scores have no column {absent[0]!r}; they have: {', '.join(map(str, long.columns))}.")
    if not pd.api.types.is_numeric_dtype(long[metric]):
        raise UserError(f"The scores in column {metric!r} are not all numbers.")
    scored = long[long[metric].notna()]
    if scored.empty:
        raise UserError(f"There is no score in column {metric!r}, so nothing to rank.")
    _refuse_unnamed(scored, treatment)
    _refuse_unnamed(scored, block)
    _refuse_repeats(scored, [*treatment, *block])
    treatments = list(dict.fromkeys(_names(scored, treatment)))
    blocks = list(dict.fromkeys(_names(long.dropna(subset=list(block)), block)))
    groups = scored[metric].groupby([_names(scored, block), _names(scored, treatment)])

    def table(values: pd.Series) -> pd.DataFrame:
        return values.unstack().reindex(index=blocks, columns=treatments).rename_axis(index=None, columns=None)

    planned = {"_".join(key): key for key in product(*(long[part].dropna().astype(str).unique() for part in treatment))}
    return ScoreTable(
        cells=table(groups.mean()).round(_DECIMALS),
        keys={name: planned[name] for name in treatments},
        missing=tuple(name for name in planned if name not in treatments),
        seeds=table(groups.count()).fillna(0).astype(int),
        spread=table(groups.std()),
        metric=metric,
    )


def baseline_comparisons(table: ScoreTable, baseline: str) -> list[tuple[str, str]]:
    """Pair each treatment with the one that has ``baseline`` in place of one part of its name.

    Returns:
        (treatment, baseline) names, in the table's order; empty where no treatment has such a partner.

    Example:
        >>> names = ["compm_org", "compm_nat", "todkat_nat"]
        >>> records = pd.DataFrame({"classifier": ["compm", "compm", "todkat"], "variant": ["org", "nat", "nat"],
        ...                         "test_set": "org", "w_f1": [0.5, 0.6, 0.7]})
        >>> baseline_comparisons(pivot(records, ["classifier", "variant"], ["test_set"], "w_f1"), "org")
        [('compm_nat', 'compm_org')]
    """
    names = {key: name for name, key in table.keys.items()}
    partners = [
        (name, names.get((*key[:i], baseline, *key[i + 1 :])))
        for key, name in names.items()
        for i in range(len(key))
        if key[i] != baseline
    ]
    return [(name, partner) for name, partner in partners if partner is not None]


def read_scores(path: Path) -> pd.DataFrame:
    r"""Read scores from a CSV or TSV file in UTF-8, in one of two forms.

    Wide: columns ``benchmark``, ``test_set`` and one ``<classifier>_<variant>`` for each model. Long: columns
    ``classifier``, ``variant``, ``benchmark``, ``test_set``, ``w_f1`` and, optionally, ``seed``. An empty cell is a
    missing score.

    Returns:
        The long form for ``pivot``: text columns, ``w_f1`` as numbers (NaN: missing), ``source`` as file and line.

    Raises:
        UserError: names file, line and column of what cannot be read.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp(), "scores.csv")
        >>> _ = file.write_text("benchmark,test_set,compm_org,compm_nat\nmeld,org,65.43,65.52\n")
        >>> read_scores(file)[["classifier", "variant", "w_f1"]].values.tolist()
        [['compm', 'org', 65.43], ['compm', 'nat', 65.52]]
    """
    header, rows = _read_rows(path)
    is_long = bool({METRIC, *TREATMENT} & set(header))
    _check_header(path, header, is_long)
    texts = [column for column in header if column in ((*TREATMENT, *BLOCK, "seed") if is_long else BLOCK)]
    records = []
    for where, row in rows:
        if empty := [column for column in texts if not row[column]]:
            raise UserError(f"{where}, column {empty[0]}: empty. Only a score may be left out.")
        known = {column: row[column] for column in texts} | {"source": where}
        for column in (column for column in header if column not in texts):
            names = {} if is_long else dict(zip(TREATMENT, column.rsplit("_", 1), strict=True))
            records.append(names | known | {METRIC: _number(row[column], f"{where}, column {column}")})
    long = pd.DataFrame(records)
    _refuse_repeats(long, [*TREATMENT, *BLOCK])
    return long


def _read_rows(path: Path) -> tuple[list[str], list[tuple[str, dict[str, str]]]]:
    """Column names, and each further line that is not blank as its place and its cells by column."""
    if path.is_dir():
        raise UserError(f"{path} is a folder; scores are read from a CSV or TSV file.")
    text = read_text(path)
    lines = csv.reader(StringIO(text), delimiter="\t" if "\t" in text.partition("\n")[0] else ",")
    stripped = [(f"{path}, line {lines.line_num}", [cell.strip() for cell in cells]) for cells in lines]
    filled = [(where, cells) for where, cells in stripped if any(cells)]
    if len(filled) < 2:
        raise UserError(f"{path}: no scores. Expected a line of column names and a line for each row of scores.")
    header = filled[0][1]
    for where, cells in filled[1:]:
        if len(cells) != len(header):
            raise UserError(f"{where}: {len(cells)} cells under {len(header)} column names.")
    return header, [(where, dict(zip(header, cells, strict=True))) for where, cells in filled[1:]]


def _check_header(path: Path, header: list[str], is_long: bool) -> None:
    needed = (*TREATMENT, *BLOCK, METRIC) if is_long else BLOCK
    others = [column for column in header if column not in needed]
    unknown = [c for c in others if (c != "seed" if is_long else not all(c.rpartition("_")[::2]))]
    more = "and optionally seed" if is_long else "and <classifier>_<variant> for each model"
    expected = f"Expected are {', '.join(needed)}, {more}, separated by commas or tabs."
    if twice := [column for column in header if header.count(column) > 1]:
        raise UserError(f"{path}: the column {twice[0]!r} occurs twice.")
    if absent := [column for column in needed if column not in header]:
        raise UserError(f"{path}: there is no column {absent[0]!r}. {expected}")
    if unknown:
        raise UserError(f"{path}: unknown column {unknown[0]!r}. {expected}")
    if not is_long and not others:
        raise UserError(f"{path}: there is no column of scores. {expected}")


def _number(text: str, where: str) -> float:
    if not text:
        return math.nan
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UserError(f"{where}: {text!r} is not a number. Leave the cell empty where there is no score.")
    return value


def _names(frame: pd.DataFrame, columns: Sequence[str]) -> "pd.Series[str]":
    """The values of the columns in each row, joined."""
    return frame[list(columns)].astype(str).agg("_".join, axis=1)


def _refuse_repeats(long: pd.DataFrame, keys: list[str]) -> None:
    """Raise if a cell has two scores for one seed: which one counts would be a guess."""
    cell = [*keys, "seed"] if "seed" in long.columns and "seed" not in keys else keys
    texts = long.astype(str)
    repeated = texts[texts.duplicated(cell, keep=False)]
    if repeated.empty:
        return
    first, second, *_ = (row for _, row in repeated.iterrows() if row[cell].equals(repeated.iloc[0][cell]))
    sources = [row.get("source", f"row {row.name}") for row in (first, second)]
    others = [column for column in long.columns if column not in (*cell, "source")]
    differing = [str(column) for column in others if first[column] != second[column]]
    raise UserError(
        f"Two scores for {', '.join(f'{key}={first[key]}' for key in cell)}: {sources[0]} and {sources[1]}. "
        f"They differ in: {', '.join(differing) or 'nothing'}. Leave one out, or add what differs to the treatment."
    )


def _refuse_unnamed(scored: pd.DataFrame, keys: Sequence[str]) -> None:
    """Raise where a score lacks a part of its name, or two names look the same once their parts are joined."""
    if (unnamed := scored[list(keys)].isna().any()).any():
        raise UserError(f"A score has no {unnamed.idxmax()}: every score needs {', '.join(keys)}.")
    names = _names(scored.drop_duplicates(list(keys)), keys)
    if names.duplicated().any():
        raise UserError(
            f"Two different {', '.join(keys)} are both called {names[names.duplicated()].iloc[0]}; rename one."
        )
