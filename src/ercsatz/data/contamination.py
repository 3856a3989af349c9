"""What dialogues share with real ones that they must not repeat: the rules and the search.

The generator's filter and the assessment of a finished data set both use these.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal, Protocol

from ercsatz.data.dialogue import Dialogue, Utterance, fingerprint
from ercsatz.data.ngrams import containment, ngrams, normalise

# A real dialogue is not repeated by fewer utterances than these, e.g. by "Hey." and "Hi." where it has no more.
_MIN_UTTERANCES = 3


class Rules(Protocol):
    """When something counts as taken from real dialogues; ``config.Leakage`` is one."""

    @property
    def words(self) -> int:
        """An utterance of at least so many words occurs there, case and punctuation aside."""

    @property
    def ngram(self) -> int:
        """Length, in words, of the n-grams compared."""

    @property
    def containment(self) -> float:
        """At least so great a share of a dialogue's n-grams occurs there, above 0 to 1."""

    @property
    def dialogue(self) -> float:
        """At least so great a share of a real dialogue's utterances occurs in it, above 0 to 1."""


@dataclass(frozen=True, slots=True)
class Hit:
    """Something that a dialogue shares with a real one.

    Attributes:
        kind: an utterance, word n-grams, or so many utterances that it is the same dialogue.
        split: of the real dialogue.
        dialogue: the real dialogue's id; where several have the same utterance, the first's.
        text: the dialogue's utterance; the longest run of words made of shared n-grams; the dialogue's utterances
            that are shared, between slashes.
        score: 1; the share of the dialogue's n-grams; the share of the real dialogue's utterances.
    """

    kind: Literal["utterance", "ngrams", "dialogue"]
    split: str
    dialogue: str
    text: str
    score: float


class Reference:
    """Real dialogues, made ready for comparison: case and punctuation aside, whoever speaks.

    Attributes:
        sha256: of the dialogues, as ``dialogue.fingerprint``.
    """

    def __init__(self, splits: Mapping[str, Sequence[Dialogue]], rules: Rules) -> None:
        self._rules = rules
        self.sha256 = fingerprint(dialogue for dialogues in splits.values() for dialogue in dialogues)
        self._places: list[tuple[str, str]] = []
        self._sizes: list[int] = []
        self._with_utterance: dict[str, list[int]] = {}
        self._with_ngram: dict[int, list[int]] = {}
        for split, dialogues in splits.items():
            for dialogue in dialogues:
                self._add(split, dialogue)

    def hits(self, turns: Sequence[Utterance]) -> list[Hit]:
        """All that a dialogue shares with the real ones, by the rules.

        N-grams lie within utterances. A real dialogue is repeated only by three different utterances or more that
        together have ``words`` words, so that "Yeah.", "What?" and "No!" alone are no hit.
        """
        texts = {normalise(turn.text): turn.text for turn in turns}
        return [*self._utterances(texts), *self._ngrams(texts), *self._dialogues(texts)]

    def _add(self, split: str, dialogue: Dialogue) -> None:
        number = len(self._places)
        forms = dict.fromkeys(normalise(turn.text) for turn in dialogue.utterances)
        self._places.append((split, dialogue.id))
        self._sizes.append(len(forms))
        for form in forms:
            self._with_utterance.setdefault(form, []).append(number)
        for ngram in _all_ngrams(forms, self._rules.ngram):
            self._with_ngram.setdefault(ngram, []).append(number)

    def _utterances(self, texts: Mapping[str, str]) -> Iterator[Hit]:
        for form, text in texts.items():
            if form in self._with_utterance and _length(form) >= self._rules.words:
                yield Hit("utterance", *self._places[self._with_utterance[form][0]], text, 1.0)

    def _ngrams(self, texts: Mapping[str, str]) -> Iterator[Hit]:
        own = _all_ngrams(texts, self._rules.ngram)
        shared = own & self._with_ngram.keys()
        score = containment(own, shared)
        if not shared or score < self._rules.containment:
            return
        numbers = Counter(number for ngram in shared for number in self._with_ngram[ngram])
        most = max(numbers, key=lambda number: (numbers[number], -number))
        yield Hit("ngrams", *self._places[most], _longest_run(texts, shared, self._rules.ngram), score)

    def _dialogues(self, texts: Mapping[str, str]) -> Iterator[Hit]:
        forms: dict[int, list[str]] = {}
        for form in texts:
            for number in self._with_utterance.get(form, ()):
                forms.setdefault(number, []).append(form)
        for number, shared in forms.items():
            score = len(shared) / self._sizes[number]
            enough = len(shared) >= _MIN_UTTERANCES and sum(map(_length, shared)) >= self._rules.words
            if enough and score >= self._rules.dialogue:
                yield Hit("dialogue", *self._places[number], " / ".join(texts[form] for form in shared), score)


def _all_ngrams(forms: Mapping[str, object], n: int) -> set[int]:
    return {ngram for form in forms for ngram in ngrams(form.split(), n)}


def _longest_run(forms: Mapping[str, object], shared: set[int], n: int) -> str:
    """The first of the longest runs of words in an utterance of which every n-gram is among the shared ones."""
    runs: list[list[str]] = []
    for form in forms:
        words = form.split()
        places = groupby(enumerate(ngrams(words, n)), key=lambda place: place[1] in shared)
        for is_shared, group in places:
            if is_shared:
                starts = [start for start, _ in group]
                runs.append(words[starts[0] : starts[-1] + n])
    longest = max(runs, key=len)
    return " ".join(longest)


def _length(form: str) -> int:
    return len(form.split())
