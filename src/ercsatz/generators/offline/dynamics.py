"""Which emotion comes next: a Markov chain with a mood, persistence, and contagion between speakers."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence

from ercsatz.generators.offline.lexicon import family

# How common an emotion is; scaled so that neutral has NEUTRAL_SHARE and the others what is left.
FREQUENCY = {
    "joy": 20,
    "excited": 12,
    "surprise": 12,
    "anger": 13,
    "frustrated": 14,
    "sadness": 10,
    "peaceful": 10,
    "powerful": 9,
    "fear": 7,
    "disgust": 4,
}
NEUTRAL_SHARE = 0.38  # before persistence and contagion, which make it about 0.45
MOOD = 4.0  # how much more often the dialogue's own emotion comes than elsewhere
PERSISTENCE = 0.25  # chance that a speaker stays in the emotion of their last turn
CONTAGION = 0.15  # chance that a speaker catches one of the previous turn's companions

# What an emotion tends to call up in the other person; only those among the labels are used.
COMPANIONS: Mapping[str, Sequence[str]] = {
    "neutral": ("neutral",),
    "joy": ("joy", "excited", "surprise", "peaceful", "neutral"),
    "excited": ("excited", "joy", "surprise", "neutral"),
    "peaceful": ("peaceful", "joy", "neutral"),
    "powerful": ("joy", "surprise", "powerful", "neutral"),
    "surprise": ("surprise", "joy", "fear", "neutral"),
    "anger": ("anger", "sadness", "surprise", "frustrated", "fear", "neutral"),
    "frustrated": ("frustrated", "anger", "neutral", "sadness"),
    "sadness": ("sadness", "peaceful", "neutral", "surprise"),
    "fear": ("fear", "surprise", "peaceful", "powerful", "neutral"),
    "disgust": ("disgust", "surprise", "anger", "joy", "neutral"),
}

GOOD = frozenset({"joy", "excited", "peaceful", "powerful"})
BAD = frozenset({"sadness", "anger", "frustrated", "fear", "disgust"})


class EmotionChain:
    """Draws the label of one turn after another for one dialogue."""

    def __init__(self, rng: random.Random, labels: Sequence[str], target: str | None) -> None:
        """Set the mood: that of the target, or of an emotion drawn by how common it is."""
        self._rng = rng
        self._labels = labels
        sizes = Counter(family(label) for label in labels)  # labels of one family share its frequency
        frequency = {label: FREQUENCY[family(label)] / sizes[family(label)] for label in labels if label != "neutral"}
        drawn = rng.choices(list(frequency), list(frequency.values()))[0] if frequency else "neutral"
        mood = family(drawn if target is None else target)
        weights = {label: share * (MOOD if family(label) == mood else 1) for label, share in frequency.items()}
        if "neutral" in labels:
            weights["neutral"] = sum(weights.values()) * NEUTRAL_SHARE / (1 - NEUTRAL_SHARE) or 1
        self._weights = weights
        self._last: dict[str, str] = {}
        self._previous = "neutral"

    def draw(self, speaker: str) -> str:
        """The label of the next turn, spoken by ``speaker``."""
        chance = self._rng.random()
        own = self._last.get(speaker)
        if own is not None and chance < PERSISTENCE:
            return own
        if chance > 1 - CONTAGION:
            companions = COMPANIONS[self._previous]
            if caught := [label for emotion in companions for label in self._labels if family(label) == emotion]:
                return self._rng.choice(caught)
        label = self._rng.choices(list(self._weights), list(self._weights.values()))[0]
        if self._clashes(family(label)) and self._rng.random() < 0.6:
            label = self._rng.choices(list(self._weights), list(self._weights.values()))[0]
        return label

    def spoken(self, speaker: str, label: str) -> None:
        """Remember what a turn expressed, whether it was drawn here or not."""
        self._last[speaker] = label
        self._previous = family(label)

    def _clashes(self, emotion: str) -> bool:
        return (emotion in GOOD and self._previous in BAD) or (emotion in BAD and self._previous in GOOD)
