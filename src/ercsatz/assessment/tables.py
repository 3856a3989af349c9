"""What a report shows, as plain texts for its templates."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ercsatz.assessment.measure_names import FAMILIES, describe, trust
from ercsatz.assessment.record import Assessment, Line, rows
from ercsatz.assessment.verdict import WORDS, between, count, direction, mark_of, number, verdict

_OFFENDERS = 20
_TEXT = 240  # characters of a text that is shown


class FigureCell(NamedTuple):
    """A figure, what it comes to, and a line below it."""

    text: str
    word: str
    sub: str


class FigureRow(NamedTuple):
    """A measure: title, what it is, which way is better, a cell per data set, what real dialogues have."""

    title: str
    what: str
    better: str
    cells: list[FigureCell]
    mark: str


class Family(NamedTuple):
    """Measures of a kind, and notes: why some have no value."""

    key: str
    title: str
    rows: list[FigureRow]
    notes: list[str]


def families(found: Sequence[Assessment]) -> list[Family]:
    """All figures that are not of one emotion; of what has no value for any data set, only a note."""
    shown = []
    for key, title in FAMILIES.items():
        all_rows = rows(found, key)
        defined = [row for row in all_rows if any(line is not None and line.value is not None for line in row)]
        if all_rows:
            shown.append(Family(key, title, [_row(row) for row in defined], _undefined(found, all_rows)))
    return shown


def _row(lines: Sequence[Line | None]) -> FigureRow:
    first = next(line for line in lines if line is not None)
    words = describe(first)
    better = "" if all(line is None or line.mark is None for line in lines) else direction(first)
    return FigureRow(words.title, words.what, better, [_cell(line) for line in lines], mark_of(lines))


def _cell(line: Line | None) -> FigureCell:
    if line is None:
        return FigureCell("-", "no mark", "")
    word = verdict(line).word
    sub = f"p = {line.p:.3f}" if line.p is not None else word if word in WORDS else ""
    return FigureCell(number(line.value), word, sub)


def _undefined(found: Sequence[Assessment], all_rows: Sequence[Sequence[Line | None]]) -> list[str]:
    """Each reason once, with the measures that it is of."""
    reasons: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in all_rows:
        for each, line in zip(found, row, strict=True):
            if line is not None and line.value is None:
                reasons[line.undefined, describe(line).title].append(each.data)
    titles: dict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)
    for (why, title), names in reasons.items():
        titles[why, tuple(names)].append(title)
    notes = []
    for (why, whole), members in titles.items():
        whose = f" of {', '.join(whole)}" if len(whole) < len(found) else ""
        notes.append(f"{', '.join(members)}{whose}: {why}.")
    return notes


def sampled(each: Assessment) -> str:
    """Which figures were measured on how many of how many turns, dialogues or pairs, where it was a sample."""
    found: dict[tuple[int, int], list[str]] = defaultdict(list)
    for line in each.lines:
        if line.emotion is None and line.value is not None and line.n < line.of:
            found[line.n, line.of].append(describe(line).title)
    return "; ".join(f"{n:,} of {of:,} for {', '.join(titles)}" for (n, of), titles in found.items())


class Share(NamedTuple):
    """How many figures of a family are no worse than in real dialogues."""

    text: str
    sub: str
    heat: str


def glance(found: Sequence[Assessment]) -> list[tuple[str, str, list[Share]]]:
    """A row per family: its key, its title, and for each data set how many figures are no worse than real."""
    table = []
    for key, title in FAMILIES.items():
        counts = [count(line for line in each.lines if line.family == key) for each in found]
        if any(words.total() for words in counts):
            table.append((key, title, [_share(words) for words in counts]))
    return table


def _share(words: Mapping[Any, int]) -> Share:
    marked = sum(words.values())
    if not marked:
        return Share("-", "", "0%")
    good = marked - words["worse"]
    sub = f"{words['better']} better" if words["better"] else ""
    return Share(f"{good} of {marked}", sub, f"{55 * good / marked:.0f}%")


def count_table(found: Sequence[Assessment]) -> list[tuple[str, str, dict[str, str]]]:
    """Utterances by data set, split and emotion, the real one first; then dialogues by the emotion wanted in them."""
    names = {found[0].real: found[0]} | {each.data: each for each in found}
    utterances = [
        (name, split, {label: f"{n:,}" for label, n in counts.items()})
        for name, each in names.items()
        for split, counts in each.label_counts[name].items()
    ]
    labels = list(found[0].label_counts[found[0].real]["train"])
    return utterances + [
        (each.data, "dialogues by wanted emotion", {label: f"{each.targets.get(label, 0):,}" for label in labels})
        for each in found
        if each.targets
    ]


_NEAREST = (1, 5, 25, 50, 75)


def nearest_table(found: Sequence[Assessment]) -> list[tuple[str, list[str], str]]:
    """How near so many per cent of turns come to held-out ones: of each data set, and of real training turns."""
    if not any(each.nearest.get("own") for each in found):
        return []
    return [
        (
            f"the nearest {percent} % of turns are within",
            [between([own[percent]]) if (own := each.nearest.get("own")) else "-" for each in found],
            between(real[percent] for each in found if (real := each.nearest.get("real"))),
        )
        for percent in _NEAREST
    ]


_OF_EMOTIONS = (
    ("F1 of each label, by a TF-IDF probe of real dialogues", "labels", "agreement_f1_words"),
    ("F1 of each label, by an embedding probe of real dialogues", "labels", "agreement_f1_embedding"),
    ("Clusters that each emotion reaches", "clusters", "clusters"),
    ("Evenness of the clusters", "clusters", "evenness"),
    ("Share of the largest cluster", "clusters", "largest_share"),
    ("Emotional fit of each label, by the judge", "human", "emotional_fit"),
)


def emotion_tables(found: Sequence[Assessment]) -> list[tuple[str, list[tuple[str, dict[str, str]]]]]:
    """Tables of figures of single emotions: a title, and of each data set the figures; what is real comes last."""
    tables = []
    for title, family, name in _OF_EMOTIONS:
        shown = []
        marks: dict[str, list[float]] = defaultdict(list)
        for each in found:
            lines = [line for line in each.lines if line.family == family and line.name == name and line.emotion]
            shown.append((each.data, {str(line.emotion): number(line.value) for line in lines}))
            for line in lines:
                marks[str(line.emotion)] += [] if line.mark is None else [line.mark]
        if any(values for _, values in shown):
            tables.append(
                (title, [*shown, ("real", {label: between(given) for label, given in marks.items() if given})])
            )
    return tables


def matrix(each: Assessment) -> dict[str, Any]:
    """The confusion of the data set's labels with those of the TF-IDF probe, in per cent of the row."""
    found = each.confusion["words"]
    shown = []
    for gold, counts in zip(found["labels"], found["counts"], strict=True):
        total = sum(counts)
        shares = [100 * n / total if total else 0.0 for n in counts]
        cells = [
            {"percent": f"{share:.0f}", "heat": f"{0.7 * share:.0f}%", "hit": found["labels"][place] == gold}
            for place, share in enumerate(shares)
        ]
        shown.append((gold, f"{total:,}", cells))
    return {"predicted": found["labels"], "rows": shown}


