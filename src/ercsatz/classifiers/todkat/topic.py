"""TODKAT's topic layer: a variational layer in the middle of an encoder, and the masked language model that fits it.

Zhu, Pergola, Gui, Zhou and He, "Topic-Driven and Knowledge-Aware Transformer for Dialogue Emotion Detection", ACL 2021.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ercsatz.classifiers.base import Batch, Classifier, targets
from ercsatz.classifiers.encoder import packed_layers
from ercsatz.classifiers.encoder.packing import Sequences, Tensors, pack
from ercsatz.classifiers.encoder.pretrained import Encoder, Pretrained
from ercsatz.classifiers.encoder.tokenization import Ids, TokenisedDialogue, Tokeniser
from ercsatz.classifiers.segments import Segment, whole_segments
from ercsatz.classifiers.todkat.config import TopicConfig
from ercsatz.config.backbone import Pooling
from ercsatz.errors import UserError

MASKED = 0.15  # of the tokens


@dataclass(frozen=True)
class Topical(Tensors):
    """Sequences in two packings, alike in their order: as they are, and with a place after each for a topic token.

    Attributes:
        tokens: the sequences.
        longer: the same with one token more; only its structure is read.
        merge: (tokens + sequences,) makes ``longer``'s states of the tokens' states and, below them, the topic tokens'.
        kept: (tokens,) the places of the tokens in ``longer``.
    """

    tokens: Sequences
    longer: Sequences
    merge: Tensor
    kept: Tensor


def pack_with_topic(sequences: Sequence[Ids], worth: int = 0) -> Topical:
    """Pack sequences in both ways; see ``pack``."""
    tokens = pack(sequences, worth)
    longer = pack([np.append(sequence, sequence[:1]) for sequence in sequences], worth)
    rows = tokens.rows.numpy()
    kept = np.arange(len(rows)) + rows
    merge = np.empty(len(rows) + len(sequences), dtype=np.int64)
    merge[kept] = np.arange(len(rows))
    merge[(longer.starts + longer.lengths - 1).numpy()] = np.arange(len(rows), len(merge))
    return Topical(tokens, longer, torch.from_numpy(merge), torch.from_numpy(kept))


class Posterior(NamedTuple):
    """A normal distribution of a topic for each of n sequences, in the order they were given.

    Attributes:
        topic: (n, topic width) drawn from it, or its mean.
        mean: (n, topic width).
        log_var: (n, topic width) log-variance.
    """

    topic: Tensor
    mean: Tensor
    log_var: Tensor


def divergence(posterior: Posterior) -> Tensor:
    """(n,) Kullback-Leibler divergence of each from the standard normal, in nats, the sum over the topic's width."""
    mean, log_var = posterior.mean, posterior.log_var
    return 0.5 * (mean.square() + log_var.exp() - 1.0 - log_var).sum(dim=1)


