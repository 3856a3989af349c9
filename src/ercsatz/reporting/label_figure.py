"""How often each label occurs in several data sets, as a figure for a paper: dots on a log axis.

Dots, since a bar on a log axis has no zero to start from. A label that does not occur has its dot at 0, left of the
axis. Data sets differ in shape and in lightness, so that they are told apart in grey and by the colour-blind.
"""

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ercsatz.reporting.figures import INK, MUTED, RULE, drawing, new_figure, text_size
from ercsatz.reporting.text import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

COLUMN, TEXT = 3.5, 7.16
"""Inches: the width of a column, and of the text, of a page of two columns."""

_POINTS = 72
_FONT, _SMALL = 8.0, 7.5  # points
_DOT, _GAP, _ABOVE, _BELOW, _KEY = 6.5, 5.0, 18.0, 30.0, 15.0  # points, between dots, labels and parts
_NAME = 24  # characters of a label

# Shape, face and edge; the faces' lightness goes from black to white, the first is for the benchmark.
STYLES = (
    ("o", INK, INK), ("s", "#56b4e9", INK), ("D", "#d55e00", INK), ("^", "#ffffff", INK), ("v", "#f0e442", INK),
    ("P", "#0072b2", INK),
)  # fmt: skip


@dataclass(frozen=True)
class LabelPanel:
    """A benchmark's data sets.

    Attributes:
        title: above the panel.
        labels: from top to bottom.
        counts: data set to label to utterances; a label that is not there counts 0.
    """

    title: str
    labels: Sequence[str]
    counts: Mapping[str, Mapping[str, int]]


def label_figure(panels: Sequence[LabelPanel], width: float, shares: bool = False) -> "Figure":
    """Panels below each other in a column, beside each other in the width of a text.

    Data sets of one name have one look in all panels.

    Args:
        panels: one at least, of six different data sets at the most.
        width: of the figure in inches.
        shares: show per cent of a data set's utterances instead of counts.
    """
    names = list(dict.fromkeys(name for panel in panels for name in panel.counts))
    columns = 1 if width < 1.5 * COLUMN else min(2, len(panels))
    rows = [panels[start : start + columns] for start in range(0, len(panels), columns)]
    heights = [max(map(_height, row)) for row in rows]
    with drawing():
        from matplotlib import rc_context

        with rc_context({"font.size": _FONT}):
            key_rows = math.ceil(len(names) / _key_columns(names, width))
            total = sum(heights) + _KEY * key_rows + 4
            figure = new_figure(width * _POINTS, total)
            top = total
            handles: dict[str, Line2D] = {}
            for row, height in zip(rows, heights, strict=True):
                for column, panel in enumerate(row):
                    axes = figure.add_axes((0, 0, 1, 1))
                    handles |= _draw(axes, panel, names, shares)
                    _place(axes, column * width * _POINTS / columns, top - _ABOVE, width * _POINTS / columns, panel)
                top -= height
            figure.legend(
                [handles[name] for name in names], [textwrap.shorten(plain(name), 40) for name in names],
                loc="lower center", bbox_to_anchor=(0.5, 0.0), ncols=_key_columns(names, width), borderaxespad=0.2,
                handletextpad=0.2, columnspacing=1.4, fontsize=_FONT,
            )  # fmt: skip
            return figure


def _key_columns(names: Sequence[str], width: float) -> int:
    widest = max(len(plain(name)) for name in names) * 0.55 * _FONT + 30
    return max(1, min(len(names), int(width * _POINTS / widest)))


def _height(panel: LabelPanel) -> float:
    return _ABOVE + _BELOW + len(panel.labels) * _pitch(panel)


def _pitch(panel: LabelPanel) -> float:
    return len(panel.counts) * _DOT + _GAP


def _place(axes: "Axes", left: float, top: float, width: float, panel: LabelPanel) -> None:
    """Give a panel its place, in points, with room for its labels."""
    figure = axes.figure
    whole = figure.get_size_inches() * _POINTS  # type: ignore[union-attr]
    names = max(text_size(text)[0] for text in axes.get_yticklabels()) + 8
    height = len(panel.labels) * _pitch(panel)
    place = ((left + names) / whole[0], (top - height) / whole[1], (width - names - 10) / whole[0], height / whole[1])
    axes.set_position(place)


def _draw(axes: "Axes", panel: LabelPanel, names: Sequence[str], shares: bool) -> "dict[str, Line2D]":
    totals = {name: max(1, sum(of.values())) for name, of in panel.counts.items()}
    values = {
        name: [100 * of.get(label, 0) / totals[name] if shares else of.get(label, 0) for label in panel.labels]
        for name, of in panel.counts.items()
    }
    zero = _log_axis(axes, [value for of in values.values() for value in of])
    sets = len(values)
    step = _DOT / _pitch(panel)
    handles = {}
    for number, (name, row) in enumerate(values.items()):
        shape, face, edge = STYLES[names.index(name) % len(STYLES)]
        heights = [place + (number - (sets - 1) / 2) * step for place in range(len(row))]
        (handles[name],) = axes.plot(
            [value or zero for value in row], heights, shape, color=face, markeredgecolor=edge, markeredgewidth=0.6,
            markersize=4.6, linestyle="none", clip_on=False, zorder=3,
        )  # fmt: skip
    axes.set_yticks(range(len(panel.labels)), [textwrap.shorten(plain(label), _NAME) for label in panel.labels])
    axes.set_ylim(len(panel.labels) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    for row_end in range(len(panel.labels) - 1):
        axes.axhline(row_end + 0.5, color=RULE, linewidth=0.6)
    axes.set_title(plain(panel.title), loc="left", fontsize=_FONT + 0.5, pad=4)
    axes.set_xlabel(
        "share of the utterances in per cent (log scale)" if shares else "utterances (log scale)",
        fontsize=_SMALL, labelpad=2,
    )  # fmt: skip
    return handles


def _log_axis(axes: "Axes", values: Sequence[float]) -> float:
    """Lay out the axis; gives the place of what does not occur, which is marked by 0 and set apart by a line."""
    from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

    present = [value for value in values if value > 0] or [1.0]
    low, high = min(present), max(present)
    ticks = _ticks(low, high)
    left, right = min(low / 1.3, ticks[0]), max(high * 1.3, ticks[-1])
    axes.set_xscale("log")
    zero = 0.0
    labels = [f"{tick:,.0f}" if tick >= 1 else f"{tick:g}" for tick in ticks]
    if any(value == 0 for value in values):
        room = (right / left) ** 0.11
        axes.axvline(left / room**0.45, color=MUTED, linewidth=0.7, linestyle=(0, (2, 2)))
        zero, left = left / room, left / room**1.35
        ticks, labels = [zero, *ticks], ["0", *labels]
    axes.set_xlim(left, right)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.set_xticklabels(labels)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(axis="x", labelsize=_SMALL, color=MUTED, length=2.5)
    axes.spines["left"].set_visible(False)
    return zero


def _ticks(low: float, high: float) -> list[float]:
    """Powers of ten inside a span, with twos and fives where that would be few."""
    inside: list[float] = []
    for steps in ((1,), (1, 3), (1, 2, 5)):
        powers = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
        ticks = [step * 10.0**power for power in powers for step in steps]
        inside = [tick for tick in ticks if low / 1.3 <= tick <= high * 1.3]
        if len(inside) >= 3:
            break
    return inside or [low]
