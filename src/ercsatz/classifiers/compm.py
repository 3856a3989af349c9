"""CoMPM: a context module and a pretrained memory of the speaker (Lee and Lee, NAACL 2022)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ercsatz.classifiers.batching import Segment
from ercsatz.classifiers.encoder import Pretrained, Sequences, pad_sequences
from ercsatz.config import CoMPM as CoMPMConfig


@dataclass(frozen=True)
class Batch:
    """What CoMPM reads of a batch with N targets.

    Attributes:
        contexts: N sequences, each the dialogue up to its target.
        memories: the M turns that some target's speaker said before it, each once; None where there is none.
        speaker_turns: (speakers, longest) rows of ``memories`` in the order they were said, padded with 0.
        memory_at: (N,) position, in the flattened ``speaker_turns``, of the last turn before the target; -1: none.
        labels: (N,) class indices.
        places: N pairs of dialogue and turn.
    """

    contexts: Sequences
    memories: Sequences | None
    speaker_turns: Tensor
    memory_at: Tensor
    labels: Tensor
    places: tuple[tuple[int, int], ...]

    def to(self, device: torch.device) -> "Batch":
        """The same on another device."""
        return Batch(
            contexts=self.contexts.to(device),
            memories=None if self.memories is None else self.memories.to(device),
            speaker_turns=self.speaker_turns.to(device, non_blocking=True),
            memory_at=self.memory_at.to(device, non_blocking=True),
            labels=self.labels.to(device, non_blocking=True),
            places=self.places,
        )


class CoMPM(nn.Module):
    """Context vector of the dialogue up to the target, plus a GRU over the speaker's earlier turns, a linear layer.

    The memory of a speaker without an earlier turn is zero. Both encoders start from the same weights and share none.
    A GRU that runs forwards gives every prefix of a speaker's turns in one pass, so each turn is encoded once a batch;
    that is the same function as the released code's one pass a target, without its unmasked padding.
    """

    def __init__(self, config: CoMPMConfig, pretrained: Pretrained, n_labels: int) -> None:
        super().__init__()
        self.max_tokens = pretrained.max_length(config.max_tokens)
        self._first = [pretrained.tokenizer.cls_token_id]
        self._pad = pretrained.tokenizer.pad_token_id
        self.context = pretrained.encoder()
        self.memory = pretrained.encoder()
        width = self.context.width
        self.tracker = nn.GRU(
            width, width, num_layers=config.memory_layers, dropout=config.memory_dropout, batch_first=True
        )
        self.head = nn.Linear(width, n_labels)

    def collate(self, segments: Sequence[Segment]) -> Batch:
        """Make a batch of segments; a dialogue that occurs twice is encoded twice."""
        contexts: list[list[int]] = []
        memories: list[list[int]] = []
        rows: list[list[int]] = []
        at: list[tuple[int, int] | None] = []
        labels: list[int] = []
        for segment in segments:
            row_of: dict[int, int] = {}
            tokens = segment.tokens
            for turn in segment.targets:
                contexts.append(self._first + tokens.context(turn, self.max_tokens - 1))
                label = tokens.labels[turn]
                assert label is not None
                labels.append(label)
                earlier = tokens.earlier_turns(turn)
                if not earlier:
                    at.append(None)
                    continue
                row = row_of.setdefault(tokens.speakers[turn], len(rows))
                if row == len(rows):
                    rows.append([])
                for known in earlier[len(rows[row]) :]:
                    rows[row].append(len(memories))
                    memories.append(self._first + list(tokens.turns[known][-(self.max_tokens - 1) :]))
                at.append((row, len(earlier) - 1))
        longest = max(map(len, rows), default=1)
        return Batch(
            contexts=pad_sequences(contexts, self._pad, self.context.worth),
            memories=pad_sequences(memories, self._pad, self.memory.worth) if memories else None,
            speaker_turns=torch.tensor([row + [0] * (longest - len(row)) for row in rows], dtype=torch.long),
            memory_at=torch.tensor([-1 if a is None else a[0] * longest + a[1] for a in at]),
            labels=torch.tensor(labels),
            places=tuple((s.dialogue, turn) for s in segments for turn in s.targets),
        )

    def forward(self, batch: Batch) -> Tensor:
        """Classify.

        Returns:
            (N, labels) logits.
        """
        vectors = self.context(batch.contexts)
        if batch.memories is not None:
            vectors = vectors + self._track(batch)
        logits: Tensor = self.head(vectors)
        return logits

    def _track(self, batch: Batch) -> Tensor:
        said = self.memory(batch.memories)
        states, _ = self.tracker(said[batch.speaker_turns])
        last: Tensor = states.flatten(0, 1)[batch.memory_at.clamp(min=0)]
        return last * (batch.memory_at >= 0).unsqueeze(-1).to(last.dtype)
