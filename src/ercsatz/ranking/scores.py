"""Score records in, a table of blocks x treatments out."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd

from ercsatz.errors import UserError

TREATMENT = ("classifier", "variant")
BLOCK = ("benchmark", "test_set")
METRIC = "w_f1"
SEED = "seed"

# Means of the same scores in another order differ in the last bits, which would break ties.
_DIGITS = 12
_LISTED = 10


DEFAULT = "default"
"""The part of a treatment that has a setting as it is where others changed it; it adds nothing to a name."""

LEARNT_NOTHING = "learnt_nothing"
"""The column of score records that says why a run learnt nothing; it is empty, or not there, where it may have."""


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
        notes: sentences on how the table came about, for the report.
        unlearnt: the cells, as (block, treatment), of which one score at least is of a run that learnt nothing.
        block_keys: the parts of each block's name; empty where names have no known parts.
    """

    cells: pd.DataFrame
    keys: Mapping[str, tuple[str, ...]]
    missing: tuple[str, ...]
    seeds: pd.DataFrame
    spread: pd.DataFrame
    metric: str
    notes: tuple[str, ...] = ()
    unlearnt: frozenset[tuple[str, str]] = frozenset()
    block_keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def from_frame(cls, scores: pd.DataFrame, metric: str = "score") -> "ScoreTable":
        """Take a ready table of blocks x treatments, each cell as one score.

        Example:
            >>> ScoreTable.from_frame(pd.DataFrame({"org": [0.4], "nat": [0.5]}, index=["meld"])).keys
            {'org': ('org',), 'nat': ('nat',)}
        """
        seeds = scores.notna().astype(int)
        return cls(scores, {t: (t,) for t in scores.columns}, (), seeds, scores.astype(float) * math.nan, metric)

    @cached_property
    def unlearnt_treatments(self) -> frozenset[str]:
        """The treatments that learnt nothing on a block."""
        return frozenset(treatment for _, treatment in self.unlearnt)

    @property
    def scores(self) -> pd.DataFrame:
        """The blocks that have a score for every treatment: what can be ranked."""
        return self.cells.dropna()

    @property
    def dropped(self) -> tuple[str, ...]:
        """The blocks that have a gap and so cannot be ranked."""
        return tuple(self.cells.index[self.cells.isna().any(axis=1)])

    @property
    def gaps(self) -> tuple[tuple[str, str], ...]:
        """The cells without a score, as (block, treatment); those of missing treatments among them."""
        empty = self.cells.isna().reindex(columns=[*self.cells.columns, *self.missing], fill_value=True)
        places = np.argwhere(empty.to_numpy())
        return tuple((str(empty.index[row]), str(empty.columns[column])) for row, column in places)


def pivot(
    long: pd.DataFrame,
    treatment: Sequence[str],
    block: Sequence[str],
    metric: str,
    seed: str = SEED,
    repeats: Literal["refuse", "first", "last"] = "refuse",
) -> ScoreTable:
    """Arrange score records as a table of blocks x treatments, averaging over seeds inside a cell.

    Args:
        long: a row per score. A row without a score (NaN) is a run that failed. Index labels that are text say where a
            score is from, in messages. A column ``learnt_nothing`` may be there.
        treatment: columns whose values, joined by ``_``, name a treatment; ``default`` adds nothing to the name.
        block: columns whose values, joined by ``_``, name a block.
        metric: the column of scores.
        seed: the column that tells repeated runs of a cell apart. ``"seed"`` may be absent.
        repeats: which score counts where there are two for the same cell and seed.

    Returns:
        The table, in the order of the records. A treatment is missing if it has a row in the records and no score.

    Raises:
        UserError: a column is missing or there twice, scores are not numbers, there are none, or two are for the same
            cell and seed and ``repeats`` does not choose.

    Example:
        >>> records = pd.DataFrame({"variant": ["org", "org", "nat"], "test_set": "org", "seed": [1, 2, 1],
        ...                         "w_f1": [0.5, 0.7, 0.8]})
        >>> table = pivot(records, ["variant"], ["test_set"], "w_f1")
        >>> table.cells.loc["org"].to_dict(), table.seeds.loc["org"].to_dict()
        ({'org': 0.6, 'nat': 0.8}, {'org': 2, 'nat': 1})
    """
    _check_columns(long, [*treatment, *block, metric, *([seed] if seed != SEED else [])])
    if not pd.api.types.is_numeric_dtype(long[metric]):
        raise UserError(f"The scores in column {metric!r} are not all numbers.")
    scored = long[long[metric].notna()]
    if scored.empty:
        raise UserError(f"There is no score in column {metric!r}, so nothing to rank.")
    _refuse_unnamed(scored, treatment)
    _refuse_unnamed(scored, block)
    treatments = list(dict.fromkeys(cell_names(scored, treatment)))
    block_keys = _keys(long, block)
    blocks = list(block_keys)
    chosen, notes = _choose(scored, list(dict.fromkeys([*treatment, *block, seed])), repeats)
    groups = chosen[metric].groupby([cell_names(chosen, block), cell_names(chosen, treatment)])

    def table(values: pd.Series) -> pd.DataFrame:
        return values.unstack().reindex(index=blocks, columns=treatments).rename_axis(index=None, columns=None)

    planned = _keys(long, treatment)
    return ScoreTable(
        cells=table(groups.mean().map(_rounded)),
        keys={name: planned[name] for name in treatments},
        missing=tuple(name for name in planned if name not in treatments),
        seeds=table(groups.count()).fillna(0).astype(int),
        spread=table(groups.std()),
        metric=metric,
        notes=notes,
        unlearnt=_unlearnt(chosen, block, treatment),
        block_keys=block_keys,
    )


