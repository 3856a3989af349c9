"""How often each label occurs, as a picture: data sets side by side on a log axis."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe and Ito's colours, which the colour-blind can tell apart; the first, grey, is for the benchmark.
_COLOURS = ("#777777", "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9")
_WIDTH = 0.84  # of the bars of a label together


def label_plot(path: Path, labels: Sequence[str], counts: Mapping[str, Mapping[str, int]], title: str) -> None:
    """Draw grouped bars, one group a label and one bar a data set, in the manner of Kaplan et al. (2025), Fig. 2.

    Equal arguments give equal bytes.

    Args:
        path: of the PNG file.
        labels: from left to right.
        counts: data set to label to utterances, one data set at least and six at most; a label that is not there
            counts 0.
        title: above the picture.
    """
    width = _WIDTH / len(counts)
    bars = len(labels) * len(counts)
    figure = Figure(figsize=(max(6.4, 0.24 * bars + 1.6), 4.2), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    numbers = {name: [of.get(label, 0) for label in labels] for name, of in counts.items()}
    low, high = _limits([n for row in numbers.values() for n in row if n])
    handles: list[Artist] = []
    for place, (row, colour) in enumerate(zip(numbers.values(), _COLOURS, strict=False)):
        middles = [x + (place - (len(counts) - 1) / 2) * width for x in range(len(labels))]
        drawn = axes.bar(middles, [max(n, low) for n in row], 0.92 * width, color=colour, zorder=2)
        handles.append(drawn.patches[0])
        for x, number in zip(middles, row, strict=True):
            axes.annotate(
                f"{number}", (x, max(number, low)), (0, 2), textcoords="offset points", ha="center", va="bottom",
                rotation=90 if len(counts) > 1 else 0, fontsize=7,
            )  # fmt: skip
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.yaxis.set_minor_formatter("")
    _name(axes, labels, handles, list(counts), title)
    figure.savefig(path, format="png", metadata={"Software": None})


def _limits(numbers: Sequence[int]) -> tuple[float, float]:
    """A power of ten below the least number, so that its bar is seen, and room above the greatest for what it says."""
    low, high = (min(numbers), max(numbers)) if numbers else (1, 1)
    bottom = max(0.5, 10.0 ** math.floor(math.log10(0.8 * low)))
    return bottom, bottom * (high / bottom) ** 1.22


def _name(axes: Axes, labels: Sequence[str], handles: list[Artist], names: Sequence[str], title: str) -> None:
    """Write what everything is. Dollar signs in names are dollar signs, not mathematics."""
    axes.set_title(title, parse_math=False)
    axes.set_ylabel("utterances (log scale)")
    axes.set_xticks(range(len(labels)), labels, parse_math=False)
    legend = axes.figure.legend(handles, names, loc="outside lower center", ncols=len(names), frameon=False)
    for text in legend.get_texts():
        text.set_parse_math(False)
    axes.tick_params(axis="x", length=0)
    axes.grid(axis="y", color="#dddddd", linewidth=0.8, zorder=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
