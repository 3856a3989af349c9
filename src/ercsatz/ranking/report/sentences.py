"""What was found and what was not, in sentences; a paper's methods paragraph, and whom to cite for which test."""

from collections.abc import Mapping
from types import MappingProxyType

import pandas as pd

from ercsatz.ranking.metrics import shown_scale
from ercsatz.ranking.report.cells import footnote, has_baselines, marked, p_text, title
from ercsatz.ranking.report.outcome import comparison_sentences, friedman_shows, listed, plural
from ercsatz.ranking.report.precision import findable, seed_spread
from ercsatz.ranking.scores import ScoreTable
from ercsatz.ranking.table import ALPHA, RankResult

_POOL = (
    "Rank sums depend on all treatments in the table: others beside them can change what is found "
    "(Benavoli, Corani and Mangili 2016)."
)

# First parts of names that number blocks and name no benchmark.
_COUNTERS = {"block", "data", "dataset", "fold", "part", "run", "set", "split", "task", "test"}


def sentences(
    ranked: RankResult | ScoreTable | str, scale: float | None = None, apart: ScoreTable | None = None
) -> list[str]:
    """What was found, by which test, how sure, and what cannot be concluded, in plain text.

    Args:
        ranked: a ranking; scores that are shown without being ranked; or a sentence that says why there are none.
        scale: what gains are multiplied with; ``None``: 100 for shares from 0 to 1.
        apart: scores that are shown beside it without being ranked.

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
    return [*findings(ranked, scale), *limits(ranked, apart, scale)]


def findings(ranked: RankResult | ScoreTable | str, scale: float | None = None) -> list[str]:
    """The first of ``sentences``: what was found, and by which test."""
    if isinstance(ranked, str):
        return [ranked]
    if isinstance(ranked, ScoreTable):
        return [_unranked(ranked)]
    factor = _factor(ranked, scale)
    opening = openings(ranked)
    if ranked.friedman is None:
        return opening
    tests = _friedman(ranked) if ranked.tests_differences else []
    return [*opening, *tests, *([ranked.limit] if ranked.limit else comparison_sentences(ranked, factor))]


def _factor(ranked: RankResult | ScoreTable, scale: float | None) -> float:
    table = ranked.table if isinstance(ranked, RankResult) else ranked
    return shown_scale(table.metric, table.cells) if scale is None else scale


def openings(result: RankResult) -> list[str]:
    """What stands before any p value, or in its place: baselines that learnt nothing, and blocks that tell nothing."""
    found = _unlearnt(result)
    if result.friedman is None:
        found += [result.limit] if result.limit else []
    elif tied := result.tied_throughout:
        found.append(
            f"All treatments have the same score in {len(tied)} of {plural(result.n, 'block')}, which say nothing of "
            f"them: {listed(tied)}."
        )
    return found


def _unlearnt(result: RankResult) -> list[str]:
    named = {name: f"{marked(result.table, name)} (on {listed(on)})" for name, on in result.unlearnt_baselines.items()}
    void = [text for name, text in named.items() if name in result.void_baselines]
    partly = [text for name, text in named.items() if name not in result.void_baselines]
    one, some = ("A baseline", "Baselines") if has_baselines(result) else ("A treatment", "Treatments")
    it = "it" if len(void) == 1 else "them"
    told = []
    if void:
        nothing = f"Nothing follows from a comparison against {it}, so none is judged."
        told.append(f"{one if len(void) == 1 else some} learnt nothing: {listed(void)}. {nothing}")
    if partly:
        told.append(f"{one if len(partly) == 1 else some} learnt nothing on some blocks: {listed(partly)}.")
    return told


def limits(
    ranked: RankResult | ScoreTable | str, apart: ScoreTable | None = None, scale: float | None = None
) -> list[str]:
    """The last of ``sentences``: what is missing, and what cannot be concluded."""
    if isinstance(ranked, str):
        return footnote(apart)
    factor = _factor(ranked, scale)
    if isinstance(ranked, ScoreTable):
        alone = one_benchmark(ranked.cells.index, ranked.block_keys)
        seeds = seed_spread(ranked, ranked.cells.index, factor)
        return [*footnote(ranked, apart), *_missing(ranked), *ranked.notes, seeds, *alone]
    table = ranked.table
    dropped = (
        [f"Not ranked, because a score is missing: {', '.join(map(str, table.dropped))}."] if table.dropped else []
    )
    size = (
        [f"From {ranked.blocks_needed} blocks on, a table like this can show a difference."]
        if ranked.friedman is not None and not ranked.can_be_significant and ranked.n < ranked.blocks_needed
        else findable(ranked)
    )
    lower = [] if ranked.higher_is_better else [f"A lower {title(table.metric)} is better: rank 1 is the lowest."]
    seeds = seed_spread(table, ranked.ranks.index, factor)
    alone = one_benchmark(ranked.ranks.index, table.block_keys)
    marks = footnote(table, apart)
    return [*marks, *size, *_missing(table), *dropped, *table.notes, *lower, seeds, *alone, _POOL]


def one_benchmark(blocks: "pd.Index[str]", keys: Mapping[str, tuple[str, ...]] = MappingProxyType({})) -> list[str]:
    """A caution where all blocks are of one benchmark, by the first part of their names; else nothing.

    Args:
        blocks: their names.
        keys: the parts of each name; where they are not known, they are told apart by ``_``.

    Example:
        >>> one_benchmark(pd.Index(["meld_org", "meld_nat"]))
        ['All blocks are test sets of meld: nothing follows for other benchmarks.']
        >>> one_benchmark(pd.Index(["meld_org", "iemocap_org"]))
        []
    """
    parts = (keys.get(block, ()) for block in blocks)
    firsts = {
        (key[0], "_") if len(key) > 1 else str(block).partition("_")[:2]
        for block, key in zip(blocks, parts, strict=True)
    }
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
    verdict = "shows" if friedman_shows(result) else "does not show"
    return [
        f"Friedman's test over {plural(result.n, 'block')} and {result.k} treatments {verdict} that the treatments "
        f"differ ({how})."
    ]


def _missing(table: ScoreTable) -> list[str]:
    return [f"No scores, so left out: {', '.join(table.missing)}."] if table.missing else []


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
    text = " ".join([*openings(result), text])
    if result.comparisons.empty:
        return text
    compared = "Treatments were compared with their baselines" if has_baselines(result) else "Pairs were compared"
    return (
        f"{text} {compared} by the exact two-sided test of rank-sum differences "
        f"(Eisinga et al. 2017), Bonferroni-corrected for {plural(len(result.comparisons), 'comparison')}, at the "
        f"{ALPHA:g} level."
    )
