"""Utterance, Dialogue and Corpus: the one data model, and its JSONL form.

A line of the JSONL form is a dialogue::

    {"id": "12", "utterances": [{"speaker": "Maya", "text": "You're early.", "emotion": "surprise"}, ...]}

``emotion`` is null where a turn is context only. A turn may also have a ``sentiment`` (negative, neutral or positive),
where its benchmark was annotated with it. Generated dialogues also carry ``provenance``, a flat mapping. Knowledge
about a turn is in a file beside the dialogues; see ``ercsatz.knowledge``.
"""

import hashlib
import json
import os
import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from ercsatz.errors import UserError

SPLITS = ("train", "validation", "test")
SENTIMENTS = ("negative", "neutral", "positive")
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Knowledge:
    """Commonsense about a turn: what its speaker wanted, how the speaker feels, how the listeners feel.

    Attributes:
        retrieved: statements found in a knowledge base, the best first.
        generated: statements a language model wrote.
        vectors: in place of generated statements, float32 vectors of xIntent, xReact and oReact one after the other.
    """

    retrieved: tuple[str, ...] = ()
    generated: tuple[str, ...] = ()
    vectors: bytes = b""


@dataclass(frozen=True, slots=True)
class Utterance:
    """One turn: who said what, and what it was labelled with (emotion ``None``: context only)."""

    speaker: str
    text: str
    emotion: str | None = None
    sentiment: str | None = None
    knowledge: Knowledge | None = None


@dataclass(frozen=True, slots=True)
class Dialogue:
    """Turns in the order they were spoken, under an id that is unique in its split."""

    id: str
    utterances: tuple[Utterance, ...]
    provenance: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Corpus:
    """Dialogues in named splits, and the label order that they are read with.

    Attributes:
        name: for messages, e.g. ``meld_org``.
        labels: every label once; the order is the class index everywhere.
        splits: split name to dialogues.
    """

    name: str
    labels: tuple[str, ...]
    splits: Mapping[str, tuple[Dialogue, ...]]

    def __post_init__(self) -> None:
        for split, dialogues in self.splits.items():
            check_dialogues(dialogues, self.labels, f"{self.name}, split {split}")

    def split(self, name: str) -> tuple[Dialogue, ...]:
        """The dialogues of one split.

        Raises:
            UserError: the corpus has no such split.
        """
        if name not in self.splits:
            raise UserError(f"{self.name} has no {name} split; it has: {', '.join(self.splits)}.")
        return self.splits[name]


def check_dialogues(dialogues: Sequence[Dialogue], labels: Sequence[str], where: str) -> None:
    """Refuse what no stage could use.

    That is an empty split, a repeated id, an unknown label, a dialogue without labels, and what UTF-8 cannot encode.

    Raises:
        UserError: names the place and the first offender.
    """
    if not dialogues:
        raise UserError(f"{where}: no dialogues. Every split needs at least one.")
    known, seen = set(labels), set[str]()
    for dialogue in dialogues:
        place = f"{where}, dialogue {dialogue.id!r}"
        if dialogue.id in seen:
            raise UserError(f"{place}: the id occurs twice. Ids must be unique within a split.")
        seen.add(dialogue.id)
        emotions = {turn.emotion for turn in dialogue.utterances if turn.emotion is not None}
        if not emotions:
            raise UserError(f"{place}: no turn has a label. Leave the dialogue out or label at least one turn.")
        if unknown := sorted(e for e in emotions if e not in known):
            raise UserError(f"{place}: unknown label {unknown[0]!r}. The labels are: {', '.join(labels)}.")
        check_unicode(dialogue, place)


def label_counts(dialogues: Iterable[Dialogue]) -> Counter[str]:
    """How often each emotion occurs; turns without a label are not counted."""
    return Counter(turn.emotion for d in dialogues for turn in d.utterances if turn.emotion is not None)


def fingerprint(dialogues: Iterable[Dialogue]) -> str:
    """SHA-256 (hex) of ids, speakers, texts, labels and knowledge, in order; provenance does not count."""
    digest = hashlib.sha256()
    for dialogue in dialogues:
        turns = [[turn.speaker, turn.text, turn.emotion, *_extras(turn)] for turn in dialogue.utterances]
        digest.update(json.dumps([dialogue.id, turns], ensure_ascii=False).encode())
    return digest.hexdigest()


def _extras(turn: Utterance) -> list[Any]:
    """What few turns have; nothing for the others, whose fingerprint it leaves alone."""
    known = turn.knowledge
    said = [] if known is None else [known.retrieved, known.generated, hashlib.sha256(known.vectors).hexdigest()]
    return said if turn.sentiment is None else [turn.sentiment, *said]


def to_json(dialogue: Dialogue) -> dict[str, Any]:
    """The JSON object of one line of the JSONL form."""
    turns = [
        {"speaker": turn.speaker, "text": turn.text, "emotion": turn.emotion}
        | ({} if turn.sentiment is None else {"sentiment": turn.sentiment})
        for turn in dialogue.utterances
    ]
    line: dict[str, Any] = {"id": dialogue.id, "utterances": turns}
    return line | {"provenance": dict(dialogue.provenance)} if dialogue.provenance else line


