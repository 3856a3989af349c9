"""What each of several processes has of a step, and of a split."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch.utils.data import Sampler


@dataclass(frozen=True)
class Place:
    """Which of the processes that train a stage together this one is.

    Attributes:
        rank: from 0; only 0 writes and logs.
        of: how many there are.
    """

    rank: int = 0
    of: int = 1


ALONE = Place()


def shared(costs: Sequence[int], of: int) -> list[list[int]]:
    """Share parts of a step out: the dearest first, each to whoever has least (Graham 1969).

    Args:
        costs: of each part.
        of: among how many.

    Returns:
        For each of them the places of its parts in ``costs``, in order; none where there are too few.
    """
    given: list[list[int]] = [[] for _ in range(of)]
    spent = [0] * of
    for i in sorted(range(len(costs)), key=lambda i: -costs[i]):
        least = spent.index(min(spent))
        given[least].append(i)
        spent[least] += costs[i]
    return [sorted(own) for own in given]


class InTurn(Sampler[list[int]]):
    """Every so-manieth batch of a sampler: those of one of several processes.

    Each process has as many; the last may be empty.
    """

    def __init__(self, batches: Sampler[list[int]], place: Place) -> None:
        self._batches, self._place = batches, place

    def __len__(self) -> int:
        return -(-len(self._batches) // self._place.of)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[list[int]]:
        everyone = list(self._batches)
        for first in range(0, len(everyone), self._place.of):
            yield [*everyone[first : first + self._place.of], *[[]] * self._place.of][self._place.rank]
