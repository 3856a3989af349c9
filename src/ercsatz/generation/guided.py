"""Guided decoding: one grammar for the whole run, with placeholders for speakers.

A grammar of its own for every request would have to be compiled for every request, which starves a server; so all
dialogues are spoken by A, B, C and D, who get their names after parsing.
"""

from collections.abc import Sequence
from dataclasses import replace

from ercsatz.dialogue import Utterance

PLACEHOLDERS = ("A", "B", "C", "D")
MAX_CHARACTERS = 200  # of an utterance


def grammar(n_labels: int, min_turns: int, max_turns: int) -> str:
    r"""A regular expression that every answer to a dialogue's request matches as a whole.

    Only what TGI's and vLLM's grammar compilers all know: classes, alternatives, counted repetition.

    >>> print(grammar(3, 2, 5))
    ([ABCD]: [A-Za-z][A-Za-z0-9 ,.!?'-]{1,199} \((1|2|3)\)\n){1,4}[ABCD]: [A-Za-z][A-Za-z0-9 ,.!?'-]{1,199} \((1|2|3)\)
    """
    numbers = "|".join(str(number) for number in range(1, n_labels + 1))
    line = rf"[{''.join(PLACEHOLDERS)}]: [A-Za-z][A-Za-z0-9 ,.!?'-]{{1,{MAX_CHARACTERS - 1}}} \(({numbers})\)"
    if max_turns == 1:
        return line
    return rf"({line}\n){{{min_turns - 1},{max_turns - 1}}}{line}"


def rename(turns: Sequence[Utterance], speakers: Sequence[str]) -> tuple[Utterance, ...]:
    """Give placeholders their names; whoever was not asked for keeps the placeholder, for the check to find."""
    names = dict(zip(PLACEHOLDERS, speakers, strict=False))
    return tuple(replace(turn, speaker=names.get(turn.speaker, turn.speaker)) for turn in turns)
