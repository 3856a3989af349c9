r"""From the text of an answer to labelled turns, or to the reason why not.

Two rungs: the line format that the prompt asks for, ``speaker: utterance (number)``, and a tolerant reading of what
language models make of it (lists, bold type, square brackets, labels as words, ``speaker (2): utterance``, prose around
the dialogue). A turn stands on one line with its own speaker and label; nothing is ever paired by position.
All patterns are anchored or single characters, so time is linear in the length of the text.
"""

import re
from collections.abc import Sequence

from ercsatz.data.benchmarks.parsing import composed
from ercsatz.data.dialogue import Utterance
from ercsatz.generation.rejection import Reason
from ercsatz.generators.interface import Answer, FinishReason
from ercsatz.reporting.text import printable

MAX_NAME = 60  # characters before the colon, beyond which a line is prose
MAX_LABEL = 40  # characters between brackets, beyond which they hold no label

_STRICT = re.compile(r"([^:]{1,60}): (.*\S) \(([0-9]{1,3})\)")
_LIST_MARK = re.compile(r"\A(?:[-*+\u2022>]|#{1,6}|[0-9]{1,3}[.)])\s+")
_LABEL = re.compile(
    r"(?:(?:label|emotion)\s*[:=]?\s*)?(?:([0-9]{1,3})(?:(?:\s*[-:=,]\s*|\s+)(\w+))?|(\w+))", re.IGNORECASE
)
_BRACKETS = {")": "(", "]": "[", "}": "{"}


def parse(answer: Answer, speakers: Sequence[str], labels: Sequence[str]) -> tuple[Utterance, ...] | Reason:
    """Read an answer.

    Args:
        answer: what the generator gave.
        speakers: who was asked for; others are kept as they are spelled, for the check to find.
        labels: number 1 in the answer is the first of them.

    Returns:
        The turns in order, or the first reason why the answer is no dialogue.
    """
    text = printable(answer.text)
    lines = [line for line in (" ".join(line.split()) for line in text.split("\n")) if line]
    if not lines:
        return Reason.empty
    if answer.finish_reason is FinishReason.length:
        return Reason.cut_off
    strict = [_strict(line, speakers, labels) for line in lines]
    turns = [turn for turn in strict if isinstance(turn, Utterance)]
    return tuple(turns) if len(turns) == len(lines) else _dialogue(lines, speakers, labels)


def _dialogue(lines: list[str], speakers: Sequence[str], labels: Sequence[str]) -> tuple[Utterance, ...] | Reason:
    """The tolerant rung: turns without a gap, with prose before and after them."""
    read = [_tolerant(line, speakers, labels) for line in lines]
    if read[-1] is Reason.no_label or _starts_name(lines[-1], speakers):
        return Reason.cut_off
    for result in read:
        if isinstance(result, Reason):
            return result
    places = [place for place, result in enumerate(read) if result is not None]
    if not places:
        return Reason.no_turns
    inner = read[places[0] : places[-1] + 1]
    turns = tuple(turn for turn in inner if isinstance(turn, Utterance))
    return turns if len(turns) == len(inner) else Reason.stray_line


def _strict(line: str, speakers: Sequence[str], labels: Sequence[str]) -> Utterance | None:
    match = _STRICT.fullmatch(line)
    if match is None or match[1] not in speakers or not 1 <= int(match[3]) <= len(labels):
        return None
    if _split_label(match[2], labels)[1] is not Reason.no_label or _holds_turn(match[2], speakers):
        return None
    return Utterance(match[1], _unquote(match[2]), labels[int(match[3]) - 1])


def _tolerant(line: str, speakers: Sequence[str], labels: Sequence[str]) -> Utterance | Reason | None:
    """One line as a turn, a reason why it is a broken one, or ``None`` when it is prose, a rule or a code fence."""
    plain = line.replace("**", "").replace("__", "").strip("`~= ")
    plain = _LIST_MARK.sub("", plain, count=1)
    head, colon, text = plain.partition(":")
    head, before = _split_label(head, labels)
    text, after = _split_label(text, labels)
    text, inner = _split_label(text, labels)
    speaker = _canonical(head.strip("*_ "), speakers)
    found = [label for label in (before, inner, after) if label is not Reason.no_label]
    if not colon or not speaker or len(speaker) > MAX_NAME:
        return Reason.stray_line if found else None
    if not found:
        return Reason.no_label if speaker in speakers else None
    text = _unquote(text.strip("*_ "))
    return _turn(speaker, text, found) if not _holds_turn(text, speakers) else Reason.two_turns


def _turn(speaker: str, text: str, found: Sequence[str | Reason]) -> Utterance | Reason:
    label = found[-1]
    if isinstance(label, Reason):
        return label
    if len(set(found)) > 1:
        return Reason.two_labels
    return Utterance(speaker, text, label) if text else Reason.no_text


def _holds_turn(text: str, speakers: Sequence[str]) -> bool:
    """Whether a label and the next speaker's name stand inside a text: two turns on one line."""
    return any(f"{bracket} {speaker}:" in text for bracket in _BRACKETS for speaker in speakers)


def _split_label(text: str, labels: Sequence[str]) -> tuple[str, str | Reason]:
    """What stands before a closing bracket with a label in it, and that label; else the text as it is."""
    text = text.strip()
    bare = text.rstrip(".*_ ")
    start = bare.rfind(_BRACKETS[bare[-1]]) if bare and bare[-1] in _BRACKETS else -1
    if start < 0 or len(bare) - start > MAX_LABEL:
        return text, Reason.no_label
    label = _label(bare[start + 1 : -1].strip(), labels)
    return (text, label) if label is Reason.no_label else (bare[:start].strip(), label)


def _label(text: str, labels: Sequence[str]) -> str | Reason:
    """The label that a bracket holds: a number, a word of the labels, or both."""
    match = _LABEL.fullmatch(composed(text))  # an accent of its own would end the word
    if match is None:
        return Reason.no_label
    number, beside, word = match.groups()
    by_word = {composed(label).casefold(): label for label in labels}
    if number is None:
        return by_word.get(word.casefold(), Reason.no_label)
    if not 1 <= int(number) <= len(labels):
        return Reason.unknown_label
    label = labels[int(number) - 1]
    return Reason.two_labels if beside and by_word.get(beside.casefold()) != label else label


def _canonical(name: str, speakers: Sequence[str]) -> str:
    """The speaker as the benchmark spells it, upper and lower case aside."""
    return next((speaker for speaker in speakers if speaker.casefold() == name.casefold()), name)


def _starts_name(line: str, speakers: Sequence[str]) -> bool:
    """Whether a line is a speaker's name and nothing more, or the beginning of one."""
    name = line.rstrip(": ")
    return bool(name) and any(speaker.startswith(name) for speaker in speakers)


def _unquote(text: str) -> str:
    """Drop the quotation marks around a whole utterance."""
    inner = text[1:-1]
    around = (text[:1], text[-1:]) in {('"', '"'), ("\u201c", "\u201d")}
    return inner if around and inner.strip() and not set(inner) & set(text[0] + text[-1]) else text
