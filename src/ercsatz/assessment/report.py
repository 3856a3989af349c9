"""The report of one data set or several, side by side, as files."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ercsatz.assessment.describe import FAMILIES, describe
from ercsatz.assessment.figures import maps, overview
from ercsatz.assessment.record import Assessment, Line
from ercsatz.assessment.verdict import number, sentences, tolerance, verdict
from ercsatz.dialogue import atomic_write
from ercsatz.pages.figures import SERIES, inline_svg, png
from ercsatz.pages.shell import render
from ercsatz.pages.text import csv_text, markdown
from ercsatz.ranking.report.background import Background
from ercsatz.ranking.report.charts import label_distributions

FILES = ("quality.html", "quality.md", "quality.csv", "quality.png")
_OFFENDERS = 20
_COLUMNS = (
    "data", "family", "measure", "emotion", "value", "real", "difference", "verdict", "better", "n", "of", "p",
    "real_p", "test", "undefined",
)  # fmt: skip


def write(found: Sequence[Assessment], output: Path) -> list[Path]:
    """Write ``quality.html``, ``.md``, ``.csv`` and ``.png``; each appears whole or not at all.

    Args:
        found: data sets, one column each.
        output: a folder, made if it is not there.
    """
    picture = png(overview(found))
    texts = {"quality.html": to_html(found), "quality.md": to_markdown(found), "quality.csv": to_csv(found)}
    for name, text in texts.items():
        with atomic_write(output / name) as file:
            file.write(text)
    with atomic_write(output / "quality.png") as file:
        assert isinstance(file, io.TextIOWrapper)
        file.buffer.write(picture)
    return [output / name for name in FILES]


def to_markdown(found: Sequence[Assessment]) -> str:
    """Sentences and the table of all figures that are not of one emotion."""
    parts = [f"# Quality of {markdown(_names(found))}\n"]
    for each in found:
        parts.append("".join(f"- {markdown(sentence)}\n" for sentence in _said(each)))
    parts.append("![All figures over their marks](quality.png)\n")
    for family, title in FAMILIES.items():
        rows = _rows(found, family)
        if rows:
            head = f"| {title} | {' | '.join(markdown(each.data) for each in found)} | real |"
            parts.append("\n".join([head, f"|:--|{'--:|' * (len(found) + 1)}", *map(_markdown_row, rows)]) + "\n")
    parts.append(f"{_METHOD}\n")
    return "\n".join(parts)


def to_csv(found: Sequence[Assessment]) -> str:
    """A row per data set and figure, in full precision."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for each in found:
        for line in each.lines:
            told = verdict(line)
            figures = (
                line.value,
                line.mark,
                told.difference,
                told.word,
                line.better,
                line.n,
                line.of,
                line.p,
                line.mark_p,
            )
            names = (csv_text(each.data), line.family, line.name, csv_text(line.emotion or ""))
            writer.writerow([*names, *("" if value is None else value for value in figures), line.test, line.undefined])
    return file.getvalue()


def to_html(found: Sequence[Assessment]) -> str:
    """One page that loads nothing and runs nothing."""
    labels = next(iter(found[0].label_counts.values()))["train"]
    named = {each.data: each for each in found}
    return render(
        "ercsatz.assessment",
        "assessment.html",
        title=f"Quality of {_names(found)}",
        about=[found[0].benchmark, f"embeddings: {found[0].embedder}"],
        found=found,
        said={name: _said(each) for name, each in named.items()},
        families=[(title, _rows(found, family)) for family, title in FAMILIES.items() if _rows(found, family)],
        overview=inline_svg(overview(found), "overview", "All figures over their marks"),
        labels=label_distributions(Background(label_counts=_label_counts(found))),
        emotions=[(title, _of_emotions(found, *names)) for title, *names in _OF_EMOTIONS],
        emotion_names=list(labels),
        maps=maps(found, list(labels)),
        key=[(place % len(SERIES), label) for place, label in enumerate(labels)],
        confusion={name: _matrix(each) for name, each in named.items()},
        worst={name: each.offenders[:_OFFENDERS] for name, each in named.items()},
        method=_METHOD,
    )


_METHOD = (
    "Every figure stands beside its mark: the same figure of one half of the real training split against the other, or "
    'of real dialogues in the data set\'s place, on samples of the same size. "As real" is within two standard '
    "deviations over random draws, or within 2 % of the mark; a test of the splits is as real where it is not "
    "significant at .05."
)

