"""Events of a knowledge base that are most like an utterance, by the cosine of their vectors."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ercsatz.classifiers.encoder.embedding import TextEncoder
from ercsatz.knowledge.atomic import Event
from ercsatz.knowledge.relations import Found

TEXTS, EVENTS = 256, 8192  # of one matrix product; at any time there are no more scores than these make
DIGITS = 6  # of a score; beyond, rounding depends on the machine, and ties would too


class Retriever:
    """Looks up events.

    Args:
        events: the knowledge base.
        encoder: of events and utterances.
        top: how many events are wanted for an utterance.
        vectors: the encoder's of the events, a row each; None: they are made now.
    """

    def __init__(self, events: Sequence[Event], encoder: TextEncoder, top: int, vectors: Any = None) -> None:
        self._events, self._encoder, self._top = events, encoder, top
        if vectors is None:
            vectors = encoder.encode([event.text for event in events])
        self._blocks = [(start, vectors[start : start + EVENTS].T) for start in range(0, len(events), EVENTS)]

    def search(self, texts: Sequence[str]) -> Iterator[tuple[Found, ...]]:
        """For each text the most similar events, the best first; of equals, those that come first among the events.

        There are fewer than ``top``, or none, where no more have a cosine above 0.
        """
        waiting = iter(texts)
        while batch := list(islice(waiting, TEXTS)):
            vectors = self._encoder.encode(batch)
            best: list[list[tuple[float, int]]] = [[] for _ in batch]
            for start, block in self._blocks:
                for row, scores in enumerate(_scores(vectors, block)):
                    found = [(float(scores[place]), start + int(place)) for place in _best(scores, self._top)]
                    best[row] = sorted(best[row] + found, key=lambda pair: -pair[0])[: self._top]
            yield from (tuple(self._found(score, place) for score, place in pairs) for pairs in best)

    def _found(self, score: float, place: int) -> Found:
        event = self._events[place]
        return Found(event.text, round(score, DIGITS), event.inference)


def _scores(vectors: Any, block: Any) -> NDArray[Any]:
    """(texts, events) from rows and columns, each array or sparse matrix."""
    product: Any = vectors @ block
    dense: NDArray[Any] = product.toarray() if hasattr(product, "toarray") else product
    return np.round(dense, DIGITS)


def _best(scores: NDArray[Any], top: int) -> NDArray[np.intp]:
    """Places of the highest scores above 0, the first of equals first; a sort of all would take most of the time."""
    floor = np.partition(scores, -top)[-top] if len(scores) > top else scores.min()
    places = np.flatnonzero((scores >= floor) & (scores > 0))
    return places[np.argsort(-scores[places], kind="stable")][:top]
