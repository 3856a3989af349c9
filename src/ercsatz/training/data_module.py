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
from ercsatz.training.ranks.share import ALONE, InTurn, Place, shared

PREDICTED_TOKENS = 8192  # of a batch where nothing is trained


def _held(segment: Segment) -> int:
    return segment.held


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
    """What one optimiser step sees, or one of several processes sees of it.

    Attributes:
        batches: that fit the memory one by one.
        size: number of targets, those of all processes.
        counts: ``Batch.counts`` of all of them; zero where ``idle``.
        idle: whether there was nothing for this process: what is in ``batches`` is another's, and counts for nothing.
    """

    batches: tuple[Batch, ...]
    size: int
    counts: Tensor
    idle: bool = False


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
        place: Place = ALONE,
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
            place: of the processes among which each step is shared out.
        """
        module = classifier.module
        tokenised = module.tokeniser.tokenise(dialogues, classifier.labels, cache, every_turn)
        if soft is not None:
            tokenised = [replace(tokens, soft=own) for tokens, own in zip(tokenised, soft, strict=True)]
        tokenised = with_vectors(module, tokenised, device, cache)
        self._cut, self._collate = module.segments, module.collate
        self._size, self._trainer, self._pinned = size, trainer, device.type == "cuda"
        self._place = place
        # At a budget of one token each target is a segment of its own.
        budget = size.tokens if size.targets is None else 1
        self.segments: list[Segment] = self._cut(tokenised, budget)

    @property
    def targets(self) -> int:
        """How many turns are classified."""
        return sum(len(segment.targets) for segment in self.segments)

    def __getitem__(self, indices: list[int]) -> OptimizerStep:
        segments = [self.segments[i] for i in indices]
        parts = self._own(segments)
        idle = not parts
        chunks: list[list[Segment]] = [[]]
        held = 0
        for part in parts or [self._smallest(segments or self.segments)]:
            if chunks[-1] and held + part.held > self._trainer.memory_tokens:
                chunks.append([])
                held = 0
            chunks[-1].append(part)
            held += part.held
        batches = tuple(self._collate(chunk) for chunk in chunks)
        size = sum(len(segment.targets) for segment in segments)
        counts = torch.stack([batch.counts for batch in batches]).sum(0)
        return OptimizerStep(batches, size, counts * 0 if idle else counts, idle)

    def _own(self, segments: Sequence[Segment]) -> list[Segment]:
        """What this process has of a step: parts that fit the memory, of about as many tokens as another has."""
        parts = [part for segment in segments for part in self.parts(segment)]
        if self._place.of == 1:
            return parts
        share = max(1, math.ceil(sum(part.held for part in parts) / self._place.of))
        parts = [smaller for part in parts for smaller in self._cut_to(part, math.ceil(part.held / share))]
        return [parts[i] for i in shared([part.held for part in parts], self._place.of)[self._place.rank]]

    def _smallest(self, segments: Sequence[Segment]) -> Segment:
        """Something to do that takes no time, for a process that has nothing to do."""
        return min((part for part in self.parts(min(segments, key=_held))), key=_held)

    def _cut_to(self, part: Segment, pieces: int) -> list[Segment]:
        """A part, cut as far as its classifier can, into about so many pieces."""
        return [part] if pieces < 2 else self._cut_up(part, math.ceil(part.cost / pieces))

    def _cut_up(self, segment: Segment, budget: int) -> list[Segment]:
        rest = replace(segment.tokens, targets=segment.targets)
        return [replace(part, dialogue=segment.dialogue) for part in self._cut([rest], budget)]

    def parts(self, segment: Segment) -> list[Segment]:
        """A segment, cut as far as its classifier can where it does not fit the memory."""
        room = self._trainer.memory_tokens
        if segment.held <= room:
            return [segment]
        return self._cut_up(segment, max(1, room - segment.beside))

    def loader(
        self, seed: int | None, sampler: SamplerConfig | None = None, turns: Place = ALONE
    ) -> DataLoader[OptimizerStep]:
        """Steps of about the budget; in a new order each epoch if a seed is given, drawn if a sampler draws.

        Of several processes that take turns, ``turns``, each has whole steps and as many as another; some may be idle.

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
            sampler=indices if turns.of == 1 else InTurn(indices, turns),
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
        self,
        train: DialogueSplit,
        validation: DialogueSplit,
        seed: int,
        sampler: SamplerConfig | None = None,
        place: Place = ALONE,
    ) -> None:
        super().__init__()
        self.train, self.validation, self._place = train, validation, place
        self._batches = train.loader(seed, sampler)

    @property
    def steps(self) -> int:
        """Optimiser steps of an epoch."""
        return len(self._batches)

    def train_dataloader(self) -> DataLoader[OptimizerStep]:
        """Steps in a new order each epoch."""
        return self._batches

    def val_dataloader(self) -> DataLoader[OptimizerStep]:
        """Large batches in their order; several processes take turns."""
        return self.validation.loader(None, turns=self._place)
