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


class DrawingSampler(Sampler[list[int]]):
    """Batches of segments of about ``budget`` tokens that are drawn by weight, with replacement, anew each epoch.

    An epoch has as many segments as there are. Every epoch has the same number of batches, that which a budget's worth
    of what is drawn makes on average; a segment that is dearer counts as one budget. What is drawn depends on the seed
    and the epoch alone, so that a run resumed at an epoch goes on as it would have.
    """

    def __init__(self, costs: Sequence[int], budget: int, seed: int, weights: Sequence[float]) -> None:
        """Take what is drawn from.

        Args:
            costs: tokens of each segment.
            budget: tokens of a batch, on average.
            seed: for drawing.
            weights: of each segment, 0 or more; the chance to be drawn is proportional to it.
        """
        self.costs, self.seed, self.epoch = [min(cost, budget) for cost in costs], seed, 0
        self.weights = torch.tensor(weights, dtype=torch.float64)
        mean = float(self.weights @ torch.tensor(self.costs, dtype=torch.float64) / self.weights.sum())
        self.batches = max(1, round(len(costs) * mean / budget))

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that is drawn; Lightning calls this."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[list[int]]:
        # A generator, so that the epoch is read with the first batch: resuming, Lightning sets it after this call.
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        drawn = torch.multinomial(self.weights, len(self.costs), replacement=True, generator=generator).tolist()
        total = sum(self.costs[i] for i in drawn)
        batches: list[list[int]] = [[] for _ in range(self.batches)]
        spent, at = 0, -1
        for place, i in enumerate(drawn):
            # A segment goes where its middle falls, but skips no batch, and leaves a segment for each that is to come.
            middle = (2 * spent + self.costs[i]) * self.batches // (2 * total)
            at = max(min(middle, at + 1), self.batches - len(drawn) + place)
            batches[at].append(i)
            spent += self.costs[i]
        yield from batches
