"""TODKAT: a topic-driven and knowledge-aware transformer (Zhu, Pergola, Gui, Zhou and He, ACL 2021)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from ercsatz.classifiers import base
from ercsatz.classifiers.base import Classifier, targets
from ercsatz.classifiers.encoder.packing import Sequences, Tensors, pack
from ercsatz.classifiers.encoder.pretrained import Encoder, Pretrained
from ercsatz.classifiers.encoder.tokenization import Ids, TokenisedDialogue, Tokeniser
from ercsatz.classifiers.segments import Segment, whole_segments
from ercsatz.classifiers.todkat.config import KnowledgeSources, TODKATConfig
from ercsatz.classifiers.todkat.topic import Topical, TopicEncoder, TopicModel, pack_with_topic, starting, turns_of
from ercsatz.config.backbone import Pooling
from ercsatz.errors import UserError

RETRIEVED, GENERATED = range(2)
_READ = {
    KnowledgeSources.both: (RETRIEVED, GENERATED),
    KnowledgeSources.retrieved: (RETRIEVED,),
    KnowledgeSources.generated: (GENERATED,),
    KnowledgeSources.none: (),
}


@dataclass(frozen=True)
class Items(Tensors):
    """Knowledge about each of U utterances, from one source.

    Attributes:
        vectors: (U, most, width).
        mask: (U, most) True where there is one.
    """

    vectors: Tensor
    mask: Tensor


@dataclass(frozen=True)
class TODKATBatch(base.Batch):
    """What TODKAT reads of a batch: D whole dialogues, U utterances in all.

    Attributes:
        utterances: U sequences; ``Topical`` where there is a topic layer.
        retrieved: vectors of statements; None where no utterance has any, as below.
        generated: vectors of statements.
        given: vectors that came as such, in the place of generated statements.
        turns: (D, longest) rows of ``utterances``, padded with 0.
        padding: (D, longest) True where there is no turn.
        at: (N,) places of the targets in the flattened ``turns``.
    """

    utterances: Sequences | Topical
    retrieved: Items | None
    generated: Items | None
    given: Items | None
    turns: Tensor
    padding: Tensor
    at: Tensor


class KnowledgeReader(nn.Module):
    """One vector of knowledge an utterance.

    The utterance attends to the items of each source, by one scaled dot product; a source without items gives zero.
    A gate, sigma(W [utterance; retrieved; generated]), is the share of the retrieved; where one source only has items,
    that one alone counts.
    """

    def __init__(self, width: int, sources: Sequence[int], given_width: int | None) -> None:
        super().__init__()
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.gate = nn.Linear(3 * width, 1) if len(sources) == 2 else None
        self.given = nn.Linear(given_width, width) if given_width and GENERATED in sources else None

    def forward(self, utterances: Tensor, batch: TODKATBatch) -> Tensor:
        """(U, width) of (U, width) vectors of the utterances."""
        retrieved, some_retrieved = self._attend(utterances, batch.retrieved)
        generated, some_generated = self._attend(utterances, self._generated(batch))
        if self.gate is None:
            return retrieved + generated  # of which one is zero
        share = torch.sigmoid(self.gate(torch.cat([utterances, retrieved, generated], dim=1)))
        share = torch.where(some_retrieved & some_generated, share, some_retrieved.to(share.dtype))
        return share * retrieved + (1.0 - share) * generated

    def _generated(self, batch: TODKATBatch) -> Items | None:
        if batch.given is None or self.given is None:
            return batch.generated
        given = Items(self.given(batch.given.vectors), batch.given.mask)
        if batch.generated is None:
            return given
        both = (batch.generated, given)
        return Items(torch.cat([i.vectors for i in both], dim=1), torch.cat([i.mask for i in both], dim=1))

    def _attend(self, utterances: Tensor, items: Items | None) -> tuple[Tensor, Tensor]:
        """(U, width), and (U, 1) whether there is an item."""
        if items is None:
            return torch.zeros_like(utterances), torch.zeros_like(utterances[:, :1], dtype=torch.bool)
        key, value = self.key(items.vectors), self.value(items.vectors)
        scores = (key @ self.query(utterances).unsqueeze(2)).squeeze(2).float() / math.sqrt(key.shape[2])
        # The lowest finite number, as a row without items would else be 0 / 0; its weights are set to 0.
        weights = scores.masked_fill(~items.mask, torch.finfo(scores.dtype).min).softmax(dim=1) * items.mask
        return (weights.to(value.dtype).unsqueeze(1) @ value).squeeze(1), items.mask.any(dim=1, keepdim=True)


class TODKAT(Classifier):
    """Utterances with their topics and knowledge, through a transformer over their dialogue.

    Each utterance is encoded once a batch, by itself. Its vector, its topic (the mean that the topic layer infers) and
    its knowledge are fused by a linear layer, get sinusoidal positions, and go through a transformer encoder over the
    turns of the dialogue; a decoder asks with the fused utterances and reads the encoder's output. A turn sees turns of
    its own dialogue only, with ``causal`` none after it.

    Statements are read by a copy of the pretrained encoder that is never trained, as the mean of their tokens.
    """

    def __init__(self, config: TODKATConfig, pretrained: Pretrained, n_labels: int) -> None:
        """Build it.

        Raises:
            UserError: the encoder can have no topic layer, or its width cannot be shared among the heads.
        """
        super().__init__()
        tokenizer = pretrained.tokenizer
        self.tokeniser = Tokeniser(tokenizer, tokenizer)
        self.max_tokens = pretrained.max_length(config.max_tokens)
        self.causal = config.causal
        self._first = tokenizer.cls_token_id
        self._sources = _READ[config.knowledge]
        self._given_width = config.knowledge_width
        encoder = pretrained.encoder()
        width = encoder.width
        if width % config.heads:
            raise UserError(
                f"classifier.heads={config.heads} does not divide {width}, the length of the backbone's vectors. "
                "Take a number that does."
            )
        self.encoder = TopicEncoder(encoder, config.topic_width) if config.topic else encoder
        # The class token of an encoder that was never trained to sum a text up hardly differs from one text to another.
        reading = replace(pretrained, pooling=Pooling.mean)
        self.reader = reading.encoder().requires_grad_(False) if self._sources else None
        self.knowledge = KnowledgeReader(width, self._sources, self._given_width) if self._sources else None
        parts = width + (config.topic_width if config.topic else 0) + (width if self._sources else 0)
        self.fuse = nn.Sequential(nn.Linear(parts, width), nn.LayerNorm(width))
        self.dropout = nn.Dropout(config.dropout)
        shape = (width, config.heads, config.feedforward, config.dropout, "gelu")
        self.context = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(*shape, batch_first=True, norm_first=True),
            config.layers,
            nn.LayerNorm(width),
            enable_nested_tensor=False,  # they would only be for dialogues that may look ahead, and differ in rounding
        )
        self.decoder = nn.TransformerDecoder(
            nn.TransformerDecoderLayer(*shape, batch_first=True, norm_first=True), config.layers, nn.LayerNorm(width)
        )
        self.head = nn.Linear(width, n_labels)

    def train(self, mode: bool = True) -> "TODKAT":
        """As of any module, but that the reader of statements stays in evaluation mode."""
        super().train(mode)
        if self.reader is not None:
            self.reader.eval()
        return self

    def adopt(self, model: Classifier) -> None:
        """Take over the encoder and topic layer that a topic model has fitted."""
        assert isinstance(model, TopicModel)
        self.encoder.load_state_dict(model.encoder.state_dict())

    def frozen(self) -> Encoder | None:
        """The reader of statements; None without knowledge."""
        return self.reader

    def frozen_sequences(self, dialogue: TokenisedDialogue) -> list[Ids]:
        """The dialogue's statements from the sources that are read, each after a class token, its beginning kept."""
        sources = _sources(dialogue)
        return [
            starting(self._first, statement, self.max_tokens)
            for statement, source in zip(dialogue.statements, sources, strict=True)
            if source in self._sources
        ]

    def segments(self, dialogues: Sequence[TokenisedDialogue], budget: int) -> list[Segment]:
        """Whole dialogues.

        Raises:
            UserError: knowledge came as vectors of another width than was said.
        """
        widths = {dialogue.given.shape[2] for dialogue in dialogues if dialogue.given is not None}
        if GENERATED in self._sources and widths - {self._given_width}:
            width = max(widths - {self._given_width})
            raise UserError(
                f"classifier.knowledge_width={'null' if self._given_width is None else self._given_width}: the data's "
                f"knowledge has ready-made vectors of {width} numbers. Set classifier.knowledge_width={width}."
            )
        return whole_segments(dialogues, self.max_tokens)

    def collate(self, segments: Sequence[Segment]) -> TODKATBatch:
        """Make a batch of segments; a dialogue that occurs twice is encoded twice."""
        utterances = turns_of(segments, self._first, self.max_tokens)
        topical = isinstance(self.encoder, TopicEncoder)
        sizes = np.array([len(segment.tokens.turns) for segment in segments])
        columns = np.arange(sizes.max())
        padding = columns >= sizes[:, None]
        turns = np.where(padding, 0, (np.cumsum(sizes) - sizes)[:, None] + columns)
        at = [row * len(columns) + turn for row, segment in enumerate(segments) for turn in segment.targets]
        return TODKATBatch(
            **targets(segments),
            utterances=(pack_with_topic if topical else pack)(utterances, self.encoder.worth),
            retrieved=self._statements(segments, RETRIEVED),
            generated=self._statements(segments, GENERATED),
            given=_given(segments) if GENERATED in self._sources else None,
            turns=torch.from_numpy(turns),
            padding=torch.from_numpy(padding),
            at=torch.tensor(at, dtype=torch.long),
        )

    def forward(self, batch: TODKATBatch) -> Tensor:
        """Classify.

        Returns:
            (N, labels) logits.
        """
        if isinstance(self.encoder, TopicEncoder):
            parts = [*self.encoder(batch.utterances)]
        else:
            parts = [self.encoder(batch.utterances)]
        if self.knowledge is not None:
            parts.append(self.knowledge(parts[0], batch))
        fused = self.fuse(torch.cat(parts, dim=1))
        turns = fused.index_select(0, batch.turns.flatten()).view(*batch.turns.shape, -1)
        turns = self.dropout(turns + _positions(turns))
        states = self._over_dialogues(turns, batch.padding)
        logits: Tensor = self.head(states.flatten(0, 1).index_select(0, batch.at))
        return logits

    def _over_dialogues(self, turns: Tensor, padding: Tensor) -> Tensor:
        """(D, longest, width) of the same; padding stands after a dialogue's turns, so no row sees nothing."""
        length = turns.shape[1]
        later = torch.ones(length, length, dtype=torch.bool, device=turns.device).triu(1) if self.causal else None
        # The hints say only that masks need not be looked through for their form, for which a GPU would be waited for.
        memory = self.context(turns, mask=later, src_key_padding_mask=padding, is_causal=False)
        states: Tensor = self.decoder(
            turns,
            memory,
            tgt_mask=later,
            memory_mask=later,
            tgt_key_padding_mask=padding,
            memory_key_padding_mask=padding,
            tgt_is_causal=False,
            memory_is_causal=False,
        )
        return states

    def _statements(self, segments: Sequence[Segment], source: int) -> Items | None:
        if source not in self._sources:
            return None
        counts = np.array([turn[source] for segment in segments for turn in segment.tokens.counts])
        if not counts.any():
            return None
        rows = []
        for segment in segments:
            read = [of for of in _sources(segment.tokens) if of in self._sources]
            if source in read:
                assert segment.tokens.vectors is not None
                rows.append(segment.tokens.vectors[np.array(read) == source])
        mask = np.arange(counts.max()) < counts[:, None]
        vectors = np.zeros((*mask.shape, rows[0].shape[1]), np.float32)
        vectors[mask] = np.concatenate(rows)
        return Items(torch.from_numpy(vectors), torch.from_numpy(mask))


def _sources(dialogue: TokenisedDialogue) -> list[int]:
    """The source of each of a dialogue's statements."""
    return np.tile([RETRIEVED, GENERATED], len(dialogue.counts)).repeat(np.ravel(dialogue.counts)).tolist()


def _given(segments: Sequence[Segment]) -> Items | None:
    given = [segment.tokens.given for segment in segments]
    shapes = {vectors.shape[1:] for vectors in given if vectors is not None}
    if not shapes:
        return None
    (shape,) = shapes
    vectors = np.concatenate(
        [
            np.zeros((len(segment.tokens.turns), *shape), np.float32) if own is None else own
            for segment, own in zip(segments, given, strict=True)
        ]
    )
    return Items(torch.from_numpy(vectors), torch.from_numpy(vectors.any(axis=2)))


def _positions(turns: Tensor) -> Tensor:
    """(longest, width) sinusoids for (D, longest, width) turns (Vaswani et al. 2017, section 3.5), sines first."""
    _, length, width = turns.shape
    rates = torch.exp(torch.arange(0, width, 2, device=turns.device) * (-math.log(10_000.0) / width))
    angles = torch.arange(length, device=turns.device).unsqueeze(1) * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)[:, :width]