_LEXICAL = "Embeddings are lexical: what depends on them knows words and no meaning. assess.embedder can name a model."

_OF_EMOTIONS = (
    ("F1 of each label, by a TF-IDF probe of real dialogues", "labels", "agreement_f1_words"),
    ("Groups of meaning", "clusters", "clusters"),
    ("Evenness of the groups", "clusters", "evenness"),
)


def _names(found: Sequence[Assessment]) -> str:
    return ", ".join(each.data for each in found)


def _said(each: Assessment) -> list[str]:
    return [*sentences(each), *([_LEXICAL] if each.lexical else [])]


def _rows(found: Sequence[Assessment], family: str) -> list[dict[str, Any]]:
    """A row per figure that any data set has, with a cell per data set."""
    keyed = [
        {line.name: line for line in each.lines if line.family == family and line.emotion is None} for each in found
    ]
    names = dict.fromkeys(name for lines in keyed for name in lines)
    return [_row([lines.get(name) for lines in keyed]) for name in names]


def _row(lines: Sequence[Line | None]) -> dict[str, Any]:
    first = next(line for line in lines if line is not None)
    words = describe(first)
    cells = [_cell(line) for line in lines]
    return {"title": words.title, "what": words.what, "better": first.better, "cells": cells, "mark": _marks(lines)}


def _cell(line: Line | None) -> dict[str, Any]:
    if line is None:
        return {"text": "-", "word": "no mark", "sub": "", "why": ""}
    told = verdict(line)
    sub: str = told.word if told.word in {"better", "worse", "as real"} else ""
    if line.p is not None:
        sub = f"p = {line.p:.3f}"
    elif line.n < line.of:
        sub = f"{sub}{', ' if sub else ''}{line.n:,} of {line.of:,}"
    return {"text": number(line.value), "word": told.word, "sub": sub, "why": line.undefined}


def _marks(lines: Sequence[Line | None]) -> list[str]:
    """The mark of each data set, once where all are about the same; ``±`` what counts as no difference."""
    texts = [
        f"{number(line.mark)}{f' ± {number(tolerance(line))}' if line.p is None else ''}"
        f"{f' (p = {line.mark_p:.3f})' if line.mark_p is not None else ''}"
        for line in lines
        if line is not None and line.marks
    ]
    return list(dict.fromkeys(texts))


def _markdown_row(row: dict[str, Any]) -> str:
    cells = [f"{cell['text']}{' (' + cell['sub'] + ')' if cell['sub'] else ''}" for cell in row["cells"]]
    cells = [text if not cell["why"] else cell["why"] for text, cell in zip(cells, row["cells"], strict=True)]
    return (
        f"| {row['title']}: {row['what']} | {' | '.join(map(markdown, cells))} | {markdown(' / '.join(row['mark']))} |"
    )


def _of_emotions(found: Sequence[Assessment], family: str, name: str) -> list[tuple[str, dict[str, str]]]:
    """Per data set the figure of each emotion, and the marks as a last row."""
    rows = []
    marks: dict[str, str] = {}
    for each in found:
        lines = [line for line in each.lines if line.family == family and line.name == name and line.emotion]
        rows.append((each.data, {str(line.emotion): number(line.value) for line in lines}))
        marks |= {str(line.emotion): number(line.mark) for line in lines if line.marks}
    return [*rows, ("real", marks)]


def _label_counts(found: Sequence[Assessment]) -> pd.DataFrame:
    counts = {name: splits for each in found for name, splits in each.label_counts.items()}
    rows = [
        (name, split, label, count)
        for name, splits in counts.items()
        for split, labels in splits.items()
        for label, count in labels.items()
    ]
    return pd.DataFrame(rows, columns=["data", "split", "label", "count"])


def _matrix(each: Assessment) -> dict[str, Any]:
    """The confusion of the data set's labels with those of the TF-IDF probe, in per cent of the row."""
    found = each.confusion["words"]
    rows = []
    for gold, counts in zip(found["labels"], found["counts"], strict=True):
        total = sum(counts)
        shares = [100 * count / total if total else 0.0 for count in counts]
        cells = [
            {"percent": f"{share:.0f}", "heat": f"{0.7 * share:.0f}%", "hit": found["labels"][place] == gold}
            for place, share in enumerate(shares)
        ]
        rows.append((gold, f"{total:,}", cells))
    return {"predicted": found["labels"], "rows": rows}
