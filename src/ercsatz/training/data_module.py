"""Dialogues of a split as batches: tokenised, cut, drawn by token budget."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ercsatz.classifiers.base import Batch
from ercsatz.classifiers.checkpoint import ErcClassifier
from ercsatz.classifiers.encoder.packing import Tensors
from ercsatz.classifiers.feature_cache import with_vectors
from ercsatz.classifiers.segments import DrawingSampler, Segment, TokenBudgetSampler
from ercsatz.config import SamplerConfig, TrainerConfig
from ercsatz.data.dialogue import Dialogue
from ercsatz.errors import UserError

PREDICTED_TOKENS = 8192  # of a batch where nothing is trained


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
class OptimizerStep(Tensors):
    """What one optimiser step sees.

    Attributes:
        batches: that fit the memory one by one.
        size: number of targets.
        counts: ``Batch.counts`` of all of them.
    """

    batches: tuple[Batch, ...]
    size: int
    counts: Tensor


class DialogueSplit(Dataset[OptimizerStep]):
    """Dialogues of one split; an index is all of a step, a list of segments."""

    def __init__(
        self,
        classifier: ErcClassifier,
        dialogues: Sequence[Dialogue],
        size: Size,
        trainer: TrainerConfig,
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
        self._cut, self._collate = module.segments, module.collate
        self._size, self._trainer, self._pinned = size, trainer, device.type == "cuda"
        # At a budget of one token each target is a segment of its own.
        budget = size.tokens if size.targets is None else 1
        self.segments: list[Segment] = self._cut(tokenised, budget)

    @property
    def targets(self) -> int:
        """How many turns are classified."""
        return sum(len(segment.targets) for segment in self.segments)

    def __getitem__(self, indices: list[int]) -> OptimizerStep:
        chunks: list[list[Segment]] = [[]]
        held = 0
        for part in (part for i in indices for part in self.parts(self.segments[i])):
            if chunks[-1] and held + part.held > self._trainer.memory_tokens:
                chunks.append([])
                held = 0
            chunks[-1].append(part)
            held += part.held
        batches = tuple(self._collate(chunk) for chunk in chunks)
        size = sum(len(batch.labels) for batch in batches)
        return OptimizerStep(batches, size, torch.stack([batch.counts for batch in batches]).sum(0))

    def parts(self, segment: Segment) -> list[Segment]:
        """A segment, cut as far as its classifier can where it does not fit the memory."""
        room = self._trainer.memory_tokens
        if segment.held <= room:
            return [segment]
        rest = replace(segment.tokens, targets=segment.targets)
        return [replace(part, dialogue=segment.dialogue) for part in self._cut([rest], max(1, room - segment.beside))]

    def loader(self, seed: int | None, sampler: SamplerConfig | None = None) -> DataLoader[OptimizerStep]:
        """Steps of about the budget; in a new order each epoch if a seed is given, drawn if a sampler draws.

        Raises:
            UserError: the sampler's weights are no weights.
        """
        costs, budget = [segment.cost for segment in self.segments], self._size.tokens
        if self._size.targets is not None:
            costs, budget = [1] * len(self.segments), self._size.targets
        indices: TokenBudgetSampler | DrawingSampler = TokenBudgetSampler(costs, budget, seed)
        if sampler is not None and sampler.draws and seed is not None:
            indices = DrawingSampler(costs, budget, seed, self._weights(sampler))
        return DataLoader(
            self,
            batch_size=None,
            sampler=indices,
            num_workers=self._trainer.workers,
            persistent_workers=self._trainer.workers > 0,
            pin_memory=self._pinned,
            # Its own: else each pass draws from the global one, on resuming at another point than otherwise.
            generator=torch.Generator(),
        )

    def _weights(self, sampler: SamplerConfig) -> Sequence[float]:
        """Of each segment; refused where nothing can be drawn by them."""
        known = [[s.tokens.labels[turn] for turn in s.targets] for s in self.segments]
        weights = sampler.weights([[label for label in own if label is not None] for own in known])
        wrong = [weight for weight in weights if not 0 <= weight < math.inf]
        if wrong or len(weights) != len(self.segments) or not any(weights):
            told = f"one is {wrong[0]}" if wrong else f"{sum(map(bool, weights))} of {len(weights)} are not 0"
            raise UserError(
                f"sampler={sampler.name}: its weights must be finite numbers, 0 or more, one for each of "
                f"{len(self.segments)} segments and not all 0; {told}. Mend its weights()."
            )
        return weights


class DialogueDataModule(pl.LightningDataModule):
    """The dialogues that a stage trains on, drawn or shuffled by a seed, and those that decide the best epoch."""

    def __init__(
        self, train: DialogueSplit, validation: DialogueSplit, seed: int, sampler: SamplerConfig | None = None
    ) -> None:
        super().__init__()
        self.train, self.validation = train, validation
        self._batches = train.loader(seed, sampler)

    @property
    def steps(self) -> int:
        """Optimiser steps of an epoch."""
        return len(self._batches)

    def train_dataloader(self) -> DataLoader[OptimizerStep]:
        """Steps in a new order each epoch."""
        return self._batches

    def val_dataloader(self) -> DataLoader[OptimizerStep]:
        """Large batches in their order."""
        return self.validation.loader(None)
