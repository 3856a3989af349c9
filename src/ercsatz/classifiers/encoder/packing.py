"""Token sequences of unequal length: packed end to end, and grouped by length for attention."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

MAX_PADDED_TOKENS = 16384  # of one group at the most
MAX_PADDING = 1.05  # padded over real tokens of a group


class Tensors:
    """A frozen dataclass of tensors that move together; they may lie in tuples and in others of its kind.

    From one process to another they are copied as arrays. PyTorch would open a file for each tensor, and the steps that
    a few workers make ahead have more of them than a process may have open.
    """

    def to(self, device: torch.device) -> Self:
        """The same on another device."""
        return self.each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Self:
        """The same in memory from which a GPU copies by itself; a DataLoader calls this."""
        return self.each(lambda tensor: tensor.pin_memory())

    def each(self, change: Callable[[Tensor], Tensor]) -> Self:
        """The same with every tensor changed."""
        names = [field.name for field in fields(self)]  # type: ignore[arg-type]
        return replace(self, **{name: _changed(getattr(self, name), change) for name in names})  # type: ignore[type-var]

    def __getstate__(self) -> dict[str, Any]:
        return {name: _exchanged(value, Tensor, Tensor.numpy) for name, value in vars(self).items()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update({name: _exchanged(value, np.ndarray, torch.from_numpy) for name, value in state.items()})


def _changed(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, Tensors):
        return value.each(change)
    if isinstance(value, tuple) and any(isinstance(part, Tensor | Tensors) for part in value):
        return tuple(_changed(part, change) for part in value)
    return value


def _exchanged(value: Any, kind: type, change: Callable[[Any], Any]) -> Any:
    """One kind of array for another, also in tuples; others of these dataclasses do it for themselves."""
    if isinstance(value, kind):
        return change(value)
    return tuple(_exchanged(part, kind, change) for part in value) if isinstance(value, tuple) else value


@dataclass(frozen=True)
class Group(Tensors):
    """Sequences of similar length.

    Attributes:
        start: place of its first token in the packed tokens.
        index: (rows, longest) places in the packed tokens; padding points at the row's first token.
        mask: (rows, longest) True where there is a token; None where no row is padded.
    """

    start: int
    index: Tensor
    mask: Tensor | None


@dataclass(frozen=True)
class Sequences(Tensors):
    """Token sequences, packed from the longest to the shortest.

    Attributes:
        ids: (tokens,) token ids, sequence after sequence, without padding.
        positions: (tokens,) place of each token in its sequence, from 0.
        rows: (tokens,) the packed sequence that each token belongs to.
        lengths: (sequences,) tokens of each packed sequence.
        starts: (sequences,) where each packed sequence begins.
        order: (sequences,); ``order[i]`` is the packed place of sequence i as it was given.
        groups: the packed sequences, cut into groups of similar length.
        scatter: (tokens,) place of each token in the groups' concatenated, flattened rows.
    """

    ids: Tensor
    positions: Tensor
    rows: Tensor
    lengths: Tensor
    starts: Tensor
    order: Tensor
    groups: tuple[Group, ...]
    scatter: Tensor

    @property
    def padding(self) -> int:
        """Tokens of padding in the groups."""
        return sum(group.index.numel() for group in self.groups) - len(self.ids)


def pack(sequences: Sequence[np.ndarray], worth: int = 0) -> Sequences:
    """Sort by length, pack, and cut into groups with little padding.

    A group holds at most 16384 padded tokens, and 5 % padding or ``worth`` tokens of it, whichever is more; unless it
    is one sequence.

    Args:
        sequences: at least one, of at least one token id each.
        worth: how many tokens of padding cost no more than another group.
    """
    lengths = np.array([len(sequence) for sequence in sequences])
    by_length = np.argsort(-lengths, kind="stable")
    lengths = lengths[by_length]
    ends = np.cumsum(lengths)
    starts = ends - lengths
    order = np.empty(len(sequences), dtype=np.int64)
    order[by_length] = np.arange(len(sequences))
    positions = np.arange(ends[-1]) - np.repeat(starts, lengths)
    groups, scatter, before = [], [], 0
    for first, last in _cut(lengths.tolist(), worth):
        longest, kept = int(lengths[first]), lengths[first:last]
        columns = np.arange(longest)
        mask = columns < kept[:, None]
        index = starts[first:last, None] + columns * mask
        scatter.append(before + np.flatnonzero(mask))
        before += mask.size
        masked = None if mask.all() else torch.from_numpy(mask)
        groups.append(Group(int(starts[first]), torch.from_numpy(index), masked))
    return Sequences(
        ids=torch.from_numpy(np.concatenate([sequences[i] for i in by_length]).astype(np.int64)),
        positions=torch.from_numpy(positions),
        rows=torch.from_numpy(np.repeat(np.arange(len(sequences)), lengths)),
        lengths=torch.from_numpy(lengths),
        starts=torch.from_numpy(starts),
        order=torch.from_numpy(order),
        groups=tuple(groups),
        scatter=torch.from_numpy(np.concatenate(scatter)),
    )


def _cut(lengths: Sequence[int], worth: int) -> list[tuple[int, int]]:
    """Where groups begin and end; ``lengths`` fall."""
    cuts, first, real = [], 0, 0
    for i, length in enumerate(lengths):
        padded = lengths[first] * (i - first + 1)
        if i > first and padded > min(MAX_PADDED_TOKENS, max(MAX_PADDING * (real + length), real + length + worth)):
            cuts.append((first, i))
            first, real = i, 0
        real += length
    return [*cuts, (first, len(lengths))]
