"""The jobs of an experiment: the union of its products, in which the command line wins."""

from itertools import product as all_of
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import example, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from ercsatz.config import ExperimentConfig
from ercsatz.sweeps.experiment import jobs_of

KEYS = ("data", "classifier", "seed", "training.lr", "loss")
values = st.lists(
    st.one_of(
        st.integers(-3, 10**6),
        st.booleans(),
        st.none(),
        st.sampled_from([0.1, 1e-5, 2e-5, 1.0]),
        st.text("abc_ ,='\"\\{[(${0é", min_size=1, max_size=6).filter(lambda text: "${" not in text),
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda value: (type(value), value),
)
sweeps = st.lists(st.dictionaries(st.sampled_from(KEYS), values, min_size=1), min_size=1, max_size=4)


def planned(sweep: list[dict[str, list[Any]]], *typed: str) -> list[list[str]]:
    node = {"name": "e", "command": "train", "about": "a", "cuts": [], "written_by": None, "sweep": sweep}
    config = OmegaConf.create({"experiment": None})
    config.experiment = OmegaConf.merge(OmegaConf.structured(ExperimentConfig), node)
    return jobs_of(OverridesParser.create().parse_overrides(list(typed)), config)


def read(job: list[str]) -> frozenset[tuple[str, str]]:
    parsed = OverridesParser.create().parse_overrides(job)
    return frozenset((each.key_or_group, repr(each.value())) for each in parsed)


def union(sweep: list[dict[str, list[Any]]], *given: tuple[str, list[Any]]) -> set[frozenset[tuple[str, str]]]:
    found = set()
    for part in sweep:
        whole = part | dict(given)
        found |= {
            frozenset((key, repr(value)) for key, value in zip(whole, chosen, strict=True))
            for chosen in all_of(*whole.values())
        }
    return found


@settings(deadline=None, max_examples=50)
@example([{"seed": [0], "data": ["a"]}, {"data": ["a"], "seed": [0]}])
@given(sweeps)
def test_the_jobs_are_the_union_of_the_products_each_once(sweep):
    jobs = [read(job) for job in planned(sweep)]
    assert len(jobs) == len(set(jobs))
    assert set(jobs) == union(sweep)


@settings(deadline=None, max_examples=50)
@given(sweeps, st.lists(st.integers(0, 9), min_size=1, max_size=3, unique=True))
def test_the_command_line_wins_in_every_product(sweep, seeds):
    jobs = [read(job) for job in planned(sweep, f"seed={','.join(map(str, seeds))}")]
    assert len(jobs) == len(set(jobs))
    assert set(jobs) == union(sweep, ("seed", seeds))


def test_the_order_is_that_of_the_products_and_what_was_typed_comes_first():
    sweep = [{"data": ["a", "b"], "seed": [0, 1]}, {"data": ["c"], "loss": ["focal"]}]
    assert planned(sweep, "experiment=e", "training.epochs=1", "seed=2,3") == [
        ["experiment=e", "training.epochs=1", "seed=2", "data=a"],
        ["experiment=e", "training.epochs=1", "seed=2", "data=b"],
        ["experiment=e", "training.epochs=1", "seed=3", "data=a"],
        ["experiment=e", "training.epochs=1", "seed=3", "data=b"],
        ["experiment=e", "training.epochs=1", "seed=2", "data=c", "loss=focal"],
        ["experiment=e", "training.epochs=1", "seed=3", "data=c", "loss=focal"],
    ]


def test_without_an_experiment_the_jobs_are_those_of_the_command_line():
    parsed = OverridesParser.create().parse_overrides(["seed=0,0", "data=a"])
    assert jobs_of(parsed, OmegaConf.create({})) == [["seed=0", "data=a"], ["seed=0", "data=a"]]
    assert jobs_of(parsed, None) == [["seed=0", "data=a"], ["seed=0", "data=a"]]


def test_lists_are_values():
    assert planned([{"test_sets": [["org"], ["org", "nat"]]}]) == [["test_sets=[org]"], ["test_sets=[org,nat]"]]
