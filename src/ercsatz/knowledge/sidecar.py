"""The sidecar: what is known about the utterances of a data set, in files beside it.

``knowledge/<data>.jsonl`` has a line for every utterance about which something is known::

    {"split": "train", "dialogue": "12", "turn": 0,
     "retrieved": [{"event": "PersonX is late", "score": 0.71, "xIntent": [], "xReact": ["sorry"], "oReact": []}],
     "generated": {"xIntent": ["to make up for it"], "xReact": ["guilty"], "oReact": ["annoyed"]},
     "by": {"retrieved": "lexical TF-IDF, ...", "generated": "tgi ..."}}

``turn`` counts from 0. All but the first three keys may be absent; ``by`` says where each part is from. In place of
``generated`` there may be vectors in ``knowledge/<data>.safetensors``; see ``ercsatz.knowledge.vectors``.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ercsatz.dialogue import SPLITS, Dialogue, Knowledge, atomic_write
from ercsatz.errors import UserError
from ercsatz.knowledge.relations import NOTHING, RELATIONS, Found, Inference, found_statements, statements

FOLDER = "knowledge"
PARTS = ("retrieved", "generated")
Key = tuple[str, str, int]
"""Split, id of the dialogue, turn from 0."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A line: what is known about one utterance.

    Attributes:
        split: train, validation or test.
        dialogue: its id.
        turn: the utterance's place in it, from 0.
        retrieved: events like the utterance, the best first.
        generated: what a language model, COMET for one, says about it.
        by: where ``retrieved`` and ``generated`` are from.
    """

    split: str
    dialogue: str
    turn: int
    retrieved: tuple[Found, ...] = ()
    generated: Inference = NOTHING
    by: Mapping[str, str] = field(default_factory=dict)

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


def attach(dialogues: Sequence[Dialogue], split: str, sidecar: Sidecar) -> tuple[Dialogue, ...]:
    """The same dialogues with what is known about their utterances; ``None`` where nothing is.

    Args:
        dialogues: all of the split.
        split: which lines of the sidecar are about them; those about other splits are passed over.
        sidecar: of the data set that they are from.

    Raises:
        UserError: the sidecar cannot be read, is about a dialogue or turn that is not there, or has both generated
            statements and vectors.
    """
    sizes = {dialogue.id: len(dialogue.utterances) for dialogue in dialogues}
    known = {} if sidecar.statements is None else _read_known(sidecar, split, sizes)
    if sidecar.vectors is not None:
        from ercsatz.knowledge.vectors import read_vectors

        for name, turns in read_vectors(sidecar.vectors, split, sizes):
            for turn, vectors in enumerate(turns):
                known[name, turn] = replace(known.get((name, turn), Knowledge()), vectors=vectors)
    return tuple(
        replace(
            dialogue,
            utterances=tuple(
                replace(utterance, knowledge=known.get((dialogue.id, turn)))
                for turn, utterance in enumerate(dialogue.utterances)
            ),
        )
        for dialogue in dialogues
    )


def _read_known(sidecar: Sidecar, split: str, sizes: Mapping[str, int]) -> dict[tuple[str, int], Knowledge]:
    assert sidecar.statements is not None
    known = {}
    shared: dict[str, str] = {}  # an event is like many utterances; its statements need memory once
    for where, entry in read_entries(sidecar.statements):
        if sidecar.vectors is not None and entry.generated:
            raise UserError(
                f"{where}: 'generated' beside the vectors in {sidecar.vectors}, which stand in its place. "
                "Move one of them away."
            )
        if entry.split == split:
            check_place(where, sidecar.name, entry.dialogue, sizes, entry.turn + 1)
            found, generated = (
                tuple(shared.setdefault(statement, statement) for statement in each)
                for each in (found_statements(entry.retrieved), statements(entry.generated))
            )
            if found or generated:
                known[entry.dialogue, entry.turn] = Knowledge(found, generated)
    return known


def check_place(where: str, name: str, dialogue: str, sizes: Mapping[str, int], turns: int) -> None:
    """Refuse what is known about a dialogue or a turn that a data set does not have.

    Raises:
        UserError: ``sizes``, turns by dialogue id, lacks the dialogue, or it has fewer ``turns``.
    """
    found = sizes.get(dialogue, 0)
    if found < turns:
        what = f"dialogue {dialogue!r} has {found} turns" if found else f"there is no dialogue {dialogue!r}"
        raise UserError(
            f"{where}: {what}, so the sidecar belongs to another data set, or to an earlier {name}. "
            f"Remove it and make it again: python knowledge.py data={name}"
        )


def read_entries(path: Path) -> Iterator[tuple[str, Entry]]:
    """Read a sidecar line by line, strictly.

    Yields:
        The place, for messages, and the line.

    Raises:
        UserError: the file cannot be read, a line is not as described above, or an utterance has two.
    """
    seen = set[Key]()
    for where, text in _lines(path):
        try:
            line = json.loads(text)
        except json.JSONDecodeError as error:
            raise UserError(f"{where}: not JSON ({error.msg}). A line must be about one whole utterance.") from None
        entry = _entry(line, where)
        if entry.key in seen:
            raise UserError(f"{where}: a second line about {entry.split} {entry.dialogue!r}, turn {entry.turn}.")
        seen.add(entry.key)
        yield where, entry


def write_entries(path: Path, entries: Iterable[Entry]) -> None:
    """Write a sidecar; the file appears whole or not at all."""
    with writing(path) as write:
        for entry in entries:
            write(entry)


@contextmanager
def writing(path: Path) -> Iterator[Callable[[Entry], None]]:
    """Give what writes one line after the other; entries that know nothing are left out.

    The file appears whole at the end, or not at all where there is an error.

    Raises:
        UserError: the disk is full, or the place cannot be written.
    """
    try:
        with atomic_write(path) as file:

            def write(entry: Entry) -> None:
                if entry.retrieved or entry.generated:
                    file.write(json.dumps(_to_json(entry), ensure_ascii=False) + "\n")

            yield write
    except OSError as error:
        raise UserError(f"Cannot write {path}: {error.strerror or error}. Make room or mend paths.data.") from error


def _to_json(entry: Entry) -> dict[str, Any]:
    line: dict[str, Any] = {"split": entry.split, "dialogue": entry.dialogue, "turn": entry.turn}
    if entry.retrieved:
        line["retrieved"] = [
            {"event": found.event, "score": found.score, **found.inference.to_json()} for found in entry.retrieved
        ]
    if entry.generated:
        line["generated"] = entry.generated.to_json()
    by = {part: entry.by[part] for part in PARTS if part in line and part in entry.by}
    return line | {"by": by} if by else line


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    number = 0
    try:
        with path.open(encoding="utf-8-sig", newline="\n") as file:  # U+2028 may stand in a phrase
            for number, text in enumerate(file, 1):
                yield f"{path}, line {number}", text
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}, line {number + 1} or later: not UTF-8. Make the file again.") from None


def _entry(line: object, where: str) -> Entry:
    values = _object(line, ("split", "dialogue", "turn"), (*PARTS, "by"), where)
    split, dialogue, turn = values["split"], values["dialogue"], values["turn"]
    if split not in SPLITS:
        raise UserError(f"{where}: 'split' must be {', '.join(SPLITS)}.")
    if not isinstance(dialogue, str) or type(turn) is not int or turn < 0:
        raise UserError(f"{where}: 'dialogue' must be a string and 'turn' a number from 0.")
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
    return Entry(
        split,
        dialogue,
        turn,
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
