"""The comparisons of a ranking beside the mean scores, and the tests of all treatments at once, for every table."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas as pd

from ercsatz.ranking.report.cells import digits, number, p_text, rank_text
from ercsatz.ranking.scores import ScoreTable
from ercsatz.ranking.table import ALPHA, RankResult

# Exactly 0 where all blocks agree: a limit and no evidence, so it is not shown.
CONOVER = "p_conover_holm"
OTHER_TESTS = {
    "p_hommel": "exact, Hommel",
    "p_bh": "exact, Benjamini-Hochberg",
    "p_nemenyi": "Nemenyi, all pairs",
    CONOVER: "Conover, Holm",
    "p_siegel_holm": "Siegel, Holm",
    "p_wilcoxon": "Wilcoxon",
    "p_sign": "sign test",
    "p_sign_holm": "sign test, Holm",
}
"""Columns of ``RankResult.comparisons`` that stand beside the main test, and what they are called."""

MOST_SHOWN = 1000
"""Comparisons on a page; of more, nobody reads a table, and a page of all pairs of 200 treatments has 40 MB."""


class Comparison(NamedTuple):
    """A treatment and one comparison of it, or none.

    Attributes:
        treatment: its name.
        mean: of its scores over the ranked blocks, scaled.
        gain: how much better than its baseline's mean, scaled; negative is worse; ``None`` without a comparison.
        row: of ``RankResult.comparisons``; empty without a comparison.
        verdict: better, worse, not shown, or empty without a comparison.
        digits: decimals of a score.
    """

    treatment: str
    mean: float
    gain: float | None
    row: Mapping[str, Any]
    verdict: str
    digits: int


def compared(result: RankResult, scale: float) -> list[Comparison]:
    """A line for each comparison, in the order of the treatments, and one for each treatment that has none.

    Of more than ``MOST_SHOWN`` comparisons, those with the smallest p, in this order, and nothing else.
    """
    rows = _rows(chosen(result))
    if len(rows) < len(result.comparisons):
        return _lines(result, scale, [(row["treatment"], row) for row in rows])
    of: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        of.setdefault(row["treatment"], []).append(row)
    return _lines(result, scale, [(name, row) for name in result.ranks.columns for row in of.get(name, [{}])])


def chosen(result: RankResult) -> pd.DataFrame:
    """The comparisons that a page shows."""
    made = result.comparisons
    return made if len(made) <= MOST_SHOWN else made.sort_values("p", kind="stable")[:MOST_SHOWN]


def baseline_pairs(ranked: RankResult | ScoreTable) -> list[tuple[str, str]]:
    """(treatment, baseline) of each comparison; none of so many that a line for each makes no table any more."""
    if isinstance(ranked, ScoreTable) or left_out(ranked):
        return []
    return list(zip(ranked.comparisons.treatment, ranked.comparisons.baseline, strict=True))


def left_out(result: RankResult) -> str:
    """A sentence on the comparisons that a page does not show, and where they are; empty where it shows all."""
    made = len(result.comparisons)
    if made <= MOST_SHOWN:
        return ""
    return f"Shown are the {MOST_SHOWN:,} comparisons with the smallest p; all {made:,} are in ranking.csv."


def _rows(comparisons: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(k): v for k, v in row.items()} for row in comparisons.to_dict("records")]


def _lines(result: RankResult, scale: float, rows: list[tuple[str, dict[str, Any]]]) -> list[Comparison]:
    means: dict[Any, float] = (result.table.scores.mean() * scale).to_dict()
    better, places = 1.0 if result.higher_is_better else -1.0, digits(result.table, scale)
    lines = []
    for treatment, row in rows:
        gain = better * (means[treatment] - means[row["baseline"]]) if row else None
        lines.append(Comparison(treatment, means[treatment], gain, row, _verdict(result, row), places))
    return lines


def _verdict(result: RankResult, row: Mapping[str, Any]) -> str:
    if not row:
        return ""
    if result.limit or row["p_bonferroni"] >= ALPHA or row["baseline"] in result.void_baselines:
        return "not shown"
    return "better" if row["rank_sum_difference"] > 0 else "worse"


def verdicts(result: RankResult) -> list[str]:
    """The verdict on each treatment, in their order; empty where it is compared with nothing or more than once."""
    once = result.comparisons[~result.comparisons["treatment"].duplicated(keep=False)]
    verdict = {row["treatment"]: _verdict(result, row) for row in _rows(once)}
    return [verdict.get(treatment, "") for treatment in result.ranks.columns]


def found(result: RankResult) -> int:
    """How many comparisons show a difference."""
    judged = ~result.comparisons["baseline"].isin(result.void_baselines)
    return 0 if result.limit else int((judged & (result.comparisons["p_bonferroni"] < ALPHA)).sum())


def comparison_cells(line: Comparison, scale: float) -> list[str]:
    """Baseline, mean, gain, rank-sum difference, p (Bonferroni, Holm, Wilcoxon-Holm), effect size, median and interval.

    All are plain text; empty where the treatment is compared with nothing.
    """
    row = line.row
    if line.gain is None:
        return ["", number(line.mean, f".{line.digits}f"), *[""] * 7]
    form = f"+.{line.digits}f"
    low, high = (number(row[end] * scale, form) for end in ("low", "high"))
    median = number(row["median_difference"] * scale, form)
    return [
        row["baseline"],
        number(line.mean, f".{line.digits}f"),
        number(line.gain, form),
        rank_text(row["rank_sum_difference"]),
        *(p_text(row[p]) for p in ("p_bonferroni", "p_holm", "p_wilcoxon_holm")),
        number(row["rank_biserial"], "+.2f"),
        f"{median} [{low}, {high}]",
    ]


def percent(probability: float) -> str:
    """A probability that was estimated from draws, in per cent: none is shown as 0 % or 100 %.

    Example:
        >>> percent(0.9999), percent(0.314), percent(0.0)
        ('> 99 %', '31 %', '< 1 %')
    """
    if probability < 0.01:
        return "< 1 %"
    return "> 99 %" if probability > 0.99 else f"{100 * probability:.0f} %"


class OmnibusTest(NamedTuple):
    """A test of all treatments, or a coefficient, as text."""

    name: str
    statistic: str
    df: str
    p: str


def omnibus(result: RankResult) -> list[OmnibusTest]:
    """Friedman's test in its three forms and Kendall's W; nothing where every block is tied throughout."""
    test = result.friedman
    if test is None:
        return []
    # Where all blocks agree, F has no bound and its p no meaning.
    f, p_f = ("unbounded", "-") if math.isinf(test.f) else (f"{test.f:.4f}", p_text(test.p_f))
    exact = "too many orders to go through" if test.p_exact is None else p_text(test.p_exact)
    lines = [
        OmnibusTest("Friedman, exact", f"{test.chi2:.4f}", "-", exact),
        OmnibusTest("Friedman, chi-square approximation", f"{test.chi2:.4f}", f"{test.df}", p_text(test.p)),
    ]
    if result.n > 1:
        lines.append(OmnibusTest("Iman-Davenport F", f, f"{test.f_df[0]}, {test.f_df[1]}", p_f))
        lines.append(
            OmnibusTest("Kendall's W (0: no agreement of the blocks, 1: full)", f"{result.kendalls_w:.4f}", "-", "-")
        )
    return lines
