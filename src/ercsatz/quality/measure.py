"""What every measure of quality gives back, and how dialogues and turns are drawn for those that take a sample."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal

import numpy as np

from ercsatz.data.dialogue import Dialogue
from ercsatz.data.ngrams import words

Better = Literal["higher", "lower", "real"]


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure about a data set.

    Attributes:
        family: diversity, clusters, realism, labels, leakage, splits or human.
        name: a stable key, e.g. ``distinct_1``.
        value: the figure; ``None`` where it is undefined, never NaN.
        better: which way is better; ``real`` means the closer to what real data has, the better.
        n: how many texts, dialogues or pairs it was computed on.
        of: out of how many; more than ``n`` where it was computed on a seeded sample.
        undefined: why there is no value, a sentence that begins with "undefined because".
        emotion: where it is of the turns of one emotion.
        p: of a test.
        test: which test gave ``p``.
        error: the standard error of the value, where it is known from one sample.
    """

    family: str
    name: str
    value: float | None
    better: Better
    n: int
    of: int
    undefined: str = ""
    emotion: str | None = None
    p: float | None = None
    test: str = ""
    error: float | None = None


def undefined(
    family: str, name: str, better: Better, because: str, n: int = 0, of: int = 0, emotion: str | None = None
) -> Measure:
    """A measure without a value; ``because`` is a clause without a full stop, e.g. ``there are no texts``."""
    return Measure(family, name, None, better, n, of, f"undefined because {because}", emotion)


@dataclass(frozen=True, slots=True)
class Turns:
    """Turns that were drawn from dialogues.

    Attributes:
        texts: what was said.
        emotions: their labels; ``None`` for context.
        dialogues: the dialogue that each is from, told by its words and by how many dialogues of the same words came
            before it: so a dialogue has the same key in two sets that both have it.
        of: how many turns there were to draw from.
    """

    texts: tuple[str, ...]
    emotions: tuple[str | None, ...]
    dialogues: tuple[tuple[bytes, int], ...]
    of: int


def draw_turns(dialogues: Sequence[Dialogue], most: int, seed: int = 0) -> Turns:
    """Up to ``most`` turns at random, each as likely as any other, whatever the order of the dialogues."""
    turns, seen = [], Counter[bytes]()
    for dialogue in shuffled(dialogues, seed):
        spoken = sorted(word for turn in dialogue.utterances for word in words(turn.text))
        bag = blake2b(" ".join(spoken).encode(), digest_size=16).digest()
        turns += [(turn, (bag, seen[bag])) for turn in dialogue.utterances]
        seen[bag] += 1
    chosen = np.random.default_rng(seed).permutation(len(turns))[:most]
    drawn = [turns[place] for place in chosen]
    return Turns(
        tuple(turn.text for turn, _ in drawn),
        tuple(turn.emotion for turn, _ in drawn),
        tuple(key for _, key in drawn),
        len(turns),
    )


def shuffled(dialogues: Sequence[Dialogue], seed: int) -> list[Dialogue]:
    """The dialogues in a random order that depends on the seed and on what is said, and not on the order given.

    The first of them are a random sample.
    """
    known = sorted(dialogues, key=content)
    return [known[place] for place in np.random.default_rng(seed).permutation(len(known))]


def content(dialogue: Dialogue) -> bytes:
    """A hash of what is said and then of speakers and emotions: the same for dialogues that differ only in their ids.

    Sorted by it, dialogues are in an order that other labels hardly change.
    """
    said = [turn.text for turn in dialogue.utterances]
    whose = [(turn.speaker, turn.emotion) for turn in dialogue.utterances]
    return b"".join(blake2b(repr(each).encode(), digest_size=16).digest() for each in (said, whose))


def same_words(sets: Sequence[Sequence[Dialogue]], seed: int = 0) -> list[list[Dialogue]]:
    """Whole dialogues of each set, drawn at random until another one would make more words than the smallest set has.

    Measures that depend on the amount of text, as all of diversity do, are compared on these.
    """
    counted = [[(dialogue, _length(dialogue)) for dialogue in shuffled(each, seed)] for each in sets]
    most = min((sum(length for _, length in each) for each in counted), default=0)
    drawn = []
    for each in counted:
        totals = np.cumsum([length for _, length in each])
        drawn.append([dialogue for dialogue, _ in each[: int(np.searchsorted(totals, most, side="right"))]])
    return drawn


def _length(dialogue: Dialogue) -> int:
    return sum(len(words(turn.text)) for turn in dialogue.utterances)
