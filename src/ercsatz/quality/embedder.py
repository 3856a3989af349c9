"""What makes vectors of texts: shared words (lexical), or whatever one gives as an ``Embedder``."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ercsatz.data.ngrams import words

_INSIDE = 1e-3  # of a TF-IDF row of length 1; less of it inside the space is rounding


@dataclass(frozen=True, slots=True)
class Embedder:
    """Makes vectors whose dot products are cosines.

    Attributes:
        name: for reports.
        lexical: whether it knows words only, and no meaning.
        encode: from texts to float32 (texts, d), rows of length 1; equal texts have equal rows.
    """

    name: str
    lexical: bool
    encode: Callable[[Sequence[str]], NDArray[np.float32]]


def lexical(texts: Sequence[str], width: int = 128, seed: int = 0) -> Embedder:
    """TF-IDF of words and of pairs of words, cut down by a singular value decomposition (latent semantic analysis).

    Fit it on real texts alone, so that all data sets, and real against real, are measured in one space, and on none
    that are compared: real texts that it has seen are richer to it than all that it has not. Pairs, of which those
    count that two texts have, are there because words alone cannot tell a sentence from its words in any order. The
    last column is 1 for a text of which nothing is known, else 0: such texts are like each other and like nothing else.
    Counts enter as 1 + log.

    Args:
        texts: to fit it on; they may be few, or without words.
        width: of the vectors at the most.
        seed: of the decomposition.

    Source: Deerwester et al. 1990, Indexing by latent semantic analysis.
    """
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    name = "lexical (TF-IDF + SVD)"
    counts = Counter(term for text in texts for term in set(_terms(text)))
    vocabulary = sorted(term for term, count in counts.items() if count > 1 or " " not in term)
    if not vocabulary:
        return Embedder(name, True, lambda texts: np.ones((len(texts), 1), np.float32))
    vectorizer = TfidfVectorizer(analyzer=_terms, vocabulary=vocabulary, sublinear_tf=True, dtype=np.float32)
    rows = vectorizer.fit_transform(texts)
    if len(vocabulary) < width:
        axes = np.eye(len(vocabulary), dtype=np.float32)
    else:
        axes = TruncatedSVD(width - 1, random_state=seed).fit(rows).components_.T.astype(np.float32)

    def encode(texts: Sequence[str]) -> NDArray[np.float32]:
        if not texts:
            return np.zeros((0, axes.shape[1] + 1), np.float32)
        inside = vectorizer.transform(texts) @ axes
        length = np.linalg.norm(inside, axis=1, keepdims=True)
        unknown = length < _INSIDE
        scaled = np.where(unknown, 0, inside / np.where(unknown, 1, length))
        return np.hstack([scaled, unknown]).astype(np.float32)

    return Embedder(name, True, encode)


def remembering(embedder: Embedder) -> Embedder:
    """The same, but a text is encoded only when it first occurs; keeps every vector (4 d bytes a text)."""
    known: dict[str, NDArray[np.float32]] = {}

    def encode(texts: Sequence[str]) -> NDArray[np.float32]:
        new = [text for text in dict.fromkeys(texts) if text not in known]
        vectors = embedder.encode(new)
        known.update(zip(new, vectors, strict=True))
        return np.stack([known[text] for text in texts]) if texts else vectors

    return replace(embedder, encode=encode)


def _terms(text: str) -> list[str]:
    """The words and, with a space in each, the pairs of neighbours; the ends have a neighbour too."""
    spoken = words(text)
    padded = ["", *spoken, ""]
    return spoken + [f"{a} {b}" for a, b in pairwise(padded) if a or b]
