"""The phrases of the offline generator, read from ``phrases/``.

A file has ``[sections]`` of one phrase a line. ``{slot}`` stands for a word or clause that is filled in later,
``{Slot}`` for the same with a capital. In the sections ``ask`` a line is a question and, after bars, its answers.
"""

import hashlib
from functools import cache
from pathlib import Path

from ercsatz.errors import UserError

Sections = dict[str, tuple[str, ...]]

# A label of any benchmark, and the emotion whose phrases express it
FAMILIES = {
    "neutral": "neutral",
    "joy": "joy",
    "joyful": "joy",
    "happy": "joy",
    "sadness": "sadness",
    "sad": "sadness",
    "anger": "anger",
    "angry": "anger",
    "mad": "anger",
    "surprise": "surprise",
    "fear": "fear",
    "scared": "fear",
    "disgust": "disgust",
    "peaceful": "peaceful",
    "powerful": "powerful",
    "excited": "excited",
    "frustrated": "frustrated",
}

_FOLDER = Path(__file__).parent / "phrases"


def family(label: str) -> str:
    """The emotion that a label stands for.

    Raises:
        UserError: no phrases express it.
    """
    if label not in FAMILIES:
        raise UserError(
            f"generator=offline has no phrases for the label {label!r}. It knows: {', '.join(FAMILIES)}. "
            "Choose another generator, or one of these names in benchmark.labels."
        )
    return FAMILIES[label]


@cache
def phrases(emotion: str) -> Sections:
    """The phrases of an emotion, or what all share (``shared``)."""
    return _read(_FOLDER / f"{emotion}.txt")


@cache
def topics() -> tuple[Sections, ...]:
    """What dialogues can be about, in the order of their names."""
    return tuple(_read(path) for path in sorted((_FOLDER / "topics").glob("*.txt")))


def phrases_sha256() -> str:
    """SHA-256 (hex) of all phrases."""
    digest = hashlib.sha256()
    for path in sorted(_FOLDER.rglob("*.txt")):
        digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()


def _read(path: Path) -> Sections:
    sections: dict[str, list[str]] = {}
    current: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            current = sections.setdefault(line.strip("[]"), [])
        elif line:
            current.append(line)
    return {name: tuple(lines) for name, lines in sections.items()}
