"""What the page shows of single emotions: F1 of each class, and what is taken for what."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from ercsatz.ranking.report.background import Background
from ercsatz.ranking.report.cells import TreatmentGroup, groups, number
from ercsatz.ranking.report.tables import signed
from ercsatz.ranking.scores import ScoreTable

_STRONGEST = 55  # per cent of a colour behind the largest figure, so that text on it can be read


class ClassCell(NamedTuple):
    """F1 of a class, 0 to 100, and what changed against the baseline."""

    f1: str
    change: str
    heat: str
    down: bool


class ClassTable(NamedTuple):
    """F1 by class on one block: labels with their number of utterances; rows of treatment, baseline and cells."""

    block: str
    labels: list[tuple[str, str]]
    rows: list[tuple[str, str, list[ClassCell]]]


def class_tables(background: Background, table: ScoreTable, pairs: Sequence[tuple[str, str]]) -> list[ClassTable]:
    """F1 by class for each block, averaged over seeds: each treatment, beside its baseline where it has one.

    Args:
        background: with ``per_class``.
        table: whose treatments and blocks are shown, in its order.
        pairs: (treatment, baseline).
    """
    if background.per_class.empty:
        return []
    lines = [
        (treatment, baseline)
        for treatment in table.cells.columns
        for baseline in [b for t, b in pairs if t == treatment] or [""]
    ]
    tables = []
    for block in table.cells.index:
        rows = background.per_class[background.per_class.block == block]
        if not rows.empty:
            tables.append(_class_table(str(block), rows, lines))
    return tables


def _class_table(block: str, rows: pd.DataFrame, lines: Sequence[tuple[str, str]]) -> ClassTable:
    labels = list(dict.fromkeys(rows.label))
    f1 = 100 * rows.groupby(["treatment", "label"]).f1.mean().unstack().reindex(columns=labels)
    support = rows.groupby("label").support.max()
    known = [(t, b) for t, b in lines if t in f1.index]
    values = f1.reindex([t for t, _ in known]).to_numpy(dtype=float)
    changes = values - f1.reindex([b for _, b in known]).to_numpy(dtype=float)
    largest = float(np.nanmax(np.abs(changes), initial=0.0))
    shown = [
        (treatment, baseline, [_class_cell(*pair, largest) for pair in zip(mine, change, strict=True)])
        for (treatment, baseline), mine, change in zip(known, values.tolist(), changes.tolist(), strict=True)
    ]
    return ClassTable(block, [(str(label), f"{support[label]:.0f}") for label in labels], shown)


def _class_cell(f1: float, change: float, largest: float) -> ClassCell:
    if math.isnan(change):
        return ClassCell(number(f1, ".1f"), "", "0%", False)
    heat = _STRONGEST * abs(change) / largest if largest else 0.0
    return ClassCell(number(f1, ".1f"), signed(change, 1), f"{heat:.0f}%", change < 0)


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
            matrices = _matrices(background, group, block)
            if matrices:
                found.append(MatrixGroup(block, group.name, matrices))
    return found


def _matrices(background: Background, group: TreatmentGroup, block: str) -> list[Matrix]:
    counts = {(t, name): background.confusions.get((t, block)) for t, name in group.members.items()}
    return [_matrix(treatment, name, each) for (treatment, name), each in counts.items() if each is not None]


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
