import math

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from ercsatz.errors import UserError
from ercsatz.sweeps.search.space import distribution, ends, split

distributions = pytest.importorskip("optuna").distributions
PARSER = OverridesParser.create()


def override(text):
    (parsed,) = PARSER.parse_overrides([text])
    return parsed


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("interval(1e-5,1e-4)", distributions.FloatDistribution(1e-5, 1e-4)),
        ("tag(log, interval(1e-5,1e-4))", distributions.FloatDistribution(1e-5, 1e-4, log=True)),
        ("int(interval(2,9))", distributions.IntDistribution(2, 9)),
        ("tag(log, int(interval(1,64)))", distributions.IntDistribution(1, 64, log=True)),
        ("range(1,6)", distributions.IntDistribution(1, 5)),
        ("range(1,8,2)", distributions.IntDistribution(1, 7, step=2)),
        ("range(6,0,-2)", distributions.IntDistribution(2, 6, step=2)),
        ("range(0,0.3,0.1)", distributions.FloatDistribution(0.0, 0.2, step=0.1)),
        ("choice(a,b)", distributions.CategoricalDistribution(["a", "b"])),
        ("a,b,a", distributions.CategoricalDistribution(["a", "b"])),
        ("1e-5,2e-5", distributions.CategoricalDistribution(["1e-05", "2e-05"])),
        ("null,true,[1,2]", distributions.CategoricalDistribution(["null", "True", "[1,2]"])),
    ],
)
def test_hydras_syntax_as_distributions(text, expected):
    assert distribution(override(f"training.lr={text}")) == expected


@given(st.integers(-20, 20), st.integers(1, 30), st.integers(1, 7))
def test_a_range_gives_hydras_own_values(start, length, step):
    each = override(f"a=range({start},{start + length},{step})")
    found = distribution(each)
    assert list(range(found.low, found.high + 1, found.step)) == list(each.sweep_iterator())


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("tag(exp, interval(1,2))", "the tag exp means nothing here. There is: log"),
        ("tag(log, interval(0,1))", "no such range"),
        ("interval(2,1)", "no such range"),
        ("range(3,3)", "no such range"),
        ("tag(log, choice(1,2))", "only numbers between two others"),
    ],
)
def test_what_makes_no_sense_is_refused(text, told):
    with pytest.raises(UserError, match=told):
        distribution(override(f"training.lr={text}"))


def test_swept_keys_are_searched_and_the_others_fixed():
    given = ["data=mini_org", "training.lr=interval(1e-3,1e-2)", "classifier=compm,emoone", "training.epochs=1"]
    space, fixed = split(PARSER.parse_overrides([*given, "training.epochs=2"]))
    assert list(space) == ["training.lr", "classifier"]
    assert fixed == ["data=mini_org", "training.epochs=2"]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["data=mini_org"], "nothing to search over"),
        (["seed=1,2"], "finds a lucky one"),
        (["paths.cache=a,b"], "changes no score"),
        (["trainer.workers=range(0,4)"], "changes no score"),
    ],
)
def test_a_search_over_nothing_over_seeds_or_over_what_changes_no_score_is_refused(given, told):
    with pytest.raises(UserError, match=told):
        split(PARSER.parse_overrides(given))


def test_the_values_that_are_tried_before_a_search():
    assert ends(override("a=choice(x,y,z)")) == ["x", "y", "z"]
    assert ends(override("a=range(1,9)")) == ["1", "8"]
    low, high = map(float, ends(override("a=interval(1e-5,1e-4)")))
    assert math.isclose(low, 1e-5)
    assert math.isclose(high, 1e-4)
