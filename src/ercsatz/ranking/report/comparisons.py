"""The comparisons of a ranking beside the mean scores, and the tests of all treatments at once, for every table."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from ercsatz.ranking.report.cells import digits, number, p_text, rank_text
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
    """A line for each comparison, in the order of the treatments, and one for each treatment that has none."""
    means, places = result.table.scores.mean() * scale, digits(result.table, scale)
    better = 1.0 if result.higher_is_better else -1.0
    lines = []
    rows: list[dict[str, Any]] = [{str(k): v for k, v in row.items()} for row in result.comparisons.to_dict("records")]
    for treatment in result.ranks.columns:
        for row in [row for row in rows if row["treatment"] == treatment] or [{}]:
            gain = better * float(means[treatment] - means[row["baseline"]]) if row else None
            lines.append(Comparison(treatment, float(means[treatment]), gain, row, _verdict(result, row), places))
    return lines


def _verdict(result: RankResult, row: Mapping[str, Any]) -> str:
    if not row:
        return ""
    if result.limit or row["p_bonferroni"] >= ALPHA:
        return "not shown"
    return "better" if row["rank_sum_difference"] > 0 else "worse"


def verdicts(result: RankResult) -> list[str]:
    """The verdict on each treatment, in their order; empty where it is compared with nothing or more than once."""
    found = result.comparisons["treatment"].value_counts()
    verdict = {line.treatment: line.verdict for line in compared(result, 1.0)}
    return [verdict[treatment] if found.get(treatment, 0) == 1 else "" for treatment in result.ranks.columns]


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
