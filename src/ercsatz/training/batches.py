"""Dialogues of a split as batches: tokenised, cut, drawn by token budget."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from ercsatz.classifiers.batching import Segment, TokenBudgetSampler
from ercsatz.classifiers.checkpoint import ErcClassifier
from ercsatz.classifiers.interface import Batch
from ercsatz.classifiers.sequences import Tensors
from ercsatz.classifiers.vectors import with_vectors
from ercsatz.config import Trainer
from ercsatz.dialogue import Dialogue


@dataclass(frozen=True)
class Size:
    """How much an optimiser step sees.

    Attributes:
        tokens: encoder tokens, on average.
        targets: a number of targets in their place, or None.
    """

    tokens: int
    targets: int | None = None


@dataclass(frozen=True)
class Step(Tensors):
    """What one optimiser step sees: batches that fit the memory one by one, and their number of targets."""

    batches: tuple[Batch, ...]
    size: int


class Split(Dataset[Step]):
    """Dialogues of one split; an index is all of a step, a list of segments."""

    def __init__(
        self,
        classifier: ErcClassifier,
        dialogues: Sequence[Dialogue],
        size: Size,
        trainer: Trainer,
        device: torch.device,
        cache: Path | None,
        soft: Sequence[NDArray[Any]] | None = None,
        every_turn: bool = False,
    ) -> None:
        """Tokenise and cut.

        Args:
            classifier: whose batches they are.
            dialogues: of the split.
            size: of a step.
            trainer: how many tokens fit the memory, and how many processes make batches.
            device: where a frozen encoder runs.
            cache: a folder for tokens and for a frozen encoder's vectors; None keeps them in memory.
            soft: a (turns, labels) array of soft labels a dialogue.
            every_turn: whether turns without a label are targets, too.
        """
        module = classifier.module
        tokenised = module.tokeniser.tokenise(dialogues, classifier.labels, cache, every_turn)
        if soft is not None:
            tokenised = [replace(tokens, soft=own) for tokens, own in zip(tokenised, soft, strict=True)]
        tokenised = with_vectors(module, tokenised, device, cache)
        self._collate, self._trainer, self._pinned = module.collate, trainer, device.type == "cuda"
        self._size = size
        # At a budget of one token each target is a segment of its own.
        budget = size.tokens if size.targets is None else 1
        self.segments: list[Segment] = module.segments(tokenised, budget)

    @property
    def targets(self) -> int:
        """How many turns are classified."""
        return sum(len(segment.targets) for segment in self.segments)

    def __getitem__(self, indices: list[int]) -> Step:
        chunks: list[list[Segment]] = [[]]
        held = 0
        for segment in (self.segments[i] for i in indices):
            if chunks[-1] and held + segment.cost > self._trainer.memory_tokens:
                chunks.append([])
                held = 0
            chunks[-1].append(segment)
            held += segment.cost
        batches = tuple(self._collate(chunk) for chunk in chunks)
        return Step(batches, sum(len(batch.labels) for batch in batches))

    def loader(self, seed: int | None) -> DataLoader[Step]:
        """Steps of about the budget; shuffled each epoch if a seed is given."""
        if self._size.targets is None:
            sampler = TokenBudgetSampler([segment.cost for segment in self.segments], self._size.tokens, seed)
        else:
            sampler = TokenBudgetSampler([1] * len(self.segments), self._size.targets, seed)
        return DataLoader(
            self,
            batch_size=None,
            sampler=sampler,
            num_workers=self._trainer.workers,
            persistent_workers=self._trainer.workers > 0,
            pin_memory=self._pinned,
            # Its own: else each pass draws from the global one, on resuming at another point than otherwise.
            generator=torch.Generator(),
        )
