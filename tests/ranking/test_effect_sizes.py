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


@pytest.mark.parametrize("n", [6, 7, 9, 13, 40])
def test_interval_is_the_narrowest_that_the_sign_test_does_not_refute(n):
    """A median is refuted if as few differences lie beyond it on one side as the sign test takes for a finding."""
    values = np.sort(np.random.default_rng(n).normal(size=n))
    _, low, high = median_difference(values)
    between = np.concatenate([[values[0] - 1], (values[:-1] + values[1:]) / 2, [values[-1] + 1]])
    kept = [place for place in between if stats.binomtest(int((values > place).sum()), n).pvalue > 0.05]
    assert low < min(kept)
    assert max(kept) < high
    assert [low, high] == [values[values < min(kept)].max(), values[values > max(kept)].min()]


def test_fewer_than_six_blocks_have_no_interval():
    for n in range(1, 6):
        median, low, high = median_difference(np.arange(n))
        assert median == (n - 1) / 2
        assert np.isnan([low, high]).all()
    assert median_difference(np.arange(6)) == (2.5, 0, 5)


@pytest.mark.parametrize("n", [6, 7, 8, 15])
def test_interval_covers_the_median_at_least_as_often_as_it_says(n):
    rng = np.random.default_rng(0)
    inside = [
        low <= 0 <= high
        for _, low, high in (median_difference(rng.exponential(size=n) - np.log(2)) for _ in range(2000))
    ]
    assert np.mean(inside) > 0.94
