"""F1 by label, rare labels apart from frequent ones, with exact tests of what changed.

A label is rare where its share of the real training utterances is below half of an even share, 1 / labels, frequent
where it is an even share or more, and in the middle between. A group's F1 is the mean of its labels'.

A treatment is tested against its baseline on one block by the differences of the seeds that both have, with Wilcoxon's
exact signed-rank test. So it says whether the change would be there with other seeds on this test set, not on others.
Its p is at least 2^(1 - seeds). Holm's correction is over the labels, or the groups, of one comparison.
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from ercsatz.ranking.exact_test import FloatArray
from ercsatz.ranking.p_adjustment import holm
from ercsatz.ranking.report.background import Background
from ercsatz.ranking.report.cells import number
from ercsatz.ranking.scores import ScoreTable
from ercsatz.ranking.signed_rank import score_differences, wilcoxon_signed_rank
from ercsatz.ranking.table import ALPHA
from ercsatz.reporting.text import csv_text

GROUPS = ("rare", "middle", "frequent")
_MOST_BLOCKS = 3  # that sentences are written of
_MOST_LISTED = 5  # of changes


class Column(NamedTuple):
    """A label, or a group of labels, of one block.

    Attributes:
        name: the label or the group.
        labels: of a group; empty for a label.
        group: of a label; empty where the shares are not known, and for a group.
        share: of a label among the real training utterances, of a group the sum; NaN where it is not known.
        support: utterances in the test set.
    """

    name: str
    labels: tuple[str, ...]
    group: str
    share: float
    support: float


class Change(NamedTuple):
    """F1 of a treatment, 0 to 100, and its change against the baseline; NaN where there is none.

    Attributes:
        f1: of the treatment, the mean over its seeds.
        change: of the means.
        seeds: that both have.
        p: exact, two-sided; NaN below two seeds.
        p_holm: corrected over the labels or the groups of the comparison.
    """

    f1: float
    change: float
    seeds: int
    p: float
    p_holm: float


class Line(NamedTuple):
    """A treatment, its baseline or an empty text, and a change for each column."""

    treatment: str
    baseline: str
    changes: list[Change]


class LabelScores(NamedTuple):
    """F1 by label on one block; the groups come first, then the labels, the rarest first."""

    block: str
    columns: list[Column]
    lines: list[Line]


def group_of(share: float, labels: int) -> str:
    """The group of a label by its share of the real training utterances.

    Example:
        >>> [group_of(share, 7) for share in (0.027, 0.111, 0.472)]
        ['rare', 'middle', 'frequent']
    """
    return "rare" if share < 0.5 / labels else "middle" if share < 1 / labels else "frequent"


def label_scores(background: Background, table: ScoreTable, pairs: Iterable[tuple[str, str]]) -> list[LabelScores]:
    """F1 by label for each block of a table, each treatment beside its baseline where it has one.

    Args:
        background: with ``per_class``.
        table: whose treatments and blocks are shown, in its order.
        pairs: (treatment, baseline).
    """
    if background.per_class.empty:
        return []
    baselines: dict[str, list[str]] = {}
    for treatment, baseline in pairs:
        baselines.setdefault(treatment, []).append(baseline)
    lines = [(str(t), b) for t in table.cells.columns for b in baselines.get(t, [""])]
    found = []
    for block in table.cells.index:
        rows = background.per_class[background.per_class.block == block]
        if not rows.empty:
            found.append(_of_block(str(block), rows, lines))
    return found


def known_shares(scores: Iterable[LabelScores]) -> list[LabelScores]:
    """The blocks of which it is known how rare a label is; of older results it is not."""
    return [each for each in scores if any(column.group for column in each.columns)]


def _of_block(block: str, rows: pd.DataFrame, lines: Sequence[tuple[str, str]]) -> LabelScores:
    columns = _columns(rows)
    f1 = 100 * rows.pivot_table(index=["treatment", "seed"], columns="label", values="f1")
    parts = {place: f1[list(c.labels or [c.name])].mean(axis=1, skipna=False) for place, c in enumerate(columns)}
    scores = pd.DataFrame(parts)
    known = set(scores.index.get_level_values("treatment"))
    made = [_line(scores, columns, *line) for line in lines if line[0] in known]
    return LabelScores(block, columns, made)


def _columns(rows: pd.DataFrame) -> list[Column]:
    """Labels in their own order where the shares are not known."""
    names = list(dict.fromkeys(rows.label))
    support: dict[str, float] = {x: float(rows.support[rows.label == x].max()) for x in names}
    shares: dict[str, float] = {x: float(rows.share[rows.label == x].iloc[0]) for x in names} if "share" in rows else {}
    if not shares or any(map(math.isnan, shares.values())):
        return [Column(str(label), (), "", math.nan, support[label]) for label in names]
    ordered = sorted(shares, key=lambda label: shares[label])
    labels = [Column(str(x), (), group_of(shares[x], len(shares)), shares[x], support[x]) for x in ordered]
    groups = []
    for name in GROUPS:
        # As in macro F1, a label that the test set lacks has no F1.
        if own := [each for each in labels if each.group == name and each.support]:
            whole = sum(each.share for each in own), sum(each.support for each in own)
            groups.append(Column(name, tuple(each.name for each in own), "", *whole))
    return [*groups, *labels]


def _line(scores: pd.DataFrame, columns: Sequence[Column], treatment: str, baseline: str) -> Line:
    treatments = scores.index.get_level_values("treatment")
    mine = scores[treatments == treatment].droplevel("treatment")
    means = mine.mean().to_numpy(dtype=float)
    if baseline not in treatments:
        return Line(treatment, baseline, [Change(f1, math.nan, 0, math.nan, math.nan) for f1 in means.tolist()])
    other = scores[treatments == baseline].droplevel("treatment")
    shared = mine.index.intersection(other.index)
    pairs = zip(mine.loc[shared].to_numpy(dtype=float).T, other.loc[shared].to_numpy(dtype=float).T, strict=True)
    p = np.array([_p(*pair) for pair in pairs])
    corrected = np.full(len(p), math.nan)
    for is_group in (True, False):
        family = [i for i, c in enumerate(columns) if bool(c.labels) == is_group and not math.isnan(p[i])]
        corrected[family] = holm(p[family])
    changes = (means - other.mean().to_numpy(dtype=float)).tolist()
    figures = zip(means.tolist(), changes, p.tolist(), corrected.tolist(), strict=True)
    return Line(treatment, baseline, [Change(f1, change, len(shared), *ps) for f1, change, *ps in figures])


def _p(mine: FloatArray, other: FloatArray) -> float:
    both = np.isfinite(mine - other)
    if both.sum() < 2:
        return math.nan
    return wilcoxon_signed_rank(score_differences(mine[both], other[both]))


def seeds_needed(tests: int, level: float = ALPHA) -> int:
    """How many seeds it takes for the smallest p of one of ``tests`` tests to be below a level, after Holm.

    Example:
        >>> seeds_needed(7), seeds_needed(3), seeds_needed(1)
        (9, 7, 6)
    """
    return next(seeds for seeds in range(2, 64) if tests * 2.0 ** (1 - seeds) < level)


def label_sentences(scores: Sequence[LabelScores]) -> list[str]:
    """How rare labels changed, and what the tests by label found or could have found."""
    told = [sentence for each in scores[:_MOST_BLOCKS] if (sentence := _rare(each))]
    if len(scores) > _MOST_BLOCKS and told:
        told.append(f"The report has the same of {len(scores) - _MOST_BLOCKS} more blocks.")
    tested = [
        _Tested(line.treatment, column.name, change)
        for each in known_shares(scores)
        for line in each.lines
        for column, change in zip(each.columns, line.changes, strict=True)
        if column.group and not math.isnan(change.p)
    ]
    return [*told, _found(tested, max(_labels(each) for each in scores))] if tested else told


class _Tested(NamedTuple):
    treatment: str
    label: str
    change: Change


def _found(tested: Sequence[_Tested], labels: int) -> str:
    shown = [each for each in tested if each.change.p_holm < ALPHA]
    how = "(exact Wilcoxon over the seeds, Holm over the labels)"
    if shown:
        listed = ", ".join(f"{x.label} by {x.treatment} ({x.change.change:+.1f})" for x in shown[:_MOST_LISTED])
        among = ", among them" if len(shown) > _MOST_LISTED else ":"
        return f"{len(shown)} of {len(tested)} changes of a label's F1 are significant {how}{among} {listed}."
    seeds, needed = max(each.change.seeds for each in tested), seeds_needed(labels)
    if seeds >= needed:
        return f"Of {len(tested)} changes of a label's F1 none is significant {how}."
    return (
        f"With {seeds} seeds no change of a label's F1 can be significant {how}: the smallest p is "
        f"{2.0 ** (1 - seeds):g}, and with {labels} labels it takes {needed} seeds."
    )


def _labels(scores: LabelScores) -> int:
    return sum(not column.labels for column in scores.columns)


def _rare(scores: LabelScores) -> str:
    place = next((i for i, column in enumerate(scores.columns) if column.labels and column.name == "rare"), None)
    changed = [] if place is None else [(line.changes[place].change, line) for line in scores.lines]
    changed = sorted((pair for pair in changed if not math.isnan(pair[0])), key=lambda pair: pair[0])
    if place is None or not changed:
        return ""
    least, most = (f"{change:+.1f} ({line.treatment})" for change, line in (changed[0], changed[-1]))
    by = f"by {most}" if len(changed) == 1 else f"from {least} to {most}"
    names = ", ".join(scores.columns[place].labels)
    return f"Rare labels on {scores.block} ({names}): their mean F1 changes {by} against the baseline."


def to_labels_csv(scores: Sequence[LabelScores]) -> str:
    """F1 by label as CSV in full precision: a row for each block, treatment, baseline and label or group.

    Columns: ``block, treatment, baseline, kind`` (``label`` or ``group``), ``name, group, train_share`` (0 to 1),
    ``support, f1, change`` (both 0 to 100), ``seeds, p, p_holm``. What does not apply is empty.
    """
    rows = [
        {
            "block": csv_text(each.block),
            "treatment": csv_text(line.treatment),
            "baseline": csv_text(line.baseline),
            "kind": "group" if column.labels else "label",
            "name": csv_text(column.name),
            "group": column.group,
            "train_share": column.share,
            "support": column.support,
            "f1": round(change.f1, 10),
            "change": round(change.change, 10),
            "seeds": change.seeds,
            "p": change.p,
            "p_holm": change.p_holm,
        }
        for each in scores
        for line in each.lines
        for column, change in zip(each.columns, line.changes, strict=True)
    ]
    return pd.DataFrame(rows).to_csv(index=False, lineterminator="\n")


def subtitle(column: Column) -> str:
    """What stands under a column's name: the utterances of a label and its share of training, the labels of a group."""
    if column.labels:
        return f"mean of {len(column.labels)}"
    share = "" if math.isnan(column.share) else f", {100 * column.share:.1f} %"
    return f"{number(column.support, '.0f')}{share}"
