"""Cheap classifiers of a turn's emotion from its text alone, to judge labels with before any GPU does."""

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from ercsatz.data.ngrams import words
from ercsatz.quality.embedder import Embedder

Predict = Callable[[Sequence[str]], list[str]]

_MARKS = re.compile(r"[!?]|\.\.\.|\u2026")  # the normal form drops them, but they tell surprise from the rest
_MOST_FEATURES = 50_000


@dataclass(frozen=True, slots=True)
class Probe:
    """Learns labels from texts: logistic regression on fixed features.

    Classes are weighted by one over the root of their frequency: the mean of going by frequency, which rates balanced
    sets low for what they do on purpose, and of counting all classes the same, at which weak features do worse than the
    most frequent label. With one class it always says that one.

    Attributes:
        key: ends the names of measures: ``words`` or ``embedding``.
        name: for reports.
        fit: from texts and their labels (one at least) to what predicts the labels of other texts.
    """

    key: str
    name: str
    fit: Callable[[Sequence[str], Sequence[str]], Predict]


def words_probe() -> Probe:
    """TF-IDF of words, pairs of words, and question and exclamation marks; counts enter as 1 + log."""

    def fit(texts: Sequence[str], labels: Sequence[str]) -> Predict:
        from sklearn.feature_extraction.text import TfidfVectorizer

        vectorizer = TfidfVectorizer(analyzer=_features, sublinear_tf=True, max_features=_MOST_FEATURES)
        return _logistic(vectorizer.fit_transform(texts), labels, vectorizer.transform)

    return Probe("words", "TF-IDF + logistic regression", fit)


def embedding_probe(embedder: Embedder) -> Probe:
    """The vectors of an embedder."""

    def features(texts: Sequence[str]) -> Any:
        return embedder.encode(texts).astype(np.float64)

    def fit(texts: Sequence[str], labels: Sequence[str]) -> Predict:
        return _logistic(features(texts), labels, features)

    return Probe("embedding", f"{embedder.name} + logistic regression", fit)


def _logistic(rows: Any, labels: Sequence[str], features: Callable[[Sequence[str]], Any]) -> Predict:
    from sklearn.linear_model import LogisticRegression

    counts = Counter(labels)
    if len(counts) == 1:
        return lambda texts: [labels[0]] * len(texts)
    weights = {label: math.sqrt(len(labels) / (len(counts) * count)) for label, count in counts.items()}
    model = LogisticRegression(class_weight=weights, max_iter=2000).fit(rows, labels)

    def predict(texts: Sequence[str]) -> list[str]:
        return [str(label) for label in model.predict(features(texts))] if texts else []

    return predict


def _features(text: str) -> list[str]:
    tokens = words(text)
    pairs = [f"{a} {b}" for a, b in pairwise(tokens)]
    return tokens + pairs + _MARKS.findall(text) or [""]  # so that a text without any has a feature too
