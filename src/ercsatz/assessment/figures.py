"""Figures of an assessment: all figures over their marks, how often each emotion occurs, and maps of what is said."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from markupsafe import Markup

from ercsatz.assessment.measure_names import FAMILIES, OWN, describe
from ercsatz.assessment.record import Assessment, Line, rows
from ercsatz.assessment.verdict import direction, tolerance
from ercsatz.reporting.figures import INK, MUTED, RULE, SERIES, drawing, inline_svg, new_figure, text_size
from ercsatz.reporting.text import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MARKERS = "osD^vPX*"
_MOST = 8.0  # times the mark, on either side; what is further lies on the edge
_FAMILIES = ("diversity", "clusters", "realism", "labels", OWN, "human")
# Other figures say the same of the labels, or of the clusters.
_LEFT_OUT = ("accuracy", "macro_f1", "agreement_w_f1", "entropy", "clusters")
_ROW, _WIDTH, _FOOT = 14.0, 372.0, 34.0  # points; a phone is as wide
_KEYS = 4  # in a line of the legend
_BAR = 0.84  # of the room of an emotion


class _Row(NamedTuple):
    title: str
    lines: list[Line | None]


def overview(found: Sequence[Assessment]) -> "Figure":
    """Each figure over its mark, on a logarithmic axis: a row per measure, a dot per data set.

    The grey bar behind a dot is what counts as no difference.
    """
    shown = _overview_rows(found)
    with drawing():
        head = _ROW * math.ceil(len(found) / _KEYS)
        height = _FOOT + _ROW * len(shown) + head
        figure = new_figure(_WIDTH, height)
        axes = figure.add_axes((0.4, _FOOT / height, 0.5, 1 - (_FOOT + head) / height))
        axes.axvline(1, color=INK, linewidth=0.9)
        for place, row in enumerate(shown):
            _overview_row(axes, place, row)
        axes.set_xscale("log", base=2)
        axes.set_xlim(1 / _MOST, _MOST)
        axes.set_xticks([1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8], ["≤ 1/8", "1/4", "1/2", "real", "2", "4", "≥ 8"])
        axes.set_yticks(range(len(shown)), [row.title for row in shown], fontsize=8)
        for tick, row in zip(axes.get_yticklabels(), shown, strict=True):
            tick.set_fontweight("normal" if row.lines else "bold")
        axes.set_ylim(max(1, len(shown)) - 0.5, -0.5)
        axes.set_xlabel("times what real dialogues have", color=MUTED, fontsize=8)
        axes.tick_params(axis="y", length=0)
        axes.tick_params(axis="x", labelsize=8)
        axes.grid(axis="y", visible=False)
        axes.spines["left"].set_visible(False)
        _legend(axes, found)
        left = max((text_size(text)[0] for text in axes.get_yticklabels()), default=0.0) + 8
        box = axes.get_position()
        axes.set_position((left / _WIDTH, box.y0, 0.84 - left / _WIDTH, box.height))
    return figure


def _overview_rows(found: Sequence[Assessment]) -> list[_Row]:
    shown = []
    for family in _FAMILIES:
        lines = [
            row
            for row in rows(found, family)
            if any(_ratio(line) is not None for line in row)
            and (family == OWN or not any(part in next(line.name for line in row if line) for part in _LEFT_OUT))
        ]
        if lines:
            shown.append(_Row(FAMILIES[family], []))
        shown += [_Row(plain(describe(next(line for line in row if line)).title), row) for row in lines]
    return shown


def _overview_row(axes: "Axes", place: int, row: _Row) -> None:
    if not row.lines:
        axes.axhline(place - 0.5, color=RULE, linewidth=0.6)
        return
    present = [line for line in row.lines if line is not None and _ratio(line) is not None]
    apart = min(0.22, 0.6 / len(row.lines))
    thick = 0.7 if len(row.lines) == 1 else apart
    for number, line in enumerate(row.lines):
        if line is not None and (ratio := _ratio(line)) is not None:
            height = place + apart * (number - (len(row.lines) - 1) / 2)
            if line.p is None and line.chance is not None and line.mark:
                low, high = (min(_MOST, max(1 / _MOST, 1 + side * tolerance(line) / line.mark)) for side in (-1, 1))
                axes.barh(height, high - low, thick, low, color=RULE)
            marker = _MARKERS[number % len(_MARKERS)]
            axes.plot(ratio, height, marker, color=_colour(number), markersize=4.5, alpha=0.85, clip_on=False)
    told = "" if present[0].better == "real" else direction(present[0])
    axes.annotate(
        told, (1, place), (7, 0), ("axes fraction", "data"), "offset points", va="center", fontsize=6.5, color=MUTED
    )


def _legend(axes: "Axes", found: Sequence[Assessment]) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], linestyle="", marker=_MARKERS[place % len(_MARKERS)], color=_colour(place), markersize=5)
        for place in range(len(found))
    ]
    axes.figure.legend(
        handles, [plain(each.data) for each in found], loc="upper left", ncols=_KEYS, borderaxespad=0,
        handletextpad=0.2, columnspacing=1.2, fontsize=8,
    )  # fmt: skip


def _colour(place: int) -> str:
    """Of a data set; the first of all colours is the real one's."""
    return SERIES[1 + place % (len(SERIES) - 1)]