def _keys(long: pd.DataFrame, columns: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The names in the records, in their order, and the parts of each."""
    rows = long[list(columns)].dropna().drop_duplicates().astype(str).itertuples(index=False, name=None)
    return {joined(key): key for key in rows}


def _unlearnt(chosen: pd.DataFrame, block: Sequence[str], treatment: Sequence[str]) -> frozenset[tuple[str, str]]:
    if LEARNT_NOTHING not in chosen.columns:
        return frozenset()
    found = chosen[chosen[LEARNT_NOTHING].fillna("").astype(str) != ""]
    return frozenset(zip(cell_names(found, block), cell_names(found, treatment), strict=True))


def choose_comparisons(
    table: ScoreTable, comparisons: str | Sequence[Sequence[str]], baseline: str
) -> list[tuple[str, str]]:
    """The pairs of treatments that are compared.

    Args:
        table: the scores.
        comparisons: ``"baseline"`` for ``baseline_comparisons``, ``"all"`` for every treatment against each one before
            it, or a list of (treatment, baseline). Of a list, pairs with a treatment that has no scores are left out.
        baseline: as for ``baseline_comparisons``.

    Raises:
        UserError: a list names what is not in the table, or a pair twice.

    Example:
        >>> table = ScoreTable.from_frame(pd.DataFrame({"org": [0.4], "nat": [0.5], "bal": [0.6]}))
        >>> choose_comparisons(table, "all", "org")
        [('nat', 'org'), ('bal', 'org'), ('bal', 'nat')]
        >>> choose_comparisons(table, [["bal", "nat"]], "org")
        [('bal', 'nat')]
    """
    if comparisons == "baseline":
        return baseline_comparisons(table, baseline)
    names = list(table.cells.columns)
    if comparisons == "all":
        return [(later, earlier) for i, later in enumerate(names) for earlier in names[:i]]
    pairs = [(str(treatment), str(control)) for treatment, control in comparisons]
    known = {*names, *table.missing}
    if unknown := [name for pair in pairs for name in pair if name not in known]:
        raise UserError(
            f"The comparisons name {unknown[0]!r}, which is not in the table. The treatments are: {', '.join(names)}."
        )
    made: set[frozenset[str]] = set()
    for pair in pairs:
        if len({*pair}) == 1 or frozenset(pair) in made:
            raise UserError(f"The comparison of {pair[0]} with {pair[1]} is one with itself, or there twice.")
        made.add(frozenset(pair))
    return [pair for pair in pairs if not set(pair) & set(table.missing)]


def baseline_comparisons(table: ScoreTable, baseline: str) -> list[tuple[str, str]]:
    """Pair each treatment with the one that has ``baseline`` in place of one part of its name.

    One that has ``baseline`` already and settings beside it (``compm_org_focal``) is paired with that which has the
    defaults of these settings (``compm_org``).

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
    changed = {i for key in names for i, part in enumerate(key) if part == DEFAULT}
    for key, name in names.items():
        as_it_is = tuple(DEFAULT if i in changed else part for i, part in enumerate(key))
        if baseline in key and as_it_is != key:
            partners.append((name, names.get(as_it_is)))
    order = list(table.keys)
    found = [(name, partner) for name, partner in partners if partner is not None]
    return sorted(found, key=lambda pair: order.index(pair[0]))


def refuse_gaps(table: ScoreTable) -> None:
    """Raise unless every treatment has a score on every block.

    Raises:
        UserError: names the missing cells.

    Example:
        >>> refuse_gaps(ScoreTable.from_frame(pd.DataFrame({"org": [0.4], "nat": [None]}, index=["meld"])))
        Traceback (most recent call last):
            ...
        ercsatz.errors.UserError: 1 cell has no score: nat on meld. ranking.missing=drop leaves out blocks with gaps.
    """
    gaps = [f"{treatment} on {block}" for block, treatment in table.gaps]
    if gaps:
        more = f" and {len(gaps) - _LISTED} more" if len(gaps) > _LISTED else ""
        raise UserError(
            f"{len(gaps)} cell{'s have' if len(gaps) > 1 else ' has'} no score: {', '.join(gaps[:_LISTED])}{more}. "
            "ranking.missing=drop leaves out blocks with gaps."
        )


def _rounded(mean: float) -> float:
    return float(f"{mean:.{_DIGITS}g}")


def cell_names(frame: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    """The values of the columns in each row, joined."""
    return [joined(row) for row in frame[list(columns)].itertuples(index=False, name=None)]


def joined(parts: Sequence[object]) -> str:
    """The name that parts make.

    Example:
        >>> joined(("compm", "org", "default")), joined(("default",))
        ('compm_org', 'default')
    """
    texts = [str(part) for part in parts]
    return "_".join([text for text in texts if text != DEFAULT] or texts)


def _check_columns(long: pd.DataFrame, needed: Sequence[str]) -> None:
    if absent := [column for column in needed if column not in long.columns]:
        raise UserError(f"The scores have no column {absent[0]!r}; they have: {', '.join(map(str, long.columns))}.")
    if not long.columns.is_unique:
        raise UserError(f"The scores have the column {long.columns[long.columns.duplicated()][0]!r} twice.")


def _choose(scored: pd.DataFrame, keys: list[str], repeats: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """One score for each cell and seed, and a note where there were more; which one counts must not be a guess."""
    texts = scored.astype(str)
    cell = [column for column in keys if column in texts.columns]
    if not texts.duplicated(cell).any():
        return scored, ()
    if repeats == "refuse":
        raise UserError(_repeated(texts, cell))
    kept = ~texts.duplicated(cell, keep="first" if repeats == "first" else "last")
    number = int((~kept).sum())
    left_out = f"{number} score{'s are' if number > 1 else ' is'} left out"
    return scored[kept], (f"{left_out} because the same cell and seed has another: the {repeats} one counts.",)


def _repeated(texts: pd.DataFrame, cell: list[str]) -> str:
    repeated = texts[texts.duplicated(cell, keep=False)]
    first, second, *_ = (row for _, row in repeated.iterrows() if row[cell].equals(repeated.iloc[0][cell]))
    places = [row.name if isinstance(row.name, str) else f"row {row.name}" for row in (first, second)]
    known = {*cell, *first.index[first == first.name]}
    differing = [str(column) for column in texts.columns if column not in known and first[column] != second[column]]
    return (
        f"Two scores for {', '.join(f'{key}={first[key]}' for key in cell)}: {places[0]} and {places[1]}. "
        f"They differ in: {', '.join(differing) or 'nothing'}. Leave one out, choose by ranking.repeats=first or last, "
        "or name what differs: in ranking.seed if it tells runs apart, else in ranking.treatment or ranking.block."
    )


def _refuse_unnamed(scored: pd.DataFrame, keys: Sequence[str]) -> None:
    """Raise where a score lacks a part of its name, or two names look the same once their parts are joined."""
    if (unnamed := scored[list(keys)].isna().any()).any():
        raise UserError(f"A score has no {unnamed.idxmax()}: every score needs {', '.join(keys)}.")
    names = pd.Series(cell_names(scored.drop_duplicates(list(keys)), keys))
    if names.duplicated().any():
        raise UserError(
            f"Two different {', '.join(keys)} are both called {names[names.duplicated()].iloc[0]}; rename one."
        )