def worst(each: Assessment) -> list[dict[str, Any]]:
    """The worst offenders, long texts cut."""
    cut = ("text", "real_text")
    return [{key: _cut(value) if key in cut else value for key, value in row.items()} for row in each.offenders][
        :_OFFENDERS
    ]


def _cut(text: str) -> str:
    return text if len(text) <= _TEXT else f"{text[:_TEXT].rstrip()} ..."


def judges(found: Sequence[Assessment]) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """Of each data set that was judged: by whom, and what tells how far to trust it."""
    shown = []
    for each in found:
        if each.judge["not_judged"]:
            continue
        funnel = each.judge["funnel"]
        facts = [
            ("rubric", f"version {each.judge['rubric']}, templates {each.judge['templates_sha256'][:12]}"),
            ("pairs", f"{funnel['pairs']:,} drawn, {funnel['judged']:,} judged in both orders"),
            ("judgements", f"{funnel['wanted']:,} wanted, {funnel['accepted']:,} could be read"),
            ("rejected", ", ".join(f"{name} {n:,}" for name, n in funnel["rejected"].items()) or "none"),
        ]
        for item in each.judge["trust"]:
            value = item["undefined"] if item["value"] is None else number(item["value"])
            p = "" if item["p"] is None else f" (p = {number(item['p'])})"
            facts.append((trust(item["name"]), f"{value}{p}"))
        shown.append((each.data, each.judge["by"], facts))
    return shown
