"""The layers of an encoder over packed sequences.

Everything but attention treats tokens one by one, so it runs on the packed tokens, without padding and in few large
calls; attention runs on groups of sequences of similar length. The layers' own modules are called, and so the result is
what transformers computes for each sequence alone.
"""

from typing import Any

import torch
from torch import Tensor, nn

from ercsatz.classifiers.encoder.packing import Group, Sequences

# Encoders whose layers are BERT's: attention without a positional term, then a feed-forward part.
PLAIN = {"bert", "roberta", "xlm-roberta", "camembert"}
_OFFSET = {"roberta", "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet"}


def is_plain(model: Any) -> bool:
    """Whether an encoder's layers can be run here."""
    kind = getattr(model.config, "position_embedding_type", None) or "absolute"
    config = model.config
    return config.model_type in PLAIN and kind == "absolute" and not getattr(config, "is_decoder", False)


def first_position(config: Any) -> int:
    """The number of a sequence's first position; RoBERTa and its kin count from padding_idx + 1."""
    return int(config.pad_token_id) + 1 if config.model_type in _OFFSET else 0


def embed(model: Any, sequences: Sequences) -> Tensor:
    """(tokens, width) states below the first layer."""
    states: Tensor = model.embeddings(
        input_ids=sequences.ids.unsqueeze(0),
        position_ids=(sequences.positions + first_position(model.config)).unsqueeze(0),
        token_type_ids=torch.zeros_like(sequences.ids).unsqueeze(0),
    )
    return states.squeeze(0)


def layer(block: Any, states: Tensor, sequences: Sequences) -> Tensor:
    """One layer.

    Args:
        block: a layer of the encoder.
        states: (tokens, width).
        sequences: how the tokens are packed.

    Returns:
        (tokens, width).
    """
    inner = block.attention.self
    query, key, value = inner.query(states), inner.key(states), inner.value(states)
    seen = [_attend(inner, group, *(_rows(part, group) for part in (query, key, value))) for group in sequences.groups]
    attended = torch.cat(seen).index_select(0, sequences.scatter)
    return _feed_forward(block, block.attention.output(attended, states))


def single_tokens(block: Any, states: Tensor, sequences: Sequences, places: Tensor) -> Tensor:
    """One layer, for one token of each sequence alone: the last layer of an encoder of which only these are read.

    Args:
        block: a layer of the encoder.
        states: (tokens, width).
        sequences: how the tokens are packed.
        places: (sequences,) where the tokens are.

    Returns:
        (sequences, width), as packed.
    """
    inner = block.attention.self
    chosen = states.index_select(0, places)
    query, key, value = inner.query(chosen), inner.key(states), inner.value(states)
    queries = query.unsqueeze(1).split([len(group.index) for group in sequences.groups])
    seen = [
        _attend(inner, group, asking, _rows(key, group), _rows(value, group))
        for group, asking in zip(sequences.groups, queries, strict=True)
    ]
    return _feed_forward(block, block.attention.output(torch.cat(seen), chosen))


def means(states: Tensor, sequences: Sequences, marks: Tensor | None = None) -> Tensor:
    """(sequences, width) mean of each packed sequence's tokens, from its mark on if there are marks."""
    weights = torch.ones_like(sequences.positions)
    if marks is not None:
        weights = (sequences.positions >= marks.index_select(0, sequences.rows)).long()
    counts = torch.zeros_like(sequences.lengths).index_add_(0, sequences.rows, weights)
    weighted = states * weights.unsqueeze(1).to(states.dtype)
    sums = states.new_zeros(len(sequences.starts), states.shape[1]).index_add_(0, sequences.rows, weighted)
    return sums / counts.unsqueeze(1).to(sums.dtype)


def _rows(states: Tensor, group: Group) -> Tensor:
    """(rows, longest, width) of a group; what stands in the padding does not matter."""
    rows, longest = group.index.shape
    if group.mask is None:
        return states[group.start : group.start + rows * longest].view(rows, longest, -1)
    return states.index_select(0, group.index.flatten()).view(rows, longest, -1)


def _attend(inner: Any, group: Group, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention within each row; (rows * queries of a row, width)."""
    heads = inner.num_attention_heads
    query, key, value = (part.unflatten(2, (heads, -1)).transpose(1, 2) for part in (query, key, value))
    seen = nn.functional.scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=None if group.mask is None else group.mask[:, None, None, :],
        dropout_p=inner.dropout.p if inner.training else 0.0,
    )
    return seen.transpose(1, 2).flatten(2).flatten(0, 1)


def _feed_forward(block: Any, attended: Tensor) -> Tensor:
    states: Tensor = block.output(block.intermediate(attended), attended)
    return states