class TopicEncoder(nn.Module):
    """An encoder with a topic layer in its middle.

    The token states after layer L // 2 of L are pooled by additive attention; of that a linear layer makes the mean and
    log-variance of the topic. The topic is projected to the encoder's width and appended to the sequence as one more
    token, which the upper layers read and write as any other. It has no position of its own.
    """

    def __init__(self, encoder: Encoder, topic_width: int) -> None:
        """Put a topic layer into an encoder.

        Raises:
            UserError: it is none whose layers can be run one by one.
        """
        super().__init__()
        if not packed_layers.is_plain(encoder.model):
            raise UserError(
                f"classifier.topic=true: there is no topic layer for {encoder.model.config.model_type} encoders, "
                f"only for {', '.join(sorted(packed_layers.PLAIN))}. Take one of these, or "
                "classifier.topic=false with any encoder."
            )
        self.encoder = encoder
        self.hidden = nn.Linear(encoder.width, encoder.width)
        self.score = nn.Linear(encoder.width, 1, bias=False)
        self.posterior = nn.Linear(encoder.width, 2 * topic_width)
        self.token = nn.Linear(topic_width, encoder.width)

    @property
    def width(self) -> int:
        """Length of an utterance's vector."""
        return self.encoder.width

    @property
    def worth(self) -> int:
        """See ``Encoder.worth``."""
        return self.encoder.worth

    def forward(self, topical: Topical) -> tuple[Tensor, Tensor]:
        """Encode.

        Returns:
            (sequences, width) vectors, pooled as the encoder pools, the topic token left out, and (sequences, topic
            width) topics, the means of their distributions; both in the order given.
        """
        states, posterior = self._with_topic(topical, sample=False)
        *blocks, last = self._layers[1]
        for block in blocks:
            states = packed_layers.layer(block, states, topical.longer)
        if self.encoder.pooling == Pooling.first:
            packed = packed_layers.single_tokens(last, states, topical.longer, topical.longer.starts)
        else:
            states = packed_layers.layer(last, states, topical.longer)
            packed = packed_layers.means(states.index_select(0, topical.kept), topical.tokens)
        return packed.index_select(0, topical.tokens.order), posterior.topic

    def states(self, topical: Topical, sample: bool) -> tuple[Tensor, Posterior]:
        """(tokens, width) states above the last layer, as packed, and the topics; ``sample`` draws them."""
        states, posterior = self._with_topic(topical, sample)
        for block in self._layers[1]:
            states = packed_layers.layer(block, states, topical.longer)
        return states.index_select(0, topical.kept), posterior

    def _with_topic(self, topical: Topical, sample: bool) -> tuple[Tensor, Posterior]:
        """States below the upper layers, with the topic tokens."""
        states = packed_layers.embed(self.encoder.model, topical.tokens)
        for block in self._layers[0]:
            states = packed_layers.layer(block, states, topical.tokens)
        mean, log_var = self.posterior(self._pooled(states, topical.tokens)).float().chunk(2, dim=1)
        topic = mean + (0.5 * log_var).exp() * torch.randn_like(mean) if sample else mean
        both = torch.cat([states, self.token(topic).to(states.dtype)]).index_select(0, topical.merge)
        given = (part.index_select(0, topical.tokens.order) for part in (topic, mean, log_var))
        return both, Posterior(*given)

    def _pooled(self, states: Tensor, sequences: Sequences) -> Tensor:
        """(sequences, width) means of the packed sequences' states, weighed by a softmax over each sequence."""
        scores = self.score(torch.tanh(self.hidden(states))).squeeze(1).float()
        n, rows = len(sequences.starts), sequences.rows
        highest = scores.new_full((n,), -torch.inf).scatter_reduce(0, rows, scores.detach(), "amax")
        weights = (scores - highest.index_select(0, rows)).exp()
        total = weights.new_zeros(n).index_add(0, rows, weights)
        sums = weights.new_zeros(n, states.shape[1]).index_add(0, rows, weights.unsqueeze(1) * states.float())
        means: Tensor = sums / total.unsqueeze(1)
        return means

    @property
    def _layers(self) -> tuple[list[nn.Module], list[nn.Module]]:
        """Below the topic layer, and above it."""
        layers = [*self.encoder.model.encoder.layer]
        return layers[: len(layers) // 2], layers[len(layers) // 2 :]


@dataclass(frozen=True)
class TopicBatch(Batch):
    """What the topic model reads: every turn of the dialogues, one after the other."""

    utterances: Topical


class Guess(NamedTuple):
    """What the topic model makes of a batch.

    Attributes:
        logits: (masked, vocabulary).
        wanted: (masked,) token ids.
        counted: (masked,) False where a token is there only because a batch had too few that may be masked.
        posterior: of the n utterances' topics.
    """

    logits: Tensor
    wanted: Tensor
    counted: Tensor
    posterior: Posterior


class TopicModel(Classifier):
    """A masked language model that fits a topic layer; it classifies nothing, and its best epoch is of lowest loss.

    15 % of the tokens are masked anew in each batch: 80 % of them become the mask token, 10 % any token, 10 % stay. The
    topic is inferred from the masked utterance. In training it is drawn from its distribution; in evaluation it is the
    mean, and the masks are the same each time, so that a loss changes only with the weights.

    The loss is the mean cross-entropy of the masked tokens plus ``kl_weight`` times the mean divergence of the
    utterances' topics from the standard normal. (The evidence bound of the masked tokens, divided by their number, is
    that with ``kl_weight`` utterances / masked tokens, about 1/2 for utterances of 14 tokens.)
    """

    scored = False
    _special: Tensor

    def __init__(self, config: TopicConfig, pretrained: Pretrained, n_labels: int) -> None:
        """Build it from the options of the classifier that it is for; ``n_labels`` is not read.

        Raises:
            UserError: the encoder can have no topic layer, or its tokenizer has no mask token.
        """
        super().__init__()
        tokenizer = pretrained.tokenizer
        if tokenizer.mask_token_id is None:
            raise UserError(
                "classifier.topic=true: the backbone's tokenizer has no mask token, so that no topic layer can be "
                "fitted. Take another backbone or classifier.topic=false."
            )
        self.tokeniser = Tokeniser(tokenizer, tokenizer)
        self.max_tokens = pretrained.max_length(config.max_tokens)
        self.kl_weight = config.kl_weight
        self._first = tokenizer.cls_token_id
        self._mask = tokenizer.mask_token_id
        self.encoder = TopicEncoder(pretrained.encoder(), config.topic_width)
        width, vocabulary = self.encoder.width, self._embeddings.num_embeddings
        eps = pretrained.config.layer_norm_eps
        self.head = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width, eps=eps))
        self.bias = nn.Parameter(torch.zeros(vocabulary))
        self._specials = np.zeros(vocabulary, dtype=bool)
        self._specials[tokenizer.all_special_ids] = True
        self.register_buffer("_special", torch.tensor(self._specials), persistent=False)

    def segments(self, dialogues: Sequence[TokenisedDialogue], budget: int) -> list[Segment]:
        """Whole dialogues."""
        return whole_segments(dialogues, self.max_tokens)

    def collate(self, segments: Sequence[Segment]) -> TopicBatch:
        """Make a batch of segments."""
        turns = turns_of(segments, self._first, self.max_tokens)
        utterances = pack_with_topic(turns, self.encoder.worth)
        maskable = np.count_nonzero(~self._specials[np.concatenate(turns)])
        counts = torch.tensor([min(_to_mask(utterances.tokens), maskable), len(turns)])
        return TopicBatch(**targets(segments) | {"counts": counts}, utterances=utterances)

    def forward(self, batch: TopicBatch) -> Guess:
        """Mask some tokens and guess them."""
        tokens = batch.utterances.tokens
        places, counted, ids = self._masked(tokens)
        masked = replace(batch.utterances, tokens=replace(tokens, ids=ids))
        states, posterior = self.encoder.states(masked, sample=self.training)
        logits = functional.linear(self.head(states.index_select(0, places)), self._embeddings.weight, self.bias)
        return Guess(logits, tokens.ids.index_select(0, places), counted, posterior)

    def sums(self, output: Guess, batch: TopicBatch) -> Tensor:
        """Cross-entropy of the masked tokens and divergence of the utterances, as above."""
        losses = functional.cross_entropy(output.logits.float(), output.wanted, reduction="none")
        masked = (losses * output.counted).sum()
        return torch.stack([masked, self.kl_weight * divergence(output.posterior).sum()])

    def _masked(self, tokens: Sequences) -> tuple[Tensor, Tensor, Tensor]:
        """Places of the masked tokens, whether each counts, and the token ids with the masks."""
        ids = tokens.ids
        n = _to_mask(tokens)
        random = None if self.training else torch.Generator(ids.device).manual_seed(0)
        noise = torch.rand(ids.shape, device=ids.device, generator=random)
        highest, places = noise.masked_fill(self._special.index_select(0, ids), -1.0).topk(n)
        counted = highest >= 0
        wanted = ids.index_select(0, places)
        other = torch.randint(len(self.bias), (n,), device=ids.device, generator=random)
        way = torch.rand(n, device=ids.device, generator=random)
        written = torch.where(way < 0.8, self._mask, torch.where(way < 0.9, other, wanted))
        return places, counted, ids.index_copy(0, places, torch.where(counted, written, wanted))

    @property
    def _embeddings(self) -> nn.Embedding:
        table: nn.Embedding = self.encoder.encoder.model.get_input_embeddings()
        return table


def _to_mask(tokens: Sequences) -> int:
    """How many tokens are masked; it follows from the shapes, so that nothing waits for a device to count them."""
    return max(1, math.ceil(MASKED * (len(tokens.ids) - len(tokens.starts))))


def turns_of(segments: Sequence[Segment], first: int, max_tokens: int) -> list[Ids]:
    """What an utterance encoder reads: the class token and each turn of the segments' dialogues, its beginning kept."""
    return [starting(first, turn, max_tokens) for segment in segments for turn in segment.tokens.turns]


def starting(first: int, ids: Ids, max_tokens: int) -> Ids:
    """At most ``max_tokens`` ids: a class token and the beginning of others."""
    return np.concatenate([[first], ids[: max_tokens - 1]], dtype=np.int32)
