"""Draw docs/img/architecture.svg from the code: python docs/draw_architecture.py.

The rows are the layers of the contract on imports in pyproject.toml, the arrows what the rooms' modules import. An
arrow that follows from others (A to C, where A to B and B to C are drawn) is left out.
"""

import random
import re
import tomllib
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import grimp
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from ercsatz.reporting.figures import INK, MUTED, drawing, new_figure, svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "img" / "architecture.svg"
BOX, GAP = (84.0, 24.0), (36.0, 34.0)  # width and height in points
TRIES = 6000
Arrows = dict[str, set[str]]
Places = dict[str, tuple[float, int]]  # column and row of each room


def layers() -> list[list[str]]:
    """The rooms, a row a layer, the commands first."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = (each for each in settings["tool"]["importlinter"]["contracts"] if each["type"] == "layers")
    return [re.split(r"\s*[|:]\s*", row) for row in contract["layers"]]


def arrows() -> Arrows:
    """Which rooms each room imports, imports inside functions and those that ``cli`` names in strings included."""
    graph = grimp.build_graph("ercsatz", cache_dir=None)
    rooms = sorted(graph.find_children("ercsatz"))

    def imported(room: str) -> set[str]:
        others = (other for other in rooms if other != room)
        found = {
            other for other in others if graph.direct_import_exists(importer=room, imported=other, as_packages=True)
        }
        return {other.removeprefix("ercsatz.") for other in found}

    found = {room.removeprefix("ercsatz."): imported(room) for room in rooms}
    commands = (ROOT / "src" / "ercsatz" / "cli.py").read_text(encoding="utf-8")
    found["cli"] |= set(re.findall(r'"ercsatz\.(\w+)\.', commands)) & found.keys()
    return found


def reduced(found: Arrows) -> Arrows:
    """Without those that follow from others."""

    def below(room: str) -> set[str]:
        return found[room].union(*map(below, found[room]))

    return {room: to - set().union(*map(below, to)) for room, to in found.items()}


def places(rows: list[list[str]], to: Arrows) -> Places:
    """Where the rooms stand in their rows, so that few arrows pass behind a room: the best of many tries."""
    draw, half_columns = random.Random(0), range(2 * max(map(len, rows)) + 2)
    best: Places = {}
    for number, row in enumerate(rows):
        best |= {room: (float(place), number) for place, room in enumerate(row)}
    least = hidden(best, to)
    for _ in range(TRIES):
        number = draw.randrange(len(rows))
        columns = [half / 2 for half in draw.sample(half_columns, len(rows[number]))]
        if any(abs(one - other) < 1 for one, other in combinations(columns, 2)):
            continue
        tried = best | {room: (column, number) for room, column in zip(rows[number], columns, strict=True)}
        if (found := hidden(tried, to)) <= least:
            best, least = tried, found
    return best


def hidden(at: Places, to: Arrows) -> tuple[int, float]:
    """How many arrows pass behind rooms that are not theirs, and how far all go sideways."""
    behind, sideways = 0, 0.0
    for (x, y), (end, last) in ((at[room], at[other]) for room in to for other in to[room]):
        slope = (end - x) / max(1, last - y)
        sideways += abs(end - x)
        for column, row in at.values():
            if y == row == last:
                behind += min(x, end) < column < max(x, end)
            elif y < row < last:
                behind += abs(x + slope * (row - y) - column) < 0.45 + abs(slope) / 5
    return behind, sideways


def picture() -> "Figure":
    """The rooms in rows, and the arrows between them."""
    to, (width, height) = reduced(arrows()), BOX
    at = places(layers(), to)
    steps = width + GAP[0], height + GAP[1]
    left, right = min(x for x, _ in at.values()), max(x for x, _ in at.values())
    across, high = (right - left + 1) * steps[0], len(layers()) * steps[1]
    figure = new_figure(across, high)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, across), ylim=(0, high))
    axes.set_axis_off()
    middles = {room: ((x - left + 0.5) * steps[0], high - (y + 0.5) * steps[1]) for room, (x, y) in at.items()}
    for room, (x, y) in middles.items():
        box = (x - width / 2, y - height / 2)
        axes.add_patch(
            FancyBboxPatch(box, width, height, "round,pad=0,rounding_size=4", fc="white", ec=MUTED, zorder=2)
        )
        axes.text(x, y, room, ha="center", va="center", color=INK, zorder=3, gid=f"room-{room}")
        for other in sorted(to[room]):
            axes.add_patch(_arrow((x, y), middles[other], f"arrow-{room}-{other}"))
    return figure


def _arrow(start: tuple[float, float], end: tuple[float, float], name: str) -> FancyArrowPatch:
    """From the bottom of one box to the top of another, or from side to side in a row."""
    (width, height), step = BOX, 1 if end[0] > start[0] else -1
    if start[1] == end[1]:
        places = (start[0] + step * width / 2, start[1]), (end[0] - step * width / 2, end[1])
    else:
        places = (start[0], start[1] - height / 2), (end[0], end[1] + height / 2)
    return FancyArrowPatch(
        *places, arrowstyle="-|>", mutation_scale=8, color=MUTED, lw=0.8, shrinkA=0, zorder=1, gid=name
    )


if __name__ == "__main__":
    with drawing():
        PICTURE.write_text(svg(picture()), encoding="utf-8")
