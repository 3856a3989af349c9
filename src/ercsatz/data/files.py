"""The JSONL form of dialogues, which every data set of ours is kept in.

A line is a dialogue::

    {"id": "12", "utterances": [{"speaker": "Maya", "text": "You're early.", "emotion": "surprise"}, ...]}

``emotion`` is null where a turn is context only. A turn may also have a ``sentiment`` (negative, neutral or positive),
where its benchmark was annotated with it. Generated dialogues also carry ``provenance``, a flat mapping. Knowledge
about a turn is in a file beside the dialogues; see ``ercsatz.knowledge``.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ercsatz.config import modes
from ercsatz.data.checksums import refuse_changed
from ercsatz.data.dialogue import SENTIMENTS, Dialogue, Utterance
from ercsatz.data.text_files import json_lines, write_json_lines
from ercsatz.errors import UserError


def read_jsonl(path: Path) -> tuple[Dialogue, ...]:
    """Read a split in the JSONL form.

    Raises:
        UserError: the file is missing, not UTF-8, empty, not the one whose checksum is beside it, or a line is not a
            dialogue; the message names file and line.
    """
    refuse_changed(path)
    dialogues = tuple(from_json(line, where) for where, line in json_lines(path))
    if not dialogues:
        raise UserError(f"{path}: no dialogues. Every split needs at least one.")
    return dialogues


def refuse_other_mode(dialogues: Iterable[Dialogue], variant: str, path: Path) -> None:
    """Refuse dialogues whose provenance says that they are of another variant, as where folders were mixed up.

    Args:
        dialogues: of a generated data set.
        variant: what they are to be: tables would have that name.
        path: their file.

    Raises:
        UserError: names the mode that they were written in.
    """
    variants = {mode: short for short, mode in modes().items()}
    for dialogue in dialogues:
        written = str(dialogue.provenance.get("mode"))
        if variants.get(written, variant) != variant:
            raise UserError(
                f"{path}: dialogue {dialogue.id} was written with mode={written}, so this is the variant "
                f"{variants[written]}, not {variant}. Give the right data=... or data.path."
            )


def write_jsonl(path: Path, dialogues: Iterable[Dialogue]) -> None:
    """Write a split in the JSONL form; the file appears whole or not at all."""
    write_json_lines(path, map(to_json, dialogues))


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
