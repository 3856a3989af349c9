"""Learning curves and label distributions, as figures inside the page."""

import math
import textwrap
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from markupsafe import Markup

from ercsatz.ranking.report.background import Background
from ercsatz.ranking.report.cells import TreatmentGroup, groups
from ercsatz.ranking.scores import ScoreTable
from ercsatz.reporting.figures import MUTED, RULE, SERIES, drawing, inline_svg, new_figure, text_size
from ercsatz.reporting.text import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_STAGES = ("original", "pretrain", "finetune")
_MARKERS = "osD^vPX*"
_WIDTH = 400.0  # of the distributions, in points

Key = list[tuple[int, str]]
"""Numbers of colours, and what they stand for."""


class Curves(NamedTuple):
    """The learning curves of a benchmark: rows of panels, a row per group of treatments, and what the colours mean."""

    benchmark: str
    rows: list[tuple[str, list[Markup]]]
    key: Key


def learning_curves(background: Background, table: ScoreTable) -> list[Curves]:
    """Validation W-F1 by epoch: for each benchmark a panel per group of treatments and stage."""
    curves = background.curves
    if curves.empty:
        return []
    gathered = groups(table, list(table.cells.columns))
    names = list(dict.fromkeys(name for group in gathered for name in group.members.values()))
    found = []
    for number, (benchmark, mine) in enumerate(curves.groupby("benchmark", sort=False)):
        limits = _limits(100 * mine.w_f1)
        rows = []
        for place, group in enumerate(gathered):
            panels = [
                _panel(
                    part,
                    group,
                    names,
                    limits,
                    f"curves-{number}-{place}-{stage}",
                    f"{benchmark}, {group.name}, {stage}",
                )
                for stage in _STAGES
                if not (part := mine[(mine.stage == stage) & mine.treatment.isin(list(group.members))]).empty
            ]
            rows.append((group.name, panels))
        key = [(place % len(SERIES), name) for place, name in enumerate(names)]
        found.append(Curves(str(benchmark), [row for row in rows if row[1]], key))
    return found


def _panel(
    part: pd.DataFrame, group: TreatmentGroup, names: list[str], limits: tuple[float, float], name: str, title: str
) -> Markup:
    with drawing():
        figure = new_figure(190, 125)
        axes = figure.add_axes((0.15, 0.2, 0.82, 0.66))
        for treatment, mine in part.groupby("treatment", sort=False):
            colour = SERIES[names.index(group.members[str(treatment)]) % len(SERIES)]
            seeds = [100 * run.sort_values("epoch").set_index("epoch").w_f1 for _, run in mine.groupby("seed")]
            for run in seeds if len(seeds) > 1 else ():
                axes.plot(run.index, run, color=colour, linewidth=0.7, alpha=0.4)
            epochs = mine.groupby("epoch").w_f1
            mean = 100 * epochs.mean()[epochs.count() == epochs.count().max()]  # where no seed has stopped yet
            axes.plot(mean.index, mean, color=colour, linewidth=1.6)
            axes.plot(mean.index[int(mean.argmax())], mean.max(), "o", color=colour, markersize=4)
        _whole_epochs(axes, sorted(part.epoch.unique()))
        axes.set_ylim(limits)
        axes.set_title(str(part.stage.iloc[0]), loc="left", fontsize=9)
        axes.tick_params(labelsize=8, length=2.5)
        axes.set_xlabel("epoch", fontsize=8, labelpad=1)
        axes.grid(axis="x", visible=False)
        told = ", ".join(f"{plain(t)}: {100 * mine.w_f1.max():.1f} at best" for t, mine in part.groupby("treatment"))
        return inline_svg(figure, name, f"Validation W-F1 by epoch: {title}", told)


def _whole_epochs(axes: "Axes", epochs: list[int]) -> None:
    step = math.ceil(len(epochs) / 6)
    axes.set_xticks(epochs[::step])
    axes.set_xlim(epochs[0] - 0.4, epochs[-1] + 0.4)


def _limits(values: "pd.Series[float]") -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    room = max(1.0, 0.08 * (high - low))
    return low - room, high + room


class Labels(NamedTuple):
    """How often each label occurs in the data sets of a benchmark: figure, key, and a table of all splits."""

    benchmark: str
    figure: Markup
    key: Key
    columns: list[tuple[str, list[str]]]
    rows: list[tuple[str, list[str]]]


def label_distributions(background: Background) -> list[Labels]:
    """For each benchmark its training splits side by side, on a log axis."""
    counts = background.label_counts
    if counts.empty:
        return []
    benchmarks = counts.data.map(lambda data: str(data).rpartition("_")[0] or str(data))
    return [
        _labels(f"labels-{number}", str(benchmark), mine)
        for number, (benchmark, mine) in enumerate(counts.groupby(benchmarks, sort=False))
    ]


def _labels(name: str, benchmark: str, counts: pd.DataFrame) -> Labels:
    table = counts.pivot_table(index="label", columns=["data", "split"], values="count", aggfunc="sum", sort=False)
    train = counts[counts.split == "train"].pivot_table(index="label", columns="data", values="count", sort=False)
    shown = train if len(train) else counts.groupby(["label", "data"], sort=False)["count"].sum().unstack()
    columns = [
        (str(data), list(map(str, table[data].columns))) for data in dict.fromkeys(table.columns.get_level_values(0))
    ]
    rows = [(str(label), ["0" if math.isnan(n) else f"{n:,.0f}" for n in row]) for label, row in table.iterrows()]
    key = [(place % len(SERIES), str(data)) for place, data in enumerate(shown.columns)]
    return Labels(benchmark, _dots(name, benchmark, shown), key, columns, rows)


def _dots(name: str, benchmark: str, counts: pd.DataFrame) -> Markup:
    """A line per label and a dot per data set; a label that does not occur has none."""
    sets = len(counts.columns)
    with drawing():
        height = 28.0 + len(counts) * (14.0 + 5.0 * sets)
        figure = new_figure(_WIDTH, height)
        axes = figure.add_axes((0, 24 / height, 0.97, 1 - 28 / height))
        for place, data in enumerate(counts.columns):
            offset = 0.5 * (place / (sets - 1) - 0.5) if sets > 1 else 0.0
            axes.plot(
                counts[data].where(counts[data] > 0), [row + offset for row in range(len(counts))],
                _MARKERS[place % len(_MARKERS)], color=SERIES[place % len(SERIES)], markersize=4.5, linestyle="none",
            )  # fmt: skip
        _log_axis(axes, counts)
        axes.set_yticks(range(len(counts)), [textwrap.shorten(plain(label), 24) for label in counts.index])
        axes.set_ylim(len(counts) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", visible=False)
        for row in range(len(counts) - 1):
            axes.axhline(row + 0.5, color=RULE, linewidth=0.6)
        left = max(text_size(text)[0] for text in axes.get_yticklabels()) + 10
        axes.set_position((left / _WIDTH, 24 / height, 0.97 - left / _WIDTH, 1 - 28 / height))
        names = ", ".join(plain(data) for data in counts.columns)
        return inline_svg(figure, name, f"Utterances by emotion: {benchmark}", f"Of {names}, on a logarithmic axis.")


def _log_axis(axes: "Axes", counts: pd.DataFrame) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter

    present = counts.to_numpy(dtype=float)
    low, high = float(present[present > 0].min()), float(np.nanmax(present))
    axes.set_xscale("log")
    axes.set_xlim(low / 1.25, high * 1.25)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < 100 * low else (1.0,)))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(axis="x", labelsize=8, which="both", color=MUTED)
    axes.spines["left"].set_visible(False)
