"""What is predicted: tables to read, or rows in a file."""

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from ercsatz.data.benchmarks.parsing import tidy
from ercsatz.data.dialogue import Dialogue
from ercsatz.data.text_files import atomic_write
from ercsatz.disk import told
from ercsatz.generation.browse import COLOURS
from ercsatz.prediction.saved_classifier import Prediction
from ercsatz.reporting.console import SafeConsole
from ercsatz.reporting.text import plain

SUFFIXES = (".jsonl", ".csv")
_NAME_WIDTH = 16  # cells of a speaker's name
_DIGITS = 6

Write = Callable[[Dialogue, Sequence[Prediction]], None]


@contextmanager
def to_file(path: Path, labels: Sequence[str]) -> Iterator[Write]:
    """Give what writes a dialogue's predictions, a row a turn, into a JSONL or CSV file.

    The file appears whole at the end, or not at all where there is an error.

    Args:
        path: ends in one of ``SUFFIXES``.
        labels: in the order of the columns.

    Raises:
        UserError: the place cannot be written, or the disk is full.
    """
    with told(path, "Make room, or choose another output=FILE."), atomic_write(path) as file:
        if path.suffix.lower() == ".csv":
            table = csv.writer(file, lineterminator="\n")
            table.writerow(["dialogue", "turn", "speaker", "text", "label", *(f"p_{label}" for label in labels)])

            def put(row: Mapping[str, Any]) -> None:
                *first, probabilities = row.values()
                table.writerow([*first, *probabilities.values()])
        else:

            def put(row: Mapping[str, Any]) -> None:
                file.write(json.dumps(row, ensure_ascii=False) + "\n")

        def write(dialogue: Dialogue, predictions: Sequence[Prediction]) -> None:
            for row in _rows(dialogue, predictions):
                put(row)

        yield write


@contextmanager
def to_console(console: SafeConsole) -> Iterator[Write]:
    """Give what prints a table of a dialogue's predictions."""
    yield lambda dialogue, predictions: console.print(table(dialogue, predictions), "")


def table(dialogue: Dialogue, predictions: Sequence[Prediction]) -> Table:
    """Speakers, texts, labels and their probabilities; nothing in the texts can be more than text."""
    result = Table(
        title=Text(f"Dialogue {plain(dialogue.id)}", "bold"), title_justify="left", box=None, show_header=False
    )
    result.add_column(max_width=_NAME_WIDTH, overflow="fold", style="bold")
    result.add_column(ratio=1, overflow="fold")
    result.add_column(no_wrap=True)
    result.add_column(no_wrap=True, justify="right")
    for turn, prediction in zip(dialogue.utterances, predictions, strict=True):
        colour = COLOURS.get(prediction.label, "")
        speaker, text, label = (plain(tidy(part)) for part in (turn.speaker, turn.text, prediction.label))
        result.add_row(Text(speaker), Text(text), Text(label, colour), f"{prediction.probability:.2f}")
    return result


def _rows(dialogue: Dialogue, predictions: Sequence[Prediction]) -> Iterator[dict[str, Any]]:
    for number, (turn, prediction) in enumerate(zip(dialogue.utterances, predictions, strict=True)):
        yield {
            "dialogue": dialogue.id,
            "turn": number,
            "speaker": turn.speaker,
            "text": turn.text,
            "label": prediction.label,
            "probabilities": {label: round(p, _DIGITS) for label, p in prediction.probabilities.items()},
        }
