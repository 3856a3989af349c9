"""Which of many texts is most like another one, letter by letter."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_GRAM = 3
_CELLS = 4_000_000  # of a block of similarities: 16 MB


@dataclass(frozen=True, slots=True)
class Match:
    """The most similar text.

    Attributes:
        place: its index; of several, the first's.
        score: Jaccard similarity of the sets of character 3-grams, above 0 to 1.
    """

    place: int
    score: float


class Similar:
    """Compares texts with a fixed list of them by the Jaccard similarity of their sets of character 3-grams.

    Words are too coarse for turns of half a dozen of them. All pairs are compared, by a product of sparse matrices: for
    test sets of some thousand texts that takes no longer than MinHash would and misses nothing.

    Args:
        forms: normal forms (``ngrams.normalise``).
    """

    def __init__(self, forms: Sequence[str]) -> None:
        from sklearn.feature_extraction.text import CountVectorizer

        self._grams = CountVectorizer(analyzer=_grams, dtype=np.float32)
        self._rows = self._grams.fit_transform(forms).T.tocsr() if forms else None
        self._sizes = np.array([len(_grams(form)) for form in forms], np.float32)

    def best(self, forms: Sequence[str], least: float) -> dict[str, Match]:
        """The best match of each text that has one of at least ``least``, above 0 to 1."""
        if self._rows is None:
            return {}
        found = {}
        step = max(1, _CELLS // len(self._sizes))
        for start in range(0, len(forms), step):
            block = forms[start : start + step]
            shared = (self._grams.transform(block) @ self._rows).toarray()
            sizes = np.array([[len(_grams(form))] for form in block], np.float32)
            scores = shared / (sizes + self._sizes - shared)
            places = scores.argmax(axis=1)
            for form, place, row in zip(block, places.tolist(), scores, strict=True):
                if row[place] >= np.float32(least):
                    found[form] = Match(place, float(row[place]))
        return found


def _grams(form: str) -> set[str]:
    """A text of fewer than three characters is its own gram."""
    return {form[start : start + _GRAM] for start in range(max(1, len(form) - _GRAM + 1))}
