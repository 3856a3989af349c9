"""Utterance, Dialogue and Corpus: the one data model, whatever file it comes from."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ercsatz.errors import UserError

SPLITS = ("train", "validation", "test")
SENTIMENTS = ("negative", "neutral", "positive")
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Knowledge:
    """Commonsense about a turn: what its speaker wanted, how the speaker feels, how the listeners feel.

    Attributes:
        retrieved: statements found in a knowledge base, the best first.
        generated: statements a language model wrote.
        vectors: in place of generated statements, float32 vectors of xIntent, xReact and oReact one after the other.
    """

    retrieved: tuple[str, ...] = ()
    generated: tuple[str, ...] = ()
    vectors: bytes = b""


@dataclass(frozen=True, slots=True)
class Utterance:
    """One turn: who said what, and what it was labelled with (emotion ``None``: context only)."""

    speaker: str
    text: str
    emotion: str | None = None
    sentiment: str | None = None
    knowledge: Knowledge | None = None


@dataclass(frozen=True, slots=True)
class Dialogue:
    """Turns in the order they were spoken, under an id that is unique in its split."""

    id: str
    utterances: tuple[Utterance, ...]
    provenance: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Corpus:
    """Dialogues in named splits, and the label order that they are read with.

    Attributes:
        name: for messages, e.g. ``meld_org``.
        labels: every label once; the order is the class index everywhere.
        splits: split name to dialogues.
    """

    name: str
    labels: tuple[str, ...]
    splits: Mapping[str, tuple[Dialogue, ...]]

    def __post_init__(self) -> None:
        for split, dialogues in self.splits.items():
            check_dialogues(dialogues, self.labels, f"{self.name}, split {split}")

    def split(self, name: str) -> tuple[Dialogue, ...]:
        """The dialogues of one split.

        Raises:
            UserError: the corpus has no such split.
        """
        if name not in self.splits:
            raise UserError(f"{self.name} has no {name} split; it has: {', '.join(self.splits)}.")
        return self.splits[name]


def check_dialogues(dialogues: Sequence[Dialogue], labels: Sequence[str], where: str) -> None:
    """Refuse what no stage could use.

    That is an empty split, a repeated id, an unknown label, a dialogue without labels, and what UTF-8 cannot encode.

    Raises:
        UserError: names the place and the first offender.
    """
    if not dialogues:
        raise UserError(f"{where}: no dialogues. Every split needs at least one.")
    known, seen = set(labels), set[str]()
    for dialogue in dialogues:
        place = f"{where}, dialogue {dialogue.id!r}"
        if dialogue.id in seen:
            raise UserError(f"{place}: the id occurs twice. Ids must be unique within a split.")
        seen.add(dialogue.id)
        emotions = {turn.emotion for turn in dialogue.utterances if turn.emotion is not None}
        if not emotions:
            raise UserError(f"{place}: no turn has a label. Leave the dialogue out or label at least one turn.")
        if unknown := sorted(e for e in emotions if e not in known):
            raise UserError(f"{place}: unknown label {unknown[0]!r}. The labels are: {', '.join(labels)}.")
        check_unicode(dialogue, place)


def check_unicode(dialogue: Dialogue, place: str) -> None:
    """Refuse what UTF-8 cannot encode.

    Raises:
        UserError: an id, a speaker or a text has half a surrogate pair; begins with ``place`` and names the turn.
    """
    pieces = [(place, "id", dialogue.id)]
    for number, turn in enumerate(dialogue.utterances, 1):
        pieces += [(f"{place}, turn {number}", "speaker", turn.speaker), (f"{place}, turn {number}", "text", turn.text)]
    for where, key, value in pieces:
        if _SURROGATE.search(value):
            raise UserError(f"{where}: the {key} has half a surrogate pair, a cut-off emoji for one. Remove it.")


def label_counts(dialogues: Iterable[Dialogue]) -> Counter[str]:
    """How often each emotion occurs; turns without a label are not counted."""
    return Counter(turn.emotion for d in dialogues for turn in d.utterances if turn.emotion is not None)


def fingerprint(dialogues: Iterable[Dialogue]) -> str:
    """SHA-256 (hex) of ids, speakers, texts, labels and knowledge, in order; provenance does not count."""
    digest = hashlib.sha256()
    for dialogue in dialogues:
        turns = [[turn.speaker, turn.text, turn.emotion, *_extras(turn)] for turn in dialogue.utterances]
        digest.update(json.dumps([dialogue.id, turns], ensure_ascii=False).encode())
    return digest.hexdigest()


def _extras(turn: Utterance) -> list[Any]:
    """What few turns have; nothing for the others, whose fingerprint it leaves alone."""
    known = turn.knowledge
    said = [] if known is None else [known.retrieved, known.generated, hashlib.sha256(known.vectors).hexdigest()]
    return said if turn.sentiment is None else [turn.sentiment, *said]
