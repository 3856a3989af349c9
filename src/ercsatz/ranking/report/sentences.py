"""What was found and what was not, in sentences; a paper's methods paragraph, and whom to cite for which test."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ercsatz.ranking.metrics import one_point, shown_scale
from ercsatz.ranking.report.cells import digits, has_baselines, number, p_text, title
from ercsatz.ranking.scores import ScoreTable
from ercsatz.ranking.table import ALPHA, RankResult

_POOL = (
    "Rank sums depend on all treatments in the table: others beside them can change what is found "
    "(Benavoli, Corani and Mangili 2016)."
)

_SILENT = (
    "The comparisons are taken as fixed beforehand and are corrected by themselves; with Friedman's test silent, what "
    "they show is weak evidence."
)
_MOST_LISTED = 12
_ORDER = ("better", "worse", "ahead", "behind", "no")  # of the groups of comparisons, by their first word
# First parts of names that number blocks and name no benchmark.
_COUNTERS = {"block", "data", "dataset", "fold", "part", "run", "set", "split", "task", "test"}


def sentences(ranked: RankResult | ScoreTable | str, scale: float | None = None) -> list[str]:
    """What was found, by which test, how sure, and what cannot be concluded, in plain text.

    Args:
        ranked: a ranking; scores that are shown without being ranked; or a sentence that says why there are none.
        scale: what gains are multiplied with; ``None``: 100 for shares from 0 to 1.

    Example:
        >>> import pandas as pd
        >>> from ercsatz.ranking import rank
        >>> scores = pd.DataFrame({"org": [0.5, 0.6], "nat": [0.55, 0.58]}, index=["meld", "iemocap"])
        >>> for sentence in sentences(rank(scores, [("nat", "org")])):
        ...     print(sentence.split(".")[0])
        Friedman's test over 2 blocks and 2 treatments does not show that the treatments differ (exact p = 1
        A difference cannot be significant at this size (smallest attainable corrected p = 0
        From 6 blocks on, a table like this can show a difference
        One score stands in each cell: how far it would move with another seed is not known
        Rank sums depend on all treatments in the table: others beside them can change what is found (Benavoli, Corani and Mangili 2016)
    """  # noqa: E501
    return [*findings(ranked, scale), *limits(ranked)]


def findings(ranked: RankResult | ScoreTable | str, scale: float | None = None) -> list[str]:
    """The first of ``sentences``: what was found, and by which test."""
    if isinstance(ranked, str):
        return [ranked]
    if isinstance(ranked, ScoreTable):
        return [_unranked(ranked)]
    factor = shown_scale(ranked.table.metric, ranked.table.cells) if scale is None else scale
    return [*_friedman(ranked), *([ranked.limit] if ranked.limit else _comparisons(ranked, factor))]


def limits(ranked: RankResult | ScoreTable | str) -> list[str]:
    """The last of ``sentences``: what is missing, and what cannot be concluded."""
    if isinstance(ranked, str):
        return []
    if isinstance(ranked, ScoreTable):
        alone = one_benchmark(ranked.cells.index)
        return [*_missing(ranked), *ranked.notes, _seeds(ranked, ranked.cells.index), *alone]
    table = ranked.table
    dropped = (
        [f"Not ranked, because a score is missing: {', '.join(map(str, table.dropped))}."] if table.dropped else []
    )
    size = (
        [f"From {ranked.blocks_needed} blocks on, a table like this can show a difference."]
        if ranked.friedman is not None and not ranked.can_be_significant and ranked.n < ranked.blocks_needed
        else []
    )
    lower = [] if ranked.higher_is_better else [f"A lower {title(table.metric)} is better: rank 1 is the lowest."]
    seeds = _seeds(table, ranked.ranks.index)
    alone = one_benchmark(ranked.ranks.index)
    return [*size, *_missing(table), *dropped, *table.notes, *lower, seeds, *alone, _POOL]


def one_benchmark(blocks: "pd.Index[str]") -> list[str]:
    """A caution where all blocks are of one benchmark, by the first part of their names; else nothing.

    Example:
        >>> one_benchmark(pd.Index(["meld_org", "meld_nat"]))
        ['All blocks are test sets of meld: nothing follows for other benchmarks.']
        >>> one_benchmark(pd.Index(["meld_org", "iemocap_org"]))
        []
    """
    firsts = {str(block).partition("_")[:2] for block in blocks}
    ((name, joint),) = firsts if len(firsts) == 1 else (("", ""),)
    if len(blocks) < 2 or not name or not joint or name.lower() in _COUNTERS:
        return []
    return [f"All blocks are test sets of {name}: nothing follows for other benchmarks."]


def _unranked(table: ScoreTable) -> str:
    if len(table.cells.columns) == 1:
        return f"{table.cells.columns[0]} is the only treatment with scores, so there is nothing to rank."
    return "No block has a score for every treatment, so nothing is ranked."


def _friedman(result: RankResult) -> list[str]:
    test = result.friedman
    if test is None:
        return []
    if test.p_exact is None:
        how = (
            f"chi-square {test.chi2:.4f}, {plural(test.df, 'degree')} of freedom, p = {p_text(test.p)} by the "
            "chi-square approximation"
        )
    else:
        how = f"exact p = {p_text(test.p_exact)}"
    verdict = "shows" if _friedman_shows(result) else "does not show"
    return [
        f"Friedman's test over {plural(result.n, 'block')} and {result.k} treatments {verdict} that the treatments "
        f"differ ({how})."
    ]


def _friedman_shows(result: RankResult) -> bool:
    test = result.friedman
    return test is not None and result.n > 1 and (test.p if test.p_exact is None else test.p_exact) < ALPHA


def _comparisons(result: RankResult, scale: float) -> list[str]:
    if result.comparisons.empty:
        return ["No treatment has a baseline in the table, so none were compared."]
    groups: dict[str, list[str]] = {}
    form = f"+.{digits(result.table, scale)}f"
    for row in result.comparisons.to_dict("records"):
        group = _group(result, row)
        than = "than" if group in ("better", "worse") else "against"
        gain = number(row["median_difference"] * scale, form)
        pair = f"{row['treatment']} {than} {row['baseline']}"
        groups.setdefault(group, []).append(f"{pair} (median gain {gain}, p = {p_text(row['p_bonferroni'])})")
    ordered = sorted(groups, key=lambda group: _ORDER.index(group.split()[0]))
    ties = f", given the tied ranks in {result.tied_blocks} of the blocks" if result.tied_blocks else ""
    verdicts = "; ".join(f"{group}: {_listed(groups[group])}" for group in ordered)
    proof = " A difference that is not shown may still be there." if ordered[-1].startswith("no") else ""
    weak = [_SILENT] if not ordered[0].startswith("no") and not _friedman_shows(result) else []
    return [
        f"{verdicts[0].upper()}{verdicts[1:]}. This is by the exact test of rank-sum differences (Eisinga et al. 2017)"
        f"{ties}, two-sided, Bonferroni-corrected for {plural(len(result.comparisons), 'comparison')}, at the "
        f"{ALPHA:g} level.{proof}",
        *weak,
    ]


def _group(result: RankResult, row: Mapping[Any, Any]) -> str:
    """What a comparison is told under."""
    if row["p_bonferroni"] >= ALPHA:
        return "no difference shown"
    ahead = row["rank_sum_difference"] > 0
    table = result.table
    seeds = table.seeds.loc[result.ranks.index, [row["treatment"], row["baseline"]]].to_numpy().min()
    point = one_point(table.metric, table.cells)
    if seeds == 1 and point and round(abs(row["median_difference"]) - point, 12) <= 0:
        return f"{'ahead' if ahead else 'behind'} in rank, but by no more than one point, which one seed cannot carry"
    return f"{'better' if ahead else 'worse'}{' than the baseline' if has_baselines(result) else ''}"


def _listed(pairs: list[str]) -> str:
    more = f" and {len(pairs) - _MOST_LISTED} more" if len(pairs) > _MOST_LISTED else ""
    return ", ".join(pairs[:_MOST_LISTED]) + more


def _missing(table: ScoreTable) -> list[str]:
    return [f"No scores, so left out: {', '.join(table.missing)}."] if table.missing else []


def _seeds(table: ScoreTable, blocks: "pd.Index[str]") -> str:
    counts = table.seeds.loc[blocks].to_numpy()
    fewest, most = int(counts[counts > 0].min()), int(counts.max())
    finding = (
        "a difference under one point (of 100) is not a finding."
        if one_point(table.metric, table.cells)
        else "how far it would move with another seed is not known."
    )
    if most == 1:
        return f"One score stands in each cell: {finding}"
    number = f"{most}" if fewest == most else f"{fewest} to {most}"
    caution = f" Where there is one score, {finding}" if fewest == 1 else ""
    return f"Scores are means over {number} seeds, with their sample standard deviation.{caution}"


def plural(count: int, noun: str) -> str:
    """A number and what it counts, e.g. ``2 blocks``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


REFERENCES = {
    "Exact test of rank sums": "R. Eisinga, T. Heskes, B. Pelzer and M. Te Grotenhuis. Exact p-values for pairwise "
    "comparison of Friedman rank sums, with application to comparing classifiers. BMC Bioinformatics 18:68, 2017.",
    "Friedman's test": "M. Friedman. The use of ranks to avoid the assumption of normality implicit in the analysis of "
    "variance. Journal of the American Statistical Association 32:675-701, 1937.",
    "Iman-Davenport F": "R. L. Iman and J. M. Davenport. Approximations of the critical region of the Friedman "
    "statistic. Communications in Statistics A 9:571-595, 1980.",
    "Critical-difference diagram, Nemenyi": "J. Demšar. Statistical comparisons of classifiers over multiple data "
    "sets. Journal of Machine Learning Research 7:1-30, 2006.",
    "Holm": "S. Holm. A simple sequentially rejective multiple test procedure. Scandinavian Journal of Statistics "
    "6:65-70, 1979.",
    "Hommel": "G. Hommel. A stagewise rejective multiple test procedure based on a modified Bonferroni test. "
    "Biometrika 75:383-386, 1988.",
    "Benjamini-Hochberg": "Y. Benjamini and Y. Hochberg. Controlling the false discovery rate: a practical and "
    "powerful approach to multiple testing. Journal of the Royal Statistical Society B 57:289-300, 1995.",
    "Wilcoxon": "F. Wilcoxon. Individual comparisons by ranking methods. Biometrics Bulletin 1:80-83, 1945.",
    "Conover": "W. J. Conover. Practical Nonparametric Statistics, 3rd edition. Wiley, 1999.",
    "Siegel": "S. Siegel and N. J. Castellan. Nonparametric Statistics for the Behavioral Sciences, 2nd edition. "
    "McGraw-Hill, 1988.",
    "Kendall's W": "M. G. Kendall and B. Babington Smith. The problem of m rankings. Annals of Mathematical Statistics "
    "10:275-287, 1939.",
    "Rank-biserial correlation": "D. S. Kerby. The simple difference formula: an approach to teaching nonparametric "
    "correlation. Comprehensive Psychology 3:1, 2014.",
    "Better, same, worse": "A. Benavoli, G. Corani, J. Demšar and M. Zaffalon. Time for a change: a tutorial for "
    "comparing multiple classifiers through Bayesian analysis. Journal of Machine Learning Research 18:77, 2017.",
    "Why the pool matters": "A. Benavoli, G. Corani and F. Mangili. Should we really use post-hoc tests based on "
    "mean-ranks? Journal of Machine Learning Research 17:5, 2016.",
}
"""By what a page shows."""


def methods(result: RankResult) -> str:
    """What was done and found, as a paragraph for a paper; empty where nothing could be tested.

    Example:
        >>> import pandas as pd
        >>> from ercsatz.ranking import rank
        >>> scores = pd.DataFrame({"org": [0.5, 0.6], "nat": [0.55, 0.58]}, index=["meld", "iemocap"])
        >>> methods(rank(scores, [("nat", "org")])).split(".")[0]
        'We ranked 2 treatments by score on each of 2 blocks (midranks for ties)'
    """
    test = result.friedman
    if test is None:
        return ""
    seeds = int(result.table.seeds.loc[result.ranks.index].to_numpy().max())
    means = f", the mean over {seeds} seeds," if seeds > 1 else ""
    exact = "" if test.p_exact is None else f", exact p = {p_text(test.p_exact)}"
    text = (
        f"We ranked {result.k} treatments by {title(result.table.metric)}{means} on each of "
        f"{plural(result.n, 'block')} (midranks for ties). "
        f"Friedman's test gave chi-square({test.df}) = {test.chi2:.2f}, p = {p_text(test.p)}{exact}; "
        f"Kendall's W = {result.kendalls_w:.2f}."
    )
    if result.comparisons.empty:
        return text
    compared = "Treatments were compared with their baselines" if has_baselines(result) else "Pairs were compared"
    return (
        f"{text} {compared} by the exact two-sided test of rank-sum differences "
        f"(Eisinga et al. 2017), Bonferroni-corrected for {plural(len(result.comparisons), 'comparison')}, at the "
        f"{ALPHA:g} level."
    )
