"""What stands in the cells of a ranking, for every kind of table."""

import math
from collections.abc import Sequence
from decimal import ROUND_DOWN, Decimal
from functools import partial
from typing import NamedTuple

import numpy as np

from ercsatz.ranking.scores import DEFAULT, ScoreTable
from ercsatz.ranking.table import RankResult
from ercsatz.reporting.text import plain

MARK = "\u2020"
"""Stands at what learnt nothing."""

BONFERRONI = "Bonferroni p"
"""The row of corrected p-values."""

_FOOTNOTE = (
    f"{MARK} learnt nothing (of one seed at least, where there are several): every prediction is the same label, or "
    "W-F1 is not above that of always giving the test set's most frequent label."
)
_TITLES = {"w_f1": "W-F1", "macro_f1": "macro F1", "accuracy": "accuracy"}


class TableRow(NamedTuple):
    """A line of a table: what it is called, a text for each treatment, and which of them are the best."""

    label: str
    cells: list[str]
    best: list[bool]


class TreatmentGroup(NamedTuple):
    """Treatments that stand side by side under one heading, such as those of a classifier.

    Attributes:
        name: the heading; empty where there is none.
        members: treatment to the rest of its name.
    """

    name: str
    members: dict[str, str]


def ranked_rows(result: RankResult, scale: float, p_digits: int | None = None) -> list[TableRow]:
    """A row for each block, then rank sums and, where there are comparisons, differences and p-values."""
    rows = [_score_row(result, block, scale) for block in result.table.cells.index]
    return [*rows, *sum_rows(result, p_digits)]


def footnote(*tables: ScoreTable | None) -> list[str]:
    """What the mark means, if it stands in one of the tables."""
    return [_FOOTNOTE] if any(table is not None and table.unlearnt for table in tables) else []


def marked(table: ScoreTable, treatment: str, block: str | None = None) -> str:
    """The name of a treatment, with a mark where it learnt nothing: on a block, or on any."""
    unlearnt = treatment in table.unlearnt_treatments if block is None else (block, treatment) in table.unlearnt
    return f"{treatment} {MARK}" if unlearnt else treatment


def sum_rows(result: RankResult, p_digits: int | None = None) -> list[TableRow]:
    """Rank sums and, unless a treatment is compared with several, differences, exact p and Bonferroni p.

    Args:
        result: from ``rank``.
        p_digits: after which the corrected p is cut off; ``None``: five, rounded.
    """
    unmarked = [False] * result.k
    rows = [TableRow("rank sum", [rank_text(value) for value in result.rank_sums], unmarked)]
    compared = result.comparisons["treatment"]
    if not _compared_once(result):
        return rows
    difference = f"from {min(_baselines(result))}" if has_baselines(result) else "in its pair"
    formats = {
        "rank_sum_difference": (f"difference {difference}", rank_text),
        "p": ("exact p", p_text),
        "p_bonferroni": (BONFERRONI, p_text if p_digits is None else partial(cut_off, digits=p_digits)),
    }
    for column, (label, shown) in formats.items():
        texts = dict(zip(compared, map(shown, result.comparisons[column]), strict=True))
        rows.append(TableRow(label, [texts.get(treatment, "") for treatment in result.ranks.columns], unmarked))
    return rows


def p_notes(result: RankResult, p_digits: int | None = None) -> list[str]:
    """What the p-values of ``sum_rows`` are, for under the table; nothing where it has none."""
    if not _compared_once(result):
        return []
    made = len(result.comparisons)
    corrected = f"corrected for the {made} comparisons made (exact p \u00d7 {made}, at most 1)" if made > 1 else ""
    corrected = corrected or "the same, as one comparison is made"
    cut = "" if p_digits is None else f", cut off after {p_digits} digits and not rounded"
    return [f"Exact p: of the pair by itself, two-sided. {BONFERRONI}: {corrected}{cut}."]


def _compared_once(result: RankResult) -> bool:
    compared = result.comparisons["treatment"]
    return not (compared.empty or compared.duplicated().any())


def _score_row(result: RankResult, block: str, scale: float) -> TableRow:
    texts = score_cells(result.table, block, scale)
    ranks = block_ranks(result, block)
    if ranks is None:
        return TableRow(str(block), texts, [False] * result.k)
    cells = [f"{text} ({rank_text(value)})" for text, value in zip(texts, ranks, strict=True)]
    return TableRow(str(block), cells, [value == min(ranks) for value in ranks])


def block_ranks(result: RankResult, block: str) -> list[float] | None:
    """The ranks in a block; ``None`` where it is not ranked."""
    return result.ranks.T[block].tolist() if block in result.ranks.index else None


