"""The sidecar: what is known about the utterances of a data set, in files beside it.

``knowledge/<data>.jsonl`` has a line for every utterance about which something is known::

    {"split": "train", "dialogue": "12", "turn": 0, "text": "9ae3d3d7",
     "retrieved": [{"event": "PersonX is late", "score": 0.71, "xIntent": [], "xReact": ["sorry"], "oReact": []}],
     "generated": {"xIntent": ["to make up for it"], "xReact": ["guilty"], "oReact": ["annoyed"]},
     "by": {"retrieved": "lexical TF-IDF, ...", "generated": "tgi ..."}}

``turn`` counts from 0, and ``text`` is the utterance's ``text_hash``: a file that was made for other texts is refused.
All but the first four keys may be absent; ``by`` says where each part is from. Lines that are written here have ``crc``
too, and the last one ``lines``; see ``ercsatz.knowledge.seal``. In place of ``generated`` there may be
vectors in ``knowledge/<data>.safetensors``; see ``ercsatz.knowledge.vectors``.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ercsatz.data.dialogue import SPLITS, Dialogue, Knowledge
from ercsatz.data.text_files import json_lines
from ercsatz.disk import told, whole
from ercsatz.errors import UserError
from ercsatz.knowledge.relations import NOTHING, RELATIONS, Found, Inference, found_statements, statements
from ercsatz.knowledge.seal import Sealer, damaged, unsealed
from ercsatz.knowledge.texts import Key, Splits, Texts, text_hash
from ercsatz.knowledge.vectors import read_vectors

FOLDER = "knowledge"
PARTS = ("retrieved", "generated")
_HASH = re.compile("[0-9a-f]{8}")


@dataclass(frozen=True, slots=True)
class SidecarEntry:
    """A line: what is known about one utterance.

    Attributes:
        split: train, validation or test.
        dialogue: its id.
        turn: the utterance's place in it, from 0.
        text: the utterance's ``text_hash``.
        retrieved: events like the utterance, the best first.
        generated: what a language model, COMET for one, says about it.
        by: where ``retrieved`` and ``generated`` are from.
    """

    split: str
    dialogue: str
    turn: int
    text: str
    retrieved: tuple[Found, ...] = ()
    generated: Inference = NOTHING
    by: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def about(
        cls,
        split: str,
        dialogue: Dialogue,
        turn: int,
        retrieved: tuple[Found, ...] = (),
        generated: Inference = NOTHING,
    ) -> "SidecarEntry":
        """A line about a turn of a dialogue."""
        return cls(split, dialogue.id, turn, text_hash(dialogue.utterances[turn].text), retrieved, generated)

    @property
    def key(self) -> Key:
        """Which utterance it is about."""
        return self.split, self.dialogue, self.turn


@dataclass(frozen=True, slots=True)
class Sidecar:
    """The files about one data set, of which one at least is there.

    Attributes:
        name: of the data set.
        statements: the JSONL file.
        vectors: the safetensors file.
    """

    name: str
    statements: Path | None
    vectors: Path | None


def paths(data: Path, name: str) -> tuple[Path, Path]:
    """Where the two files about a data set belong; ``data`` is the folder of all data sets (``paths.data``)."""
    return data / FOLDER / f"{name}.jsonl", data / FOLDER / f"{name}.safetensors"


def find(data: Path, name: str) -> Sidecar | None:
    """The sidecar of a data set, or ``None`` where there is none.

    Args:
        data: the folder of all data sets (``paths.data``).
        name: of the data set, ``meld_org`` for one.
    """
    there = [path if path.is_file() else None for path in paths(data, name)]
    return Sidecar(name, *there) if any(there) else None


def attach(splits: Splits, sidecar: Sidecar) -> dict[str, tuple[Dialogue, ...]]:
    """The same dialogues with what is known about their utterances; ``None`` where nothing is.

    Args:
        splits: all dialogues of some splits; lines of the sidecar about others are passed over.
        sidecar: of the data set that they are from.

    Raises:
        UserError: the sidecar cannot be read, is about a dialogue, turn or text that is not there, or has both
            generated statements and vectors.
    """
    texts = Texts(sidecar.name, splits)
    known = {} if sidecar.statements is None else _read_known(sidecar, texts)
    if sidecar.vectors is not None:
        for split, name, turns in read_vectors(sidecar.vectors, texts):
            for turn, vectors in enumerate(turns):
                known[split, name, turn] = replace(known.get((split, name, turn), Knowledge()), vectors=vectors)

    def knowing(split: str, dialogue: Dialogue) -> Dialogue:
        turns = enumerate(dialogue.utterances)
        told = (replace(utterance, knowledge=known.get((split, dialogue.id, turn))) for turn, utterance in turns)
        return replace(dialogue, utterances=tuple(told))

    return {split: tuple(knowing(split, dialogue) for dialogue in dialogues) for split, dialogues in splits.items()}


def _read_known(sidecar: Sidecar, texts: Texts) -> dict[Key, Knowledge]:
    assert sidecar.statements is not None
    known = {}
    shared: dict[str, str] = {}  # an event is like many utterances; its statements need memory once
    for where, entry in read_known(sidecar.statements):
        if sidecar.vectors is not None and entry.generated:
            raise UserError(
                f"{where}: 'generated' beside the vectors in {sidecar.vectors}, which stand in its place. "
                "Move one of them away."
            )
        if entry.split in texts.splits:
            texts.check(where, entry.key, entry.text)
            found, generated = (
                tuple(shared.setdefault(statement, statement) for statement in each)
                for each in (found_statements(entry.retrieved), statements(entry.generated))
            )
            if found or generated:
                known[entry.key] = Knowledge(found, generated)
    return known


def read_entries(path: Path) -> Iterator[tuple[str, SidecarEntry]]:
    """Read a sidecar line by line, strictly.

    Yields:
        The place, for messages, and the line.

    Raises:
        UserError: the file cannot be read or is damaged, a line is not as described above, or an utterance has two.
    """
    seen = set[Key]()
    for where, line in unsealed(path, json_lines(path)):
        entry = _entry(line, where)
        if entry.key in seen:
            raise UserError(f"{where}: a second line about {entry.split} {entry.dialogue!r}, turn {entry.turn}.")
        seen.add(entry.key)
        yield where, entry


def read_known(path: Path) -> Iterator[tuple[str, SidecarEntry]]:
    """As ``read_entries``; a file without any line is refused, as one that was cut off."""
    if not path.stat().st_size:
        raise damaged(path, f"{path} is empty")
    yield from read_entries(path)


def write_entries(path: Path, entries: Iterable[SidecarEntry]) -> None:
    """Write a sidecar; the file appears whole or not at all."""
    with writing(path) as write:
        for entry in entries:
            write(entry)


@contextmanager
def writing(path: Path) -> Iterator[Callable[[SidecarEntry], None]]:
    """Give what writes one line after the other; entries that know nothing are left out.

    The file appears whole at the end, or not at all where there is an error.

    Raises:
        UserError: the disk is full, or the place cannot be written.
    """
    with (
        told(path, "Make room or mend paths.data."),
        whole(path) as new,
        new.open("w", encoding="utf-8", newline="\n") as file,
        closing(Sealer(file)) as sealer,
    ):

        def write(entry: SidecarEntry) -> None:
            if entry.retrieved or entry.generated:
                sealer.write(_to_json(entry))

        yield write


def _to_json(entry: SidecarEntry) -> dict[str, Any]:
    line: dict[str, Any] = {key: getattr(entry, key) for key in ("split", "dialogue", "turn", "text")}
    if entry.retrieved:
        line["retrieved"] = [
            {"event": found.event, "score": found.score, **found.inference.to_json()} for found in entry.retrieved
        ]
    if entry.generated:
        line["generated"] = entry.generated.to_json()
    by = {part: entry.by[part] for part in PARTS if part in line and part in entry.by}
    return line | {"by": by} if by else line


def _entry(line: object, where: str) -> SidecarEntry:
    values = _object(line, ("split", "dialogue", "turn"), ("text", *PARTS, "by"), where)
    split, dialogue, turn = values["split"], values["dialogue"], values["turn"]
    if split not in SPLITS:
        raise UserError(f"{where}: 'split' must be {', '.join(SPLITS)}.")
    if not isinstance(dialogue, str) or type(turn) is not int or turn < 0:
        raise UserError(f"{where}: 'dialogue' must be a string and 'turn' a number from 0.")
    text = values.get("text")
    if not isinstance(text, str) or not _HASH.fullmatch(text):
        raise UserError(
            f"{where}: 'text' must be the 8 hex digits that docs/knowledge.md describes: without them, nobody would "
            "notice that the data set has other texts by now. Make the file again with knowledge.py, or add them."
        )
    retrieved, generated = values.get("retrieved", []), values.get("generated")
    if not isinstance(retrieved, list):
        raise UserError(f"{where}: 'retrieved' must be a list.")
    by = values.get("by", {})
    if (
        not isinstance(by, dict)
        or not by.keys() <= set(PARTS)
        or not all(isinstance(each, str) for each in by.values())
    ):
        raise UserError(f"{where}: 'by' must say in words where {' and '.join(PARTS)} are from.")
    return SidecarEntry(
        split,
        dialogue,
        turn,
        text,
        tuple(_found(each, f"{where}, retrieved {number}") for number, each in enumerate(retrieved, 1)),
        NOTHING if generated is None else _inference(generated, (), f"{where}, generated"),
        by,
    )


def _found(value: object, where: str) -> Found:
    values = _object(value, ("event", "score", *RELATIONS), (), where)
    event, score = values["event"], values["score"]
    if not isinstance(event, str) or not event.strip():
        raise UserError(f"{where}: 'event' must be a string that is not empty.")
    if not isinstance(score, int | float) or isinstance(score, bool) or not math.isfinite(score):
        raise UserError(f"{where}: 'score' must be a number.")
    return Found(event, float(score), _inference(values, ("event", "score"), where))


def _inference(value: object, others: Sequence[str], where: str) -> Inference:
    values = _object(value, RELATIONS, others, where)
    for name in RELATIONS:
        phrases = values[name]
        if not isinstance(phrases, list) or not all(isinstance(each, str) and each.strip() for each in phrases):
            raise UserError(f"{where}: {name!r} must be a list of phrases that are not empty.")
        if any("\ud800" <= character <= "\udfff" for phrase in phrases for character in phrase):
            raise UserError(f"{where}: {name!r} has half a surrogate pair, a cut-off emoji for one. Remove it.")
    return Inference(*(tuple(values[name]) for name in RELATIONS))


def _object(value: object, needed: Sequence[str], allowed: Sequence[str], where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UserError(f"{where}: expected an object with the keys {', '.join(needed)}.")
    if missing := [key for key in needed if key not in value]:
        raise UserError(f"{where}: the key {missing[0]!r} is missing.")
    if unknown := [key for key in value if key not in (*needed, *allowed)]:
        raise UserError(f"{where}: unknown key {unknown[0]!r}; known are {', '.join((*needed, *allowed))}.")
    return value
