import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, binomtest

from ercsatz.quality.agreement import agreement, balanced, krippendorff, position_bias, preference

_ = math.nan
# Four observers, twelve units: the example of Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011)
PUBLISHED = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, _, _, _],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, _, 3],
        [_, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, _],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, _],
    ]
).T
ratings = st.integers(1, 4).flatmap(
    lambda raters: st.lists(
        st.lists(st.sampled_from([1.0, 2.0, 3.0, 4.0, 5.0, math.nan]), min_size=raters, max_size=raters),
        min_size=1,
        max_size=8,
    )
)
choices = st.integers(1, 3).flatmap(
    lambda repeats: st.lists(
        st.lists(
            st.lists(st.sampled_from([0.0, 1.0, math.nan]), min_size=repeats, max_size=repeats), min_size=2, max_size=2
        ),
        min_size=1,
        max_size=8,
    )
)


@pytest.mark.parametrize(("scale", "alpha"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_the_published_example_comes_out(scale, alpha):
    assert krippendorff(PUBLISHED, scale) == pytest.approx(alpha, abs=5e-4)


def by_pairs(rows, scale):
    """The definition word for word: mean disagreement within units over that of all ratings, pair by pair."""
    units = [[value for value in row if not math.isnan(value)] for row in rows]
    units = [unit for unit in units if len(unit) > 1]
    every = sorted(value for unit in units for value in unit)

    def squared(a, b):
        low, high = sorted((a, b))
        between = sum(low <= value <= high for value in every) - (every.count(a) + every.count(b)) / 2
        return {"nominal": float(a != b), "interval": (a - b) ** 2, "ordinal": 0 if a == b else between**2}[scale]

    observed = sum(sum(squared(a, b) for a, b in itertools.permutations(unit, 2)) / (len(unit) - 1) for unit in units)
    expected = sum(squared(a, b) for a, b in itertools.permutations(every, 2))
    return 1 - observed / len(every) / (expected / len(every) / (len(every) - 1)) if expected else None


@settings(deadline=None, max_examples=60)
@given(ratings, st.sampled_from(["nominal", "ordinal", "interval"]))
def test_alpha_is_what_its_definition_says(rows, scale):
    wanted = by_pairs(rows, scale)
    assert krippendorff(np.array(rows), scale) == (wanted if wanted is None else pytest.approx(wanted, abs=1e-9))


def test_perfect_opposite_and_random_ratings():
    rng = np.random.default_rng(0)
    same = np.repeat(rng.integers(1, 6, (200, 1)).astype(float), 3, axis=1)
    assert krippendorff(same) == 1
    assert krippendorff(np.tile([1.0, 5.0], (50, 1))) < 0
    assert krippendorff(rng.integers(1, 6, (3000, 3)).astype(float)) == pytest.approx(0, abs=0.05)
    assert krippendorff(np.ones((5, 3))) is None
    assert krippendorff(np.array([[1.0, math.nan], [math.nan, 2.0]])) is None


def test_agreement_without_enough_units_has_no_value():
    measure = agreement("coherence", PUBLISHED, minimum=12)
    assert measure.value is None
    assert measure.undefined == "undefined because only 11 were rated twice or more, fewer than 12"
    assert (measure.n, measure.of) == (11, 12)
    assert agreement("coherence", PUBLISHED, minimum=11).value == pytest.approx(0.815, abs=5e-4)
    assert "all ratings are the same" in agreement("coherence", np.ones((5, 3)), minimum=1).undefined
    assert agreement("coherence", np.empty((0, 4)), minimum=1).value is None


def test_each_order_weighs_the_same():
    ratings = np.array([[[1, 1, 1], [5, _, _]], [[1, 2, 3], [_, _, _]]])
    assert balanced(ratings)[0] == 3
    assert np.isnan(balanced(ratings)[1])


def told(*pairs):
    """Choices of one repeat; S: synthetic, R: real, as they fall in the two orders."""
    return np.array([[[{"S": 1.0, "R": 0.0, "-": math.nan}[each]] for each in pair] for pair in pairs])


def test_a_judge_that_always_takes_the_first_prefers_nobody():
    always_first = told(*["SR"] * 30)
    found = preference(always_first, minimum=20)
    assert found.measure.value is None
    assert "every pair was a tie" in found.measure.undefined
    assert (found.synthetic, found.real, found.tied) == (0, 0, 30)
    first, follows = position_bias(always_first, minimum=20)
    assert (first.value, follows.value) == (1, 1)
    assert first.p == pytest.approx(2 * 0.5**30)


def test_a_judge_with_a_taste_and_no_bias():
    choices = told(*["SS"] * 8, *["RR"] * 16, *["SR", "RS"] * 3, "S-")
    found = preference(choices, minimum=20)
    assert found.measure.value == pytest.approx(8 / 24)
    assert (found.measure.n, found.measure.of) == (24, 31)
    assert found.measure.p == pytest.approx(binomtest(8, 24).pvalue)
    assert (found.synthetic, found.real, found.tied) == (8, 16, 6)
    assert found.low == pytest.approx(beta.ppf(0.025, 8, 17))  # the closed form of the bounds
    assert found.high == pytest.approx(beta.ppf(0.975, 9, 16))
    first, follows = position_bias(choices, minimum=20)
    assert first.value == 0.5
    assert follows.value == pytest.approx(6 / 30)


def test_too_few_pairs_give_no_figure():
    choices = told("SS", "RR", "S-", "--")
    assert preference(choices, minimum=3).measure.undefined == (
        "undefined because only 2 pairs were judged in both orders, fewer than 3"
    )
    assert {measure.value for measure in position_bias(choices, minimum=3)} == {None}
    assert preference(np.empty((0, 2, 3)), minimum=1).measure.value is None


@settings(deadline=None, max_examples=60)
@given(choices)
def test_swapping_the_two_texts_swaps_the_preference(rows):
    given, swapped = np.array(rows), 1 - np.array(rows)[:, ::-1]
    one, other = preference(given, minimum=1), preference(swapped, minimum=1)
    assert (one.synthetic, one.real, one.tied) == (other.real, other.synthetic, other.tied)
    if one.measure.value is not None:
        assert one.measure.value == pytest.approx(1 - other.measure.value)
        assert (one.low, one.high) == (pytest.approx(1 - other.high), pytest.approx(1 - other.low))
        assert one.low <= one.measure.value <= one.high
    for a, b in zip(position_bias(given, minimum=1), position_bias(swapped, minimum=1), strict=True):
        assert a.value == (b.value if b.value is None else pytest.approx(b.value))
