"""The tests of all treatments at once, as lines of a table."""

import math
from typing import NamedTuple

from ercsatz.ranking.report.cells import p_text
from ercsatz.ranking.table import RankResult


class Line(NamedTuple):
    """A test of all treatments, or a coefficient, as text."""

    name: str
    statistic: str
    df: str
    p: str


def omnibus(result: RankResult) -> list[Line]:
    """Friedman's test in its three forms and Kendall's W; nothing where every block is tied throughout."""
    test = result.friedman
    if test is None:
        return []
    # Where all blocks agree, F has no bound and its p no meaning.
    f, p_f = ("unbounded", "-") if math.isinf(test.f) else (f"{test.f:.4f}", p_text(test.p_f))
    exact = "too many orders to go through" if test.p_exact is None else p_text(test.p_exact)
    lines = [
        Line("Friedman, exact", f"{test.chi2:.4f}", "-", exact),
        Line("Friedman, chi-square approximation", f"{test.chi2:.4f}", f"{test.df}", p_text(test.p)),
    ]
    if result.n > 1:
        lines.append(Line("Iman-Davenport F", f, f"{test.f_df[0]}, {test.f_df[1]}", p_f))
        lines.append(Line("Kendall's W (0: no agreement of the blocks, 1: full)", f"{result.kendalls_w:.4f}", "-", "-"))
    return lines
