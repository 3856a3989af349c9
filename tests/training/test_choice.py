"""Which stage is next: of one's own job, and of others."""

import pytest

from ercsatz.artifacts.cache import State
from ercsatz.training.choice import Graph, Node, free, next_elsewhere, own_next

# Two jobs, nat and bal: a teacher and an original that they share, and to each a pretrain and a finetune of its own.
SHARED = {"teacher": Node(()), "original": Node(("teacher",), 2)}
OWN = {f"{what} {job}": Node(needs, what == "finetune") for job in ("nat", "bal") for what, needs in (
    ("pretrain", ()), ("finetune", (f"pretrain {job}",)),
)}  # fmt: skip
GRAPH = Graph({**SHARED, **OWN})
NEEDS = {key: node.needs for key, node in GRAPH.nodes.items()}
NAT = ["teacher", "original", "pretrain nat", "finetune nat"]


def states(cached=(), running=()):
    there = dict.fromkeys(GRAPH.nodes, State.missing)
    return (there | dict.fromkeys(cached, State.cached) | dict.fromkeys(running, State.running)).__getitem__


@pytest.mark.parametrize(
    ("own", "state", "chosen"),
    [
        (NAT, states(), "teacher"),
        (NAT, states(running=["teacher"]), "pretrain nat"),
        (NAT[1:], states(cached=["teacher"]), "original"),
        (NAT, states(cached=["teacher"]), "teacher"),  # which is loaded
        (NAT[1:], states(cached=["teacher"], running=["original", "pretrain nat"]), None),
        (NAT[:1] + NAT[2:], states(running=["teacher", "pretrain nat"]), None),
    ],
)
def test_of_the_own_job_the_first_that_waits_for_nothing_and_is_not_made_elsewhere_is_next(own, state, chosen):
    assert own_next(own, NEEDS, state) == chosen


def test_elsewhere_what_is_shared_comes_first_and_then_what_depends_on_it():
    assert list(free(GRAPH, states())) == ["teacher", "pretrain nat", "pretrain bal"]
    assert next_elsewhere(GRAPH, states(running=["teacher"])) == "pretrain nat"
    done = states(cached=["teacher", "pretrain nat", "pretrain bal"])
    assert list(free(GRAPH, done)) == ["original", "finetune nat", "finetune bal"]
    assert next_elsewhere(GRAPH, states(running=["teacher", "pretrain nat", "pretrain bal"])) is None


def test_what_only_a_cached_stage_needed_is_not_wanted():
    assert "teacher" not in GRAPH.wanted(states(cached=["original"]))
    assert not GRAPH.wanted(states(cached=["original", "finetune nat", "finetune bal"]))


def test_the_longest_chain_comes_first():
    chain = {"a": Node((), 9), "b": Node(()), "c": Node(("b",)), "d": Node(("c",), 1)}
    assert next_elsewhere(Graph(chain), dict.fromkeys(chain, State.missing).__getitem__) == "b"
