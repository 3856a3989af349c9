"""Figures of an assessment: all figures over their marks, and maps of what is said."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from ercsatz.assessment.describe import describe
from ercsatz.assessment.record import Assessment, Line
from ercsatz.pages.figures import INK, MUTED, RULE, SERIES, drawing, inline_svg, new_figure, text_size
from ercsatz.pages.text import plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MARKERS = "osD^vPX*"
_MOST = 8.0  # times the mark, on either side; what is further lies on the edge
_SHOWN = ("diversity", "clusters", "realism", "labels", "human")
_ROW, _WIDTH, _FOOT = 15.0, 440.0, 46.0  # points


def overview(found: Sequence[Assessment]) -> "Figure":
    """Each figure over its mark, on a logarithmic axis: a row per measure, a dot per data set."""
    names = [describe(line).title for line in _ratioed(found[0])]
    with drawing():
        height = _FOOT + _ROW * max(1, len(names)) + 14 * len(found)
        figure = new_figure(_WIDTH, height)
        axes = figure.add_axes((0.4, _FOOT / height, 0.58, _ROW * max(1, len(names)) / height))
        axes.axvline(1, color=INK, linewidth=0.9)
        for place, each in enumerate(found):
            ratios = {describe(line).title: _ratio(line) or math.nan for line in _ratioed(each)}
            axes.plot(
                [ratios.get(name, math.nan) for name in names], range(len(names)), _MARKERS[place % len(_MARKERS)],
                color=SERIES[(place + 1) % len(SERIES)], markersize=5, alpha=0.85, label=plain(each.data),
                clip_on=False,
            )  # fmt: skip
        axes.set_xscale("log", base=2)
        axes.set_xlim(1 / _MOST, _MOST)
        axes.set_xticks([1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8], ["≤ 1/8", "1/4", "1/2", "1", "2", "4", "≥ 8"])
        axes.set_yticks(range(len(names)), names, fontsize=8)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xlabel("value over its mark, real against real", color=MUTED, fontsize=8)
        axes.tick_params(axis="y", length=0)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0.2, handletextpad=0.2)
        left = max(text_size(text)[0] for text in axes.get_yticklabels()) + 10
        box = axes.get_position()
        axes.set_position((left / _WIDTH, box.y0, 0.97 - left / _WIDTH, box.height))
    return figure


def maps(found: Sequence[Assessment], labels: Sequence[str]) -> list[Markup]:
    """What is said on the two main axes of the real turns: a panel for the real ones and for each data set."""
    panels = [("real", found[0].points["real"])] + [(each.data, each.points["own"]) for each in found]
    everything = [point for _, points in panels for point in points]
    limits = [_limits([point[axis] for point in everything]) for axis in (0, 1)]
    return [_map(f"map-{place}", title, points, labels, limits) for place, (title, points) in enumerate(panels)]


def _map(name: str, title: str, points: list[Any], labels: Sequence[str], limits: list[tuple[float, float]]) -> Markup:
    with drawing():
        figure = new_figure(200, 200)
        axes = figure.add_axes((0.02, 0.02, 0.96, 0.88))
        for place, label in enumerate(labels):
            mine = [point for point in points if point[2] == label]
            axes.plot(
                [point[0] for point in mine], [point[1] for point in mine], ".",
                color=SERIES[place % len(SERIES)], markersize=3, alpha=0.6,
            )  # fmt: skip
        axes.set_xlim(limits[0])
        axes.set_ylim(limits[1])
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_title(plain(title), loc="left", fontsize=9)
        for side in ("top", "right", "bottom", "left"):
            axes.spines[side].set(visible=True, color=RULE)
        return inline_svg(figure, name, f"Map of turns: {plain(title)}", f"{len(points)} turns, coloured by emotion.")


def _limits(values: list[float]) -> tuple[float, float]:
    low, high = min(values, default=0.0), max(values, default=1.0)
    room = 0.05 * (high - low) or 0.5
    return low - room, high + room


def _ratioed(found: Assessment) -> list[Line]:
    lines = [line for line in found.lines if line.emotion is None and line.family in _SHOWN]
    return [line for line in lines if _ratio(line) is not None]


def _ratio(line: Line) -> float | None:
    if line.value is None or not line.mark or line.mark < 0:
        return None
    return min(_MOST, max(1 / _MOST, line.value / line.mark))
