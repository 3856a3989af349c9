"""How much variety a data set has: of words and phrases, and of meaning.

Each of these figures depends on how much text there is. Compare data sets of the same size (``measure.same_words``)
and samples of the same size of them (``common_sample``).
"""

import math
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ercsatz.data.dialogue import Dialogue
from ercsatz.data.ngrams import ngrams, words
from ercsatz.quality.embedder import Embedder
from ercsatz.quality.measure import Better, Measure, draw_turns, shuffled, undefined

_REPEATED = 4  # words of a phrase that counts as repeated, and the longest n-gram of BLEU
_FACTOR = 0.72  # the ratio of types to tokens at which a factor of MTLD ends

Words = Sequence[str]


@dataclass(frozen=True, slots=True)
class Sample:
    """How many turns self-BLEU and the Vendi score take at the most.

    Attributes:
        turns: for the Vendi score.
        long: for self-BLEU, of those with four words or more.
    """

    turns: int
    long: int


def common_sample(sets: Sequence[Sequence[Dialogue]], most: int) -> Sample:
    """As many as each of the sets has, and ``most`` at the most: both measures depend on how many there are."""
    lengths = [[len(words(turn.text)) for dialogue in each for turn in dialogue.utterances] for each in sets]
    return Sample(
        min(most, *map(len, lengths)),
        min(most, *(sum(length >= _REPEATED for length in each) for each in lengths)),
    )


def diversity(dialogues: Sequence[Dialogue], embedder: Embedder, sample: Sample, seed: int = 0) -> list[Measure]:
    """All measures of diversity, overall.

    Args:
        dialogues: of one split; the order does not matter.
        embedder: for the Vendi score.
        sample: see ``common_sample``.
        seed: of the samples, and of the order in which dialogues are read.

    Returns:
        distinct_1 to distinct_3, compression_ratio, self_repetition, mtld, self_bleu and vendi.
    """
    mixed = shuffled(dialogues, seed)
    spoken = [[words(turn.text) for turn in dialogue.utterances] for dialogue in mixed]
    turns = [each for dialogue in spoken for each in dialogue]
    long = [each for each in turns if len(each) >= _REPEATED]
    some = [long[place] for place in np.random.default_rng(seed).permutation(len(long))[: sample.long]]
    vectors = draw_turns(dialogues, sample.turns, seed)
    texts = [turn.text for dialogue in mixed for turn in dialogue.utterances]
    flat = [word for turn in turns for word in turn]
    n, no_repeat = len(turns), "no word occurs twice" if flat else "there are no words"
    few = f"it takes two turns of {_REPEATED} words or more"
    return [
        *(_measure(f"distinct_{k}", distinct(turns, k), "higher", f"no turn has {k} words", n) for k in (1, 2, 3)),
        _measure("compression_ratio", compression_ratio(texts), "lower", "there are no texts", n),
        _measure("self_repetition", self_repetition(spoken), "lower", "it takes two dialogues", len(spoken)),
        _measure("mtld", mtld(flat), "higher", no_repeat, n),
        _measure("self_bleu", self_bleu(some), "lower", few, len(some), len(long)),
        _measure("vendi", vendi(embedder.encode(vectors.texts)), "higher", "there are no texts", len(vectors.texts), n),
    ]


def distinct(turns: Iterable[Words], n: int) -> float | None:
    """Different n-grams over all n-grams, above 0 to 1; ``None`` without any. None reaches over the end of a turn.

    Source: Li et al. 2016, A diversity-promoting objective function for neural conversation models.
    """
    counts = Counter[int]()
    for turn in turns:
        counts.update(ngrams(turn, n))
    return len(counts) / counts.total() if counts else None


def compression_ratio(texts: Sequence[str]) -> float | None:
    """Bytes over bytes that zlib makes of them; the higher, the more is said again. ``None`` without texts.

    Source: Shaib et al. 2024, Standardizing the measurement of text diversity.
    """
    plain = "\n".join(texts).encode()
    return len(plain) / len(zlib.compress(plain, 9)) if texts else None


def self_repetition(dialogues: Sequence[Sequence[Words]]) -> float | None:
    """How much dialogues share phrases with other dialogues, 0 or more; ``None`` for fewer than two dialogues.

    The mean over dialogues of log(1 + N), where N sums, over the different 4-grams of the dialogue, how many other
    dialogues have it.

    Source: Salkar et al. 2022, Self-repetition in abstractive neural summarizers.
    """
    if len(dialogues) < 2:
        return None
    phrases = [{phrase for turn in turns for phrase in ngrams(turn, _REPEATED)} for turns in dialogues]
    counts = Counter(phrase for each in phrases for phrase in each)
    return math.fsum(math.log1p(sum(counts[phrase] - 1 for phrase in each)) for each in phrases) / len(phrases)