def score_cells(table: ScoreTable, block: str, scale: float) -> list[str]:
    """The scores of a block, with their spread where there are several seeds, and their mark; a gap is ``-``."""
    scores, spread = table.cells.T[block].tolist(), table.spread.T[block].tolist()
    form = f".{digits(table, scale)}f"
    texts = [number(score * scale, form) for score in scores]
    texts = [t if math.isnan(std) else f"{t} ± {std * scale:{form}}" for t, std in zip(texts, spread, strict=True)]
    return [f"{text} {mark}".rstrip() for text, mark in zip(texts, cell_marks(table, block), strict=True)]


def cell_marks(table: ScoreTable, block: str) -> list[str]:
    """The mark of each treatment that learnt nothing on a block; empty for the others."""
    return [MARK if (block, treatment) in table.unlearnt else "" for treatment in table.cells.columns]


def digits(table: ScoreTable, scale: float) -> int:
    """Decimals that show four significant digits of the largest score; two at the least, as for shares in per cent."""
    largest = float(np.nanmax(np.abs(table.cells.to_numpy(dtype=float)))) * scale
    return 2 if largest == 0 else max(2, 3 - math.floor(math.log10(largest)))


def number(value: float, form: str = ".2f") -> str:
    """A number, or ``-`` where there is none."""
    return "-" if value is None or math.isnan(value) else f"{value:{form}}"


def signed(value: float | None, digits: int = 2) -> str:
    """A number with its sign, or ``-`` where there is none.

    Example:
        >>> signed(0.5), signed(0.001), signed(None)
        ('+0.50', '0.00', '-')
    """
    if value is None or math.isnan(value):
        return "-"
    text = f"{value:+.{digits}f}"
    return minus(text if float(text) else text[1:])


def minus(text: str) -> str:
    """A number with a true minus sign."""
    return text.replace("-", "\u2212")


def rank_text(value: float) -> str:
    """A rank, a sum of ranks or a difference of two; a half is kept."""
    return f"{value:.1f}".removesuffix(".0")


def p_text(value: float | None) -> str:
    """A p-value in five digits after the point, or in powers of ten below; ``-`` where there is none."""
    if value is None or math.isnan(value):
        return "-"
    return f"{value:.5f}" if value >= 1e-5 else f"{value:.1e}"


def cut_off(p: float, digits: int) -> str:
    """A p-value that is cut off after some digits and not rounded, without the zero before the point.

    Example:
        >>> cut_off(0.0186821, 4), cut_off(0.00001, 4), cut_off(1.0, 4)
        ('.0186', '<.0001', '1.0000')
    """
    least = Decimal(1).scaleb(-digits)
    kept = Decimal(repr(float(p))).quantize(least, ROUND_DOWN)
    return f"{kept:f}".removeprefix("0") if kept else f"<{least:f}".replace("<0.", "<.")


def title(metric: str) -> str:
    """What a metric is called in a table."""
    return _TITLES.get(metric, metric)


def scaled_title(metric: str, scale: float) -> str:
    """``title``, and what scores are multiplied with where one would not expect it.

    Example:
        >>> scaled_title("w_f1", 100), scaled_title("error_rate", 100) == "error_rate \u00d7 100"
        ('W-F1', True)
    """
    return title(metric) if scale == 1 or metric in _TITLES else f"{metric} \u00d7 {scale:g}"


def several_seeds(table: ScoreTable) -> bool:
    """Whether a cell has more than one score behind it."""
    return int(table.seeds.to_numpy().max()) > 1


def has_baselines(result: RankResult) -> bool:
    """Whether each compared treatment has one baseline and all baselines the same part, such as ``org``, in common.

    Otherwise the comparisons are of pairs, neither of which is the baseline.
    """
    return len(_baselines(result)) == 1 and not result.comparisons["treatment"].duplicated().any()


def _baselines(result: RankResult) -> set[str]:
    """The one baseline; of several, the parts of their names that their treatments do not have."""
    keys, only = result.table.keys, {*result.comparisons["baseline"]}
    if len(only) == 1 and any(DEFAULT in keys[name] for name in only):
        return only
    pairs = zip(result.comparisons["treatment"], result.comparisons["baseline"], strict=True)
    parts = {part for t, b in pairs for other, part in zip(keys[t], keys[b], strict=True) if other != part}
    return parts - {DEFAULT}


def groups(table: ScoreTable, treatments: Sequence[str]) -> list[TreatmentGroup]:
    """Treatments by the first part of their names, in their order; one group without a name where that tells nothing.

    It tells nothing where a name has no parts, where the treatments of a group do not follow one another, or where
    every treatment would be a group.
    """
    keys = [table.keys[treatment] for treatment in treatments]
    found: dict[str, dict[str, str]] = {}
    for treatment, key in zip(treatments, keys, strict=True):
        found.setdefault(key[0], {})[treatment] = plain(treatment[len(key[0]) + 1 :])
    together = [treatment for members in found.values() for treatment in members] == list(treatments)
    if not together or min(map(len, keys)) < 2 or len(found) == len(treatments):
        return [TreatmentGroup("", {treatment: plain(treatment) for treatment in treatments})]
    return [TreatmentGroup(plain(name), members) for name, members in found.items()]