def from_json(line: object, where: str) -> Dialogue:
    """Read one line of the JSONL form, strictly.

    Args:
        line: the decoded JSON value.
        where: the place, for messages.

    Raises:
        UserError: a key is missing, unknown or of the wrong type, or a text or speaker is empty.
    """
    _expect_keys(line, {"id", "utterances"}, {"provenance"}, where)
    assert isinstance(line, dict)
    turns = line["utterances"]
    if not isinstance(line["id"], str) or not isinstance(turns, list) or not turns:
        raise UserError(f"{where}: 'id' must be a string and 'utterances' a list of at least one turn.")
    provenance = line.get("provenance", {})
    if not isinstance(provenance, dict):
        raise UserError(f"{where}: 'provenance' must be an object.")
    return Dialogue(line["id"], tuple(_turn(turn, f"{where}, turn {i}") for i, turn in enumerate(turns, 1)), provenance)


def read_jsonl(path: Path) -> tuple[Dialogue, ...]:
    """Read a split in the JSONL form.

    Raises:
        UserError: the file is missing, not UTF-8, empty, or a line is not a dialogue; the message names file and line.
    """
    dialogues = tuple(from_json(line, where) for where, line in json_lines(path))
    if not dialogues:
        raise UserError(f"{path}: no dialogues. Every split needs at least one.")
    return dialogues


def json_lines(path: Path) -> Iterator[tuple[str, Any]]:
    """Read a JSONL file line by line (a byte order mark is dropped).

    Yields:
        The place, for messages, and the decoded JSON value.

    Raises:
        UserError: the file is missing or cannot be read, or a line is not UTF-8 or not JSON; the message names it.
    """
    with _told(path), path.open("rb") as file:  # in which a line ends with a line feed alone: texts may have U+2028
        for number, line in enumerate(file, 1):
            where = f"{path}, line {number}"
            try:
                value = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
            except UnicodeDecodeError:
                raise UserError(f"{where}: not UTF-8. Convert the file, e.g. with iconv -t UTF-8.") from None
            except json.JSONDecodeError as error:
                raise UserError(f"{where}: not JSON ({error.msg}). A line must be one whole record.") from None
            yield where, value


def write_jsonl(path: Path, dialogues: Iterable[Dialogue]) -> None:
    """Write a split in the JSONL form; the file appears whole or not at all."""
    write_json_lines(path, map(to_json, dialogues))


def write_json_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write one JSON object a line; the file appears whole or not at all."""
    with atomic_write(path) as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def read_text(path: Path) -> str:
    """The text of a UTF-8 file (a byte order mark is dropped).

    Raises:
        UserError: the file is missing, cannot be read or is not UTF-8.
    """
    try:
        with _told(path):
            return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 at byte {error.start}. Convert it, e.g. with iconv -t UTF-8.") from None


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"There is no file {path}.") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}.") from None


@contextmanager
def atomic_write(path: Path) -> Iterator[IO[str]]:
    """Open a temporary neighbour of ``path`` for writing and rename it over ``path`` at the end.

    On any error the temporary file is removed and ``path`` is left as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)  # mkstemp makes it private  # noqa: PTH101
        os.replace(name, path)  # noqa: PTH105
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def check_unicode(dialogue: Dialogue, place: str) -> None:
    """Refuse what UTF-8 cannot encode.

    Raises:
        UserError: an id, a speaker or a text has half a surrogate pair; begins with ``place`` and names the turn.
    """
    pieces = [(place, "id", dialogue.id)]
    for number, turn in enumerate(dialogue.utterances, 1):
        pieces += [(f"{place}, turn {number}", "speaker", turn.speaker), (f"{place}, turn {number}", "text", turn.text)]
    for where, key, value in pieces:
        if _SURROGATE.search(value):
            raise UserError(f"{where}: the {key} has half a surrogate pair, a cut-off emoji for one. Remove it.")


def _turn(turn: object, where: str) -> Utterance:
    _expect_keys(turn, {"speaker", "text", "emotion"}, {"sentiment"}, where)
    assert isinstance(turn, dict)
    speaker, text, emotion = turn["speaker"], turn["text"], turn["emotion"]
    for key, value in (("speaker", speaker), ("text", text)):
        if not isinstance(value, str) or not value.strip():
            raise UserError(f"{where}: {key!r} must be a string that is not empty.")
    if emotion is not None and not isinstance(emotion, str):
        raise UserError(f"{where}: 'emotion' must be a label or null.")
    sentiment = turn.get("sentiment")
    if sentiment is not None and sentiment not in SENTIMENTS:
        raise UserError(f"{where}: 'sentiment' must be {', '.join(SENTIMENTS)} or null.")
    return Utterance(speaker, text, emotion, sentiment)


def _expect_keys(value: object, needed: set[str], allowed: set[str], where: str) -> None:
    if not isinstance(value, dict):
        raise UserError(f"{where}: expected an object with the keys {', '.join(sorted(needed))}.")
    if missing := sorted(needed - value.keys()):
        raise UserError(f"{where}: the key {missing[0]!r} is missing.")
    if unknown := sorted(value.keys() - needed - allowed):
        raise UserError(f"{where}: unknown key {unknown[0]!r}; known are {', '.join(sorted(needed | allowed))}.")
