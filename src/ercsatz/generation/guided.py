"""Guided decoding: one grammar for the whole run, with placeholders for speakers.

A grammar of its own for every request would have to be compiled for every request, which starves a server; so all
dialogues are spoken by the same few people, who get their names after parsing.
"""

import re
from collections.abc import Sequence

from ercsatz.data.dialogue import Utterance

PLACEHOLDERS = ("Alex", "Blair", "Casey", "Dana")  # names of women and men alike, and no words of English
MAX_CHARACTERS = 200  # of an utterance


def grammar(n_labels: int, min_turns: int, max_turns: int) -> str:
    r"""A regular expression that every answer to a dialogue's request matches as a whole.

    Only what TGI's and vLLM's grammar compilers all know: classes, alternatives, counted repetition.

    >>> print(grammar(2, 1, 1))
    (Alex|Blair|Casey|Dana): [A-Za-z][A-Za-z0-9 ,.!?'-]{1,199} \((1|2)\)
    """
    line = line_grammar(n_labels)
    if max_turns == 1:
        return line
    return rf"({line}\n){{{min_turns - 1},{max_turns - 1}}}{line}"


def line_grammar(n_labels: int) -> str:
    """The regular expression of one line."""
    numbers = "|".join(str(number) for number in range(1, n_labels + 1))
    return rf"({'|'.join(PLACEHOLDERS)}): [A-Za-z][A-Za-z0-9 ,.!?'-]{{1,{MAX_CHARACTERS - 1}}} \(({numbers})\)"


def rename(turns: Sequence[Utterance], speakers: Sequence[str], in_texts: bool) -> tuple[Utterance, ...]:
    """Give placeholders their names; whoever was not asked for keeps the placeholder, for the check to find.

    Args:
        turns: as parsed.
        speakers: who the placeholders stand for, in order.
        in_texts: also where people are addressed by name.
    """
    names = dict(zip(PLACEHOLDERS, speakers, strict=False))
    return tuple(
        Utterance(
            names.get(turn.speaker, turn.speaker),
            rename_text(turn.text, speakers) if in_texts else turn.text,
            turn.emotion,
        )
        for turn in turns
    )


def rename_text(text: str, speakers: Sequence[str]) -> str:
    """Put names in the place of placeholders.

    >>> rename_text("Alex owes Blair's sister a drink.", ["Ross", "Monica"])
    "Ross owes Monica's sister a drink."
    """
    names = dict(zip(PLACEHOLDERS, speakers, strict=False))
    return re.sub(rf"\b({'|'.join(names)})\b", lambda match: names[match[1]], text)
