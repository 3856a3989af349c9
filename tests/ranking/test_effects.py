import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ercsatz.ranking import friedman_test, kendalls_w, median_difference, midranks, rank_biserial

TABLES = st.lists(st.lists(st.integers(0, 4), min_size=4, max_size=4), min_size=2, max_size=8)


@given(TABLES)
@settings(max_examples=50, deadline=None)
def test_kendalls_w_is_friedmans_chi_square_by_its_largest(scores):
    ranks = midranks(scores)
    test, w = friedman_test(ranks), kendalls_w(ranks)
    if test is None:
        assert w is None
    else:
        assert w == pytest.approx(test.chi2 / (len(scores) * 3), abs=1e-12)


def test_kendalls_w_follows_from_spearmans_mean_correlation():
    """Without ties, W = (1 + (n - 1) r) / n for the blocks' mean rank correlation r."""
    rng = np.random.default_rng(0)
    ranks = np.array([rng.permutation(5) + 1 for _ in range(6)])
    r = stats.spearmanr(ranks.T).statistic[np.triu_indices(6, 1)].mean()
    assert kendalls_w(ranks) == pytest.approx((1 + 5 * r) / 6)


@pytest.mark.parametrize(("ranks", "w"), [([[1, 2, 3]] * 4, 1), ([[1, 2], [2, 1]], 0), ([[2, 2, 2]], None)])
def test_kendalls_w_at_its_ends(ranks, w):
    assert kendalls_w(ranks) == w


@given(st.lists(st.integers(-5, 5).filter(bool), min_size=1, max_size=12))
@settings(max_examples=50, deadline=None)
def test_rank_biserial_follows_from_wilcoxons_statistic(differences):
    n = len(differences)
    smaller = stats.wilcoxon(differences, method="asymptotic").statistic
    size = 1 - 4 * smaller / (n * (n + 1))
    assert abs(rank_biserial(differences)) == pytest.approx(size, abs=1e-12)
    assert rank_biserial([-d for d in differences]) == pytest.approx(-rank_biserial(differences))


def test_rank_biserial_at_its_ends():
    assert rank_biserial([1, 2, 0]) == 1
    assert rank_biserial([-1, -2]) == -1
    assert rank_biserial([1, -1]) == 0
    assert np.isnan(rank_biserial([0, 0]))


@pytest.mark.parametrize("n", [5, 7, 9, 13])
def test_interval_is_the_quantile_of_the_exact_bootstrap(n):
    """A resample's median is at most the i-th value if more than half of its draws are among the first i."""
    values = np.sort(np.random.default_rng(n).normal(size=n))
    up_to = stats.binom.sf(n // 2, n, np.arange(1, n + 1) / n)
    low, high = (values[np.argmax(up_to >= q)] for q in (0.025, 0.975))
    assert np.abs(up_to[:, None] - [0.025, 0.975]).min() > 0.002  # 10,000 resamples are enough to tell
    assert median_difference(values) == (np.median(values), low, high)


def test_interval_is_the_same_with_the_same_seed():
    values = np.random.default_rng(0).normal(size=200)
    assert median_difference(values, seed=1) == median_difference(values, seed=1)
    assert len({median_difference(values, seed=seed) for seed in range(5)}) > 1


def test_one_block_has_no_interval():
    median, low, high = median_difference([0.3])
    assert median == 0.3
    assert np.isnan([low, high]).all()


def test_interval_covers_the_median_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    inside = [low <= 0 <= high for _, low, high in (median_difference(rng.normal(size=15)) for _ in range(200))]
    assert 0.88 < np.mean(inside) < 1
