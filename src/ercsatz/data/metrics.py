"""Scores of predictions: pure functions of gold and predicted class indices."""

from collections.abc import Sequence
from typing import Any

from sklearn.metrics import precision_recall_fscore_support


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
