"""The pictures of a search: what its trials reached, and which keys mattered."""

import math
from typing import TYPE_CHECKING

from ercsatz.reporting.figures import MUTED, SERIES, drawing, new_figure
from ercsatz.reporting.text import plain
from ercsatz.sweeps.search.summary import Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH, _HEIGHT = 400.0, 190.0  # of one picture, in points
_BAR = 17.0  # points for a bar, with the space beside it


def history(summary: Summary) -> "Figure":
    """Scores by trial with the best so far; of two goals or more the first two against each other."""
    with drawing():
        figure = new_figure(_WIDTH, _HEIGHT)
        _history(figure.add_axes((0.13, 0.2, 0.84, 0.68)), summary)
        return figure


def importance(summary: Summary) -> "Figure":
    """Bars, one a key, for each goal."""
    bars = sum(map(len, summary.importance.values()))
    height = bars * _BAR + 55
    with drawing():
        figure = new_figure(_WIDTH, height)
        _importance(figure.add_axes((0.36, 40 / height, 0.56, 1 - 55 / height)), summary)
        return figure


def both(summary: Summary) -> "Figure":
    """The two side by side, for a file of its own."""
    if not summary.importance:
        return history(summary)
    with drawing():
        figure = new_figure(2 * _WIDTH, _HEIGHT)
        _history(figure.add_axes((0.065, 0.2, 0.42, 0.68)), summary)
        _importance(figure.add_axes((0.68, 0.2, 0.28, 0.68)), summary)
        return figure


def _history(axes: "Axes", summary: Summary) -> None:
    completed = sorted(summary.of("completed"), key=lambda trial: trial.number)
    if len(summary.goals) > 1:
        _against(axes, summary)
        return
    (goal,) = summary.goals
    values = [trial.values[0] * goal.scale for trial in completed]
    numbers = [trial.number for trial in completed]
    so_far: list[float] = []
    for value in values:
        so_far.append((max if goal.maximise else min)([*so_far[-1:], value]))
    axes.step(numbers, so_far, where="post", color=SERIES[1], linewidth=1.4, label="the best so far")
    axes.plot(numbers, values, "o", color=SERIES[0], markersize=4, label="trial")
    if lost := [trial.number for trial in summary.of("failed")]:
        bottom = min(values, default=0)
        axes.plot(lost, [bottom] * len(lost), "x", color=SERIES[2], markersize=5, label="failed (no score)")
    axes.set_xlabel("trial")
    axes.set_ylabel(plain(goal.title))
    axes.grid(axis="x", visible=False)
    _whole(axes, [trial.number for trial in summary.trials])
    _legend(axes)


def _against(axes: "Axes", summary: Summary) -> None:
    first, second = summary.goals[:2]
    for label, colour, trials in (
        ("trial", SERIES[0], [trial for trial in summary.of("completed") if trial.number not in summary.best]),
        ("Pareto front", SERIES[1], summary.best_trials()),
    ):
        points = sorted((trial.values[1] * second.scale, trial.values[0] * first.scale) for trial in trials)
        style = "o-" if label == "Pareto front" and len(summary.goals) == 2 else "o"
        axes.plot(*zip(*points, strict=True) if points else ((), ()), style, color=colour, markersize=4, label=label)
        for trial in trials:
            place = (trial.values[1] * second.scale, trial.values[0] * first.scale)
            axes.annotate(str(trial.number), place, (3, 3), textcoords="offset points", fontsize=7, color=MUTED)
    axes.set_xlabel(plain(second.title))
    axes.set_ylabel(plain(first.title))
    _legend(axes)


def _importance(axes: "Axes", summary: Summary) -> None:
    lines = [(goal, key, share) for goal, shares in summary.importance.items() for key, share in shares.items()]
    colours = [SERIES[1 + list(summary.importance).index(goal)] for goal, _, _ in lines]
    several = len(summary.importance) > 1
    names = [plain(f"{key} ({goal})" if several else key) for goal, key, _ in lines]
    places = range(len(lines))[::-1]
    axes.barh(places, [share for _, _, share in lines], color=colours, height=0.6)
    for place, (_, _, share) in zip(places, lines, strict=True):
        axes.annotate(f"{share:.2f}", (share, place), (3, 0), textcoords="offset points", va="center", fontsize=8)
    axes.set_yticks(places, names, fontsize=8)
    axes.set_xlim(0, 1.12)
    axes.set_xticks([0, 0.5, 1])
    axes.set_xlabel("importance (share of the variation)")
    axes.grid(axis="y", visible=False)


def _legend(axes: "Axes") -> None:
    """Above the picture, where no point can be."""
    axes.legend(fontsize=8, loc="lower left", bbox_to_anchor=(0, 0.98), ncol=3, borderaxespad=0)


def _whole(axes: "Axes", numbers: list[int]) -> None:
    first, last = min(numbers), max(numbers)
    axes.set_xticks(range(first, last + 1, math.ceil((last - first + 1) / 10)))
    axes.set_xlim(first - 0.5, last + 0.5)
