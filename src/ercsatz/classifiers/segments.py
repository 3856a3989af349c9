"""Segments of dialogues, and batches of them by token budget."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch.utils.data import Sampler

from ercsatz.classifiers.encoder.tokenization import TokenisedDialogue


@dataclass(frozen=True)
class Segment:
    """Some turns of one dialogue that are classified in one batch.

    Attributes:
        dialogue: its place in the split.
        tokens: the dialogue.
        targets: the turns, in order.
        cost: tokens that the encoder reads for them; steps are measured by it.
        beside: tokens that another encoder reads for them, such as a memory of what the speaker said.
    """

    dialogue: int
    tokens: TokenisedDialogue
    targets: tuple[int, ...]
    cost: int
    beside: int = 0

    @property
    def held(self) -> int:
        """All tokens that have to be in memory at once."""
        return self.cost + self.beside


def prefix_segments(dialogues: Sequence[TokenisedDialogue], max_tokens: int, budget: int) -> list[Segment]:
    """Cut each dialogue's targets into segments of at most ``budget`` tokens of context (at least one target).

    A target's context is the class token and the dialogue up to it, at most ``max_tokens``.
    """
    result = []
    for number, dialogue in enumerate(dialogues):
        targets: list[int] = []
        cost = 0
        for turn in dialogue.targets:
            length = min(int(dialogue.tagged.bounds[turn + 1]) + 1, max_tokens)
            if targets and cost + length > budget:
                result.append(Segment(number, dialogue, tuple(targets), cost))
                targets, cost = [], 0
            targets.append(turn)
            cost += length
        result.append(Segment(number, dialogue, tuple(targets), cost))
    return result


def whole_segments(dialogues: Sequence[TokenisedDialogue], max_tokens: int) -> list[Segment]:
    """Each dialogue as one segment; its cost is that of its turns and class tokens, each ``max_tokens`` at most."""
    return [
        Segment(number, dialogue, dialogue.targets, sum(min(len(t) + 1, max_tokens) for t in dialogue.turns))
        for number, dialogue in enumerate(dialogues)
    ]


class TokenBudgetSampler(Sampler[list[int]]):
    """Batches of segments of about ``budget`` tokens, in a new order each epoch.

    A segment that is dearer than that is a batch of its own. Every epoch has the same number of batches, and the others
    share theirs without a small remainder. The order depends on the seed and the epoch alone, so that a run resumed at
    an epoch goes on as it would have.
    """

    def __init__(self, costs: Sequence[int], budget: int, seed: int | None) -> None:
        """Take what the batches are made of.

        Args:
            costs: tokens of each segment.
            budget: tokens of a batch, on average.
            seed: for shuffling; None keeps the order.
        """
        self.costs, self.budget, self.seed, self.epoch = costs, budget, seed, 0
        shared = [cost for cost in costs if cost <= budget]
        self.alone = len(costs) - len(shared)
        self.total = sum(shared)
        self.batches = max(1, self.total // budget) if shared else 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order is drawn; Lightning calls this."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.batches + self.alone

    def __iter__(self) -> Iterator[list[int]]:
        # A generator, so that the epoch is read with the first batch: resuming, Lightning sets it after this call.
        order = list(range(len(self.costs)))
        if self.seed is not None:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
            order = torch.randperm(len(order), generator=generator).tolist()
        batches: list[list[int]] = [[] for _ in range(self.batches)]
        alone: list[tuple[float, list[int]]] = []
        spent = 0
        for i in order:
            if self.costs[i] > self.budget:
                alone.append((spent * self.batches / max(1, self.total), [i]))
                continue
            # A segment goes where its middle falls; no gap between middles exceeds a batch, so none stays empty.
            batches[(2 * spent + self.costs[i]) * self.batches // (2 * self.total)].append(i)
            spent += self.costs[i]
        yield from (batch for _, batch in sorted([*enumerate(batches), *alone], key=lambda placed: placed[0]))
