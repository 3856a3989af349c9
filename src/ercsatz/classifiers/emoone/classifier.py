"""EmoOne-RoBERTa: a context encoder trained on hard and on gray labels (Lee, Interspeech 2022)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ercsatz.classifiers import base
from ercsatz.classifiers.base import Classifier, targets
from ercsatz.classifiers.emoone import soft_labels
from ercsatz.classifiers.emoone.config import ADJUSTED, FUTURE, WORDED, EmoOneConfig, Gray
from ercsatz.classifiers.encoder.packing import Sequences, pack
from ercsatz.classifiers.encoder.pretrained import Pretrained
from ercsatz.classifiers.encoder.tokenization import Ids, TokenisedDialogue, Tokeniser
from ercsatz.classifiers.segments import Segment, prefix_segments
from ercsatz.config import BenchmarkConfig
from ercsatz.data.dialogue import Dialogue, Utterance


@dataclass(frozen=True)
class EmoOneBatch(base.Batch):
    """What EmoOne reads of a batch with N targets.

    Attributes:
        contexts: N sequences, each the dialogue around its target.
        marks: (N,) the place in its sequence where each target's vector is read, or None: the encoder's pooling.
    """

    contexts: Sequences
    marks: Tensor | None


class EmoOne(Classifier):
    """EmoOne: the vector of the dialogue up to the target (CoMPM's context module), a linear layer.

    The teacher of ``gray=future`` also reads turns after its target. There the class token stands just before the
    target's speaker tag, and the vector is read at it; the student is laid out in the same way, without later turns.
    """

    def __init__(self, config: EmoOneConfig, pretrained: Pretrained, n_labels: int) -> None:
        super().__init__()
        self._config = config
        self._future = config.future_turns if config.later_turns else 0
        self._marked = config.gray in FUTURE or config.later_turns
        self._max_tokens = pretrained.max_length(config.max_tokens)
        self._first = np.array([pretrained.tokenizer.cls_token_id], dtype=np.int32)
        self.tokeniser = Tokeniser(pretrained.tokenizer, pretrained.tokenizer, config.speaker_tags)
        self.context = pretrained.encoder()
        self.head = nn.Linear(self.context.width, n_labels)

    def segments(self, dialogues: Sequence[TokenisedDialogue], budget: int) -> list[Segment]:
        """Turns of a dialogue up to the budget."""
        return prefix_segments(dialogues, self._max_tokens, budget)

    def collate(self, segments: Sequence[Segment]) -> EmoOneBatch:
        """Make a batch of segments."""
        pairs = [(segment.tokens, turn) for segment in segments for turn in segment.targets]
        laid_out = [self._marked_context(*pair) if self._marked else self._context(*pair) for pair in pairs]
        return EmoOneBatch(
            **targets(segments),
            contexts=pack([ids for ids, _ in laid_out], self.context.worth),
            marks=torch.tensor([mark for _, mark in laid_out]) if self._marked else None,
        )

    def forward(self, batch: EmoOneBatch) -> Tensor:
        """Classify.

        Returns:
            (N, labels) logits.
        """
        logits: Tensor = self.head(self.context(batch.contexts, batch.marks))
        return logits

    def sums(self, output: Tensor, batch: EmoOneBatch) -> Tensor:
        """``w1`` times the loss of the hard labels plus ``w2`` times the cross-entropy with the gray ones.

        Whatever ``loss`` is, it is that of the hard labels alone: weights of labels are none of the gray term.
        """
        hard = super().sums(output, batch)
        if batch.soft is None:
            return hard
        mean = soft_labels.gray_loss(hard / batch.counts, output.float(), batch.soft, self._config.w1, self._config.w2)
        return mean * batch.counts

    def soft_labels(
        self, benchmark: BenchmarkConfig, dialogues: Sequence[Dialogue], taught: Sequence[Mapping[str, Any]]
    ) -> list[NDArray[np.float32]] | None:
        """The gray labels, by the method that ``gray`` names."""
        return gray_labels(self._config, benchmark.labels, benchmark.sentiments, dialogues, taught)

    def _context(self, tokens: TokenisedDialogue, turn: int) -> tuple[Ids, int]:
        return np.concatenate([self._first, tokens.context(turn, self._max_tokens - 1)]), 0

    def _marked_context(self, tokens: TokenisedDialogue, turn: int) -> tuple[Ids, int]:
        """The earlier turns, the class token, the target, later turns; of too many tokens, the earliest go first."""
        bounds, ids = tokens.tagged.bounds, tokens.tagged.ids
        last = min(turn + 1 + self._future, len(tokens.tagged))
        rest = ids[bounds[turn] : bounds[last]][: self._max_tokens - 1]
        room = self._max_tokens - 1 - len(rest)
        past = ids[max(0, bounds[turn] - room) : bounds[turn]]
        return np.concatenate([past, self._first, rest]), len(past)


def gray_labels(
    config: EmoOneConfig,
    labels: Sequence[str],
    sentiments: Mapping[str, str | None],
    dialogues: Sequence[Dialogue],
    taught: Sequence[Mapping[str, Any]],
) -> list[NDArray[np.float32]] | None:
    """The gray labels of training dialogues; None for ``gray=none``.

    Args:
        config: says which.
        labels: the order of the columns.
        sentiments: of each label, for ``gray=category``.
        dialogues: to train on.
        taught: the teacher's predictions on them, in their order (``dialogue``, ``turn``, ``probabilities``), for the
            methods that have a teacher.

    Returns:
        A (turns, labels) array a dialogue; rows of turns without a label are zero.

    Raises:
        UserError: a label has no sentiment, or no word vector.
    """
    if config.gray == Gray.none:
        return None
    result = [np.zeros((len(dialogue.utterances), len(labels)), np.float32) for dialogue in dialogues]
    places = [
        (n, i) for n, d in enumerate(dialogues) for i, turn in enumerate(d.utterances) if turn.emotion is not None
    ]
    turns = [dialogues[n].utterances[i] for n, i in places]
    for (n, i), row in zip(places, _rows(config, labels, sentiments, turns, taught), strict=True):
        result[n][i] = row
    return result


def _rows(
    config: EmoOneConfig,
    labels: Sequence[str],
    sentiments: Mapping[str, str | None],
    turns: Sequence[Utterance],
    taught: Sequence[Mapping[str, Any]],
) -> NDArray[Any]:
    """(turns, labels) gray labels of turns that all have a label."""
    emotions = [str(turn.emotion) for turn in turns]
    if config.gray == Gray.category:
        return soft_labels.category(labels, emotions, [turn.sentiment for turn in turns], sentiments)
    gold = np.array([labels.index(emotion) for emotion in emotions])
    if config.gray in WORDED:
        table = soft_labels.word if config.gray == Gray.word else soft_labels.word_softmax
        return np.asarray(table(labels, soft_labels.read_word_vectors(Path(str(config.word_vectors)), labels))[gold])
    rows = np.array([row["probabilities"] for row in taught])
    return soft_labels.adjust(rows / rows.sum(1, keepdims=True), gold) if config.gray in ADJUSTED else rows
