import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ercsatz.data.dialogue import Dialogue, Utterance

# The nine relations in the order of ATOMIC's files
COLUMNS = ("oEffect", "oReact", "oWant", "xAttr", "xEffect", "xIntent", "xNeed", "xReact", "xWant")


@pytest.fixture(scope="session")
def splits() -> dict[str, tuple[Dialogue, ...]]:
    """A small data set; ids are unique within a split, as MELD has them."""

    def dialogue(name: str, *texts: str) -> Dialogue:
        turns = [
            Utterance(("Ann", "Bo", "Cy")[n % 3], text, "joy" if n % 2 else "neutral") for n, text in enumerate(texts)
        ]
        return Dialogue(name, tuple(turns))

    return {
        "train": (
            dialogue("0", "I lost my keys again.", "You're joking!", "No, I\u2019m not\u2026", "Then we're late."),
            dialogue("1", "Look, a present for you!", "Thank you, that is so kind."),
        ),
        "validation": (dialogue("0", "Did you paint the house?", "Yes, with my sister."),),
        "test": (dialogue("a/b", "Is the train late?", "What?", "The train!"),),
    }


@pytest.fixture
def write_atomic(tmp_path: Path) -> Callable[..., Path]:
    """Write a made-up file in ATOMIC's layout: rows of an event and its phrases by relation."""

    def write(*rows: tuple[str, dict[str, list[str]]], name: str = "atomic.csv") -> Path:
        with (tmp_path / name).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["event", *COLUMNS, "prefix", "split"])
            for event, phrases in rows:
                cells = [json.dumps(phrases.get(relation, [])) for relation in COLUMNS]
                writer.writerow([event, *cells, json.dumps(event.split()[1:3]), "trn"])
        return tmp_path / name

    return write
