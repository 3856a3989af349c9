"""Whether emotion labels are what a classifier of real dialogues expects, and whether one learns from them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ercsatz.dialogue import Dialogue
from ercsatz.quality.measure import Better, Measure, draw_turns, undefined
from ercsatz.quality.probes import Probe
from ercsatz.scores import scores

Splits = Mapping[str, Sequence[Dialogue]]

_REPLICATES = 400
_SCORES = ("accuracy", "kappa", "w_f1", "macro_f1")


@dataclass(frozen=True, slots=True)
class LabelQuality:
    """How good the labels are.

    Attributes:
        measures: see ``label_quality``.
        confusion: by probe: a row per label of the data set, a column per label that the probe gives; counts.
        real_confusion: the same on the real test set.
    """

    measures: list[Measure]
    confusion: dict[str, pd.DataFrame]
    real_confusion: dict[str, pd.DataFrame]


@dataclass(frozen=True, slots=True)
class _Turns:
    texts: list[str]
    emotions: list[str]
    of: int


def label_quality(
    real: Splits,
    synthetic: Splits,
    labels: Sequence[str],
    probes: Sequence[Probe],
    *,
    turns: int = 20_000,
    seed: int = 0,
) -> LabelQuality:
    """Train probes on one and test them on the other, real and synthetic.

    Args:
        real: with the splits train and test.
        synthetic: with the splits train and test.
        labels: the benchmark's.
        probes: each of them is trained twice.
        turns: the most to draw of any split to train or to test on.
        seed: of what is drawn.

    Returns:
        For each probe, each name ending with its key:
        ``agreement_*``: trained on the real train split, tested on the synthetic one; ``real_*``, on the real test set,
        is the mark. Scores are accuracy, kappa (Cohen's, -1 to 1: 0 is chance at these label frequencies), w_f1,
        macro_f1 (0 to 1), and f1 of each emotion.
        ``tstr_w_f1``: trained on the synthetic train split, tested on the real test set. ``trts_w_f1``: trained on the
        real train split, tested on the synthetic test set.
        Once: ``majority_w_f1``, of giving every turn of the real test set the real train split's most frequent label:
        the floor.
        ``n`` counts turns that were drawn of the synthetic splits, and of the real test set where only that is used.
    """
    train, test = (_labelled(real[split], turns, seed) for split in ("train", "test"))
    own_train, own_test = (_labelled(synthetic[split], turns, seed) for split in ("train", "test"))
    measures, confusion, real_confusion = [], {}, {}
    for probe in probes:
        key = probe.key
        by_real = probe.fit(train.texts, train.emotions) if train.texts else None
        by_own = probe.fit(own_train.texts, own_train.emotions) if own_train.texts else None
        agreement, on_real, on_own, utility = (
            _Tested(tested, labels, predict(tested.texts) if predict else None)
            for predict, tested in ((by_real, own_train), (by_real, test), (by_real, own_test), (by_own, test))
        )
        measures += [*agreement.measures("agreement", key, "real"), *on_real.measures("real", key, "higher")]
        measures.append(utility.measure("tstr_w_f1_" + key, "w_f1", "higher", own_train))
        measures.append(on_own.measure("trts_w_f1_" + key, "w_f1", "real"))
        confusion[key], real_confusion[key] = agreement.confusion(), on_real.confusion()
    most = max(labels, key=train.emotions.count)
    floor = _Tested(test, labels, [most] * len(test.texts) if train.texts else None)
    return LabelQuality([*measures, floor.measure("majority_w_f1", "w_f1", "higher")], confusion, real_confusion)


class _Tested:
    """Predictions for turns, and what they are worth.

    Args:
        turns: with the labels they are compared with.
        labels: all there are.
        predicted: a label per turn, or ``None`` if there was nothing to learn from.
    """

    def __init__(self, turns: _Turns, labels: Sequence[str], predicted: Sequence[str] | None) -> None:
        self._turns, self._labels = turns, labels
        self._because = "there are no labelled turns to learn from" if predicted is None else ""
        self._scores: dict[str, Any] = {}
        self._errors: dict[str, float] = {}
        if not turns.texts:
            self._because = "there are no labelled turns to test on"
        elif predicted is not None:
            place = {label: number for number, label in enumerate(labels)}
            gold = [place[emotion] for emotion in turns.emotions]
            self._scores = scores(gold, [place[label] for label in predicted], labels)
            self._scores["kappa"] = _kappa(self._scores["confusion"])
            self._errors = standard_errors(self._scores["confusion"], labels)

    def measures(self, what: str, key: str, better: Better) -> list[Measure]:
        """All scores, and F1 of each emotion."""
        found = [self.measure(f"{what}_{score}_{key}", score, better) for score in _SCORES]
        return found + [self._of_emotion(f"{what}_f1_{key}", label, better) for label in self._labels]

    def measure(self, name: str, score: str, better: Better, counted: _Turns | None = None) -> Measure:
        """One score; ``n`` and ``of`` are those of the turns that are counted, by default of those tested on."""
        counted = counted or self._turns
        n, of = len(counted.texts), counted.of
        value = self._scores.get(score)
        if value is None:
            because = self._because or "all turns have one label and are given it"
            return undefined("labels", name, better, because, n, of)
        return Measure("labels", name, value, better, n, of, error=self._errors[score])

    def confusion(self) -> pd.DataFrame:
        """A row per gold and a column per predicted label."""
        counts = self._scores.get("confusion", 0)
        return pd.DataFrame(counts, index=list(self._labels), columns=list(self._labels))

    def _of_emotion(self, name: str, label: str, better: Better) -> Measure:
        n = self._turns.emotions.count(label)
        if not n or not self._scores:
            because = self._because or "no turn has this label"
            return undefined("labels", name, better, because, n, n, label)
        value, error = self._scores["per_class"][label]["f1"], self._errors[f"f1 {label}"]
        return Measure("labels", name, value, better, n, n, emotion=label, error=error)


def standard_errors(confusion: Sequence[Sequence[int]], labels: Sequence[str]) -> dict[str, float]:
    """Standard errors of accuracy, kappa, w_f1, macro_f1 and, under ``f1 <label>``, the F1 of each label.

    Of the turns that were tested on; what is learnt from other turns, and that turns of a dialogue are alike, is not
    in it.

    Args:
        confusion: counts, a row per gold and a column per predicted label; not all 0.
        labels: of rows and columns.

    Source: Efron 1979, Bootstrap methods, by drawing confusion matrices.
    """
    counts = np.asarray(confusion, np.float64)
    n, size = counts.sum(), len(labels)
    drawn = np.random.default_rng(0).multinomial(int(n), (counts / n).ravel(), _REPLICATES).reshape(-1, size, size)
    hits, gold, given = np.einsum("rii->ri", drawn), drawn.sum(axis=2), drawn.sum(axis=1)
    f1 = 2 * hits / np.maximum(gold + given, 1)
    accuracy, chance = hits.sum(axis=1) / n, (gold * given).sum(axis=1) / n**2
    found = {
        "accuracy": accuracy,
        "kappa": (accuracy - chance) / np.where(chance < 1, 1 - chance, 1),
        "w_f1": (f1 * gold).sum(axis=1) / n,
        "macro_f1": f1.sum(axis=1) / (gold + given > 0).sum(axis=1),
        **{f"f1 {label}": f1[:, place] for place, label in enumerate(labels)},
    }
    return {name: float(values.std(ddof=1)) for name, values in found.items()}


def _labelled(dialogues: Sequence[Dialogue], most: int, seed: int) -> _Turns:
    """Up to ``most`` turns, of which those without a label are dropped."""
    drawn = draw_turns(dialogues, most, seed)
    pairs = [(text, emotion) for text, emotion in zip(drawn.texts, drawn.emotions, strict=True) if emotion is not None]
    of = sum(turn.emotion is not None for dialogue in dialogues for turn in dialogue.utterances)
    return _Turns([text for text, _ in pairs], [emotion for _, emotion in pairs], of)


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