def mtld(tokens: Words) -> float | None:
    """Measure of textual lexical diversity: words that are read, on the mean, until too many are known; 2 or more.

    A factor ends where different words over words falls to .72; what is left at the end counts in part. The mean of
    reading forwards and backwards. ``None`` if no word occurs twice.

    Source: McCarthy and Jarvis 2010, MTLD, vocd-D, and HD-D.
    """
    if len(set(tokens)) == len(tokens):
        return None
    return math.fsum(len(tokens) / _factors(each) for each in (tokens, tokens[::-1])) / 2


def _factors(tokens: Words) -> float:
    whole, read, types = 0, 0, set[str]()
    for token in tokens:
        read += 1
        types.add(token)
        if len(types) <= _FACTOR * read:
            whole, read, types = whole + 1, 0, set()
    return whole + ((1 - len(types) / read) / (1 - _FACTOR) if read else 0)


def self_bleu(turns: Sequence[Words]) -> float | None:
    """The mean BLEU-4 of each turn against all others, 0 to 1; ``None`` for fewer than two turns.

    Smoothed as by sacrebleu ("exp"). Turns must have four words or more, as a shorter one has no 4-gram.

    Source: Zhu et al. 2018, Texygen.
    """
    if len(turns) < 2:
        return None
    grams = [[Counter(ngrams(turn, n)) for n in range(1, _REPEATED + 1)] for turn in turns]
    most = [_Most(each[order] for each in grams) for order in range(_REPEATED)]
    closest = _closest_lengths([len(turn) for turn in turns])
    return math.fsum(
        math.exp(min(0.0, 1 - closest[len(turn)] / len(turn)) + _log_precision(place, grams[place], most))
        for place, turn in enumerate(turns)
    ) / len(turns)


class _Most:
    """Of each n-gram the greatest count in a turn, whose turn that is, and the greatest count in any other turn."""

    def __init__(self, counts: Iterable[Counter[int]]) -> None:
        self._most: dict[int, tuple[int, int, int]] = {}
        for place, grams in enumerate(counts):
            for gram, count in grams.items():
                first, whose, second = self._most.get(gram, (0, -1, 0))
                if count > first:
                    self._most[gram] = (count, place, first)
                elif count > second:
                    self._most[gram] = (first, whose, count)

    def elsewhere(self, gram: int, place: int) -> int:
        first, whose, second = self._most[gram]
        return second if whose == place else first


def _closest_lengths(lengths: Sequence[int]) -> dict[int, int]:
    """Of each length, the closest to it among the other turns; of two as close, the shorter."""
    counts = Counter(lengths)
    return {
        own: min((other for other in counts if other != own or counts[own] > 1), key=lambda x: (abs(x - own), x))
        for own in counts
    }


def _log_precision(place: int, grams: Sequence[Counter[int]], most: Sequence[_Most]) -> float:
    """The mean log of the clipped precisions; one without a match is replaced by 1/2, 1/4, ... of a match."""
    matches = [
        sum(min(count, known.elsewhere(gram, place)) for gram, count in counts.items())
        for counts, known in zip(grams, most, strict=True)
    ]
    if not any(matches):
        return -math.inf
    total, missing = 0.0, 0
    for match, counts in zip(matches, grams, strict=True):
        missing += match == 0
        total += math.log((match or 0.5**missing) / counts.total())
    return total / len(grams)


def vendi(embeddings: ArrayLike) -> float | None:
    """How many texts of different meaning there are, as it were: 1 to the number of texts; ``None`` without texts.

    The exponential of the entropy of the eigenvalues of the cosines over n. It cannot exceed the vectors' width.

    Args:
        embeddings: (n, d) rows of length 1.

    Source: Friedman and Dieng 2023, The Vendi score.
    """
    rows = np.asarray(embeddings, np.float64)
    if not len(rows):
        return None
    products = rows.T @ rows if rows.shape[1] < len(rows) else rows @ rows.T  # both have the same eigenvalues above 0
    shares = np.linalg.eigvalsh(products / len(rows))
    shares = shares[shares > 0]
    return float(np.exp(-np.sum(shares * np.log(shares))))


def _measure(name: str, value: float | None, better: Better, because: str, n: int, of: int | None = None) -> Measure:
    of = n if of is None else of
    if value is None:
        return undefined("diversity", name, better, because, n, of)
    return Measure("diversity", name, value, better, n, of)
