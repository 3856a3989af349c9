"""What was found and what was not, in sentences."""

import pandas as pd

from ercsatz.ranking.metrics import one_point
from ercsatz.ranking.report.cells import p_text, title
from ercsatz.ranking.scores import ScoreTable
from ercsatz.ranking.table import ALPHA, RankResult

_POOL = (
    "Rank sums depend on all treatments in the table: others beside them can change what is found "
    "(Benavoli, Corani and Mangili 2016)."
)


_MOST_LISTED = 12


def sentences(ranked: RankResult | ScoreTable | str) -> list[str]:
    """What was found, by which test, how sure, and what cannot be concluded, in plain text.

    Args:
        ranked: a ranking; scores that are shown without being ranked; or a sentence that says why there are none.

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
    return [*findings(ranked), *limits(ranked)]


def findings(ranked: RankResult | ScoreTable | str) -> list[str]:
    """The first of ``sentences``: what was found, and by which test."""
    if isinstance(ranked, str):
        return [ranked]
    if isinstance(ranked, ScoreTable):
        return [_unranked(ranked)]
    return [*_friedman(ranked), *([ranked.limit] if ranked.limit else _comparisons(ranked))]


def limits(ranked: RankResult | ScoreTable | str) -> list[str]:
    """The last of ``sentences``: what is missing, and what cannot be concluded."""
    if isinstance(ranked, str):
        return []
    if isinstance(ranked, ScoreTable):
        return [*_missing(ranked), *ranked.notes, _seeds(ranked, ranked.cells.index)]
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
    return [*size, *_missing(table), *dropped, *table.notes, *lower, seeds, _POOL]


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
    p = test.p if test.p_exact is None else test.p_exact
    verdict = "shows" if p < ALPHA and result.n > 1 else "does not show"
    return [
        f"Friedman's test over {plural(result.n, 'block')} and {result.k} treatments {verdict} that the treatments "
        f"differ ({how})."
    ]


def _comparisons(result: RankResult) -> list[str]:
    if result.comparisons.empty:
        return ["No treatment has a baseline in the table, so none were compared."]
    groups: dict[str, list[str]] = {
        "better than the baseline": [],
        "worse than the baseline": [],
        "no difference shown": [],
    }
    for row in result.comparisons.to_dict("records"):
        better = "better" if row["rank_sum_difference"] > 0 else "worse"
        group = f"{better} than the baseline" if row["p_bonferroni"] < ALPHA else "no difference shown"
        groups[group].append(f"{row['treatment']} against {row['baseline']} (p = {p_text(row['p_bonferroni'])})")
    ties = f", given the tied ranks in {result.tied_blocks} of the blocks" if result.tied_blocks else ""
    verdicts = "; ".join(f"{group}: {_listed(pairs)}" for group, pairs in groups.items() if pairs)
    proof = " A difference that is not shown may still be there." if groups["no difference shown"] else ""
    return [
        f"{verdicts[0].upper()}{verdicts[1:]}. This is by the exact test of rank-sum differences (Eisinga et al. 2017)"
        f"{ties}, two-sided, Bonferroni-corrected for {plural(len(result.comparisons), 'comparison')}, at the "
        f"{ALPHA:g} level.{proof}"
    ]


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
