"""ATOMIC's CSV files: an event a row, with lists of phrases for nine relations, of which three are read."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from ercsatz.data.benchmarks.parsing import csv_rows
from ercsatz.data.text_files import parse_json
from ercsatz.errors import UserError
from ercsatz.knowledge.relations import RELATIONS, Inference, inference


@dataclass(frozen=True, slots=True)
class Event:
    """What happens, ``PersonX forgets PersonY's birthday`` for one, and what people infer from it."""

    text: str
    inference: Inference


def read_atomic(path: Path) -> tuple[Event, ...]:
    """Read events in the order in which they first occur.

    The columns ``event``, ``xIntent``, ``xReact`` and ``oReact`` are found by the header; there may be others. In
    ``v4_atomic_all.csv`` a row is what one person said about an event. Rows of one event are merged, each phrase kept
    once, the most frequent first. ``none`` is no phrase, and an event without any phrase is left out.

    Raises:
        UserError: the file cannot be read or has no such event, or a cell is not a JSON list of strings.
    """
    said: dict[str, dict[str, Counter[str]]] = {}
    for where, row in csv_rows(path, ("event", *RELATIONS)):
        name = " ".join(row["event"].split())
        if not name:
            raise UserError(f"{where}: the event is empty.")
        counts = said.setdefault(name, {relation: Counter() for relation in RELATIONS})
        for relation in RELATIONS:
            counts[relation].update(_phrases(row[relation], f"{where}, {relation}"))
    merged = (
        Event(
            name, inference({relation: [phrase for phrase, _ in of.most_common()] for relation, of in counts.items()})
        )
        for name, counts in said.items()
    )
    events = tuple(event for event in merged if event.inference)
    if not events:
        raise UserError(f"{path}: no event has a phrase for {', '.join(RELATIONS)}.")
    return events


def _phrases(cell: str, where: str) -> list[str]:
    try:
        phrases = parse_json(cell)
    except json.JSONDecodeError as error:
        raise UserError(f"{where}: not a JSON list ({error.msg}): {cell[:80]!r}.") from None
    if not isinstance(phrases, list) or not all(isinstance(phrase, str) for phrase in phrases):
        raise UserError(f"{where}: must be a JSON list of strings, not {cell[:80]!r}.")
    return phrases
