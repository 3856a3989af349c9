"""How near turns come to the real held-out ones in meaning, and whether nearer than to the training ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ercsatz.data.dialogue import Dialogue
from ercsatz.data.ngrams import words
from ercsatz.quality.embedder import Embedder
from ercsatz.quality.measure import Better, Measure, draw_turns, undefined

_CELLS = 4_000_000  # of a block of similarities: 16 MB
_EQUAL = 1e-5  # distances so near each other differ by rounding
_BETTER: dict[str, Better] = {
    "nearest_median": "higher",
    "nearest_percentile_1": "higher",
    "closer_to_held_out": "lower",
}


@dataclass(frozen=True, slots=True)
class Nearest:
    """How near turns come to the held-out ones.

    Attributes:
        measures: see ``nearest``.
        percentiles: 0 to 100, of the cosine distances (0 to 2) to the nearest held-out turn; empty without any.
    """

    measures: list[Measure]
    percentiles: list[float]


def nearest(
    dialogues: Sequence[Dialogue],
    held_out: Sequence[Dialogue],
    train: Sequence[Dialogue],
    embedder: Embedder,
    *,
    least: int = 6,
    turns: int = 20_000,
    seed: int = 0,
) -> Nearest:
    """Cosine distances from turns to the nearest real ones.

    Data that knows no more of the held-out splits than of the training split comes no nearer to them than to equally
    many turns of that. Only turns of at least ``least`` words are compared, as everybody says "Yeah."; of the real ones
    different texts, each once.

    Args:
        dialogues: the data set to look at.
        held_out: the real validation and test sets.
        train: the real training set, of which as many different texts are drawn as are held out.
        embedder: fitted on the real training split, if at all.
        least: words.
        turns: the most to draw of ``dialogues``.
        seed: of what is drawn.

    Returns:
        nearest_median and nearest_percentile_1, of the distance to the held-out turns; closer_to_held_out, the share of
        turns nearer to a held-out turn than to any drawn training turn, ties half: about a half without a leak.
    """
    texts = [text for text in draw_turns(dialogues, turns, seed).texts if _is_long(text, least)]
    all_long = sum(_is_long(turn.text, least) for dialogue in dialogues for turn in dialogue.utterances)
    unseen, seen = _different(held_out, least), _different(train, least)

    def measures(values: Mapping[str, float], because: str = "") -> list[Measure]:
        return [
            Measure("leakage", name, values[name], better, len(texts), all_long)
            if name in values
            else undefined("leakage", name, better, because, len(texts), all_long)
            for name, better in _BETTER.items()
        ]

    if not texts or not unseen:
        which = "the held-out splits have" if texts else "the data set has"
        return Nearest(measures({}, f"{which} no turn of {least} words or more"), [])
    vectors, targets = embedder.encode(texts), embedder.encode(unseen)
    held = _distances(vectors, targets)
    percentiles = np.percentile(held, range(101)).tolist()
    values = {"nearest_median": float(np.median(held)), "nearest_percentile_1": float(np.percentile(held, 1))}
    if not seen:
        because = f"the training split has no turn of {least} words or more"
        return Nearest(measures(values, because), percentiles)
    n, rng = min(len(unseen), len(seen)), np.random.default_rng(seed)
    trained = _distances(vectors, embedder.encode([seen[place] for place in rng.permutation(len(seen))[:n]]))
    compared = held if n == len(unseen) else _distances(vectors, targets[rng.permutation(len(unseen))[:n]])
    closer = np.where(np.abs(compared - trained) < _EQUAL, 0.5, compared < trained)
    return Nearest(measures(values | {"closer_to_held_out": float(closer.mean())}), percentiles)


def _is_long(text: str, least: int) -> bool:
    return len(words(text)) >= least


def _different(dialogues: Sequence[Dialogue], least: int) -> list[str]:
    texts = dict.fromkeys(turn.text for dialogue in dialogues for turn in dialogue.utterances)
    return [text for text in texts if _is_long(text, least)]


def _distances(vectors: NDArray[np.float32], real: NDArray[np.float32]) -> NDArray[np.float32]:
    """The cosine distance of each row to the nearest of the real ones."""
    step = max(1, _CELLS // len(real))
    blocks = [(vectors[start : start + step] @ real.T).max(axis=1) for start in range(0, len(vectors), step)]
    apart: NDArray[np.float32] = np.maximum(1 - np.concatenate(blocks), 0)
    return apart
