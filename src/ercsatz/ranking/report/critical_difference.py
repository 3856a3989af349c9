"""The critical-difference diagram: mean ranks on a line, and bars over what a test does not tell apart."""

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from ercsatz.ranking.p_adjustment import adjust_pairs, bonferroni
from ercsatz.ranking.report.cells import footnote, marked
from ercsatz.ranking.report.sentences import openings
from ercsatz.ranking.table import ALPHA, RankResult
from ercsatz.reporting.figures import INK, MUTED, SERIES, drawing, new_figure, text_size
from ercsatz.reporting.text import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Lengths in points; y grows downwards.
_MARGIN = 6.0
_ABOVE = 34.0  # for the title of the axis and its numbers
_RULER = 30.0
_LEVEL = 7.0  # between bars
_LINE = 11.0  # of text
_SPACE = 4.5  # between names
_NUMBER = 27.0  # room for a mean rank
_MOST_ON_A_FULL_AXIS = 12  # treatments; the mean ranks of many lie close together
_NOTE_CHARACTER = 4.4  # the width of a character of the note, at most in the mean
_CHARACTERS = 32  # of a name, then it goes on below


class _Label(NamedTuple):
    """A name beside the diagram; ``x`` is where its line leaves the axis, ``y`` where it arrives."""

    lines: list[str]
    rank: float
    x: float
    y: float
    on_left: bool


def diagram(result: RankResult) -> "Figure":
    """The critical-difference diagram of a ranking.

    A bar joins treatments that the exact test of rank sums, Bonferroni-corrected over all pairs, does not tell apart.
    The ruler is the smallest difference of mean ranks that is significant.

    Source: Demsar, "Statistical comparisons of classifiers over multiple data sets" (JMLR 7:1, 2006), Fig. 1, with the
    exact test in place of Nemenyi's.

    Example:
        >>> from ercsatz.ranking import rank
        >>> scores = pd.DataFrame({"org": [0.5, 0.6], "nat": [0.55, 0.58]}, index=["meld", "iemocap"])
        >>> len(diagram(rank(scores, [])).axes)
        1
    """
    ruler = None if result.critical_difference is None else result.critical_difference / result.n
    names = {name: marked(result.table, str(name)) for name in result.rank_sums.index}
    ranks = (result.rank_sums / result.n).rename(index=names)
    p_values = adjust_pairs(result.pairs, bonferroni).rename(index=names, columns=names)
    note = [*([] if result.tests_differences else openings(result)), *footnote(result.table)]
    return critical_difference_diagram(ranks, p_values, ruler=ruler, note=" ".join(note))


def critical_difference_diagram(
    mean_ranks: "pd.Series[float]",
    p_values: pd.DataFrame,
    alpha: float = ALPHA,
    ruler: float | None = None,
    note: str = "",
) -> "Figure":
    """Mean ranks on an axis from 1 (the best, left) to k, and a bar over each largest group that is not told apart.

    With more than 12 treatments the axis spans no more ranks than there are between the best and the worst.

    Args:
        mean_ranks: by treatment, from 1 to k.
        p_values: k x k, of any test of pairs, corrected as wished; treatments as index and columns.
        alpha: a pair with a p-value below it is told apart.
        ruler: the smallest difference of mean ranks that is significant, drawn above the axis where given.
        note: stands below.

    Example:
        >>> p = pd.DataFrame([[1, 0.2], [0.2, 1]], index=["a", "b"], columns=["a", "b"])
        >>> figure = critical_difference_diagram(pd.Series({"a": 1.2, "b": 1.8}), p)
    """
    ordered = mean_ranks.sort_values(kind="stable")
    length = max(200.0, 17.0 * len(ordered))
    low, high = _axis(ordered.tolist(), ruler)
    offsets = (ordered.to_numpy() - low) / (high - low) * length
    groups = cliques(~(p_values.loc[ordered.index, ordered.index].to_numpy() < alpha))
    levels = _levels([(offsets[group[0]], offsets[group[-1]]) for group in groups])
    with drawing():
        figure = new_figure(100, 100)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.axis("off")
        names = [textwrap.wrap(plain(name), _CHARACTERS) or [""] for name in ordered.index]
        left, right = _sides(axes, names)
        axis = _ABOVE + (_RULER if ruler is not None else 0)
        below = axis + 9 + _LEVEL * (1 + max(levels, default=-1)) + _LINE
        labels = _labels(names, ordered.tolist(), (left + offsets).tolist(), below)
        width, bottom = left + length + right, max(label.y + _LINE * (len(label.lines) - 0.5) for label in labels)
        noted = textwrap.wrap(plain(note), int(width / _NOTE_CHARACTER))
        height = bottom + _MARGIN + _LINE * (len(noted) + 0.5) * bool(noted)
        figure.set_size_inches(width / 72, height / 72)
        axes.set(xlim=(0, width), ylim=(height, 0))
        for place, line in enumerate(noted, 1):
            axes.text(_MARGIN, bottom + _LINE * (place + 0.3), line, va="center", fontsize=8, color=MUTED)
        _draw_axis(axes, left, length, axis, (low, high))
        if ruler is not None:
            _draw_ruler(axes, left, ruler / (high - low) * length, ruler)
        for label in labels:
            _draw_label(axes, label, (left, left + length), axis)
        for group, level in zip(groups, levels, strict=True):
            _draw_bar(axes, (left + offsets[group]).tolist(), axis + 9 + _LEVEL * level)
    return figure


