"""CoMPM: a context module and a pretrained memory of the speaker (Lee and Lee, NAACL 2022)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from ercsatz.classifiers import base
from ercsatz.classifiers.base import Classifier, targets
from ercsatz.classifiers.compm.config import CoMPMConfig, Memory
from ercsatz.classifiers.encoder.packing import Sequences, pack
from ercsatz.classifiers.encoder.pretrained import Encoder, Pretrained
from ercsatz.classifiers.encoder.tokenization import Ids, TokenisedDialogue, Tokeniser
from ercsatz.classifiers.segments import Segment, prefix_segments
from ercsatz.config.backbone import Pooling


@dataclass(frozen=True)
class CoMPMBatch(base.Batch):
    """What CoMPM reads of a batch with N targets.

    Attributes:
        contexts: N sequences, each the dialogue up to its target.
        said: the M turns that some target's speaker said before it, each once: token sequences for a memory that is
            trained, (M, width) vectors for a frozen one; None where there is none.
        speaker_turns: (speakers, longest) rows of ``said`` in the order they were said, padded with 0.
        memory_at: (N,) position, in the flattened ``speaker_turns``, of the last turn before the target; -1: none.
        padded: with ``padded_memory``, in place of the three: the earlier turns of each target's speaker, (turns,
            longest) token ids with padding; (0, 0) where there are none.
    """

    contexts: Sequences
    said: Sequences | Tensor | None
    speaker_turns: Tensor
    memory_at: Tensor
    padded: tuple[Tensor, ...] = ()


class CoMPM(Classifier):
    """CoMPM: the vector of the dialogue so far plus that of the speaker's earlier turns, a linear layer.

    The memory of a speaker without an earlier turn is zero. Both encoders start from the same weights and share none.
    A GRU that runs forwards gives every prefix of a speaker's turns in one pass, so each turn is encoded once a batch;
    that is the same function as the released code's one pass a target, without its unmasked padding.
    """

    def __init__(
        self, config: CoMPMConfig, pretrained: Pretrained, n_labels: int, memory: Pretrained | None = None
    ) -> None:
        """Build it.

        Args:
            config: its options.
            pretrained: the encoder of the context, and of the memory unless there is another.
            n_labels: number of classes.
            memory: another encoder for the memory; its vectors are projected to the width of the context's.
        """
        super().__init__()
        other = memory or pretrained
        self._config = config
        self._max_context = pretrained.max_length(config.max_tokens)
        self._max_turn = other.max_length(config.max_tokens)
        self._first = np.array([pretrained.tokenizer.cls_token_id], dtype=np.int32)
        self._first_of_turn = np.array([other.tokenizer.cls_token_id], dtype=np.int32)
        self._pad = other.tokenizer.pad_token_id
        self.tokeniser = Tokeniser(pretrained.tokenizer, other.tokenizer, config.speaker_tags)
        self.context = pretrained.encoder()
        self.memory = other.scratch() if config.memory == Memory.scratch else other.encoder()
        self.memory.requires_grad_(config.memory != Memory.frozen)
        width = self.memory.width
        self.tracker = nn.GRU(
            width, width, num_layers=config.memory_layers, dropout=config.memory_dropout, batch_first=True
        )
        self.projection = nn.Linear(width, self.context.width) if memory else nn.Identity()
        self.head = nn.Linear(self.context.width, n_labels)

    def train(self, mode: bool = True) -> Self:
        """A frozen memory has no dropout."""
        super().train(mode)
        if self._config.memory == Memory.frozen:
            self.memory.eval()
        return self

    def segments(self, dialogues: Sequence[TokenisedDialogue], budget: int) -> list[Segment]:
        """Turns of a dialogue stay together, so that each earlier turn is encoded once for them."""
        cut = prefix_segments(dialogues, self._max_context, budget)
        return [replace(segment, beside=self._remembered(segment)) for segment in cut] if self.frozen() is None else cut

    def _remembered(self, segment: Segment) -> int:
        """How many tokens the memory reads: of what the targets' speakers said before."""
        tokens = segment.tokens
        last = {tokens.speakers[turn]: turn for turn in segment.targets}
        earlier = (i for turn in last.values() for i in tokens.earlier_turns(turn))
        return sum(min(len(tokens.turns[i]) + 1, self._max_turn) for i in earlier)

    def frozen(self) -> Encoder | None:
        """The memory's encoder, if it is not trained."""
        return self.memory if self._config.memory == Memory.frozen and not self._config.padded_memory else None

    def frozen_sequences(self, dialogue: TokenisedDialogue) -> list[Ids]:
        """Every turn alone."""
        return [self._alone(turn) for turn in dialogue.turns] if self.frozen() else []

    def collate(self, segments: Sequence[Segment]) -> CoMPMBatch:
        """Make a batch of segments; a dialogue that occurs twice is encoded twice."""
        pairs = [(segment.tokens, turn) for segment in segments for turn in segment.targets]
        contexts = [
            np.concatenate([self._first, tokens.context(turn, self._max_context - 1)]) for tokens, turn in pairs
        ]
        remembered, rows, at = ([], [], []) if self._config.padded_memory else _remember(segments)
        longest = max(map(len, rows), default=1)
        return CoMPMBatch(
            **targets(segments),
            contexts=pack(contexts, self.context.worth),
            said=self._said(remembered) if remembered else None,
            speaker_turns=torch.tensor([row + [0] * (longest - len(row)) for row in rows], dtype=torch.long),
            memory_at=torch.tensor([-1 if a is None else a[0] * longest + a[1] for a in at], dtype=torch.long),
            padded=tuple(self._pad_earlier(*pair) for pair in pairs) if self._config.padded_memory else (),
        )

    def forward(self, batch: CoMPMBatch) -> Tensor:
        """Classify.

        Returns:
            (N, labels) logits.
        """
        vectors = self.context(batch.contexts)
        if batch.padded:
            vectors = vectors + torch.stack([self._remember_padded(ids, vectors) for ids in batch.padded])
        elif batch.said is not None:
            said = self.memory(batch.said) if isinstance(batch.said, Sequences) else batch.said
            states, _ = self.tracker(said[batch.speaker_turns])
            last = self.projection(states.flatten(0, 1)[batch.memory_at.clamp(min=0)])
            vectors = vectors + last * (batch.memory_at >= 0).unsqueeze(-1).to(last.dtype)
        logits: Tensor = self.head(vectors)
        return logits

    def _alone(self, turn: Ids) -> Ids:
        return np.concatenate([self._first_of_turn, turn[-(self._max_turn - 1) :]])

    def _said(self, remembered: Sequence[tuple[TokenisedDialogue, int]]) -> Sequences | Tensor:
        if self.frozen() is None:
            return pack([self._alone(tokens.turns[turn]) for tokens, turn in remembered], self.memory.worth)
        rows = [tokens.vectors[turn] for tokens, turn in remembered if tokens.vectors is not None]
        return torch.from_numpy(np.stack(rows))

    def _pad_earlier(self, tokens: TokenisedDialogue, turn: int) -> Tensor:
        alone = [torch.from_numpy(self._alone(tokens.turns[i])).long() for i in tokens.earlier_turns(turn)]
        if not alone:
            return torch.zeros(0, 0, dtype=torch.long)
        return nn.utils.rnn.pad_sequence(alone, batch_first=True, padding_value=self._pad)

    def _remember_padded(self, ids: Tensor, like: Tensor) -> Tensor:
        """A target's memory as the released code has it: no mask, so padding is attended to, and averaged."""
        if not len(ids):
            return torch.zeros_like(like[0])
        states = self.memory.model(input_ids=ids).last_hidden_state
        said = states[:, 0] if self.memory.pooling == Pooling.first else states.mean(1)
        tracked, _ = self.tracker(said)
        memory: Tensor = self.projection(tracked[-1])
        return memory


def _remember(
    segments: Sequence[Segment],
) -> tuple[list[tuple[TokenisedDialogue, int]], list[list[int]], list[tuple[int, int] | None]]:
    """Which earlier turns a batch remembers, each once; whose they are; and up to which one each target reads."""
    remembered: list[tuple[TokenisedDialogue, int]] = []
    rows: list[list[int]] = []
    at: list[tuple[int, int] | None] = []
    for segment in segments:
        tokens, row_of = segment.tokens, dict[int, int]()
        for turn in segment.targets:
            earlier = tokens.earlier_turns(turn)
            if not earlier:
                at.append(None)
                continue
            row = row_of.setdefault(tokens.speakers[turn], len(rows))
            if row == len(rows):
                rows.append([])
            for known in earlier[len(rows[row]) :]:
                rows[row].append(len(remembered))
                remembered.append((tokens, known))
            at.append((row, len(earlier) - 1))
    return remembered, rows, at
