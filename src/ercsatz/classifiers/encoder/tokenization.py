"""Dialogues as token ids, made once and memory-mapped from then on."""

import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ercsatz.artifacts.cache import Artifact, Artifacts, Kind
from ercsatz.classifiers.speaker_tags import REGISTERED, SpeakerTags
from ercsatz.data.dialogue import Dialogue, fingerprint

VERSION = 1  # raise it when the same dialogues and tokenizer give other tokens
Ids = NDArray[np.int32]


@dataclass(frozen=True)
class Pieces:
    """Token sequences, end to end.

    Attributes:
        ids: of all of them.
        bounds: piece i is ``ids[bounds[i]:bounds[i + 1]]``.
    """

    ids: Ids
    bounds: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def __getitem__(self, i: int) -> Ids:
        return self.ids[self.bounds[i] : self.bounds[i + 1]]

    def __iter__(self) -> Iterator[Ids]:
        return (self[i] for i in range(len(self)))

    def cut(self, first: int, last: int) -> "Pieces":
        """Pieces ``first`` to ``last - 1``, without a copy."""
        bounds = self.bounds[first : last + 1]
        return Pieces(self.ids[bounds[0] : bounds[-1]], bounds - bounds[0])


@dataclass(frozen=True)
class TokenisedDialogue:
    """A dialogue as token ids.

    Attributes:
        tagged: each turn's text with its speaker's tag before it; end to end, they are the whole dialogue.
        turns: each turn's text alone.
        statements: all retrieved, then all generated statements about the first turn, about the second, and so on.
        counts: how many retrieved and how many generated statements each turn has.
        speakers: who speaks each turn, numbered by first appearance.
        targets: the turns to classify.
        labels: class index of each turn, or None where it has none.
        soft: (turns, labels) soft labels to train on beside the hard ones, or None.
        vectors: the frozen encoder's, a row a sequence of the classifier's ``frozen_sequences``; None without one.
        given: (turns, 3, width) knowledge that came as vectors; None where there is none. Zeros: none about a turn.
    """

    tagged: Pieces
    turns: Pieces
    statements: Pieces
    counts: tuple[tuple[int, int], ...]
    speakers: tuple[int, ...]
    targets: tuple[int, ...]
    labels: tuple[int | None, ...]
    soft: NDArray[np.float32] | None = None
    vectors: NDArray[np.float32] | None = None
    given: NDArray[np.float32] | None = None

    def context(self, turn: int, max_tokens: int) -> Ids:
        """The last ``max_tokens`` tokens of the dialogue up to and with a turn."""
        end = self.tagged.bounds[turn + 1]
        return self.tagged.ids[max(0, end - max_tokens) : end]

    def earlier_turns(self, turn: int) -> list[int]:
        """The earlier turns of a turn's speaker, oldest first."""
        return [i for i in range(turn) if self.speakers[i] == self.speakers[turn]]


