"""Exact ranking of treatments over blocks: pure functions of a table of scores."""

from ercsatz.ranking.adjust import bonferroni
from ercsatz.ranking.exact import (
    DifferenceDistribution,
    difference_distribution,
    pairwise_exact_p,
    pairwise_exact_p_midranks,
)
from ercsatz.ranking.friedman import Friedman, friedman_test, midranks
from ercsatz.ranking.report import scores_to_markdown, scores_to_rich, sentences, to_csv, to_markdown, to_rich
from ercsatz.ranking.scores import ScoreTable, baseline_comparisons, pivot, read_scores
from ercsatz.ranking.table import ALPHA, RankResult, rank

__all__ = [
    "ALPHA",
    "DifferenceDistribution",
    "Friedman",
    "RankResult",
    "ScoreTable",
    "baseline_comparisons",
    "bonferroni",
    "difference_distribution",
    "friedman_test",
    "midranks",
    "pairwise_exact_p",
    "pairwise_exact_p_midranks",
    "pivot",
    "rank",
    "read_scores",
    "scores_to_markdown",
    "scores_to_rich",
    "sentences",
    "to_csv",
    "to_markdown",
    "to_rich",
]
