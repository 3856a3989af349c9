"""Generated dialogues that repeat a benchmark's real validation and test sets."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from ercsatz.benchmarks import file_name, load
from ercsatz.config import Benchmark, Leakage
from ercsatz.dialogue import SPLITS, Dialogue, Utterance, atomic_write, fingerprint
from ercsatz.errors import UserError
from ercsatz.generation.reasons import Reason
from ercsatz.overlap import containment, ngrams, normalise

_REAL = ("validation", "test")
# A real dialogue is not repeated by fewer utterances than these, e.g. by "Hey." and "Hi." where it has no more.
_MIN_UTTERANCES = 3


@dataclass(frozen=True, slots=True)
class Hit:
    """Something that a generated dialogue shares with a real one.

    Attributes:
        kind: an utterance, word n-grams, or so many utterances that it is the same dialogue.
        split: of the real dialogue.
        dialogue: the real dialogue's id; where several have the same utterance, the first's.
        text: the generated utterance; the longest run of words made of shared n-grams; the generated utterances that
            are shared, between slashes.
        score: 1; the share of the generated dialogue's n-grams; the share of the real dialogue's utterances.
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

    def __init__(self, splits: Mapping[str, Sequence[Dialogue]], leakage: Leakage) -> None:
        self._leakage = leakage
        self.sha256 = fingerprint(dialogue for dialogues in splits.values() for dialogue in dialogues)
        self._places: list[tuple[str, str]] = []
        self._sizes: list[int] = []
        self._with_utterance: dict[str, list[int]] = {}
        self._with_ngram: dict[int, list[int]] = {}
        for split, dialogues in splits.items():
            for dialogue in dialogues:
                self._add(split, dialogue)

    def hits(self, turns: Sequence[Utterance]) -> list[Hit]:
        """All that a generated dialogue shares with the real ones, by the rules of ``config.Leakage``.

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
        for ngram in _all_ngrams(forms, self._leakage.ngram):
            self._with_ngram.setdefault(ngram, []).append(number)

    def _utterances(self, texts: Mapping[str, str]) -> Iterator[Hit]:
        for form, text in texts.items():
            if form in self._with_utterance and _length(form) >= self._leakage.words:
                yield Hit("utterance", *self._places[self._with_utterance[form][0]], text, 1.0)

    def _ngrams(self, texts: Mapping[str, str]) -> Iterator[Hit]:
        own = _all_ngrams(texts, self._leakage.ngram)
        shared = own & self._with_ngram.keys()
        score = containment(own, shared)
        if not shared or score < self._leakage.containment:
            return
        numbers = Counter(number for ngram in shared for number in self._with_ngram[ngram])
        most = max(numbers, key=lambda number: (numbers[number], -number))
        yield Hit("ngrams", *self._places[most], _longest_run(texts, shared, self._leakage.ngram), score)

    def _dialogues(self, texts: Mapping[str, str]) -> Iterator[Hit]:
        forms: dict[int, list[str]] = {}
        for form in texts:
            for number in self._with_utterance.get(form, ()):
                forms.setdefault(number, []).append(form)
        for number, shared in forms.items():
            score = len(shared) / self._sizes[number]
            enough = len(shared) >= _MIN_UTTERANCES and sum(map(_length, shared)) >= self._leakage.words
            if enough and score >= self._leakage.dialogue:
                yield Hit("dialogue", *self._places[number], " / ".join(texts[form] for form in shared), score)


class LeakageReport:
    """Tells which generated dialogues leak, and writes their hits to a file, a JSON object a line.

    A context manager; the file appears at its end, without lines if nothing leaked, and not at all if nothing could
    be compared.

    Args:
        reference: what to compare with, or why there is nothing.
        path: the file.

    Attributes:
        unchecked: why nothing was compared; ``None`` if it was.
        hits: their number by kind.
        left_out: how many dialogues leaked.
    """

    def __init__(self, reference: Reference | str, path: Path) -> None:
        self._reference, self._path, self._stack = reference, path, ExitStack()
        self.unchecked = reference if isinstance(reference, str) else None
        self.hits = Counter[str]()
        self.left_out = 0

    def __enter__(self) -> Self:
        if self.unchecked is None:
            self._file = self._stack.enter_context(atomic_write(self._path))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, traceback)

    def add(self, index: int, turns: Sequence[Utterance]) -> Reason | None:
        """``Reason.leaked`` if the generated dialogue of that number leaks."""
        if isinstance(self._reference, str):
            return None
        hits = self._reference.hits(turns)
        self._file.writelines(json.dumps({"index": index, **asdict(hit)}, ensure_ascii=False) + "\n" for hit in hits)
        self.hits.update(hit.kind for hit in hits)
        self.left_out += bool(hits)
        return Reason.leaked if hits else None


def load_reference(benchmark: Benchmark, leakage: Leakage) -> Reference | str:
    """A benchmark's real validation and test sets, or why they are not there.

    Raises:
        UserError: the benchmark's files are there but cannot be read.
    """
    try:
        corpus = load(benchmark)
    except UserError as error:
        if _has_files(benchmark):
            raise
        return str(error)
    return Reference({split: corpus.split(split) for split in _REAL}, leakage)


def _has_files(benchmark: Benchmark) -> bool:
    folder = Path(benchmark.path).expanduser()
    found = {"", *(path.name for path in folder.rglob("*"))}  # the reader iemocap has no file names
    return folder.exists() and all(Path(file_name(benchmark, split)).name in found for split in SPLITS)


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
