"""Tables beside the ranking: scores of some blocks as a paper has them, and the scores that a paper published."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd

from ercsatz.ranking.friedman import midranks
from ercsatz.ranking.report.cells import digits, groups, minus, number, rank_text, scaled_title, score_cells, signed
from ercsatz.ranking.scores import ScoreTable
from ercsatz.ranking.table import RankResult

OURS, THEIRS, DIFFERENCE = "here", "paper", "diff."
_MEANING = "Paper: the scores of {}; diff.: the score here less theirs."


@dataclass(frozen=True, eq=False)
class Published:
    """Scores that somebody published.

    Attributes:
        name: whose they are, in short, such as "Kaplan et al. (2025)".
        source: the publication.
        scores: under the names of the table's treatments and blocks and in the unit of its scores; NaN where there is
            none. What the table does not have is not in it.
        total: how many scores were published.
        note: a sentence on what sets them apart.
    """

    name: str
    source: str
    scores: pd.DataFrame
    total: int
    note: str = ""


@dataclass(frozen=True)
class Slice:
    """Some blocks as a table of their own, with a row per treatment and a column per block.

    Attributes:
        title: above the table.
        blocks: the blocks, and what heads the column of each.
    """

    title: str
    blocks: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class Layout:
    """What a report shows in the way of a paper. Whatever is empty is left out.

    Attributes:
        parts: what heads the parts of a treatment's name, such as ("classifier", "variant").
        slices: tables of some blocks.
        published: scores to put beside.
        p_digits: after which the corrected p under the main table is cut off; ``None``: five digits, rounded.
    """

    parts: tuple[str, ...] = ()
    slices: tuple[Slice, ...] = ()
    published: Published | None = None
    p_digits: int | None = None


class TextCell(NamedTuple):
    """A text, and whether it is the best of its column."""

    text: str
    best: bool = False


@dataclass(frozen=True)
class TextTable:
    """A table that says the same in every kind of file.

    Attributes:
        label: short, for addresses.
        title: above it.
        names: how many columns, from the left, hold names; the others hold numbers.
        groups: heads above the columns of numbers, and how many columns each spans; may be empty.
        head: a text per column.
        rows: a cell per column.
        starts: the rows that begin a group, but for the first.
        notes: sentences below it.
    """

    label: str
    title: str
    names: int
    groups: tuple[tuple[str, int], ...]
    head: tuple[str, ...]
    rows: tuple[tuple[TextCell, ...], ...]
    starts: frozenset[int]
    notes: tuple[str, ...] = ()


def layout_tables(ranked: RankResult | ScoreTable | str, scale: float, layout: Layout) -> list[TextTable]:
    """The tables of a layout for these scores; those of which nothing is there are left out.

    Args:
        ranked: a ranking, or scores that are shown without being ranked; of a sentence there is no table.
        scale: what scores are multiplied with; 100 for scores from 0 to 1.
        layout: which tables.

    Example:
        >>> table = ScoreTable.from_frame(pd.DataFrame({"org": [0.4], "nat": [0.5]}, index=["meld_org"]))
        >>> (found,) = layout_tables(table, 100, Layout(slices=(Slice("Real test sets", {"meld_org": "MELD"}),)))
        >>> found.head, [[cell.text for cell in row] for row in found.rows]
        (('treatment', 'MELD'), [['org', '40.00'], ['nat', '50.00']])
    """
    if isinstance(ranked, str):
        return []
    table = ranked.table if isinstance(ranked, RankResult) else ranked
    higher = ranked.higher_is_better if isinstance(ranked, RankResult) else True
    slices = enumerate((each for each in layout.slices if each.blocks), 1)
    found = [_slice(f"slice-{place}", table, each, scale, higher, layout) for place, each in slices]
    if layout.published is not None and layout.published.scores.notna().any(axis=None):
        found.append(_beside(ranked, table, scale, layout.published))
    return found


def _slice(label: str, table: ScoreTable, part: Slice, scale: float, higher: bool, layout: Layout) -> TextTable:
    keys = [table.keys[treatment] for treatment in table.cells.columns]
    parts = layout.parts if len(layout.parts) == len(keys[0]) else ("treatment",) * len(keys[0])
    published = layout.published.scores if layout.published else pd.DataFrame()
    beside = [block in published.index for block in part.blocks]
    columns: list[list[TextCell]] = []
    for block, theirs in zip(part.blocks, beside, strict=True):
        scores = table.cells.T[block]
        best = scores == (scores.max() if higher else scores.min())
        columns.append([TextCell(*cell) for cell in zip(score_cells(table, block, scale), best, strict=True)])
        if theirs:
            columns += _theirs_and_difference(table, block, published, scale)
    heads = [
        (head, (OURS, THEIRS, DIFFERENCE) if theirs else (OURS,))
        for head, theirs in zip(part.blocks.values(), beside, strict=True)
    ]
    notes = [f"{scaled_title(table.metric, scale)}; the best of each test set is bold."]
    if layout.published and any(beside):
        notes.append(_MEANING.format(layout.published.name))
    return TextTable(
        label=label,
        title=part.title,
        names=len(parts),
        groups=tuple((head, len(columns)) for head, columns in heads) if any(beside) else (),
        head=(*parts, *([name for _, names in heads for name in names] if any(beside) else part.blocks.values())),
        rows=tuple(
            (*map(TextCell, names), *cells)
            for names, cells in zip(_without_repeats(keys), zip(*columns, strict=True), strict=True)
        ),
        starts=_starts([key[0] for key in keys]),
        notes=tuple(notes),
    )


def _theirs_and_difference(
    table: ScoreTable, block: str, published: pd.DataFrame, scale: float
) -> list[list[TextCell]]:
    theirs = published.T[block].reindex(table.cells.columns)
    return [
        [TextCell(number(value * scale, f".{digits(table, scale)}f")) for value in theirs],
        [TextCell(signed(value * scale, digits(table, scale))) for value in table.cells.T[block] - theirs],
    ]


def _without_repeats(keys: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The keys with an empty first part where it is that of the key before."""
    return [
        ("", *key[1:]) if place and len(key) > 1 and keys[place - 1][0] == key[0] else key
        for place, key in enumerate(keys)
    ]


