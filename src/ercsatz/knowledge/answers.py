"""From the text of a language model's answer to an inference, or to the reason why not.

The prompt asks for a line for each relation, in any order: ``xReact: proud; a bit nervous``. Bold type, list marks and
polite words before and after the three lines are passed over; everything else is rejected.
"""

import re
from enum import Enum

from ercsatz.generators.interface import Answer, FinishReason
from ercsatz.knowledge.relations import RELATIONS, Inference, inference
from ercsatz.reporting.text import printable

MAX_PHRASES = 3
MAX_WORDS = 15  # of a phrase; COMET's have 35 pieces of words at the most

_LINE = re.compile(rf"({'|'.join(RELATIONS)})\s?:(.*)", re.IGNORECASE)
_LIST_MARK = re.compile(r"\A(?:[-+\u2022]|[0-9][.)])\s+")
_NAMES = {relation.casefold(): relation for relation in RELATIONS}


class AnswerReason(Enum):
    """Why nothing is known about an utterance. The code is the name; the value says in a line what it means."""

    empty = "the answer is empty"
    cut_off = "the answer ends in the middle"
    no_lines = "no line begins with the name of a relation"
    stray_line = "a line between the relations is none"
    repeated_line = "a relation has two lines"
    missing_line = "a relation has no line"
    no_phrases = "a line has no phrase, and not the word none"
    many_phrases = "a line has more phrases than were asked for"
    long_phrase = "a phrase is longer than any that was asked for"

    refused = "the server refused the request"
    unanswered = "no answer came, however often it was asked for"


def read_answer(answer: Answer) -> Inference | AnswerReason:
    """Read an answer; an inference may be without phrases, where the model says none."""
    lines = [_plain(line) for line in printable(answer.text).split("\n")]
    lines = [line for line in lines if line]
    if not lines:
        return AnswerReason.empty
    if answer.finish_reason is FinishReason.length:
        return AnswerReason.cut_off
    read = [_LINE.fullmatch(line) for line in lines]
    places = [place for place, match in enumerate(read) if match]
    if not places:
        return AnswerReason.no_lines
    matches = [match for match in read[places[0] : places[-1] + 1] if match]
    if len(matches) < places[-1] - places[0] + 1:
        return AnswerReason.stray_line
    texts = {_NAMES[match[1].casefold()]: match[2] for match in matches}
    if len(texts) < len(matches):
        return AnswerReason.repeated_line
    return _inference(texts) if len(texts) == len(RELATIONS) else AnswerReason.missing_line


def _inference(texts: dict[str, str]) -> Inference | AnswerReason:
    phrases = {relation: [each.strip() for each in text.split(";") if each.strip()] for relation, text in texts.items()}
    if not all(phrases.values()):
        return AnswerReason.no_phrases
    if any(len(each) > MAX_PHRASES for each in phrases.values()):
        return AnswerReason.many_phrases
    if any(len(phrase.split()) > MAX_WORDS for each in phrases.values() for phrase in each):
        return AnswerReason.long_phrase
    return inference(phrases)


def _plain(line: str) -> str:
    """A line without markdown."""
    return _LIST_MARK.sub("", " ".join(line.split()).replace("**", "").strip("`*_ "), count=1)
