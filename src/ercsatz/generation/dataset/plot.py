"""How often each label occurs, as a picture: data sets side by side on a log axis.

python -m ercsatz.generation.dataset.plot data/meld_nat data/meld_bal --output labels.png
"""

import argparse
import json
import logging
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ercsatz.data.text_files import read_text
from ercsatz.errors import UserError
from ercsatz.generation.dataset.folder import CONFIG_FILE
from ercsatz.reporting.status import report
from ercsatz.reporting.terminal import show_log

_LOG = logging.getLogger(__name__)

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


def main(arguments: Sequence[str]) -> int:
    """Draw the data sets in folders beside their benchmark, and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m ercsatz.generation.dataset.plot", description=__doc__.splitlines()[0]
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="made by generate.py; up to five")
    parser.add_argument("--output", type=Path, default=Path("labels.png"), metavar="FILE.png")
    given = parser.parse_args(arguments)
    show_log()
    try:
        compare(given.folders, given.output)
    except UserError as error:
        report(error)
        return 1
    _LOG.info("Wrote %s.", given.output)
    return 0


def compare(folders: Sequence[Path], path: Path) -> None:
    """Draw data sets of one benchmark beside its training split.

    Args:
        folders: one to five, made by ``generate.py``.
        path: of the PNG file.

    Raises:
        UserError: a folder holds no such data set, they are of different benchmarks, or there are too many.
    """
    if len(folders) >= len(_COLOURS):
        raise UserError(f"{len(folders)} data sets are too many for one picture: give {len(_COLOURS) - 1} at most.")
    found = [_read(folder) for folder in folders]
    benchmarks = {json.dumps(each["settings"]["benchmark"]): each for each in found}
    if len(benchmarks) > 1:
        titles = ", ".join(each["settings"]["benchmark"]["title"] for each in benchmarks.values())
        raise UserError(f"Data sets of different benchmarks ({titles}) have no labels in common: draw them apart.")
    (first, *_) = found
    title = first["settings"]["benchmark"]["title"]
    counts = {f"{title}, train": first["labels"]["benchmark"]} if first["labels"]["benchmark"] else {}
    names = [each["settings"]["data"] for each in found]
    if len(set(names)) < len(names):
        names = [str(folder) for folder in folders]
    counts |= {name: each["labels"]["data"] for name, each in zip(names, found, strict=True)}
    label_plot(path, first["settings"]["benchmark"]["labels"], counts, f"Utterances by emotion: {title}")


def _read(folder: Path) -> dict[str, Any]:
    try:
        stored: dict[str, Any] = json.loads(read_text(folder / CONFIG_FILE))
        stored["settings"]["benchmark"]["labels"], stored["labels"]["data"]
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{folder / CONFIG_FILE} is not one that generate.py writes.") from None
    return stored


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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
