"""The text form of TODKAT's release: a dialogue a line, tab-separated, n utterances and then n label numbers.

What is known about an utterance is appended to its text, in sentences: ``PersonX wanted A and B.``,
``PersonX will feel A.``, ``PersonY will feel A.``
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from ercsatz.data.dialogue import Dialogue
from ercsatz.data.text_files import read_text
from ercsatz.errors import UserError
from ercsatz.knowledge.relations import NOTHING, RELATIONS, Inference, inference
from ercsatz.knowledge.sidecar import SidecarEntry

_OPENINGS = dict(zip(("PersonX wanted ", "PersonX will feel ", "PersonY will feel "), RELATIONS, strict=True))
_OPENING = re.compile(rf"(?<!\S)(?:{'|'.join(_OPENINGS)})")


def read_text_form(path: Path, split: str, dialogues: Sequence[Dialogue]) -> Iterator[SidecarEntry]:
    """What a file of the text form says about our dialogues, which it must have all, in the same order.

    Texts are compared by their ASCII letters and digits alone, as the release has lost all other characters.

    Raises:
        UserError: a line is not of this form, or the file is about other dialogues; the message names the line.
    """
    lines = read_text(path).removesuffix("\n").split("\n")
    if len(lines) != len(dialogues):
        raise UserError(f"{path}: {len(lines)} dialogues, but split {split} has {len(dialogues)}: it is about others.")
    for number, (line, dialogue) in enumerate(zip(lines, dialogues, strict=True), 1):
        where = f"{path}, line {number}"
        texts = _texts(line.removesuffix("\r"), where)
        if len(texts) != len(dialogue.utterances):
            ours = len(dialogue.utterances)
            raise UserError(f"{where}: {len(texts)} utterances, but dialogue {dialogue.id!r} of {split} has {ours}.")
        for turn, (text, utterance) in enumerate(zip(texts, dialogue.utterances, strict=True)):
            said, known = divide(text, f"{where}, utterance {turn + 1}")
            if _core(said) != _core(utterance.text):
                raise UserError(
                    f"{where}, utterance {turn + 1}: {said!r}, but dialogue {dialogue.id!r} of {split} has "
                    f"{utterance.text!r} there. The file is about other dialogues, or has them in another order."
                )
            yield SidecarEntry.about(split, dialogue, turn, generated=known)


def divide(text: str, where: str) -> tuple[str, Inference]:
    """An utterance, and what the sentences appended to it say.

    Raises:
        UserError: such a sentence has no end.

    >>> divide("Hi. PersonX wanted to be nice and to chat. PersonY will feel glad.", "here")
    ('Hi.', Inference(x_intent=('to be nice', 'to chat'), x_react=(), o_react=('glad',)))
    """
    openings = list(_OPENING.finditer(text))
    if not openings:
        return text, NOTHING
    ends = [*(opening.start() for opening in openings[1:]), len(text)]
    phrases: dict[str, list[str]] = {relation: [] for relation in RELATIONS}
    for opening, end in zip(openings, ends, strict=True):
        sentence = text[opening.end() : end].strip()
        if not sentence.endswith("."):
            raise UserError(f"{where}: the sentence {opening[0] + sentence!r} does not end with a full stop.")
        phrases[_OPENINGS[opening[0]]] += sentence.split(" and ")
    return text[: openings[0].start()].rstrip(), inference(phrases)


def _texts(line: str, where: str) -> list[str]:
    fields = line.split("\t")
    n = len(fields) // 2
    if len(fields) % 2 or not all(field.strip().isdecimal() for field in fields[n:]):
        raise UserError(f"{where}: must be tab-separated, first the utterances and then as many label numbers.")
    return fields[:n]


def _core(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isascii() and character.isalnum())
