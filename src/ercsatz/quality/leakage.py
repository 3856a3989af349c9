"""What dialogues repeat of the real validation and test sets, turn by turn and as a whole, and how to be rid of it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import pandas as pd
from scipy.stats import hypergeom

from ercsatz.data.contamination import Hit, Reference, Rules
from ercsatz.data.dialogue import Dialogue
from ercsatz.data.ngrams import containment, ngrams, normalise
from ercsatz.quality.measure import Better, Measure, undefined
from ercsatz.quality.text_similarity import Match, Similar

NEAR = 0.7
"""Edits of one word in ten keep a turn above it; see docs/quality.md for what else it finds."""

Splits = Mapping[str, Sequence[Dialogue]]
Kind = Literal["dialogue", "near dialogue", "exact", "normalised", "ngrams", "near"]
COLUMNS = ("split", "dialogue", "turn", "text", "real_split", "real_dialogue", "real_text", "kind", "score")
_WORST: tuple[Kind, ...] = ("dialogue", "near dialogue", "exact", "normalised", "ngrams", "near")
_BETWEEN = " / "
TEST = "Fisher's exact test of dialogues, two-sided"
_SEEN: dict[str, tuple[Kind, ...]] = {
    "exact": ("exact",),
    "normalised": ("exact", "normalised"),
    "near": ("exact", "normalised", "near"),
    "ngrams": ("ngrams",),
    "whole": ("dialogue", "near dialogue"),
    "leaking": _WORST,
}


@dataclass(frozen=True, slots=True)
class Leaks:
    """What was found.

    Attributes:
        measures: shares, 0 to 1; see ``leakage``.
        having: by name of a measure, how many dialogues have what it counts.
        dialogues: how many there are.
        offenders: a row per thing found, the worst first: split, dialogue and turn (from 1; missing where it is of the
            whole dialogue) that repeat, the text, where it is from (real_split, real_dialogue, real_text), kind and
            score. Of several sources the first is named.
    """

    measures: list[Measure]
    having: dict[str, int]
    dialogues: int
    offenders: pd.DataFrame


@dataclass(frozen=True, slots=True)
class Cleaned:
    """Dialogues without leaks.

    Attributes:
        splits: those without an offender, in their order; a split may be empty.
        removed: a row per dialogue that was left out, with its worst offence: the columns of ``Leaks.offenders``.
    """

    splits: dict[str, tuple[Dialogue, ...]]
    removed: pd.DataFrame


class _Row(NamedTuple):
    split: str
    dialogue: str
    turn: int | None
    text: str
    real_split: str
    real_dialogue: str
    real_text: str
    kind: Kind
    score: float


def leakage(splits: Splits, real: Splits, rules: Rules, near: float = NEAR) -> Leaks:
    """Everything in ``splits`` that repeats ``real``.

    Kinds, the worst first, whoever speaks:

    - ``dialogue``: the utterances of a real dialogue, by ``rules``. Score: the share of them.
    - ``near dialogue``: a whole dialogue like a real one.
    - ``exact``: a turn of at least ``rules.words`` words, character for character.
    - ``normalised``: the same, case and punctuation aside.
    - ``ngrams``: the dialogue's word n-grams, by ``rules``. Score: the share of them.
    - ``near``: a turn like a real one.

    Like means that both have at least ``rules.words`` different words and that the Jaccard similarity of their
    character 3-grams, which is the score, is at least ``near``.

    Everyday turns do not count: shorter ones are never repeated on their own, and neither is a dialogue that has
    nothing else, "Hey." and "Hey!" for one.

    Args:
        splits: of the data set to look at; ids need to be unique within a split only.
        real: the held-out splits of the benchmark.
        rules: the generator's.
        near: above 0 to 1.

    Returns:
        Shares of turns: exact, normalised (those included), near (these included), everyday (equal to a real turn that
        is too short to count). Shares of dialogues: ngrams, whole (kinds ``dialogue`` and ``near dialogue``), leaking
        (anything). Shares of the real dialogues: real_repeated (named as the source of anything) and real_findable
        (found when searched for itself; the others are too short).
    """
    search = _Search(real, rules, near)
    rows = [row for split, dialogues in splits.items() for row in search.rows(split, dialogues)]
    itself = {(split, row.dialogue) for split in real for row in search.rows(split, real[split])}
    everyday = [search.everyday(dialogue) for dialogues in splits.values() for dialogue in dialogues]
    rows.sort(key=lambda row: (_WORST.index(row.kind), -row.score, -len(row.text)))
    offenders = pd.DataFrame(rows, columns=list(COLUMNS)).astype({"turn": "Int64", "score": "float64"})
    having = _having(rows) | {"everyday": sum(count > 0 for count in everyday)}
    measures = _measures(rows, splits, real, len(itself), sum(everyday), having)
    return Leaks(measures, having, len(everyday), offenders)


def against(own: Leaks, real: Leaks) -> list[Measure]:
    """The measures of ``own``, tested against those of real dialogues.

    Turns of a dialogue leak together, so it is dialogues that are counted: those that have what a measure counts, of
    all. Fisher's exact test; p is twice that of the side on which the share is, so that where a share of turns and one
    of dialogues differ to opposite sides, nothing is significant.

    Args:
        own: of the data set.
        real: of the real training split.
    """
    marks = {measure.name: measure.value for measure in real.measures}
    tested = []
    for measure in own.measures:
        mark = marks[measure.name]
        if measure.value is not None and mark is not None and measure.name in own.having:
            counts = (own.having[measure.name], own.dialogues, real.having[measure.name], real.dialogues)
            measure = replace(measure, p=_fisher(*counts, more=measure.value > mark), test=TEST)
        tested.append(measure)
    return tested


def _fisher(own: int, of: int, real: int, of_real: int, *, more: bool) -> float:
    """Twice the probability of ``own`` or more (or fewer) of ``of``, given how many of all have it."""
    chosen = hypergeom(of + of_real, own + real, of)
    return min(1.0, 2 * float(chosen.sf(own - 1) if more else chosen.cdf(own)))


def copied(splits: Splits, train: Sequence[Dialogue], rules: Rules) -> list[Measure]:
    """What is taken from the real training split: ``train_turns`` and ``train_dialogues``, shares of all, 0 to 1.

    A turn of at least ``rules.words`` words that is there, case and punctuation aside; a dialogue of which the
    utterances are there, by ``rules``. No fault by itself, but a copy is no new data.

    Args:
        splits: of the data set to look at.
        train: the real training split.
        rules: the generator's.
    """
    reference = Reference({"train": train}, rules)
    turns = wholes = 0
    everyone = [dialogue for dialogues in splits.values() for dialogue in dialogues]
    for dialogue in everyone:
        hits = reference.hits(dialogue.utterances)
        forms = {normalise(hit.text) for hit in hits if hit.kind == "utterance"}
        turns += sum(form in forms for form in _forms(dialogue))
        wholes += any(hit.kind == "dialogue" for hit in hits)
    n_turns = sum(len(dialogue.utterances) for dialogue in everyone)
    n_real = len(train)
    return [_share("train_turns", turns, n_turns, n_real), _share("train_dialogues", wholes, len(everyone), n_real)]


def clean(splits: Splits, offenders: pd.DataFrame) -> Cleaned:
    """Leave out every dialogue with an offender.

    Args:
        splits: as given to ``leakage``.
        offenders: as it gave them.
    """
    removed = offenders.drop_duplicates(["split", "dialogue"]).reset_index(drop=True)
    gone = set(zip(removed["split"], removed["dialogue"], strict=True))
    kept = {
        split: tuple(dialogue for dialogue in dialogues if (split, dialogue.id) not in gone)
        for split, dialogues in splits.items()
    }
    return Cleaned(kept, removed)


class _Search:
    """Finds what repeats real dialogues."""

    def __init__(self, real: Splits, rules: Rules, near: float) -> None:
        self._rules, self._near = rules, near
        self._reference = Reference(real, rules)
        self._real = {(split, each.id): each for split, dialogues in real.items() for each in dialogues}
        self._verbatim: dict[str, tuple[str, str]] = {}
        turns: dict[str, tuple[str, str, str]] = {}
        for place, dialogue in self._real.items():
            for turn in dialogue.utterances:
                self._verbatim.setdefault(turn.text, place)
                turns.setdefault(normalise(turn.text), (*place, turn.text))
        self._short = {form for form in turns if len(form.split()) < rules.words}
        self._turns = [source for form, source in turns.items() if self._is_long(form)]
        self._similar_turns = Similar([form for form in turns if self._is_long(form)])
        wholes = {place: " ".join(_forms(dialogue)) for place, dialogue in self._real.items()}
        self._wholes = [place for place, form in wholes.items() if self._is_long(form)]
        self._similar_wholes = Similar([wholes[place] for place in self._wholes])

    def everyday(self, dialogue: Dialogue) -> int:
        """How many turns are equal to a real one that is too short to count."""
        return sum(form in self._short for form in _forms(dialogue))

    def rows(self, split: str, dialogues: Sequence[Dialogue]) -> Iterator[_Row]:
        """All offenders in a split."""
        forms = [_forms(dialogue) for dialogue in dialogues]
        turns = self._similar(self._similar_turns, (form for each in forms for form in each))
        wholes = self._similar(self._similar_wholes, map(" ".join, forms))
        for dialogue, each in zip(dialogues, forms, strict=True):
            hits = self._reference.hits(dialogue.utterances)
            repeated = {normalise(hit.text): hit for hit in hits if hit.kind == "utterance"}
            for number, (turn, form) in enumerate(zip(dialogue.utterances, each, strict=True), 1):
                if form in repeated:
                    yield _Row(split, dialogue.id, number, turn.text, *self._same(turn.text, repeated[form]))
                elif form in turns:
                    match = turns[form]
                    source = self._turns[match.place]
                    yield _Row(split, dialogue.id, number, turn.text, *source, "near", match.score)
            yield from self._of_whole(split, dialogue, [hit for hit in hits if hit.kind != "utterance"])
            if (form := " ".join(each)) in wholes:
                match = wholes[form]
                place = self._wholes[match.place]
                if not any(hit.kind == "dialogue" and (hit.split, hit.dialogue) == place for hit in hits):
                    said, source_text = _all_said(dialogue), _all_said(self._real[place])
                    yield _Row(split, dialogue.id, None, said, *place, source_text, "near dialogue", match.score)

    def _similar(self, known: Similar, forms: Iterable[str]) -> dict[str, Match]:
        return known.best([form for form in dict.fromkeys(forms) if self._is_long(form)], self._near)

    def _is_long(self, form: str) -> bool:
        """Different words count: "no" six times is like all that has a "no" in it."""
        return len(set(form.split())) >= self._rules.words

    def _same(self, text: str, hit: Hit) -> tuple[str, str, str, Kind, float]:
        """Where a turn is from that occurs in the real dialogues."""
        if text in self._verbatim:
            return (*self._verbatim[text], text, "exact", 1.0)
        form = normalise(text)
        source = self._real[hit.split, hit.dialogue]
        real_text = next(turn.text for turn in source.utterances if normalise(turn.text) == form)
        return (hit.split, hit.dialogue, real_text, "normalised", 1.0)

    def _of_whole(self, split: str, dialogue: Dialogue, hits: Sequence[Hit]) -> Iterator[_Row]:
        for hit in hits:
            texts = [turn.text for turn in self._real[hit.split, hit.dialogue].utterances]
            if hit.kind == "ngrams":
                run = set(ngrams(hit.text.split(), self._rules.ngram))
                real = max(
                    texts, key=lambda text: containment(run, set(ngrams(normalise(text).split(), self._rules.ngram)))
                )
                yield _Row(split, dialogue.id, None, hit.text, hit.split, hit.dialogue, real, "ngrams", hit.score)
            else:
                own = {normalise(turn.text) for turn in dialogue.utterances}
                real = _BETWEEN.join(text for text in texts if normalise(text) in own)
                yield _Row(split, dialogue.id, None, hit.text, hit.split, hit.dialogue, real, "dialogue", hit.score)


def _having(rows: Sequence[_Row]) -> dict[str, int]:
    """How many dialogues have a row of the kinds that a measure counts."""
    return {
        name: len({(row.split, row.dialogue) for row in rows if row.kind in kinds}) for name, kinds in _SEEN.items()
    }


def _measures(
    rows: Sequence[_Row], splits: Splits, real: Splits, findable: int, everyday: int, having: Mapping[str, int]
) -> list[Measure]:
    n_turns = sum(len(dialogue.utterances) for dialogues in splits.values() for dialogue in dialogues)
    n_dialogues, n_real = sum(map(len, splits.values())), sum(map(len, real.values()))
    turns = {name: sum(row.kind in _SEEN[name] for row in rows) for name in ("exact", "normalised", "near")}
    sources = len({(row.real_split, row.real_dialogue) for row in rows})
    return [
        *(_share(name, count, n_turns, n_real) for name, count in (turns | {"everyday": everyday}).items()),
        *(_share(name, having[name], n_dialogues, n_real) for name in ("ngrams", "whole", "leaking")),
        _share("real_repeated", sources, n_real if n_dialogues else 0, n_real),
        _share("real_findable", findable, n_real, n_real, "higher"),
    ]


def _share(name: str, count: int, of: int, n_real: int, better: Better = "lower") -> Measure:
    if not of or not n_real:
        because = "there is nothing to compare with" if not n_real else "there are no dialogues"
        return undefined("leakage", name, better, because, of, of)
    return Measure("leakage", name, count / of, better, of, of)


def _forms(dialogue: Dialogue) -> list[str]:
    return [normalise(turn.text) for turn in dialogue.utterances]


def _all_said(dialogue: Dialogue) -> str:
    return _BETWEEN.join(turn.text for turn in dialogue.utterances)
