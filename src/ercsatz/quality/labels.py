"""Whether emotion labels are what a classifier of real dialogues expects, and whether one learns from them.

What a probe is worth depends on how much it learnt from, and the scores of a small set scatter. So what is compared
learns from as many turns, and is tested on as many (``as_many``).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ercsatz.data.dialogue import Dialogue
from ercsatz.data.metrics import scores
from ercsatz.quality.measure import Better, Measure, draw_turns, undefined
from ercsatz.quality.probes import Predict, Probe

Learnt = Mapping[str, Predict | None]
"""By key of the probe; ``None`` where there was nothing to learn from."""

_SCORES = ("accuracy", "kappa", "w_f1", "macro_f1")


@dataclass(frozen=True, slots=True)
class Labelled:
    """Turns with a label.

    Attributes:
        texts: what is said.
        emotions: their labels.
        of: how many there were to draw from.
    """

    texts: list[str]
    emotions: list[str]
    of: int


def labelled(dialogues: Sequence[Dialogue], most: int, seed: int = 0) -> Labelled:
    """Up to ``most`` turns with a label at random, each as likely as any other."""
    turns = draw_turns(dialogues, sum(len(dialogue.utterances) for dialogue in dialogues), seed)
    pairs = [(text, label) for text, label in zip(turns.texts, turns.emotions, strict=True) if label is not None]
    return Labelled([text for text, _ in pairs[:most]], [label for _, label in pairs[:most]], len(pairs))


def as_many(sets: Sequence[Sequence[Dialogue]], most: int, seed: int = 0) -> list[Labelled]:
    """As many turns of each as the one with the fewest has, and ``most`` at the most."""
    drawn = [labelled(each, most, seed) for each in sets]
    n = min(len(each.texts) for each in drawn)
    return [Labelled(each.texts[:n], each.emotions[:n], each.of) for each in drawn]


def learn(turns: Labelled, probes: Sequence[Probe]) -> Learnt:
    """Train every probe."""
    return {probe.key: probe.fit(turns.texts, turns.emotions) if turns.texts else None for probe in probes}


def agreement(learnt: Learnt, turns: Labelled, labels: Sequence[str]) -> list[Measure]:
    """Whether probes give turns the labels that they have.

    Args:
        learnt: from real dialogues.
        turns: of the data set, or other real ones.
        labels: the benchmark's.

    Returns:
        For each probe, each name ending with its key: ``agreement_accuracy``, ``agreement_kappa`` (Cohen's, -1 to 1: 0
        is chance at these label frequencies), ``agreement_w_f1``, ``agreement_macro_f1`` (0 to 1), and
        ``agreement_f1`` of each emotion.
    """
    found = []
    for key, predict in learnt.items():
        tested = _Tested(turns, labels, predict)
        found += [tested.measure(f"agreement_{score}_{key}", score, "real", turns) for score in _SCORES]
        found += tested.of_emotions(f"agreement_f1_{key}")
    return found


def confusion(learnt: Learnt, turns: Labelled, labels: Sequence[str]) -> dict[str, pd.DataFrame]:
    """By probe: a row per label that turns have, a column per label that the probe gives them; counts."""
    return {key: _Tested(turns, labels, predict).confusion() for key, predict in learnt.items()}


def trts(learnt: Learnt, turns: Labelled, labels: Sequence[str]) -> list[Measure]:
    """``trts_w_f1`` of each probe: trained on real, tested on synthetic; ``turns`` are of the test split."""
    return [
        _Tested(turns, labels, predict).measure(f"trts_w_f1_{key}", "w_f1", "real", turns)
        for key, predict in learnt.items()
    ]


def tstr(turns: Labelled, test: Labelled, labels: Sequence[str], probes: Sequence[Probe]) -> list[Measure]:
    """``tstr_w_f1`` of each probe: trained on synthetic, tested on real. ``n`` is of those it learns from.

    Args:
        turns: to learn from, of the data set, or real ones.
        test: of the real test set.
        labels: the benchmark's.
        probes: to train.
    """
    return _taught("tstr_w_f1", turns, test, labels, probes)


def everything(
    real: Labelled, synthetic: Labelled, test: Labelled, labels: Sequence[str], probes: Sequence[Probe]
) -> list[Measure]:
    """What all there is teaches; there is nothing to compare it with, as one may be more than the other.

    Args:
        real: the training split.
        synthetic: the training split.
        test: of the real test set.
        labels: the benchmark's.
        probes: to train.

    Returns:
        Of each probe ``tstr_all_w_f1``, which learnt from ``synthetic``, and ``real_all_w_f1``, from ``real``; once
        ``majority_w_f1``, of giving every turn the most frequent label of ``real``: the floor.
    """
    most = max(labels, key=real.emotions.count)
    floor = _Tested(test, labels, (lambda texts: [most] * len(texts)) if real.texts else None)
    return [
        *_taught("tstr_all_w_f1", synthetic, test, labels, probes),
        *_taught("real_all_w_f1", real, test, labels, probes),
        floor.measure("majority_w_f1", "w_f1", "higher", test),
    ]


def _taught(
    name: str, turns: Labelled, test: Labelled, labels: Sequence[str], probes: Sequence[Probe]
) -> list[Measure]:
    return [
        _Tested(test, labels, predict).measure(f"{name}_{key}", "w_f1", "higher", turns)
        for key, predict in learn(turns, probes).items()
    ]


class _Tested:
    """Predictions for turns, and what they are worth.

    Args:
        turns: with the labels they are compared with.
        labels: all there are.
        predict: gives labels, or ``None`` if there was nothing to learn from.
    """

    def __init__(self, turns: Labelled, labels: Sequence[str], predict: Predict | None) -> None:
        self._turns, self._labels = turns, labels
        self._because = "there are no labelled turns to learn from" if predict is None else ""
        self._scores: dict[str, Any] = {}
        if not turns.texts:
            self._because = "there are no labelled turns to test on"
        elif predict is not None:
            place = {label: number for number, label in enumerate(labels)}
            gold = [place[emotion] for emotion in turns.emotions]
            self._scores = scores(gold, [place[label] for label in predict(turns.texts)], labels)
            self._scores["kappa"] = _kappa(self._scores["confusion"])

    def measure(self, name: str, score: str, better: Better, counted: Labelled) -> Measure:
        """One score; ``counted`` are the turns that ``n`` and ``of`` tell of."""
        n, of, value = len(counted.texts), counted.of, self._scores.get(score)
        if value is None:
            because = self._because or "all turns have one label and are given it"
            return undefined("labels", name, better, because, n, of)
        return Measure("labels", name, value, better, n, of)

    def of_emotions(self, name: str) -> Iterator[Measure]:
        """F1 of each emotion."""
        for label in self._labels:
            n = self._turns.emotions.count(label)
            if n and self._scores:
                value = self._scores["per_class"][label]["f1"]
                yield Measure("labels", name, value, "real", n, n, emotion=label)
            else:
                yield undefined("labels", name, "real", self._because or "no turn has this label", n, n, label)

    def confusion(self) -> pd.DataFrame:
        """A row per gold and a column per predicted label."""
        counts = self._scores.get("confusion", 0)
        return pd.DataFrame(counts, index=list(self._labels), columns=list(self._labels))


def _kappa(confusion: Sequence[Sequence[int]]) -> float | None:
    """Agreement beyond chance over what there is to reach; ``None`` where chance alone agrees on everything.

    Source: Cohen 1960, A coefficient of agreement for nominal scales.
    """
    n = sum(map(sum, confusion))
    agreed = sum(row[place] for place, row in enumerate(confusion)) / n
    chance = (
        sum(sum(row) * sum(column) for row, column in zip(confusion, zip(*confusion, strict=True), strict=True)) / n**2
    )
    return None if chance == 1 else (agreed - chance) / (1 - chance)
