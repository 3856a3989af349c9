"""A confusion matrix as a picture."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ercsatz.reporting.figures import INK, SERIES, drawing, new_figure
from ercsatz.reporting.text import plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CELL, _MARGIN = 38, 110  # points


def confusion_figure(counts: Sequence[Sequence[int]], labels: Sequence[str], title: str) -> "Figure":
    """Counts of gold (rows) by predicted labels, shaded by their share of the gold label's utterances."""
    from matplotlib.colors import LinearSegmentedColormap

    shares = [[count / (sum(row) or 1) for count in row] for row in counts]
    side = _CELL * len(labels) + _MARGIN
    with drawing():
        figure = new_figure(side, side)
        axes = figure.add_subplot()
        axes.imshow(shares, cmap=LinearSegmentedColormap.from_list("shares", ["white", SERIES[1]]), vmin=0, vmax=1)
        for gold, row in enumerate(counts):
            for predicted, count in enumerate(row):
                colour = "white" if shares[gold][predicted] > 0.5 else INK
                axes.text(predicted, gold, f"{count:,}", ha="center", va="center", color=colour)
        names = [plain(label) for label in labels]
        axes.set_xticks(range(len(names)), names, rotation=40, ha="right")
        axes.set_yticks(range(len(names)), names)
        axes.set(xlabel="predicted", ylabel="gold", title=plain(title))
        axes.grid(visible=False)
        figure.tight_layout()
    return figure
