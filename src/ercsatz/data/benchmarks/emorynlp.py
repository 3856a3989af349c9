"""EmoryNLP's ``emotion-detection-*.json`` (emorynlp/emotion-detection): episodes of scenes of utterances."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ercsatz.data.benchmarks.parsing import Source, json_value, several
from ercsatz.data.dialogue import Dialogue
from ercsatz.errors import UserError


def read(source: Source) -> list[Dialogue]:
    """Read one split; a scene is a dialogue, under its ``scene_id``.

    A line that several characters speak at once has one speaker, ``Monica Geller and Phoebe Buffay``.

    Raises:
        UserError: the file is not as published; the message names the place or the utterance.
    """
    source.choices({})
    dialogues = []
    for scene in _scenes(source.path):
        name = _get(scene, "scene_id", str, str(source.path))
        turns = []
        for utterance in _get(scene, "utterances", list, f"{source.path}, scene {name}"):
            where = f"{source.path}, {_get(utterance, 'utterance_id', str, f'{source.path}, scene {name}')}"
            speaker = several(_get(utterance, "speakers", list, where), where)
            text, emotion = (_get(utterance, key, str, where) for key in ("transcript", "emotion"))
            turns.append(source.turn(speaker, text, emotion, where))
        dialogues.append(Dialogue(name, tuple(turns)))
    return dialogues


def _scenes(path: Path) -> Iterator[object]:
    for episode in _get(json_value(path), "episodes", list, str(path)):
        yield from _get(episode, "scenes", list, str(path))


def _get(value: object, key: str, kind: type, where: str) -> Any:
    if not isinstance(value, dict) or not isinstance(value.get(key), kind):
        raise UserError(f"{where}: expected an object with the key {key!r}, a {kind.__name__}.")
    return value[key]
