"""Learning curves as small multiples: plain SVG, written by hand, since a running job should not import matplotlib."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from markupsafe import Markup, escape

from ercsatz.reporting.figures import SERIES
from ercsatz.reporting.text import plain

WIDTH, HEIGHT = 190.0, 118.0  # of a panel, in points
_LEFT, _RIGHT, _TOP, _BOTTOM = 26.0, 6.0, 8.0, 20.0
_POINTS = 60  # of a line
_DASHES = ("", "5 3", "1.5 2.5")  # of the lines beyond the colours


class Line(NamedTuple):
    """A learning curve: its place in the key, and W-F1 (0 to 1) by epoch."""

    number: int
    points: Sequence[tuple[int, float]]


@dataclass(frozen=True)
class Panel:
    """A picture of some curves with common axes.

    Attributes:
        title: what they have in common.
        lines: at least one.
    """

    title: str
    lines: Sequence[Line]


def stroke(number: int) -> tuple[int, str]:
    """The colour and the dashes of the line of a place in the key."""
    return number % len(SERIES), _DASHES[number // len(SERIES) % len(_DASHES)]


def limits(panels: Iterable[Panel]) -> tuple[float, float]:
    """The least and the greatest W-F1 of some panels, 0 to 100, with room around them."""
    values = [100 * value for panel in panels for line in panel.lines for _, value in line.points]
    room = max(1.0, 0.06 * (max(values) - min(values)))
    return min(values) - room, max(values) + room


def draw(panel: Panel, name: str, span: tuple[float, float], names: Mapping[int, str]) -> Markup:
    """A panel as an ``svg`` element.

    Args:
        panel: what to draw.
        name: unique in the page.
        span: of the vertical axis, 0 to 100.
        names: of the lines, by their place in the key.
    """
    epochs = [epoch for line in panel.lines for epoch, _ in line.points]
    first, last = min(epochs), max(max(epochs), min(epochs) + 1)

    def x(epoch: float) -> float:
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * (epoch - first) / (last - first)

    def y(value: float) -> float:
        return HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * (value - span[0]) / (span[1] - span[0])

    drawn = [_grid(value, y(value)) for value in _ticks(*span)]
    drawn += [_text(x(epoch), HEIGHT - 9, str(epoch), "middle") for epoch in sorted({first, max(epochs)})]
    drawn.append(_text((_LEFT + WIDTH - _RIGHT) / 2, HEIGHT - 2, "epoch", "middle"))
    best: dict[int, float] = {}
    for line in panel.lines:
        points = [(x(epoch), y(100 * value)) for epoch, value in _thinned(line.points)]
        drawn.append(_line(points, line.number))
        best[line.number] = max(best.get(line.number, 0.0), max(100 * value for _, value in line.points))
    told = ", ".join(f"{plain(names[number])}: {value:.1f} at best" for number, value in best.items())
    title = Markup('<title id="{0}-t">Validation W-F1 by epoch: {1}</title><desc id="{0}-d">{2}</desc>').format(
        name, plain(panel.title), told
    )
    return Markup(
        '<svg class="figure" style="--w: {0}pt" viewBox="0 0 {0} {1}" role="img" aria-labelledby="{2}-t {2}-d" '
        'font-size="8">{3}{4}</svg>'
    ).format(f"{WIDTH:g}", f"{HEIGHT:g}", name, title, Markup("").join(drawn))


def _grid(value: float, height: float) -> Markup:
    return Markup('<path d="M{} {:.1f}H{}" stroke="var(--rule)" stroke-width=".6"/>').format(
        f"{_LEFT:g}", height, f"{WIDTH - _RIGHT:g}"
    ) + _text(_LEFT - 4, height + 2.8, f"{value:g}", "end")


def _text(x: float, y: float, text: str, anchor: str) -> Markup:
    return Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}" fill="var(--muted)">{}</text>').format(
        x, y, anchor, text
    )


def _line(points: Sequence[tuple[float, float]], number: int) -> Markup:
    colour, dashes = stroke(number)
    if len(points) == 1:
        return Markup('<circle cx="{:.1f}" cy="{:.1f}" r="2.4" fill="var(--series-{})"/>').format(*points[0], colour)
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    dashed = Markup(' stroke-dasharray="{}"').format(dashes) if dashes else ""
    return Markup('<path d="{}" fill="none" stroke="var(--series-{})" stroke-width="1.3"{}/>').format(
        path, colour, dashed
    )


def _thinned(points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    step = math.ceil(len(points) / _POINTS)
    kept = list(points[::step])
    return kept if kept[-1] == points[-1] else [*kept, points[-1]]


def _ticks(low: float, high: float) -> list[float]:
    """Three to six round numbers inside an interval."""
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * nice for nice in (1, 2, 5, 10) if power * nice >= rough)
    return [step * n for n in range(math.ceil(low / step), math.floor(high / step) + 1)]


def swatch(number: int) -> Markup:
    """A short piece of a line, for the key."""
    colour, dashes = stroke(number)
    return Markup(
        '<svg class="swatch" viewBox="0 0 24 8" aria-hidden="true"><path d="M0 4H24" stroke="var(--series-{})" '
        'stroke-width="2"{}/></svg>'
    ).format(colour, Markup(' stroke-dasharray="{}"').format(escape(dashes)) if dashes else "")
