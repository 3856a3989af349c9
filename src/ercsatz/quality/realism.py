"""How like the real training dialogues others are."""

import math
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ercsatz.data.dialogue import Dialogue
from ercsatz.data.ngrams import words
from ercsatz.quality import distances
from ercsatz.quality.embedder import Embedder
from ercsatz.quality.measure import Better, Measure, Turns, draw_turns, shuffled, undefined

_FAMILY = "realism"
Count = Callable[[Sequence[Dialogue]], Counter[Hashable]]


@dataclass(frozen=True, slots=True)
class SampleSize:
    """How much is compared.

    Attributes:
        dialogues: of each of two sets.
        turns: that are drawn from these dialogues, of each of two sets.
    """

    dialogues: int
    turns: int


def realism(
    real: Sequence[Dialogue], synthetic: Sequence[Dialogue], embedder: Embedder, size: SampleSize, seed: int = 0
) -> list[Measure]:
    """All measures of likeness between real training dialogues and others, both of the same size.

    Args:
        real: the training split, or a part of it; what ``size`` says is drawn from it.
        synthetic: dialogues to compare with it; the order does not matter.
        embedder: fitted on the real ones, if at all.
        size: how much of each.
        seed: of all samples and folds.

    Returns:
        Jensen-Shannon distances, 0 to 1: js_labels, js_turn_lengths, js_dialogue_lengths, js_speakers (numbers of
        words, turns and speakers) and js_transitions (pairs of labels of consecutive turns); then frechet,
        precision, recall, density, coverage, c2st_auc and mauve (see ``distances``).
    """
    return _compare(shuffled(real, seed)[: size.dialogues], synthetic, embedder, size, seed)


def jensen_shannon(a: Mapping[Hashable, int], b: Mapping[Hashable, int]) -> float | None:
    """The Jensen-Shannon distance (base 2) of two distributions, 0 to 1; ``None`` if one has no counts.

    The square root of the divergence. Two samples of one distribution are not quite 0 apart.

    Source: Endres and Schindelin 2003, A new metric for probability distributions.
    """
    all_a, all_b = sum(a.values()), sum(b.values())
    if not all_a or not all_b:
        return None
    terms = []
    for key in a.keys() | b.keys():
        p, q = a.get(key, 0) / all_a, b.get(key, 0) / all_b
        terms += [each * math.log2(2 * each / (p + q)) for each in (p, q) if each]
    return math.sqrt(min(1.0, max(0.0, math.fsum(terms) / 2)))


def labels(dialogues: Sequence[Dialogue]) -> Counter[Hashable]:
    """How often each emotion occurs."""
    return Counter(turn.emotion for dialogue in dialogues for turn in dialogue.utterances if turn.emotion is not None)


def turn_lengths(dialogues: Sequence[Dialogue]) -> Counter[Hashable]:
    """How many turns have how many words."""
    return Counter(len(words(turn.text)) for dialogue in dialogues for turn in dialogue.utterances)


def dialogue_lengths(dialogues: Sequence[Dialogue]) -> Counter[Hashable]:
    """How many dialogues have how many turns."""
    return Counter(len(dialogue.utterances) for dialogue in dialogues)


def speakers(dialogues: Sequence[Dialogue]) -> Counter[Hashable]:
    """How many dialogues have how many speakers."""
    return Counter(len({turn.speaker for turn in dialogue.utterances}) for dialogue in dialogues)


def transitions(dialogues: Sequence[Dialogue]) -> Counter[Hashable]:
    """How often an emotion follows another from a turn to the next; where one of the two has none, it is no pair."""
    pairs = ((a.emotion, b.emotion) for dialogue in dialogues for a, b in pairwise(dialogue.utterances))
    return Counter(pair for pair in pairs if None not in pair)


_COUNTS: dict[str, tuple[Count, str]] = {
    "js_labels": (labels, "no turn of one of the two has a label"),
    "js_turn_lengths": (turn_lengths, "one of the two has no turns"),
    "js_dialogue_lengths": (dialogue_lengths, "one of the two has no dialogues"),
    "js_speakers": (speakers, "one of the two has no dialogues"),
    "js_transitions": (transitions, "one of the two has no labelled turn right after another"),
}


def _turns(dialogues: Sequence[Dialogue]) -> int:
    return sum(len(dialogue.utterances) for dialogue in dialogues)


def _compare(
    reference: Sequence[Dialogue], others: Sequence[Dialogue], embedder: Embedder, size: SampleSize, seed: int
) -> list[Measure]:
    chosen = shuffled(others, seed)[: size.dialogues]
    found = []
    for name, (count, because) in _COUNTS.items():
        counts = count(chosen)
        value = jensen_shannon(count(reference), counts)
        found.append(_measure(name, value, "lower", because, counts.total(), count(others).total()))
    ours, theirs = draw_turns(reference, size.turns, seed), draw_turns(chosen, size.turns, seed)
    return found + _of_vectors(ours, theirs, embedder, _turns(others), seed)


def _of_vectors(reference: Turns, others: Turns, embedder: Embedder, of: int, seed: int) -> list[Measure]:
    a, b = embedder.encode(reference.texts), embedder.encode(others.texts)
    n, few = len(b), f"it takes more than {distances.NEIGHBOURS} turns of each"
    found = [_measure("frechet", distances.frechet(a, b), "lower", "it takes two turns of each", n, of)]
    shares = distances.prdc(a, b)
    for name, better in _PRDC.items():
        found.append(_measure(name, None if shares is None else getattr(shares, name), better, few, n, of))
    area = distances.c2st(a, b, reference.dialogues, others.dialogues, seed)
    found.append(_measure("c2st_auc", area, "real", f"it takes {distances.FOLDS} different dialogues of each", n, of))
    if not distances.has_mauve():
        missing = "the package mauve-text is not installed; install it with: pip install mauve-text"
        return [*found, undefined(_FAMILY, "mauve", "higher", missing, n, of)]
    return [*found, _measure("mauve", distances.mauve(a, b, seed), "higher", "it takes 40 turns of each", n, of)]


_PRDC: dict[str, Better] = {"precision": "real", "recall": "higher", "density": "real", "coverage": "higher"}


def _measure(name: str, value: float | None, better: Better, because: str, n: int, of: int) -> Measure:
    if value is None:
        return undefined(_FAMILY, name, better, because, n, of)
    return Measure(_FAMILY, name, value, better, n, of)