def _ratio(line: Line | None) -> float | None:
    if line is None or line.value is None or not line.mark or line.mark < 0:
        return None
    return min(_MOST, max(1 / _MOST, line.value / line.mark))


def emotions(found: Sequence[Assessment]) -> "Figure":
    """Utterances by emotion in the training splits, on a logarithmic axis: the real one and all data sets.

    In the manner of Fig. 2 of Kaplan, Carneiro and Wermter (2025).
    """
    from matplotlib.ticker import LogLocator

    sets = {found[0].real: found[0].label_counts[found[0].real]["train"]}
    sets |= {each.data: each.label_counts[each.data]["train"] for each in found}
    labels, width = list(sets[found[0].real]), _BAR / len(sets)
    with drawing():
        figure = new_figure(_WIDTH, 180)
        axes = figure.add_axes((0.12, 0.12, 0.87, 0.86))
        present = [n for counts in sets.values() for n in counts.values() if n]
        low = min(present, default=1) / 2
        for place, counts in enumerate(sets.values()):
            middles = [x + (place - (len(sets) - 1) / 2) * width for x in range(len(labels))]
            heights = [max(0.0, counts[label] - low) for label in labels]
            axes.bar(middles, heights, 0.9 * width, low, color=_colour(place - 1) if place else SERIES[0])
        axes.set_yscale("log")
        axes.set_ylim(low, 1.3 * max(present, default=1))
        axes.yaxis.set_major_locator(
            LogLocator(subs=(1.0, 2.0, 5.0) if max(present, default=1) < 200 * low else (1.0,))
        )
        axes.yaxis.set_major_formatter("{x:,.0f}")
        axes.yaxis.set_minor_formatter("")
        axes.set_xticks(range(len(labels)), [plain(label) for label in labels])
        axes.set_ylabel("utterances", color=MUTED, fontsize=8)
        axes.tick_params(labelsize=8)
        axes.tick_params(axis="x", length=0)
        axes.grid(axis="x", visible=False)
    return figure


def emotions_key(found: Sequence[Assessment]) -> list[tuple[int, str]]:
    """What the colours of ``emotions`` stand for."""
    return [(0, found[0].real)] + [(SERIES.index(_colour(place)), each.data) for place, each in enumerate(found)]


def nearest_turns(found: Sequence[Assessment]) -> "Figure":
    """Which share of turns is no further than so far from the nearest held-out one: real training turns and all sets.

    An empirical distribution function, from its percentiles.
    """
    with drawing():
        figure = new_figure(_WIDTH, 170)
        axes = figure.add_axes((0.12, 0.22, 0.85, 0.75))
        series = [(SERIES[0], each.nearest.get("real")) for each in found]
        series += [(_colour(place), each.nearest.get("own")) for place, each in enumerate(found)]
        for colour, distances in series:
            if distances:
                axes.plot(distances[1:], range(1, len(distances)), color=colour, linewidth=1.3)
        axes.set_xlim(left=0)
        axes.set_yscale("log")  # leaks are among the nearest few per cent
        axes.set_ylim(1, 100)
        axes.set_yticks([1, 3, 10, 30, 100], ["1", "3", "10", "30", "100"])
        axes.minorticks_off()
        axes.set_xlabel("cosine distance to the nearest held-out turn", color=MUTED, fontsize=8)
        axes.set_ylabel("% of turns within", color=MUTED, fontsize=8)
        axes.tick_params(labelsize=8)
    return figure


def maps(found: Sequence[Assessment], labels: Sequence[str]) -> list[Markup]:
    """What is said on the two main axes of real turns: a panel for those and for each data set.

    Each data set is beside real turns of its own draw; those of the first are shown.
    """
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
