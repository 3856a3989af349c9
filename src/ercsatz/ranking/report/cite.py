"""The ranking in the words of a paper's methods section, and whom to cite for which test."""

from ercsatz.ranking.report.cells import has_baselines, p_text, title
from ercsatz.ranking.report.words import plural
from ercsatz.ranking.table import ALPHA, RankResult

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
