"""How often each test finds a difference where there is none.

    python benchmarks/type_one_error.py [--tables 20000] [--output FILE.md]

Every score is drawn from the same normal distribution, so each significant result is a false one. The tests are called
as a user calls them. A test of many pairs counts as wrong if it finds any pair. With ties, scores are rounded to half a
standard deviation, which leaves hardly a block of nine without some.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from ercsatz.dialogue import atomic_write
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

SETTINGS = {
    "k=9, n=9": (9, 9, False),
    "k=9, n=9, ties": (9, 9, True),
    "k=3, n=6": (3, 6, False),
    "k=3, n=6, ties": (3, 6, True),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=int, default=20_000)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    rates = pd.DataFrame({name: error_rates(*size, arguments.tables) for name, size in SETTINGS.items()})
    text = page(rates, arguments.tables)
    print(text)
    if arguments.output:
        with atomic_write(arguments.output) as file:
            file.write(text)


def error_rates(k: int, n: int, ties: bool, tables: int) -> "pd.Series[float]":
    """The share of random tables in which each test finds something; NaN for a test that does not apply."""
    random = np.random.default_rng(0)
    p = []
    for _ in range(tables):
        values = random.standard_normal((n, k))
        p.append(smallest_p(pd.DataFrame(np.round(2 * values) / 2 if ties else values)))
    frame = pd.DataFrame(p)
    return (frame < ALPHA).mean().where(frame.notna().all())


def smallest_p(scores: pd.DataFrame) -> dict[str, float]:
    """Each test's p; of a test of many pairs, the smallest corrected p."""
    ranks = pd.DataFrame(midranks(scores.to_numpy()))
    friedman = friedman_test(ranks)
    chi2, f, exact = (friedman.p, friedman.p_f, friedman.p_exact) if friedman else (1.0, 1.0, 1.0)
    pairs = upper(exact_pairs(ranks))
    conover = float(holm(upper(conover_pairs(ranks))).min())
    wilcoxon, sign = upper(wilcoxon_pairs(scores)), upper(sign_pairs(scores))
    return {
        "Friedman, chi-square": chi2,
        "Friedman, Iman-Davenport F": f,
        "Friedman, exact": np.nan if exact is None else exact,
        "Exact, one pair chosen beforehand": pairs[0],
        "Exact, all pairs, not corrected": pairs.min(),
        "Exact, all pairs, Bonferroni or Holm": bonferroni(pairs).min(),
        "Exact, all pairs, Hommel": hommel(pairs).min(),
        "Exact, all against one, Bonferroni or Holm": bonferroni(exact_against(ranks, ranks.columns[0])).min(),
        "Nemenyi, all pairs": upper(nemenyi_pairs(ranks)).min(),
        "Siegel, all pairs, Holm": holm(upper(siegel_pairs(ranks))).min(),
        "Conover, all pairs, Holm": conover,
        "Conover, all pairs, Holm, only after Friedman (F)": conover if f < ALPHA else 1.0,
        "Wilcoxon, one pair chosen beforehand": wilcoxon[0],
        "Wilcoxon, all pairs, Holm": holm(wilcoxon).min(),
        "Sign test, one pair chosen beforehand": sign[0],
        "Sign test, all pairs, Holm": holm(sign).min(),
    }


def upper(matrix: pd.DataFrame) -> np.ndarray:
    """Each pair once."""
    return matrix.to_numpy()[np.triu_indices(len(matrix), 1)]


def page(rates: pd.DataFrame, tables: int) -> str:
    margin = 196 * (ALPHA * (1 - ALPHA) / tables) ** 0.5
    lines = [
        "# False findings where there is no difference, in per cent",
        "",
        f"In each column {tables:,} random tables of k treatments over n blocks, without any true difference, tested at "
        f"the {ALPHA:.0%} level. The simulation itself is off by up to {margin:.1f} (95 % interval). A test of many "
        "pairs errs if it finds any pair. Ties: scores rounded to half a standard deviation. `-`: cannot be computed.",
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