def _starts(firsts: Sequence[str]) -> frozenset[int]:
    """Where a new first part begins; nowhere, where each line would begin one."""
    starts = frozenset(place for place in range(1, len(firsts)) if firsts[place] != firsts[place - 1])
    return starts if len(starts) < len(firsts) - 1 else frozenset()


def _beside(ranked: RankResult | ScoreTable, table: ScoreTable, scale: float, published: Published) -> TextTable:
    """Three lines for each block of which something is published: the score here, the published one, the difference."""
    there = published.scores.reindex(index=table.cells.index, columns=table.cells.columns)
    there = there.loc[there.notna().any(axis=1), there.notna().any(axis=0)]
    treatments = list(there.columns)
    places = [list(table.cells.columns).index(treatment) for treatment in treatments]
    rows: list[tuple[TextCell, ...]] = []
    for block in there.index:
        ours = [score_cells(table, block, scale)[place] for place in places]
        theirs, difference = (
            [column[place] for place in places] for column in _theirs_and_difference(table, block, there, scale)
        )
        rows.append((TextCell(str(block)), TextCell(OURS), *map(TextCell, ours)))
        rows += [(TextCell(""), TextCell(THEIRS), *theirs), (TextCell(""), TextCell(DIFFERENCE), *difference)]
    if sums := _rank_sums(ranked, there, published):
        rows += sums
    gathered = groups(table, treatments)
    return TextTable(
        label="published",
        title=f"Beside {published.name}",
        names=2,
        groups=tuple((group.name, len(group.members)) for group in gathered) if gathered[0].name else (),
        head=(
            scaled_title(table.metric, scale),
            "",
            *(short for group in gathered for short in group.members.values()),
        ),
        rows=tuple(rows),
        starts=frozenset(range(3, len(rows), 3)),
        notes=tuple(_told(table, there, scale, published)),
    )


def _rank_sums(
    ranked: RankResult | ScoreTable, there: pd.DataFrame, published: Published
) -> list[tuple[TextCell, ...]]:
    """Rank sums here and there, where both are over the same treatments and blocks: they depend on all of them."""
    if not isinstance(ranked, RankResult) or there.isna().any(axis=None) or there.size != published.total:
        return []
    if list(there.index) != list(ranked.ranks.index) or list(there.columns) != list(ranked.ranks.columns):
        return []
    theirs = midranks(there.to_numpy(), ranked.higher_is_better).sum(axis=0)
    ours = ranked.rank_sums.to_numpy()
    lines = {OURS: ours, THEIRS: theirs}
    rows = [(TextCell(""), TextCell(name), *(TextCell(rank_text(v)) for v in sums)) for name, sums in lines.items()]
    rows.append(
        (TextCell(""), TextCell(DIFFERENCE), *(TextCell(minus(f"{v:+g}") if v else "0") for v in ours - theirs))
    )
    return [(TextCell("rank sum"), *rows[0][1:]), *rows[1:]]


def _told(table: ScoreTable, there: pd.DataFrame, scale: float, published: Published) -> list[str]:
    gaps = (table.cells.loc[there.index, there.columns] - there).to_numpy(dtype=float) * scale
    places = [(str(block), str(treatment)) for block in there.index for treatment in there.columns]
    found = {place: gap for place, gap in zip(places, gaps.ravel().tolist(), strict=True) if not math.isnan(gap)}
    told = [
        f"{_MEANING.format(published.name)} No test is made of the differences.",
        f"{len(found)} scores here have a published one beside them; {published.total} were published.",
    ]
    if found:
        told[1] += _spread(found, digits(table, scale))
    return [*told, *([published.note] if published.note else []), f"Source: {published.source}"]


def _spread(found: Mapping[tuple[str, str], float], places: int) -> str:
    """How large differences are, by block and treatment."""
    ends = [end(found, key=found.__getitem__) for end in (min, max)]
    low, high = (f"{signed(found[end], places)} ({end[1]} on {end[0]})" for end in ends)
    if not any(float(f"{found[end]:.{places}f}") for end in ends):
        return " They are the same."
    return f" The differences are {signed(sum(found.values()) / len(found), places)} in the mean, from {low} to {high}."
