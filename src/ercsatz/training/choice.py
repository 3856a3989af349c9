"""Which stage a worker does next: pure functions of the graph and of what is there. Imports nothing heavy."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from ercsatz.artifacts.cache import State

POLL, SLOW = 0.05, 1.0
"""Seconds between two looks for a stage that is free: at first, and at last."""


@dataclass(frozen=True)
class Node:
    """A stage, of one job or of several.

    Attributes:
        needs: keys of the stages that must be done before it.
        jobs: how many jobs score it.
    """

    needs: tuple[str, ...]
    jobs: int = 0


@dataclass(frozen=True)
class Graph:
    """Stages by their keys, each after those that it needs."""

    nodes: Mapping[str, Node]

    @cached_property
    def order(self) -> Sequence[str]:
        """Keys: what has the longest chain of stages after it first, of those what most stages and jobs wait for."""
        return sorted(self.nodes, key=lambda key: (-self._chain[key], -self._waiting[key]))

    @cached_property
    def _chain(self) -> Mapping[str, int]:
        """How many stages must be done one after the other, from each on."""
        length = dict.fromkeys(self.nodes, 1)
        for key in reversed(list(self.nodes)):  # each before what it needs
            for needed in self.nodes[key].needs:
                length[needed] = max(length[needed], length[key] + 1)
        return length

    @cached_property
    def _waiting(self) -> Mapping[str, int]:
        """How many stages and jobs cannot be done before a stage is."""
        dependents: dict[str, set[str]] = {key: {key} for key in self.nodes}
        for key in reversed(list(self.nodes)):
            for needed in self.nodes[key].needs:
                dependents[needed] |= dependents[key]
        return {key: sum(1 + self.nodes[each].jobs for each in found) for key, found in dependents.items()}

    def wanted(self, state: Callable[[str], State]) -> set[str]:
        """Stages that are still to be done: those that jobs score, and what is needed before one of them."""
        found: set[str] = set()

        def want(key: str) -> None:
            if key not in found and state(key) is not State.cached:
                found.add(key)
                for needed in self.nodes[key].needs:
                    want(needed)

        for key, node in self.nodes.items():
            if node.jobs:
                want(key)
        return found


class Others(Protocol):
    """The other jobs of a sweep, as the worker of one sees them."""

    def graph(self) -> Graph:
        """The stages of all jobs, this one's among them, but for those that failed here."""

    def make(self, key: str) -> None:
        """Train a stage of another job, unless somebody else was faster; one that fails is left to its own job."""


def own_next(own: Sequence[str], needs: Mapping[str, Iterable[str]], state: Callable[[str], State]) -> str | None:
    """The next stage of the worker's own job: the first that waits for none of the others and is not made elsewhere.

    Args:
        own: keys of what the job has to train, load or score, in its order.
        needs: what each needs before.
        state: of a stage.
    """
    ready = (key for key in own if not set(needs[key]) & set(own))
    return next((key for key in ready if state(key) is not State.running), None)


def free(graph: Graph, state: Callable[[str], State]) -> Iterator[str]:
    """The stages of any job that are wanted and can be trained now, that for which most others wait first."""
    wanted = graph.wanted(state)
    ready = (key for key in graph.order if key in wanted and not wanted.intersection(graph.nodes[key].needs))
    return (key for key in ready if state(key) is State.missing)


def next_elsewhere(graph: Graph, state: Callable[[str], State]) -> str | None:
    """The first of the stages that are free."""
    return next(free(graph, state), None)
