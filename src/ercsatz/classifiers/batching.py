"""Tokenised dialogues, and batches of them by token budget."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import Sampler

from ercsatz.dialogue import Dialogue


@dataclass(frozen=True)
class TokenisedDialogue:
    """A dialogue as token ids.

    Attributes:
        turns: the tokens of each turn's text alone.
        tagged: the tokens of each turn with its speaker tag before it; concatenated, they are the whole dialogue.
        speakers: who speaks each turn, numbered by first appearance.
        labels: class index of each turn, or None where the turn is context only.
    """

    turns: tuple[tuple[int, ...], ...]
    tagged: tuple[tuple[int, ...], ...]
    speakers: tuple[int, ...]
    labels: tuple[int | None, ...]

    def context(self, turn: int, max_tokens: int) -> list[int]:
        """The last ``max_tokens`` tokens of the dialogue up to and with a turn."""
        pieces: list[int] = []
        for tokens in reversed(self.tagged[: turn + 1]):
            pieces[:0] = tokens
            if len(pieces) >= max_tokens:
                return pieces[-max_tokens:]
        return pieces

    def earlier_turns(self, turn: int) -> list[int]:
        """The earlier turns of a turn's speaker, oldest first."""
        return [i for i in range(turn) if self.speakers[i] == self.speakers[turn]]


@dataclass(frozen=True)
class Segment:
    """Some labelled turns of one dialogue, next to each other, that are classified in one batch."""

    dialogue: int
    tokens: TokenisedDialogue
    targets: tuple[int, ...]
    cost: int


def tokenise(dialogues: Sequence[Dialogue], labels: Sequence[str], tokenizer: Any) -> list[TokenisedDialogue]:
    """Tokenise each turn once.

    A speaker tag is the text ``<s1>``, ``<s2>``, ... by order of first appearance (Lee and Lee 2022), so any number of
    speakers works with any tokenizer.
    """
    index = {label: i for i, label in enumerate(labels)}
    result = []
    for dialogue in dialogues:
        speakers = _number_speakers([turn.speaker for turn in dialogue.utterances])
        texts = [turn.text for turn in dialogue.utterances]
        tagged = [f"{' ' if i else ''}<s{s + 1}> {t}" for i, (s, t) in enumerate(zip(speakers, texts, strict=True))]
        encoded = tokenizer(texts + tagged, add_special_tokens=False)["input_ids"]
        result.append(
            TokenisedDialogue(
                turns=tuple(map(tuple, encoded[: len(texts)])),
                tagged=tuple(map(tuple, encoded[len(texts) :])),
                speakers=speakers,
                labels=tuple(None if turn.emotion is None else index[turn.emotion] for turn in dialogue.utterances),
            )
        )
    return result


def _number_speakers(names: Sequence[str]) -> tuple[int, ...]:
    numbers: dict[str, int] = {}
    return tuple(numbers.setdefault(name, len(numbers)) for name in names)


def segments(dialogues: Sequence[TokenisedDialogue], max_tokens: int, budget: int) -> list[Segment]:
    """Cut each dialogue's labelled turns into segments of at most ``budget`` context tokens (at least one turn)."""
    result = []
    for number, dialogue in enumerate(dialogues):
        targets: list[int] = []
        cost = length = 0
        for turn, tagged in enumerate(dialogue.tagged):
            length = min(length + len(tagged), max_tokens)
            if dialogue.labels[turn] is None:
                continue
            if targets and cost + length > budget:
                result.append(Segment(number, dialogue, tuple(targets), cost))
                targets, cost = [], 0
            targets.append(turn)
            cost += length
        result.append(Segment(number, dialogue, tuple(targets), cost))
    return result


class TokenBudgetSampler(Sampler[list[int]]):
    """Batches of segments of about ``budget`` tokens, in a new order each epoch.

    Every epoch has the same number of batches, none of them a small remainder. The order depends on the seed and the
    epoch alone, so that a run resumed at an epoch goes on as it would have.
    """

    def __init__(self, costs: Sequence[int], budget: int, seed: int | None) -> None:
        """Take what the batches are made of.

        Args:
            costs: tokens of each segment.
            budget: tokens of a batch, on average; a dearer segment raises it.
            seed: for shuffling; None keeps the order.
        """
        self.costs, self.seed, self.epoch = costs, seed, 0
        self.batches = max(1, sum(costs) // max(budget, *costs))

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order is drawn; Lightning calls this."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[list[int]]:
        # A generator, so that the epoch is read with the first batch: resuming, Lightning sets it after this call.
        order = list(range(len(self.costs)))
        if self.seed is not None:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
            order = torch.randperm(len(order), generator=generator).tolist()
        batches: list[list[int]] = [[] for _ in range(self.batches)]
        total, spent = sum(self.costs), 0
        for i in order:
            # A segment goes where its middle falls; no gap between middles exceeds a batch, so none stays empty.
            batches[(2 * spent + self.costs[i]) * self.batches // (2 * total)].append(i)
            spent += self.costs[i]
        yield from batches
