"""What a figure means beside its mark."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from ercsatz.assessment.measure_names import OWN
from ercsatz.assessment.record import Line

Word = Literal["as real", "better", "no worse", "worse", "no mark", "undefined"]

WORDS: tuple[Word, ...] = ("as real", "better", "no worse", "worse")
"""Of figures that have a mark."""
SIGNIFICANT = 0.05
CAN_BE_BETTER = ("human", OWN)
"""Families of which better than real is possible, where the measure has a better side; of others only usefulness."""
_USEFULNESS = "tstr_w_f1_"
_SHARE = 0.02  # of the mark: smaller differences are none, however certain


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a figure is as good as its mark, and by how much it differs: value minus mark."""

    word: Word
    difference: float | None = None


def verdict(line: Line) -> Verdict:
    """Compare a figure with its mark.

    ``as real``: they differ by no more than chance explains in 19 of 20 cases, or by no more than 2 % of the mark; of a
    test, it is not significant at .05. Where the closest to real is best, further away is worse on either side. Else
    one side is worse; the other is ``better`` only where it can be (``can_be_better``), and ``no worse`` elsewhere:
    random words are more varied than talk, and what copies the reference is more like it than real dialogues are.
    Splits that are significantly apart are as real only if those of the real data set are so too, and by as much. Where
    nobody knows what chance explains, there is no verdict.
    """
    if line.value is None:
        return Verdict("undefined")
    if line.mark is None or (line.chance is None and line.p is None):
        return Verdict("no mark")
    difference = line.value - line.mark
    same = abs(difference) <= tolerance(line) if line.p is None else line.p >= SIGNIFICANT
    if line.family == "splits":
        real_too = line.mark_p is not None and line.mark_p < SIGNIFICANT and difference <= 0
        return Verdict("as real" if same or real_too else "worse", difference)
    if same:
        return Verdict("as real", difference)
    if line.better == "real" or (difference > 0) != (line.better == "higher"):
        return Verdict("worse", difference)
    return Verdict("better" if can_be_better(line) else "no worse", difference)


def can_be_better(line: Line) -> bool:
    """Whether a value past its mark is a sign of quality: what it teaches, what a judge says, measures of one's own."""
    useful = line.family in CAN_BE_BETTER or (line.family == "labels" and line.name.startswith(_USEFULNESS))
    return useful and line.better != "real"


def direction(line: Line) -> str:
    """Which way of its mark is worse or better, in a few words."""
    if can_be_better(line):
        return f"{line.better} is better"
    return {"higher": "lower is worse", "lower": "higher is worse", "real": "like real is best"}[line.better]


def tolerance(line: Line) -> float:
    """The largest difference that is none."""
    return max(line.chance or 0.0, _SHARE * abs(line.mark or 0.0))


def count(lines: Iterable[Line]) -> Counter[Word]:
    """How many figures have which verdict; those of single emotions, and those without a mark, do not count."""
    words = Counter(verdict(line).word for line in lines if line.emotion is None)
    return Counter({word: words[word] for word in WORDS})


def number(value: float | None) -> str:
    """Three significant digits or so; ``-`` for none."""
    if value is None:
        return "-"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2g}" if 0 < abs(value) < 0.001 else f"{value:.3f}"


def mark_of(row: Sequence[Line | None]) -> str:
    """The mark of a figure of several data sets, ``±`` what counts as none; each a range where it is not the same.

    They differ where data sets of different sizes are compared with as much of the real one.
    """
    lines = [line for line in row if line is not None and line.mark is not None]
    text = between(line.mark for line in lines if line.mark is not None)
    if lines and lines[0].mark_p is not None:
        return f"{text} (p = {between(line.mark_p for line in lines if line.mark_p is not None)})"
    rooms = [tolerance(line) for line in lines if line.p is None and line.chance is not None]
    return f"{text} ± {between(rooms)}" if rooms else text


def between(values: Iterable[float]) -> str:
    """``0.100 to 0.500``; one number where all look the same, nothing of none."""
    ordered = sorted(values)
    return " to ".join(dict.fromkeys(map(number, (ordered[0], ordered[-1])))) if ordered else ""


def beside(line: Line) -> str:
    """A value beside its mark: ``0.912, real 0.503``."""
    return f"{number(line.value)}, real {number(line.mark)}" if line.marks else number(line.value)
