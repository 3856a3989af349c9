"""What a figure means beside its mark, in words."""

import math
import statistics
from dataclasses import dataclass
from typing import Literal

from ercsatz.assessment.record import Assessment, Line

Word = Literal["as real", "better", "worse", "no mark", "undefined"]

SIGNIFICANT = 0.05
_SHARE = 0.02  # of the mark: smaller differences are none, however steady
_DEVIATIONS = 2


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a figure is as good as its mark, and by how much it differs: value minus mark."""

    word: Word
    difference: float | None = None


def verdict(line: Line) -> Verdict:
    """Compare a figure with its mark.

    ``as real``: within two standard deviations of the difference of two draws, or within 2 % of the mark. Where there
    was one draw only, the latter. A test of the splits is ``as real`` if it is not significant at .05. ``better``
    where ``real`` is best does not exist: further from real is worse, on either side.
    """
    if line.value is None:
        return Verdict("undefined")
    if line.mark is None:
        return Verdict("no mark")
    difference = line.value - line.mark
    if line.p is not None:
        return Verdict("worse" if line.p < SIGNIFICANT else "as real", difference)
    if abs(difference) <= tolerance(line):
        return Verdict("as real", difference)
    good = line.better != "real" and (difference > 0) == (line.better == "higher")
    return Verdict("better" if good else "worse", difference)


def tolerance(line: Line) -> float:
    """The largest difference that is none."""
    spread = math.hypot(*(statistics.stdev(each) for each in (line.values, line.marks) if len(each) > 1))
    return max(_DEVIATIONS * spread, _SHARE * abs(line.mark or 0.0))


def headline(found: Assessment) -> str:
    """One sentence: how many of the figures are as real."""
    words = [verdict(line).word for line in found.lines if line.emotion is None]
    count = {word: words.count(word) for word in ("as real", "better", "worse")}
    marked = sum(count.values())
    return (
        f"{found.data}: of {marked} figures with a mark, {count['as real']} are as in real dialogues, "
        f"{count['better']} better and {count['worse']} worse."
    )


def sentences(found: Assessment) -> list[str]:
    """What was found, in plain words: variety, likeness, labels, leaks, splits, the judge."""
    lines = {line.name: line for line in found.lines if line.emotion is None}
    said = [headline(found), *_told(lines)]
    said += [*_utility(lines), _leaks(found, lines), _splits(found), _judged(found)]
    return [sentence for sentence in said if sentence]


def number(value: float | None) -> str:
    """Three significant digits; ``-`` for none."""
    if value is None:
        return "-"
    if value == 0 or 0.001 <= abs(value) < 1000:
        return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.1e}"


def beside(line: Line) -> str:
    """A value beside its mark: ``0.912 (real 0.503)``."""
    real = f" (real {number(line.mark)})" if line.marks else ""
    return f"{number(line.value)}{real}"


_KEY = {
    "distinct_2": ("variety of word pairs", "distinct-2"),
    "vendi": ("variety of meaning", "Vendi score"),
    "js_labels": ("distribution of emotions", "Jensen-Shannon distance"),
    "js_transitions": ("which emotion follows which", "Jensen-Shannon distance"),
    "c2st_auc": ("how well a classifier tells it from real turns", "AUC, 0.5 is not at all"),
    "coverage": ("share of real turns that it comes near to", "coverage"),
}


def _told(lines: dict[str, Line]) -> list[str]:
    groups: dict[str, list[str]] = {"worse": [], "better": [], "as real": []}
    for name, (what, figure) in _KEY.items():
        if name in lines and (word := verdict(lines[name]).word) in groups:
            groups[word].append(f"{what} ({figure} {beside(lines[name])})")
    titles = {"worse": "Worse than real against real", "better": "Better", "as real": "As real against real"}
    return [f"{titles[word]}: {'; '.join(parts)}." for word, parts in groups.items() if parts]


def _utility(lines: dict[str, Line]) -> list[str]:
    floor = lines["majority_w_f1"].value if "majority_w_f1" in lines else None
    said = []
    if (line := lines.get("tstr_w_f1_words")) and line.value is not None:
        said.append(
            f"A probe (TF-IDF + logistic regression) that learnt from it reaches W-F1 {_points(line.value)} on the "
            f"real test set, one that learnt from real dialogues {_points(line.mark)}; always the most frequent "
            f"emotion gives {_points(floor)}."
        )
    if (line := lines.get("agreement_w_f1_words")) and line.value is not None:
        said.append(
            f"The probe that learnt from real dialogues agrees with its labels at W-F1 {_points(line.value)}, and with "
            f"those of the real test set at {_points(line.mark)}."
        )
    return said


def _points(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def _leaks(found: Assessment, lines: dict[str, Line]) -> str:
    leaking = lines.get("leaking")
    if leaking is None or leaking.value is None:
        return ""
    count = len({(row["split"], row["dialogue"]) for row in found.offenders})
    if not count:
        return "Nothing in it repeats the real validation and test sets."
    return (
        f"{count:,} of its {leaking.n:,} dialogues repeat something of the real validation and test sets "
        f"({100 * leaking.value:.1f} %; of the real training split {100 * (leaking.mark or 0):.1f} % do). "
        "assess.fix=true writes a copy without them."
    )


def _splits(found: Assessment) -> str:
    differ = [row["name"] for row in found.tests if row["p_holm"] < SIGNIFICANT]
    if not found.tests:
        return ""
    if not differ:
        return "Its splits are not shown to differ (permutation tests of whole dialogues, Holm-corrected)."
    return (
        f"Its splits differ in {', '.join(map(_plain, differ))} (permutation tests of whole dialogues, Holm-corrected, "
        f"p < {SIGNIFICANT})."
    )


def _plain(name: str) -> str:
    return name.removeprefix("js_").replace("_", " ")


def _judged(found: Assessment) -> str:
    if found.judge.get("not_judged"):
        return str(found.judge["not_judged"])
    line = next((line for line in found.lines if line.name == "called_more_natural"), None)
    if line is None or line.value is None:
        return f"No figure from the judge: {line.undefined if line else 'nothing was judged'}."
    by, share = found.judge["by"], 100 * line.value
    return f"The judge ({by}) calls it more natural than the real dialogue in {share:.0f} % of pairs."
