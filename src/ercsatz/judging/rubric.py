"""What a judge is shown: the fixed rubric, and dialogues in a form from which no text can break out.

A turn is a JSON object on a line of its own, between marks at the beginning of a line. Quotes, line ends and braces in
a text are therefore inside a JSON string. ``<`` is written as its escape, as the marks of chat templates begin with it,
and so is the ``[`` of those that are words in capitals (``[INST]``, ``[/INST]``, ``[TOOL_CALLS]``).
Speakers are numbered, so that their names do not give away where a dialogue is from.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ercsatz.data.dialogue import Dialogue, Utterance
from ercsatz.llm.inquiry import templates_sha256
from ercsatz.llm.prompt import Templates
from ercsatz.reporting.text import printable

VERSION = 2
"""Of the rubric: of the templates and of the form in which dialogues are shown. One more with every change."""

MODE = "judge"
_MARK = re.compile(r"<|\[(?=/?[A-Z_]+\])")
_TOLD = ("age", "gender", "occupation", "mbti", "background")


@dataclass(frozen=True, slots=True)
class Shown:
    """A conversation as it stands in a prompt, and the numbers of the turns that have an emotion, from 1."""

    lines: tuple[str, ...]
    labelled: tuple[int, ...]


class Rubric:
    """The shipped templates.

    Attributes:
        sha256: SHA-256 (hex) of them.
    """

    def __init__(self) -> None:
        self._templates = Templates(MODE)
        self.sha256 = templates_sha256(self._templates.folder / MODE)

    def comparison(self, first: Shown, second: Shown) -> str:
        """The prompt that asks about two conversations."""
        return self._templates.sentence("pair", first=first, second=second)

    def persona(self, dialogue: Dialogue, turns: int) -> str:
        """The prompt that asks whether people keep to their personas; those who do not speak are not told of."""
        spoken = dialogue.utterances[:turns]
        personas = personas_of(dialogue, turns)
        return self._templates.sentence("persona", personas=personas, conversation=show(spoken))


def show(turns: tuple[Utterance, ...]) -> Shown:
    """A conversation as it is shown."""
    numbers = _numbers(turns)
    lines, labelled = [], []
    for place, turn in enumerate(turns, 1):
        line: dict[str, Any] = {"turn": place, "speaker": numbers[turn.speaker]}
        if turn.emotion is not None:
            line["emotion"] = _plain(turn.emotion)
            labelled.append(place)
        lines.append(_line({**line, "text": _plain(turn.text)}))
    return Shown(tuple(lines), tuple(labelled))


def personas_of(dialogue: Dialogue, turns: int) -> tuple[str, ...]:
    """The personas of those who speak in the first ``turns``, and the situation, as they are shown; none without."""
    numbers, provenance = _numbers(dialogue.utterances[:turns]), dialogue.provenance
    lines = []
    for persona in _mappings(provenance.get("personas")):
        speaker, told = numbers.get(str(persona.get("speaker"))), _given(persona, _TOLD)
        if told and speaker is not None:
            lines.append(_line({"speaker": speaker, **told}))
    for situation in _mappings([provenance.get("situation")]):
        told = _given(situation, ("text", "relation"))
        if lines and told:
            lines.append(_line({"situation": told}))
    return tuple(lines)


def _given(values: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, str]:
    return {name: _plain(str(values[name])) for name in names if values.get(name) is not None}


def _mappings(values: object) -> list[Mapping[str, Any]]:
    """Those of a list that are mappings: a data set that others made may have anything in its provenance."""
    return [value for value in values if isinstance(value, Mapping)] if isinstance(values, list) else []


def _numbers(turns: tuple[Utterance, ...]) -> dict[str, int]:
    """Speakers in the order in which they first speak, from 1."""
    return {name: number for number, name in enumerate(dict.fromkeys(turn.speaker for turn in turns), 1)}


def _line(values: Mapping[str, Any]) -> str:
    return _MARK.sub(lambda mark: f"\\u{ord(mark[0]):04x}", json.dumps(values, ensure_ascii=False))


def _plain(text: str) -> str:
    return " ".join(printable(text).split())
