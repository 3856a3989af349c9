"""From the text of a judge's answer to a judgement, or to the reason why it is none.

An answer is one JSON object with the keys that were asked for and nothing beside it but, at the most, a fence of
Markdown around the whole. Nothing is ever looked for inside a text: a dialogue may hold a judgement of its own, which
a model may repeat.
"""

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from ercsatz.generators.interface import Answer, FinishReason

LOWEST, HIGHEST = 1, 5
CRITERIA = ("naturalness", "coherence")
FIT = "emotional_fit"

_FENCE = re.compile(r"```(?:json)?\s*\n(.*)\n```", re.DOTALL)


class JudgementReason(Enum):
    """Why there is no judgement. The code is the name; the value says in a line what it means."""

    empty = "the answer is empty"
    cut_off = "the answer ends in the middle"
    prose = "the answer is not one JSON object and nothing else"
    broken = "the answer begins and ends as a JSON object and is none"
    repeated_key = "a key stands twice"
    missing_key = "a key is missing"
    unknown_key = "there is a key that was not asked for"
    not_a_score = "a score is no whole number"
    out_of_range = "a score is not from 1 to 5"
    wrong_labels = "not every labelled turn has a score, or another turn has one"
    no_choice = "neither of the two is called the more natural"

    refused = "the server refused the request"
    unanswered = "no answer came, however often it was asked for"


@dataclass(frozen=True, slots=True)
class Rating:
    """Scores from 1 to 5 of one conversation; ``emotional_fit`` by the number of the turn, from 1."""

    naturalness: int
    coherence: int
    emotional_fit: dict[int, int]


@dataclass(frozen=True, slots=True)
class JudgedComparison:
    """What is said of two conversations, and whether the first is the more natural one."""

    first: Rating
    second: Rating
    first_more_natural: bool


@dataclass(frozen=True, slots=True)
class PersonaFit:
    """How well people keep to their personas, from 1 to 5."""

    score: int


class _RejectedError(Exception):
    def __init__(self, reason: JudgementReason) -> None:
        super().__init__()
        self.reason = reason


def read_comparison(answer: Answer, first: Sequence[int], second: Sequence[int]) -> JudgedComparison | JudgementReason:
    """Read a judgement of two conversations.

    Args:
        answer: as it came.
        first: the numbers of the labelled turns of the conversation that is shown first.
        second: those of the other.
    """
    try:
        said = _keys(_object(answer), ("A", "B", "more_natural"))
        a, b = _rating(said["A"], first), _rating(said["B"], second)
    except _RejectedError as rejected:
        return rejected.reason
    choice = said["more_natural"]
    return JudgedComparison(a, b, choice == "A") if choice in ("A", "B") else JudgementReason.no_choice


def read_persona_fit(answer: Answer) -> PersonaFit | JudgementReason:
    """Read a judgement of how people keep to their personas."""
    try:
        return PersonaFit(_score(_keys(_object(answer), ("persona_fit",))["persona_fit"]))
    except _RejectedError as rejected:
        return rejected.reason


def grammar(turns: int) -> str:
    r"""A regular expression for all of a run's answers: what their JSON schema comes to, in one line.

    One for all, as a server compiles each anew; so it leaves open which turns are scored, which is checked after.

    Args:
        turns: of a conversation, at the most.

    >>> print(grammar(1))  # doctest: +ELLIPSIS
    (\{"A": \{"naturalness": [1-5], "coherence": [1-5], "emotional_fit": \{("[1-9][0-9]{0,2}": [1-5])?\}\}, "B": ...
    """
    score = f"[{LOWEST}-{HIGHEST}]"
    turn = f'"[1-9][0-9]{{0,2}}": {score}'
    more = f"(, {turn}){{0,{turns - 1}}}" if turns > 1 else ""
    rating = "".join(f'"{name}": {score}, ' for name in CRITERIA) + rf'"{FIT}": \{{({turn}{more})?\}}'
    comparison = rf'\{{"A": \{{{rating}\}}, "B": \{{{rating}\}}, "more_natural": "(A|B)"\}}'
    return rf'({comparison}|\{{"persona_fit": {score}\}})'


def _object(answer: Answer) -> Any:
    text = answer.text.strip()
    if not text:
        raise _RejectedError(JudgementReason.empty)
    if answer.finish_reason is FinishReason.length:
        raise _RejectedError(JudgementReason.cut_off)
    fenced = _FENCE.fullmatch(text)
    text = fenced[1].strip() if fenced else text
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        looks_like_one = text.startswith("{") and text.endswith("}")
        raise _RejectedError(JudgementReason.broken if looks_like_one else JudgementReason.prose) from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise _RejectedError(JudgementReason.repeated_key)
    return dict(pairs)


def _keys(value: Any, wanted: Collection[str]) -> dict[str, Any]:
    """An object of these keys and no others."""
    if not isinstance(value, dict):
        raise _RejectedError(JudgementReason.prose)
    if any(key not in value for key in wanted):
        raise _RejectedError(JudgementReason.missing_key)
    if len(value) > len(wanted):
        raise _RejectedError(JudgementReason.unknown_key)
    return value


def _rating(value: Any, labelled: Sequence[int]) -> Rating:
    said = _keys(value, (*CRITERIA, FIT))
    scores, fits = [_score(said[name]) for name in CRITERIA], said[FIT]
    if not isinstance(fits, dict) or fits.keys() != {str(turn) for turn in labelled}:
        raise _RejectedError(JudgementReason.wrong_labels)
    return Rating(scores[0], scores[1], {turn: _score(fits[str(turn)]) for turn in labelled})


def _score(value: Any) -> int:
    if type(value) is not int:  # a bool is an int too
        raise _RejectedError(JudgementReason.not_a_score)
    if not LOWEST <= value <= HIGHEST:
        raise _RejectedError(JudgementReason.out_of_range)
    return value
