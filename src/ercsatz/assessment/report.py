"""The report of one data set or several, side by side, as files."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from ercsatz.assessment.figures import emotions, emotions_key, maps, nearest_turns, overview
from ercsatz.assessment.record import Assessment
from ercsatz.assessment.sentences import sentences
from ercsatz.assessment.tables import (
    Family,
    FigureRow,
    count_table,
    emotion_tables,
    families,
    glance,
    judges,
    matrix,
    nearest_table,
    sampled,
    worst,
)  # fmt: skip
from ercsatz.assessment.verdict import verdict
from ercsatz.disk import whole
from ercsatz.reporting.figures import SERIES, inline_svg, png
from ercsatz.reporting.html import render
from ercsatz.reporting.text import csv_text, markdown

FILES = ("quality.html", "quality.md", "quality.csv", "quality.png", "emotions.png")
_COLUMNS = (
    "data", "family", "measure", "emotion", "value", "real", "difference", "verdict", "chance", "better", "n", "of",
    "p", "real_p", "test", "undefined",
)  # fmt: skip


def write(found: Sequence[Assessment], output: Path, failures: Sequence[str] = ()) -> list[Path]:
    """Write ``quality.html``, ``.md``, ``.csv`` and ``.png``, and ``emotions.png``; each whole or not at all.

    Args:
        found: data sets of one benchmark, one column each.
        output: a folder, made if it is not there.
        failures: what could not be done, and why.
    """
    files = {
        "quality.html": to_html(found, failures).encode(),
        "quality.md": to_markdown(found, failures).encode(),
        "quality.csv": to_csv(found).encode(),
        "quality.png": png(overview(found)),
        "emotions.png": png(emotions(found)),
    }
    for name, content in files.items():
        with whole(output / name) as new:
            new.write_bytes(content)
    return [output / name for name in FILES]


def to_markdown(found: Sequence[Assessment], failures: Sequence[str] = ()) -> str:
    """Sentences and the tables of all figures that are not of one emotion."""
    parts = [f"# Quality of {markdown(_names(found))}\n"]
    parts += [f"**{markdown(failure)}**\n" for failure in failures]
    for each in found:
        parts.append("".join(f"- {markdown(sentence)}\n" for sentence in sentences(each)))
    parts.append("![All figures over their marks](quality.png)\n")
    parts += [_markdown_table(family, found) for family in families(found)]
    parts += _markdown_nearest(found)
    parts += ["![Utterances by emotion](emotions.png)\n", f"{METHOD}\n"]
    return "\n".join(parts)


def _markdown_table(family: Family, found: Sequence[Assessment]) -> str:
    head = [f"## {family.title}", "", f"| measure | {' | '.join(markdown(each.data) for each in found)} | real |"]
    if not family.rows:
        head = head[:2]
    else:
        head.append(f"|:--|{'--:|' * (len(found) + 1)}")
    notes = [f"- {markdown(note)}" for note in family.notes]
    return "\n".join([*head, *map(_markdown_row, family.rows), *([""] if notes else []), *notes]) + "\n"


def _markdown_row(row: FigureRow) -> str:
    cells = [f"{cell.text} ({cell.sub})" if cell.sub else cell.text for cell in row.cells]
    return (
        f"| {markdown(row.title)}: {markdown(row.what)} | {' | '.join(map(markdown, cells))} | {markdown(row.mark)} |"
    )


def _markdown_nearest(found: Sequence[Assessment]) -> list[str]:
    table = nearest_table(found)
    head = [
        "## Distance to the nearest held-out turn\n",
        f"|  | {' | '.join(markdown(each.data) for each in found)} | real |",
        f"|:--|{'--:|' * (len(found) + 1)}",
    ]
    lines = [f"| {what} | {' | '.join(cells)} | {real} |" for what, cells, real in table]
    return ["\n".join([*head, *lines]) + "\n"] if table else []


def to_csv(found: Sequence[Assessment]) -> str:
    """A row per data set and figure, in full precision."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for each in found:
        for line in each.lines:
            told = verdict(line)
            values = (line.value, line.mark, told.difference, told.word, line.chance, line.better, line.n, line.of,
                      line.p, line.mark_p)  # fmt: skip
            names = (csv_text(each.data), line.family, line.name, csv_text(line.emotion or ""))
            writer.writerow([*names, *("" if value is None else value for value in values), line.test, line.undefined])
    return file.getvalue()


def to_html(found: Sequence[Assessment], failures: Sequence[str] = ()) -> str:
    """One page that loads nothing and runs nothing."""
    labels = list(found[0].label_counts[found[0].real]["train"])
    named = [(each.data, each) for each in found]
    return render(
        "ercsatz.assessment",
        "assessment.html",
        title=f"Quality of {_names(found)}",
        about=[found[0].benchmark, f"embeddings: {found[0].embedder}"],
        found=[(each, sampled(each)) for each in found],
        failures=failures,
        glance=glance(found),
        said=[(name, sentences(each)) for name, each in named],
        families=families(found),
        overview=inline_svg(overview(found), "overview", "All figures over their marks", "In numbers: the tables."),
        emotions=inline_svg(emotions(found), "emotions", "Utterances by emotion", "In numbers: the table below it."),
        emotions_key=emotions_key(found),
        counts=count_table(found),
        wanted=any(each.targets for each in found),
        of_emotions=emotion_tables(found),
        labels=labels,
        maps=maps(found, labels),
        map_key=[(place % len(SERIES), label) for place, label in enumerate(labels)],
        confusion=[(name, matrix(each)) for name, each in named],
        nearest=nearest_table(found),
        nearest_turns=inline_svg(
            nearest_turns(found), "nearest", "Distance to the nearest held-out turn", "In numbers: the table below it."
        ),
        worst=[(name, worst(each), len(each.offenders)) for name, each in named],
        judges=judges(found),
        method=METHOD,
    )


METHOD = (
    "Every figure stands beside what real dialogues have: one half of the real training split against the other half, "
    "or real dialogues in the data set's place, on as many dialogues and turns; of leaks and splits, all there are. "
    "They count as the same where they differ by no more than chance explains in 19 of 20 cases (±), or by less than "
    "2 %. Where there is a p, they do if it is .05 or more: leaks are tested by dialogues (Fisher's exact test), "
    "splits by permutations of whole dialogues; splits that differ significantly count as real if the real ones do so "
    "too, and by as much. Past its mark a figure is better only where that is a sign of quality: what it teaches, what "
    "a judge prefers, measures of one's own; elsewhere it is no worse. What is measured on fewer than 20 dialogues has "
    "no mark. Among many figures a few differ by "
    "chance all the same."
)


def _names(found: Sequence[Assessment]) -> str:
    return ", ".join(each.data for each in found)
