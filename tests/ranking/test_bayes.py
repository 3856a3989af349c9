import baycomp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ercsatz.errors import UserError
from ercsatz.ranking import bayesian_signed_rank
from ercsatz.ranking.bayes import PRIOR, SAMPLES, _batches, bayesian_signed_ranks


def by_double_sum(differences: list[float], rope: float, seed: int) -> tuple[float, float, float]:
    """The definition as it stands: all pairs of blocks, one draw after another."""
    values = np.array([0.0, *differences])
    sums = np.add.outer(values, values)
    wins = np.zeros(3)
    for weights in np.random.default_rng(seed).dirichlet([PRIOR] + [1] * len(differences), 4000):
        pairs = np.outer(weights, weights)
        above, below = pairs[sums > 2 * rope].sum(), pairs[sums < -2 * rope].sum()
        wins[np.argmax([above, 1 - above - below, below])] += 1
    return tuple(wins / 4000)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("rope", [0.2, 0.6])
def test_probabilities_equal_baycomp(seed, rope):
    rng = np.random.default_rng(seed)
    differences = rng.normal(0.5 * (seed - 2), 1, size=4 + 2 * seed)
    worse, same, better = baycomp.SignedRankTest.probs(
        np.zeros_like(differences), differences, rope=rope, nsamples=5000, random_state=1
    )
    # Both are simulations: four standard deviations of 5,000 draws.
    assert bayesian_signed_rank(differences, rope) == pytest.approx((better, same, worse), abs=4 * 0.5 / 5000**0.5)


@given(
    st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.2, 0.5, 1.0]), min_size=1, max_size=7), st.sampled_from([0.0, 0.35])
)
@settings(max_examples=12, deadline=None)
def test_probabilities_equal_the_definition_with_ties_and_zeros(differences, rope):
    expected = by_double_sum(differences, rope, seed=5)
    assert bayesian_signed_rank(differences, rope) == pytest.approx(expected, abs=0.035)


@given(st.lists(st.floats(-3, 3), min_size=1, max_size=8), st.floats(0, 2))
@settings(max_examples=25, deadline=None)
def test_probabilities_add_up_and_turn_with_the_differences(differences, rope):
    better, same, worse = bayesian_signed_rank(differences, rope)
    assert better + same + worse == pytest.approx(1)
    turned = bayesian_signed_rank([-d for d in differences], rope)
    assert turned == pytest.approx((worse, same, better), abs=0.015)


def test_same_seed_gives_the_same_probabilities():
    differences = [0.5, -0.3, 0.8, 0.1]
    assert bayesian_signed_rank(differences, 0.1, seed=3) == bayesian_signed_rank(differences, 0.1, seed=3)
    assert bayesian_signed_rank(differences, 0.1, seed=3) != bayesian_signed_rank(differences, 0.1, seed=4)


def test_no_difference_is_equivalence():
    assert bayesian_signed_rank([0.0, 0.0], rope=0.0) == (0, 1, 0)


def test_edge_belongs_to_the_region_despite_rounding():
    edge = 0.1 + 0.2  # a little more than 0.3
    assert bayesian_signed_rank([edge] * 5, rope=0.3) == (0, 1, 0)


def test_one_block_does_not_make_certain():
    better = bayesian_signed_rank([5.0], rope=0.0).better
    # The made-up block outweighs it where its share, Beta(1/2, 1), is above the root of a half.
    assert better == pytest.approx(0.5**0.25, abs=5 / SAMPLES**0.5)


def test_many_blocks_are_drawn_in_batches():
    differences = np.random.default_rng(0).normal(0.1, 1, size=60)
    expected = by_double_sum(differences.tolist(), 0.3, seed=0)
    assert bayesian_signed_rank(differences, 0.3) == pytest.approx(expected, abs=0.035)


def pair_by_pair(differences: np.ndarray, rope: float, seed: int) -> list[float]:
    """One pair alone, with draws of its own, added up block by block."""
    values = np.sort(np.append(differences, 0.0))
    zero = int(np.searchsorted(values, 0.0))
    edge = 2 * rope + 1e-12 * max(np.abs(values).max(), rope)
    sums = np.add.outer(values, values)
    random = np.random.default_rng(seed)
    wins = np.zeros(3)
    for size in _batches(len(values)):
        weights = random.standard_exponential((len(values), size))
        weights[zero] = random.standard_gamma(PRIOR, size)
        better, worse = (
            np.einsum("vd,vd->d", weights, over.astype(float) @ weights) for over in (sums > edge, sums < -edge)
        )
        same = weights.sum(axis=0) ** 2 - better - worse
        wins += np.bincount(np.argmax([same, better, worse], axis=0), minlength=3)
    within, above, below = wins / wins.sum()
    return [above, within, below]


@pytest.mark.parametrize("blocks", [1, 2, 7, 25])
@pytest.mark.parametrize("rope", [0.0, 0.3, 5.0])
def test_pairs_that_share_draws_have_the_very_probabilities_that_each_has_alone(blocks, rope):
    random = np.random.default_rng(blocks)
    differences = np.round(random.normal(size=(blocks, 6)) + random.normal(size=6), 1)
    differences[:, 0] = 0
    expected = [pair_by_pair(pair, rope, seed=3) for pair in differences.T]
    assert bayesian_signed_ranks(differences, rope, seed=3).tolist() == expected


def test_many_pairs_tell_how_far_they_are():
    told = []
    bayesian_signed_ranks(np.random.default_rng(0).normal(size=(3, 2500)), 0.1, done=told.append)
    assert sum(told) == 2500
    assert len(told) > 3


def test_no_pair_has_no_probability():
    assert bayesian_signed_ranks(np.empty((5, 0)), 0.1).shape == (0, 3)


@pytest.mark.parametrize("rope", [-0.1, np.nan, np.inf])
def test_impossible_region_is_refused(rope):
    with pytest.raises(UserError, match="must be a difference of scores, 0 or more"):
        bayesian_signed_rank([1.0], rope)
