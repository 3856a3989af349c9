"""How often each test finds a difference where there is none.

    python benchmarks/type_one_error.py [--tables 20000] [--output FILE.md]

In most columns every score is drawn from the same normal distribution, so each significant result is a false one. In
one, some treatments are better by three standard deviations, and only findings between treatments that are alike are
false. In the last, the scores of two treatments vary three times as much as the others', around the same mean. The
tests are called as a user calls them. A test of many pairs errs if it finds any such pair. With ties, scores are
rounded to half a standard deviation, which leaves hardly a block of nine without some.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from ercsatz.data.text_files import atomic_write
from ercsatz.ranking import (
    ALPHA,
    bonferroni,
    conover_pairs,
    exact_against,
    exact_pairs,
    friedman_test,
    holm,
    hommel,
    midranks,
    nemenyi_pairs,
    siegel_pairs,
    sign_pairs,
    wilcoxon_pairs,
)


class Setting(NamedTuple):
    """Tables of k treatments over n blocks."""

    k: int
    n: int
    ties: bool = False
    better: int = 0
    """So many treatments, the first, are better than the others."""
    noisier: int = 0
    """The scores of so many treatments, the last, vary three times as much."""


SETTINGS = {
    "k=9, n=9": Setting(9, 9),
    "k=9, n=9, ties": Setting(9, 9, ties=True),
    "k=3, n=6": Setting(3, 6),
    "k=3, n=6, ties": Setting(3, 6, ties=True),
    "k=9, n=9, four better": Setting(9, 9, better=4),
    "k=9, n=9, two noisier": Setting(9, 9, noisier=2),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=int, default=20_000)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    rates = pd.DataFrame({name: error_rates(setting, arguments.tables) for name, setting in SETTINGS.items()})
    text = page(rates, arguments.tables)
    print(text)
    if arguments.output:
        with atomic_write(arguments.output) as file:
            file.write(text)


def error_rates(setting: Setting, tables: int) -> "pd.Series[float]":
    """The share of random tables in which each test finds what is not there; NaN for a test that does not apply."""
    random = np.random.default_rng(0)
    is_better = np.arange(setting.k) < setting.better
    spread = np.where(np.arange(setting.k) < setting.k - setting.noisier, 1.0, 3.0)
    p = []
    for _ in range(tables):
        values = spread * random.standard_normal((setting.n, setting.k)) + 3 * is_better
        scores = pd.DataFrame(np.round(2 * values) / 2 if setting.ties else values)
        p.append(smallest_p(scores, np.equal.outer(is_better, is_better)))
    frame = pd.DataFrame(p)
    return (frame < ALPHA).mean().where(frame.notna().all())


def smallest_p(scores: pd.DataFrame, alike: np.ndarray) -> dict[str, float]:
    """Each test's p; of a test of many pairs, the smallest corrected p of a pair of treatments that are alike."""
    ranks = pd.DataFrame(midranks(scores.to_numpy()))
    exact, conover, siegel = (upper(test(ranks)) for test in (exact_pairs, conover_pairs, siegel_pairs))
    wilcoxon, sign = upper(wilcoxon_pairs(scores)), upper(sign_pairs(scores))
    false = alike[np.triu_indices(len(alike), 1)]
    p = {
        "Exact, one pair chosen beforehand": exact[-1],
        "Exact, all pairs, not corrected": exact[false].min(),
        "Exact, all pairs, Bonferroni": bonferroni(exact)[false].min(),
        "Exact, all pairs, Holm": holm(exact)[false].min(),
        "Exact, all pairs, Hommel": hommel(exact)[false].min(),
        "Exact, all against one, Holm": holm(exact_against(ranks, ranks.columns[-1]))[alike[-1, :-1]].min(),
        "Nemenyi, all pairs": upper(nemenyi_pairs(ranks))[false].min(),
        "Siegel, all pairs, Holm": holm(siegel)[false].min(),
        "Conover, all pairs, Holm": holm(conover)[false].min(),
        "Wilcoxon, one pair chosen beforehand": wilcoxon[-1],
        "Wilcoxon, all pairs, Holm": holm(wilcoxon)[false].min(),
        "Sign test, one pair chosen beforehand": sign[-1],
        "Sign test, all pairs, Holm": holm(sign)[false].min(),
    }
    return (of_all(ranks) if alike.all() else dict.fromkeys(of_all(ranks), np.nan)) | p


def of_all(ranks: pd.DataFrame) -> dict[str, float]:
    """The tests of all treatments at once; where all is tied, they find nothing."""
    test = friedman_test(ranks)
    chi2, f, exact = (test.p, test.p_f, test.p_exact) if test else (1.0, 1.0, 1.0)
    return {
        "Friedman, chi-square": chi2,
        "Friedman, Iman-Davenport F": f,
        "Friedman, exact": np.nan if exact is None else exact,
    }


def upper(matrix: pd.DataFrame) -> np.ndarray:
    """Each pair once; the last is that of the last two treatments."""
    return matrix.to_numpy()[np.triu_indices(len(matrix), 1)]


def page(rates: pd.DataFrame, tables: int) -> str:
    margin = 196 * (ALPHA * (1 - ALPHA) / tables) ** 0.5
    lines = [
        "# False findings where there is no difference, in per cent",
        "",
        f"In each column {tables:,} random tables of k treatments over n blocks, tested at the level {ALPHA:g}. The "
        f"simulation itself is off by up to {margin:.1f} (95 % interval). No treatment is better than another, but "
        "where four are, only findings between treatments that are alike count; where two are noisier, their scores "
        "vary three times as much around the same mean, and they are the pair that is chosen. A test of many pairs "
        "errs if it finds any such pair. Ties: scores rounded to half a standard deviation. `-`: does not apply.",
        "",
        "```",
        f"python benchmarks/type_one_error.py --tables {tables}",
        "```",
        "",
        f"| test | {' | '.join(rates.columns)} |",
        f"|:--|{'--:|' * len(rates.columns)}",
    ]
    for test, row in rates.iterrows():
        cells = ["-" if np.isnan(rate) else f"{rate:.1%}".removesuffix("%") for rate in row]
        lines.append(f"| {test} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
