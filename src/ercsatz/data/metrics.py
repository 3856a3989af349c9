"""Scores of predictions: pure functions of gold and predicted class indices."""

from collections.abc import Mapping, Sequence
from typing import Any

_EQUAL = 1e-9  # two sums of the same W-F1


def scores(gold: Sequence[int], predicted: Sequence[int], labels: Sequence[str]) -> dict[str, Any]:
    """W-F1, macro F1, accuracy and per-class figures, all in [0, 1]; and the confusion matrix.

    Weighted F1 weighs each class by its support in ``gold``; macro F1 is the plain mean over the classes that occur in
    ``gold`` or ``predicted``. Both agree with scikit-learn's defaults. ``confusion`` has a row per gold and a column
    per predicted class, in the order of the labels, and counts utterances.

    >>> result = scores([0, 0, 1, 2], [0, 1, 1, 1], ["neutral", "joy", "anger"])
    >>> round(result["w_f1"], 4), round(result["macro_f1"], 4), result["accuracy"]
    (0.4583, 0.3889, 0.5)
    >>> result["confusion"]
    [[1, 1, 0], [0, 1, 0], [0, 1, 0]]
    """
    from sklearn.metrics import precision_recall_fscore_support

    columns = precision_recall_fscore_support(gold, predicted, labels=range(len(labels)), zero_division=0.0)
    per_class = {
        label: {"precision": float(p), "recall": float(r), "f1": float(f), "support": int(s)}
        for label, p, r, f, s in zip(labels, *columns, strict=True)
    }
    seen = {labels[i] for i in (*gold, *predicted)}
    confusion = [[0] * len(labels) for _ in labels]
    for g, p in zip(gold, predicted, strict=True):
        confusion[g][p] += 1
    return {
        "w_f1": sum(c["f1"] * c["support"] for c in per_class.values()) / len(gold),
        "macro_f1": sum(c["f1"] for label, c in per_class.items() if label in seen) / len(seen),
        "accuracy": sum(g == p for g, p in zip(gold, predicted, strict=True)) / len(gold),
        "utterances": len(gold),
        "per_class": per_class,
        "confusion": confusion,
    }


def learnt_nothing(found: Mapping[str, Any]) -> str | None:
    """Why ``scores`` show that nothing was learnt: ``one label`` or ``majority floor``; None where they do not.

    ``one label``: every prediction is the same. ``majority floor``: W-F1 is not above that of giving every utterance
    the most frequent label of ``gold``. What earlier versions left out, a confusion matrix or all figures of the
    classes, is done without; with neither, the answer is None.

    >>> labels = ["neutral", "joy"]
    >>> learnt_nothing(scores([0, 0, 1], [1, 1, 1], labels)), learnt_nothing(scores([0, 0, 1], [0, 1, 0], labels))
    ('one label', 'majority floor')
    >>> learnt_nothing(scores([0, 0, 1], [0, 1, 1], labels)), learnt_nothing({"w_f1": 0.0})
    (None, None)
    """
    classes = list(found.get("per_class", {}).values())
    confusion = found.get("confusion")
    supports = [sum(row) for row in confusion] if confusion else [c["support"] for c in classes]
    total = sum(supports)
    if not total:
        return None
    predicted = [sum(column) for column in zip(*confusion, strict=True)] if confusion else _predicted(classes)
    if total in predicted:
        return "one label"
    share = max(supports) / total
    floor = share * 2 * share / (1 + share)
    return "majority floor" if found["w_f1"] <= floor + _EQUAL else None


def _predicted(classes: Sequence[Mapping[str, Any]]) -> list[int]:
    """How often each class that is right at least once was predicted."""
    hits = [(c["recall"] * c["support"], c["precision"]) for c in classes if "precision" in c]
    return [round(hit / precision) for hit, precision in hits if precision > 0]