def _axis(ranks: Sequence[float], ruler: float | None) -> tuple[int, int]:
    """The first and the last rank on the axis, which is no shorter than the ruler; ``ranks`` rise."""
    if len(ranks) <= _MOST_ON_A_FULL_AXIS:
        return 1, len(ranks)
    span = max(1, math.ceil(ranks[-1]) - math.floor(ranks[0]), math.ceil(ruler or 0))
    low = min(math.floor(ranks[0]), len(ranks) - span)
    return low, low + span


def _sides(axes: "Axes", names: list[list[str]]) -> tuple[float, float]:
    """How wide the names on the left and on the right of the axis are, with their numbers."""
    widths = [max(_width(axes, line) for line in lines) + _NUMBER + _MARGIN + 6 for lines in names]
    half = (len(names) + 1) // 2
    return max(widths[:half]), max(widths[half:])


def cliques(alike: npt.NDArray[np.bool_]) -> list[list[int]]:
    """The largest groups of two or more whose members are all alike (Bron and Kerbosch, CACM 16:575, 1973).

    Args:
        alike: k x k, symmetric; the diagonal does not matter.

    Returns:
        Rising positions of each group, none of which is part of another; sorted.

    Example:
        >>> cliques(np.array([[1, 1, 0], [1, 1, 1], [0, 1, 1]], dtype=bool))
        [[0, 1], [1, 2]]
    """
    neighbours = [set(np.flatnonzero(row).tolist()) - {place} for place, row in enumerate(alike)]
    found: list[list[int]] = []

    def grow(group: set[int], candidates: set[int], done: set[int]) -> None:
        if not candidates and not done and len(group) > 1:
            found.append(sorted(group))
        if not candidates:
            return
        pivot = max(candidates | done, key=lambda place: len(neighbours[place] & candidates))
        for place in candidates - neighbours[pivot]:
            grow(group | {place}, candidates & neighbours[place], done & neighbours[place])
            candidates = candidates - {place}
            done = done | {place}

    grow(set(), set(range(len(neighbours))), set())
    return sorted(found)


def _levels(bars: Sequence[tuple[float, float]]) -> list[int]:
    """The line that each bar is drawn on, so that no two on one line touch; bars sorted by their beginning."""
    ends: list[float] = []
    levels = []
    for start, end in bars:
        level = next((level for level, taken in enumerate(ends) if taken + 14 < start), len(ends))
        ends[level : level + 1] = [end]
        levels.append(level)
    return levels


def _labels(names: list[list[str]], ranks: list[float], xs: list[float], first: float) -> list[_Label]:
    """The better half on the left, the best at the top; the others on the right, the worst at the top."""
    half = (len(names) + 1) // 2
    labels = []
    for side in (range(half), range(len(names) - 1, half - 1, -1)):
        y = first
        for place in side:
            labels.append(_Label(names[place], ranks[place], xs[place], y, place < half))
            y += _LINE * len(names[place]) + _SPACE
    return labels


def _draw_axis(axes: "Axes", left: float, length: float, y: float, ends: tuple[int, int]) -> None:
    axes.plot([left, left + length], [y, y], color=INK, linewidth=1, solid_capstyle="butt")
    low, high = ends
    for rank in range(low, high + 1):
        x = left + (rank - low) / (high - low) * length
        axes.plot([x, x], [y - 4, y], color=INK, linewidth=1)
        axes.text(x, y - 6, f"{rank}", ha="center", va="baseline", fontsize=8)
    axes.text(left, y - 20, "\u2190 better", ha="left", va="baseline", fontsize=8, color=MUTED)
    axes.text(left + length / 2, y - 20, "mean rank", ha="center", va="baseline", fontsize=8, color=MUTED)
    axes.text(left + length, y - 20, "worse \u2192", ha="right", va="baseline", fontsize=8, color=MUTED)


def _draw_ruler(axes: "Axes", left: float, length: float, value: float) -> None:
    y = _MARGIN + 17
    axes.text(left, y - 7, f"critical difference {value:.2f}", ha="left", va="baseline", fontsize=8)
    axes.plot([left, left + length], [y, y], color=INK, linewidth=1.4)
    for x in (left, left + length):
        axes.plot([x, x], [y - 3.5, y + 3.5], color=INK, linewidth=1.4)


def _draw_label(axes: "Axes", label: _Label, ends: tuple[float, float], axis: float) -> None:
    end, side = (ends[0], -1) if label.on_left else (ends[1], 1)
    align = "right" if label.on_left else "left"
    axes.plot([label.x, label.x, end + side * 3], [axis, label.y, label.y], color=MUTED, linewidth=0.8)
    axes.text(end + side * 6, label.y, f"{label.rank:.2f}", ha=align, va="center", fontsize=8, color=MUTED)
    for place, line in enumerate(label.lines):
        axes.text(end + side * (6 + _NUMBER), label.y + place * _LINE, line, ha=align, va="center")


def _draw_bar(axes: "Axes", xs: list[float], y: float) -> None:
    axes.plot([min(xs) - 4, max(xs) + 4], [y, y], color=SERIES[1], linewidth=3.2, solid_capstyle="round", zorder=3)
    axes.plot(xs, [y] * len(xs), "o", color=INK, markersize=2.4, zorder=4)


def _width(axes: "Axes", line: str) -> float:
    text = axes.text(0, 0, line)
    width, _ = text_size(text)
    text.remove()
    return width
