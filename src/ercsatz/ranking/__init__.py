"""Exact ranking of treatments over blocks: pure functions of a table of scores."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ercsatz.ranking.bayes import BayesPosterior, bayesian_signed_rank
from ercsatz.ranking.effect_sizes import Median, kendalls_w, median_difference, rank_biserial
from ercsatz.ranking.exact_test import (
    DifferenceDistribution,
    blocks_needed,
    difference_distribution,
    pairwise_exact_p,
    pairwise_exact_p_midranks,
    smallest_attainable_p,
)
from ercsatz.ranking.friedman import Friedman, friedman_test, midranks
from ercsatz.ranking.p_adjustment import adjust_pairs, benjamini_hochberg, bonferroni, holm, hommel
from ercsatz.ranking.posthoc import conover_pairs, exact_against, exact_pairs, nemenyi_pairs, siegel_pairs
from ercsatz.ranking.read import Columns, Records, read_records, read_scores
from ercsatz.ranking.scores import ScoreTable, baseline_comparisons, choose_comparisons, pivot, refuse_gaps
from ercsatz.ranking.signed_rank import score_differences, sign_pairs, sign_test, wilcoxon_pairs, wilcoxon_signed_rank
from ercsatz.ranking.table import ALPHA, RankResult, rank

if TYPE_CHECKING:
    from ercsatz.ranking.report import (
        Background,
        critical_difference_diagram,
        diagram,
        scores_to_markdown,
        scores_to_rich,
        sentences,
        to_csv,
        to_html,
        to_latex,
        to_markdown,
        to_rich,
    )

__all__ = [
    "ALPHA",
    "Background",
    "BayesPosterior",
    "Columns",
    "DifferenceDistribution",
    "Friedman",
    "Median",
    "RankResult",
    "Records",
    "ScoreTable",
    "adjust_pairs",
    "baseline_comparisons",
    "bayesian_signed_rank",
    "benjamini_hochberg",
    "blocks_needed",
    "bonferroni",
    "choose_comparisons",
    "conover_pairs",
    "critical_difference_diagram",
    "diagram",
    "difference_distribution",
    "exact_against",
    "exact_pairs",
    "friedman_test",
    "holm",
    "hommel",
    "kendalls_w",
    "median_difference",
    "midranks",
    "nemenyi_pairs",
    "pairwise_exact_p",
    "pairwise_exact_p_midranks",
    "pivot",
    "rank",
    "rank_biserial",
    "read_records",
    "read_scores",
    "refuse_gaps",
    "score_differences",
    "scores_to_markdown",
    "scores_to_rich",
    "sentences",
    "siegel_pairs",
    "sign_pairs",
    "sign_test",
    "smallest_attainable_p",
    "to_csv",
    "to_html",
    "to_latex",
    "to_markdown",
    "to_rich",
    "wilcoxon_pairs",
    "wilcoxon_signed_rank",
]


def __getattr__(name: str) -> Any:
    # The report needs the libraries that draw and lay out pages, which are slow to import; the statistics do not.
    if name in __all__:
        return getattr(import_module("ercsatz.ranking.report"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