@dataclass(frozen=True)
class Tokeniser:
    """How dialogues become tokens.

    Attributes:
        tokenizer: for whole dialogues and for statements.
        turn_tokenizer: for turns alone; another one only where another encoder reads them.
        tags: whether a speaker tag is text or one registered token.
    """

    tokenizer: Any
    turn_tokenizer: Any
    tags: SpeakerTags = SpeakerTags.text

    def tokenise(
        self, dialogues: Sequence[Dialogue], labels: Sequence[str], cache: Path | None, every_turn: bool = False
    ) -> list[TokenisedDialogue]:
        """Tokenise dialogues, or map what an earlier call wrote into ``cache``.

        Args:
            dialogues: to tokenise.
            labels: their order is the class index.
            cache: a folder; None keeps the tokens in memory.
            every_turn: whether every turn is a target, or only those with a label.
        """
        kinds = self._cached(dialogues, cache) if cache else self._pieces(dialogues)
        index = {label: i for i, label in enumerate(labels)}
        result, turn, statement = [], 0, 0
        for dialogue in dialogues:
            turns = dialogue.utterances
            counts = tuple(
                (len(t.knowledge.retrieved), len(t.knowledge.generated)) if t.knowledge else (0, 0) for t in turns
            )
            known = tuple(None if t.emotion is None else index[t.emotion] for t in turns)
            last, stop = turn + len(turns), statement + sum(map(sum, counts))
            result.append(
                TokenisedDialogue(
                    tagged=kinds["tagged"].cut(turn, last),
                    turns=kinds["turns"].cut(turn, last),
                    statements=kinds["statements"].cut(statement, stop),
                    counts=counts,
                    speakers=_number_speakers([t.speaker for t in turns]),
                    targets=tuple(i for i, label in enumerate(known) if every_turn or label is not None),
                    labels=known,
                    given=_given(dialogue),
                )
            )
            turn, statement = last, stop
        return result

    def _pieces(self, dialogues: Sequence[Dialogue]) -> dict[str, Pieces]:
        turns = [turn for dialogue in dialogues for turn in dialogue.utterances]
        numbers = [
            number for dialogue in dialogues for number in _number_speakers([t.speaker for t in dialogue.utterances])
        ]
        firsts = [i == 0 for dialogue in dialogues for i in range(len(dialogue.utterances))]
        known = (turn.knowledge for turn in turns if turn.knowledge)
        statements = [text for knowledge in known for text in (*knowledge.retrieved, *knowledge.generated)]
        return {
            "tagged": _pieces(self._tagged([turn.text for turn in turns], numbers, firsts)),
            "turns": _pieces(_encode(self.turn_tokenizer, [turn.text for turn in turns])),
            "statements": _pieces(_encode(self.tokenizer, statements)),
        }

    def _tagged(self, texts: Sequence[str], numbers: Sequence[int], firsts: Sequence[bool]) -> list[list[int]]:
        """Turns after their speaker's tag, ``<s1>``, ``<s2>``, ... by first appearance (Lee and Lee 2022).

        As text, any tokenizer reads any number of them. Of registered tokens there are ``REGISTERED``; a tag beyond
        them is text.
        """
        spaced = ["" if first else " " for first in firsts]
        tags = [f"<s{number + 1}>" for number in numbers]
        ids = self.tokenizer.convert_tokens_to_ids(tags) if self.tags == SpeakerTags.tokens else []
        single = [number < REGISTERED and bool(ids) for number in numbers]
        written = [
            f" {text}" if one else f"{space}{tag} {text}"
            for one, space, tag, text in zip(single, spaced, tags, texts, strict=True)
        ]
        encoded = _encode(self.tokenizer, written)
        return [
            [ids[i], *tokens] if one else tokens for i, (one, tokens) in enumerate(zip(single, encoded, strict=True))
        ]

    def _cached(self, dialogues: Sequence[Dialogue], cache: Path) -> dict[str, Pieces]:
        folder = Artifacts(cache).get(self._artifact(dialogues), partial(self._write, dialogues)).path
        return {
            name: Pieces(_load(folder / f"{name}.ids.npy"), _load(folder / f"{name}.bounds.npy"))
            for name in ("tagged", "turns", "statements")
        }

    def _write(self, dialogues: Sequence[Dialogue], folder: Path) -> None:
        for name, pieces in self._pieces(dialogues).items():
            np.save(folder / f"{name}.ids.npy", pieces.ids)
            np.save(folder / f"{name}.bounds.npy", pieces.bounds)

    def _artifact(self, dialogues: Sequence[Dialogue]) -> Artifact:
        description = {
            "version": VERSION,
            "tokenizers": [_sha256(tokenizer) for tokenizer in (self.tokenizer, self.turn_tokenizer)],
            "tags": self.tags.value,
            "dialogues": fingerprint(dialogues),
        }
        return Artifact(Kind.tokens, description, f"{len(dialogues):,} dialogues, {type(self.tokenizer).__name__}")


def _load(file: Path) -> Any:
    # numpy cannot map an empty file
    return np.load(file, mmap_mode="r" if file.stat().st_size > _HEADER else None)


_HEADER = 128  # bytes of a .npy file without an element


def _sha256(tokenizer: Any) -> str:
    """Of everything that determines a tokenizer's answers here; truncation and padding change with its last call."""
    described: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str())
    return hashlib.sha256(json.dumps(described | {"truncation": None, "padding": None}).encode()).hexdigest()


def _encode(tokenizer: Any, texts: list[str]) -> list[list[int]]:
    # What looks like a special token in a user's text, "</s>" say, is text. Long turns are cut later: no warnings.
    options = {"add_special_tokens": False, "split_special_tokens": True, "verbose": False}
    encoded: list[list[int]] = tokenizer(texts, **options)["input_ids"] if texts else []
    return encoded


def _pieces(encoded: Iterable[Sequence[int]]) -> Pieces:
    rows = list(encoded)
    bounds = np.cumsum([0, *map(len, rows)], dtype=np.int64)
    return Pieces(np.fromiter(itertools.chain.from_iterable(rows), np.int32, int(bounds[-1])), bounds)


def _number_speakers(names: Sequence[str]) -> tuple[int, ...]:
    numbers: dict[str, int] = {}
    return tuple(numbers.setdefault(name, len(numbers)) for name in names)


def _given(dialogue: Dialogue) -> NDArray[np.float32] | None:
    rows = [turn.knowledge.vectors if turn.knowledge else b"" for turn in dialogue.utterances]
    size = max(map(len, rows))
    if not size:
        return None
    return np.stack([np.frombuffer(row or bytes(size), np.float32).reshape(3, -1) for row in rows])
