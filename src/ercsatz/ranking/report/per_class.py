"""What the page shows of single emotions: F1 of each class, and what is taken for what."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from ercsatz.ranking.report.background import Background
from ercsatz.ranking.report.cells import TreatmentGroup, groups, marked, number, signed
from ercsatz.ranking.report.comparisons import baseline_pairs
from ercsatz.ranking.report.rarity import Change, LabelScores, label_scores, label_sentences, subtitle
from ercsatz.ranking.scores import ScoreTable
from ercsatz.ranking.table import RankResult

_STRONGEST = 55  # per cent of a colour behind the largest figure, so that text on it can be read


class ClassCell(NamedTuple):
    """F1 of a class, 0 to 100, what changed against the baseline, and its corrected p, where there are such."""

    f1: str
    change: str
    p: str
    heat: str
    down: bool


class ClassTable(NamedTuple):
    """F1 by class on one block: labels and what stands under each; rows of treatment, baseline and cells."""

    block: str
    labels: list[tuple[str, str]]
    rows: list[tuple[str, str, list[ClassCell]]]


def class_tables(scores: Sequence[LabelScores], table: ScoreTable) -> list[ClassTable]:
    """F1 by class for each block: the groups by rarity, then the labels.

    Args:
        scores: by ``label_scores``.
        table: says what learnt nothing.
    """
    return [
        ClassTable(each.block, [(column.name, subtitle(column)) for column in each.columns], _class_rows(each, table))
        for each in scores
    ]


def sentences_by_label(ranked: RankResult | ScoreTable, background: Background) -> list[str]:
    """What a terminal has room for: how the rare labels changed, and whether a test shows a change."""
    table = ranked.table if isinstance(ranked, RankResult) else ranked
    return label_sentences(label_scores(background, table, baseline_pairs(ranked)))


def _class_rows(scores: LabelScores, table: ScoreTable) -> list[tuple[str, str, list[ClassCell]]]:
    changes = (abs(change.change) for line in scores.lines for change in line.changes)
    largest = max((change for change in changes if not math.isnan(change)), default=0.0)
    return [
        (
            marked(table, line.treatment, scores.block),
            marked(table, line.baseline, scores.block),
            [_class_cell(change, largest) for change in line.changes],
        )
        for line in scores.lines
    ]


def _class_cell(change: Change, largest: float) -> ClassCell:
    f1 = number(change.f1, ".1f")
    if math.isnan(change.change):
        return ClassCell(f1, "", "", "0%", False)
    heat = _STRONGEST * abs(change.change) / largest if largest else 0.0
    p = "" if math.isnan(change.p_holm) else f"{change.p_holm:.2g}"
    return ClassCell(f1, signed(change.change, 1), p, f"{heat:.0f}%", change.change < 0)


class MatrixCell(NamedTuple):
    """What share of a gold label got a prediction, in per cent; ``hit`` where both are the same."""

    percent: str
    heat: str
    hit: bool


class Matrix(NamedTuple):
    """A confusion matrix: predicted labels; rows of gold label, its utterances, and cells."""

    treatment: str
    name: str
    predicted: list[str]
    rows: list[tuple[str, str, list[MatrixCell]]]


class MatrixGroup(NamedTuple):
    """The matrices of a group of treatments on one block, from original to fine-tuned."""

    block: str
    group: str
    matrices: list[Matrix]


def matrix_groups(background: Background, table: ScoreTable) -> list[MatrixGroup]:
    """The confusion matrices, by block and group of treatments."""
    blocks = dict.fromkeys(block for _, block in background.confusions)
    found = []
    for block in blocks:
        for group in groups(table, list(table.cells.columns)):
            matrices = _matrices(background, group, block, table)
            if matrices:
                found.append(MatrixGroup(block, group.name, matrices))
    return found


def _matrices(background: Background, group: TreatmentGroup, block: str, table: ScoreTable) -> list[Matrix]:
    found = []
    for treatment, name in group.members.items():
        counts = background.confusions.get((treatment, block))
        if counts is not None:
            mark = marked(table, treatment, block).removeprefix(treatment)
            found.append(_matrix(treatment, f"{name}{mark}", counts))
    return found


def _matrix(treatment: str, name: str, counts: pd.DataFrame) -> Matrix:
    rows = []
    for gold, row in counts.iterrows():
        total = float(row.sum())
        shares = [float(n) / total if total else 0.0 for n in row]
        cells = [
            MatrixCell(f"{100 * share:.0f}" if total else "-", f"{_STRONGEST * share:.0f}%", label == gold)
            for label, share in zip(counts.columns, shares, strict=True)
        ]
        rows.append((str(gold), f"{total:.0f}", cells))
    return Matrix(treatment, name, [str(label) for label in counts.columns], rows)
