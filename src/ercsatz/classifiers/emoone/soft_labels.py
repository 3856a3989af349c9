"""Gray labels, grayscale in the paper: a target distribution for every utterance, and the loss that takes it.

Lee, "The Emotion is Not One-hot Encoding: Learning with Grayscale Label for Emotion Recognition in Conversation",
Interspeech 2022. All functions go by a stated label order, which is the class index.
"""

import codecs
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ercsatz.errors import UserError

Floats = NDArray[np.float64]


def category(
    labels: Sequence[str],
    emotions: Sequence[str],
    sentiments: Sequence[str | None],
    groups: Mapping[str, str | None],
) -> Floats:
    """Method C: 1 for the gold label, 0.5 for the others of its sentiment, 0 for the rest, divided by the sum.

    A label without a sentiment of its own (MELD's surprise) is gold with the sentiment that its utterance is annotated
    with, and counts as neutral where another label is gold. Where the utterance is not annotated, as in generated
    dialogues, its row is the mean of the negative and the positive one: MELD annotates surprise about equally often as
    either, and never as neutral.

    Args:
        labels: the label order.
        emotions: the gold label of each of n utterances.
        sentiments: what each is annotated with: negative, neutral, positive or None. Only read where the label has
            no sentiment of its own.
        groups: ``benchmark.sentiments``; a sentiment, or None, for every label.

    Returns:
        (n, labels); rows sum to 1, and the gold label is the largest of its row.

    Raises:
        UserError: ``groups`` lacks a label.
    """
    if missing := [label for label in labels if label not in groups]:
        raise UserError(
            f"benchmark.sentiments lacks {', '.join(missing)}: the category method needs negative, neutral or positive "
            "for every label, or null where it depends on the turn."
        )
    return np.stack([_category_row(labels, *turn, groups) for turn in zip(emotions, sentiments, strict=True)])


def _category_row(labels: Sequence[str], gold: str, annotated: str | None, groups: Mapping[str, str | None]) -> Floats:
    sentiment = groups[gold] or annotated
    if sentiment is None:
        either = [_category_row(labels, gold, sentiment, groups) for sentiment in ("negative", "positive")]
        return np.asarray(np.mean(either, axis=0))
    alike = [(groups[label] or "neutral") == sentiment for label in labels]
    row = np.where(alike, 0.5, 0.0)
    row[labels.index(gold)] = 1.0
    return _normalised(row)


def word(labels: Sequence[str], vectors: Mapping[str, Floats]) -> Floats:
    """Method W: cosines of the label names' word vectors, negative ones set to 0, divided by the row's sum.

    Args:
        labels: the label order.
        vectors: a vector for every label, all of one width, none of them zero.

    Returns:
        (labels, labels): the row is the gold label; rows sum to 1, and the gold label is the largest of its row.
    """
    return _normalised(_cosines(labels, vectors).clip(min=0.0))


def word_softmax(labels: Sequence[str], vectors: Mapping[str, Floats]) -> Floats:
    """Method W': a softmax over each row of the same cosines, which needs none of them set to 0; almost flat.

    Args and result are as of ``word``.
    """
    return _normalised(np.exp(_cosines(labels, vectors)))


def _cosines(labels: Sequence[str], vectors: Mapping[str, Floats]) -> Floats:
    rows = np.stack([vectors[label] / np.linalg.norm(vectors[label]) for label in labels])
    return np.asarray(rows @ rows.T)


def _normalised(rows: Floats) -> Floats:
    return np.asarray(rows / rows.sum(axis=-1, keepdims=True))


def adjust(probabilities: NDArray[np.floating], gold: NDArray[np.integer]) -> Floats:
    """Methods SA and FA: a teacher's probabilities, in which the gold label has at least one half.

    Where p(gold) < 0.5 it becomes 0.5, and the other labels are scaled to sum to 0.5; other rows are left as they are.

    Args:
        probabilities: (n, labels), rows sum to 1.
        gold: (n,) class indices.

    Returns:
        (n, labels); rows sum to 1, and the gold label is the largest of its row.
    """
    adjusted = probabilities.astype(np.float64)
    rows = np.flatnonzero(adjusted[np.arange(len(gold)), gold] < 0.5)
    adjusted[rows, gold[rows]] = 0.0
    adjusted[rows] /= 2 * adjusted[rows].sum(axis=1, keepdims=True)  # the others have more than a half, so never 0
    adjusted[rows, gold[rows]] = 0.5
    return adjusted


def gray_cross_entropy(logits: Tensor, gray: Tensor) -> Tensor:
    """Cross-entropy of a distribution: -sum(gray * log softmax(logits)), the mean over rows.

    Args:
        logits: (N, labels).
        gray: (N, labels), rows sum to 1.
    """
    logs = torch.log_softmax(logits, dim=-1)
    return -(gray.to(logs.dtype) * logs).sum(dim=-1).mean()


def gray_loss(hard: Tensor, logits: Tensor, gray: Tensor, w1: float, w2: float) -> Tensor:
    """EmoOne's loss: ``w1`` times the loss with the gold labels plus ``w2`` times the cross-entropy with the gray ones.

    Args:
        hard: the mean loss with the gold labels; the cross-entropy in the paper.
        logits: (N, labels).
        gray: (N, labels), rows sum to 1.
        w1: weight of the gold label.
        w2: weight of the gray label.
    """
    return w1 * hard + w2 * gray_cross_entropy(logits, gray)


def read_word_vectors(path: Path, words: Sequence[str]) -> dict[str, Floats]:
    """The vectors of some words, from a text file: a word and its numbers a line, separated by spaces.

    A first line of two whole numbers (count and width, as in fastText's and word2vec's ``.vec``) is passed over. Words
    must be written as in ``words``, lower case and all. Reading stops when all are found: of a word that is there twice
    the first counts.

    Raises:
        UserError: the file cannot be read or lacks a word, or the line of a wanted word has something else than
            numbers, another width than the others, or a vector without a length.
    """
    wanted = {word.encode(): word for word in words}
    found: dict[str, Floats] = {}
    for number, line in _lines(path):
        start, _, numbers = line.strip().partition(b" ")
        if (name := wanted.pop(start, None)) is None:
            continue
        where = f"{path}, line {number}, {name}"
        found[name] = _vector(numbers, where)
        first = next(iter(found))
        if (width := len(found[name])) != len(found[first]):
            raise UserError(f"{where}: {width} numbers where {first} has {len(found[first])}. Mend the line.")
        if not wanted:
            return found
    missing = ", ".join(wanted.values())
    raise UserError(
        f"{path}: no vector for {missing}. The file must have a line for every label: the label, lower case, and its "
        "numbers, separated by spaces."
    )


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Lines with their numbers, without byte order mark and header; bytes, as nearly all of them are passed over."""
    try:
        with path.open("rb") as file:
            first = file.readline().removeprefix(codecs.BOM_UTF8)
            if [field.isdigit() for field in first.split()] != [True, True]:
                yield 1, first
            yield from enumerate(file, 2)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}. It should be a text file of word vectors.") from None


def _vector(numbers: bytes, where: str) -> Floats:
    try:
        vector = np.array([float(number) for number in numbers.decode(errors="replace").split()])
    except ValueError as error:
        raise UserError(f"{where}: not a number ({error}). Mend the line.") from None
    length = np.linalg.norm(vector)
    if not 0 < length < np.inf:
        raise UserError(f"{where}: a vector of length {length:g}, which must be finite and above 0. Mend the line.")
    return vector
