"""What the tables of the page show: the scores, the comparisons, all pairs."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from ercsatz.ranking.p_adjustment import adjust_pairs, bonferroni
from ercsatz.ranking.report.cells import (
    BONFERRONI,
    TreatmentGroup,
    block_ranks,
    cell_marks,
    digits,
    groups,
    marked,
    minus,
    number,
    p_text,
    rank_text,
    scaled_title,
    signed,
    sum_rows,
)
from ercsatz.ranking.report.comparisons import CONOVER, OTHER_TESTS, Comparison, chosen, compared, percent, verdicts
from ercsatz.ranking.scores import ScoreTable
from ercsatz.ranking.table import ALPHA, RankResult

_STRONGEST = 26  # per cent of a colour behind the best rank
_SUPERSCRIPTS = str.maketrans("-0123456789", "\u207b\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079")
_CLASSES = {"better": "sure good", "worse": "sure bad"}
_SIGNS = {"better": "\u25b2 ", "worse": "\u25bc "}


class ScoreCell(NamedTuple):
    """A score in its block; ``heat`` is a share of a colour, the larger the better the rank; ``mark`` may be empty."""

    score: str
    mark: str
    spread: str
    rank: str
    best: bool
    heat: str


class Mark(NamedTuple):
    """A text and the classes of its cell."""

    text: str
    classes: str = ""


@dataclass(frozen=True)
class ScoreView:
    """A table of scores: treatments by group, a row of cells per block, and rows of sums."""

    corner: str
    groups: list[TreatmentGroup]
    rows: list[tuple[str, list[ScoreCell]]]
    sums: list[tuple[str, list[Mark]]]

    @property
    def starts(self) -> set[int]:
        """Positions of the columns that a group begins with."""
        sizes = [len(group.members) for group in self.groups]
        return {sum(sizes[:place]) for place in range(len(sizes))}


def score_view(ranked: RankResult | ScoreTable, scale: float, p_digits: int | None = None) -> ScoreView:
    """The scores of a ranking, or scores that are not ranked; ``p_digits`` as of ``sum_rows``."""
    if isinstance(ranked, ScoreTable):
        rows = [(str(block), _cells(ranked, block, scale, None)) for block in ranked.cells.index]
        return ScoreView(scaled_title(ranked.metric, scale), groups(ranked, list(ranked.cells.columns)), rows, [])
    table = ranked.table
    rows = [(str(block), _cells(table, block, scale, block_ranks(ranked, block))) for block in table.cells.index]
    corner = f"{scaled_title(table.metric, scale)} (rank)"
    return ScoreView(corner, groups(table, list(ranked.ranks.columns)), rows, _sums(ranked, p_digits))


def _cells(table: ScoreTable, block: str, scale: float, ranks: Sequence[float] | None) -> list[ScoreCell]:
    scores, spread = table.cells.T[block].tolist(), table.spread.T[block].tolist()
    shown, form = [], f".{digits(table, scale)}f"
    for place, (score, std, mark) in enumerate(zip(scores, spread, cell_marks(table, block), strict=True)):
        rank = ranks[place] if ranks is not None else None
        heat = 0.0 if rank is None else _STRONGEST * (len(scores) - rank) / (len(scores) - 1)
        best = ranks is not None and rank == min(ranks)
        around = "" if math.isnan(std) else f"\u00b1 {std * scale:{form}}"
        ranked = "" if rank is None else rank_text(rank)
        shown.append(ScoreCell(number(score * scale, form), mark, around, ranked, best, f"{heat:.0f}%"))
    return shown


def _sums(result: RankResult, p_digits: int | None) -> list[tuple[str, list[Mark]]]:
    rows = []
    for row in sum_rows(result, p_digits):
        found = verdicts(result) if row.label == BONFERRONI else [""] * result.k
        marks = [Mark(powers(text), _CLASSES.get(verdict, "")) for text, verdict in zip(row.cells, found, strict=True)]
        rows.append((row.label, marks))
    return rows


@dataclass(frozen=True)
class Range:
    """Where zero, an interval and its middle are on a strip, in per cent of its width."""

    zero: float
    start: float
    width: float
    middle: float


class ComparisonRow(NamedTuple):
    """A treatment beside its baseline; without one there is only the mean. ``first``: of its group."""

    treatment: str
    first: bool
    mean: str
    baseline: str = ""
    gain: str = ""
    difference: str = ""
    p: str = ""
    bonferroni: Mark = Mark("")
    holm: str = ""
    wilcoxon: str = ""
    effect: str = ""
    median: str = ""
    interval: str = ""
    range: Range | None = None
    posterior: Mapping[str, tuple[str, str]] = MappingProxyType({})


def comparison_rows(result: RankResult, scale: float) -> list[ComparisonRow]:
    """A row per comparison, and one per treatment without any."""
    lines = compared(result, scale)
    ends = [value * scale for line in lines if line.row for value in _interval(line) if not math.isnan(value)]
    span = (min([0.0, *ends]), max([0.0, *ends]))
    firsts = {next(iter(group.members)) for group in groups(result.table, list(result.ranks.columns))[1:]}
    return [_comparison_row(result.table, line, scale, span, line.treatment in firsts) for line in lines]


def _comparison_row(
    table: ScoreTable, line: Comparison, scale: float, span: tuple[float, float], first: bool
) -> ComparisonRow:
    row, treatment = line.row, marked(table, line.treatment)
    if not row:
        return ComparisonRow(treatment, first, number(line.mean, f".{line.digits}f"))
    low, median, high = (value * scale for value in _interval(line))
    parts = ("better", "equivalent", "worse")
    return ComparisonRow(
        treatment=treatment,
        first=first,
        baseline=marked(table, str(row["baseline"])),
        mean=number(line.mean, f".{line.digits}f"),
        gain=signed(line.gain, line.digits),
        difference=minus(rank_text(row["rank_sum_difference"])),
        p=powers(p_text(row["p"])),
        bonferroni=Mark(
            _SIGNS.get(line.verdict, "") + powers(p_text(row["p_bonferroni"])), _CLASSES.get(line.verdict, "")
        ),
        holm=powers(p_text(row["p_holm"])),
        wilcoxon=powers(p_text(row["p_wilcoxon_holm"])),
        effect=signed(row["rank_biserial"]),
        median=signed(median, line.digits),
        interval=f"{signed(low, line.digits)} to {signed(high, line.digits)}" if not math.isnan(low) else "",
        range=_range(low, median, high, span),
        posterior={part: (f"{row[part]:.1%}", percent(row[part])) for part in parts},
    )


def _interval(line: Comparison) -> tuple[float, float, float]:
    return line.row["low"], line.row["median_difference"], line.row["high"]


def _range(low: float, median: float, high: float, span: tuple[float, float]) -> Range | None:
    if math.isnan(low) or span[0] == span[1]:
        return None
    zero, start, middle, end = (100 * (value - span[0]) / (span[1] - span[0]) for value in (0.0, low, median, high))
    return Range(zero, start, end - start, middle)


def other_tests(result: RankResult) -> list[tuple[str, str, list[Mark]]]:
    """Treatment, baseline, and the p-values of the tests that stand beside the main one.

    Nothing is marked where nothing can be significant.
    """
    rows = []
    for row in chosen(result).to_dict("records"):
        marks = [_mark(result, math.nan if p == CONOVER and row[p] == 0 else row[p]) for p in OTHER_TESTS]
        treatment, baseline = (marked(result.table, str(row[name])) for name in ("treatment", "baseline"))
        rows.append((treatment, baseline, marks))
    return rows


def pair_rows(result: RankResult) -> list[tuple[str, list[Mark]]]:
    """Exact p of all pairs, Bonferroni-corrected for their number; the best treatment first, each pair once."""
    order = result.rank_sums.sort_values(kind="stable").index
    matrix = adjust_pairs(result.pairs, bonferroni).loc[order, order].to_numpy()
    rows = []
    for place, name in enumerate(order):
        rows.append((marked(result.table, str(name)), [_mark(result, p) for p in matrix[place, :place]]))
    return rows


def _mark(result: RankResult, p: float) -> Mark:
    return Mark(powers(p_text(p)), "sure" if p < ALPHA and not result.limit else "")


def powers(text: str) -> str:
    r"""Powers of ten as one writes them.

    Example:
        >>> powers("1.9e-09") == "1.9\u00d710\u207b\u2079"
        True
    """
    return re.sub(r"e-0?(\d+)", lambda power: f"\u00d710{f'-{power[1]}'.translate(_SUPERSCRIPTS)}", text)
