from fractions import Fraction
from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ercsatz.ranking import friedman_test, midranks
from ercsatz.ranking.friedman import _null

# Blocks of tied and untied scores.
TABLES = st.integers(3, 5).flatmap(
    lambda k: st.lists(st.lists(st.integers(0, 5), min_size=k, max_size=k), min_size=2, max_size=7)
)
SMALL_TABLES = st.sampled_from([(2, 5), (3, 4), (4, 2), (5, 2)]).flatmap(
    lambda size: st.lists(
        st.lists(st.integers(0, 3), min_size=size[0], max_size=size[0]), min_size=size[1], max_size=size[1]
    )
)
# Critical values of chi-square at .05 and .01 in the usual tables of Friedman's test; None where there is none.
CRITICAL = {
    (3, 3): (6.0, None),
    (3, 4): (6.5, 8.0),
    (3, 5): (6.4, 8.4),
    (3, 6): (7.0, 9.0),
    (3, 7): (7.143, 8.857),
    (3, 15): (6.4, 8.933),
    (4, 2): (6.0, None),
    (4, 3): (7.4, 9.0),
    (4, 4): (7.8, 9.6),
    (4, 5): (7.8, 9.96),
    (4, 8): (7.65, 10.5),
    (5, 3): (8.533, 10.13),
    (5, 4): (8.8, 11.2),
    (6, 2): (9.143, 9.714),
    (6, 3): (9.857, 11.76),
}
# Exact p of a chi-square, from the tables in Siegel, "Nonparametric Statistics" (1956): (k, n, chi-square, p).
SIEGEL = [(3, 3, 4.667, 0.194), (3, 4, 6.5, 0.042), (3, 4, 8.0, 0.0046), (4, 2, 6.0, 0.042), (4, 3, 7.4, 0.033)]


def exact_p_by_chi2(k: int, n: int) -> dict[float, float]:
    """The exact p of every chi-square that n untied blocks can have."""
    block = tuple((2 * np.arange(1, k + 1) - (k + 1)).tolist())
    null = _null((block,) * n)
    chi2 = (k - 1) * null.values / (n * sum(x * x for x in block))
    return dict(zip(chi2.round(3).tolist(), null.tail.tolist(), strict=True))


def brute_force_p(ranks: np.ndarray) -> Fraction:
    """Share of all orders of all blocks whose rank sums are spread at least as widely."""
    blocks = [list(permutations(block)) for block in (2 * ranks).astype(int)[1:].tolist()]
    first = (2 * ranks[0]).astype(int)
    observed = int(((2 * ranks).sum(axis=0) ** 2).sum())
    hits = [int(((first + np.sum(orders, axis=0)) ** 2).sum()) >= observed for orders in product(*blocks)]
    return Fraction(sum(hits), len(hits))


@given(TABLES)
@settings(max_examples=50, deadline=None)
def test_chi_square_equals_scipy_with_and_without_ties(scores):
    result = friedman_test(midranks(scores))
    if all(len(set(block)) == 1 for block in scores):
        assert result is None
        return
    expected = stats.friedmanchisquare(*np.transpose(scores))
    assert result is not None
    assert result.chi2 == pytest.approx(expected.statistic, abs=1e-9)
    assert result.p == pytest.approx(expected.pvalue, abs=1e-9)
    assert result.df == len(scores[0]) - 1


@given(TABLES)
@settings(max_examples=50, deadline=None)
def test_f_is_that_of_an_analysis_of_variance_of_the_ranks(scores):
    ranks = midranks(scores)
    result = friedman_test(ranks)
    n, k = ranks.shape
    means = np.add.outer(ranks.mean(axis=1), ranks.mean(axis=0)) - ranks.mean()
    residual = ((ranks - means) ** 2).sum()
    if result is None or residual < 1e-9:
        return
    between = n * ((ranks.mean(axis=0) - ranks.mean()) ** 2).sum()
    assert result.f_df == (k - 1, (k - 1) * (n - 1))
    assert result.f == pytest.approx((between / (k - 1)) / (residual / ((k - 1) * (n - 1))), abs=1e-9)
    assert result.p_f == pytest.approx(stats.f.sf(result.f, *result.f_df))


@given(SMALL_TABLES)
@settings(max_examples=40, deadline=None)
def test_exact_p_equals_brute_force_with_and_without_ties(scores):
    ranks = midranks(scores)
    result = friedman_test(ranks)
    if result is not None:
        assert result.p_exact == pytest.approx(float(brute_force_p(ranks)), rel=1e-12)


@pytest.mark.parametrize(("k", "n"), CRITICAL)
def test_exact_p_gives_the_known_critical_values(k, n):
    p = exact_p_by_chi2(k, n)
    for level, critical in zip((0.05, 0.01), CRITICAL[k, n], strict=True):
        found = min((chi2 for chi2, value in p.items() if value <= level), default=None)
        assert found == (pytest.approx(critical, abs=6e-3) if critical else None)


@pytest.mark.parametrize(("k", "n", "chi2", "p"), SIEGEL)
def test_exact_p_equals_the_published_one(k, n, chi2, p):
    assert exact_p_by_chi2(k, n)[chi2] == pytest.approx(p, abs=6e-4)


def test_exact_p_of_two_treatments_is_the_sign_test():
    ranks = [[1, 2]] * 8 + [[2, 1]] * 2 + [[1.5, 1.5]] * 3
    result = friedman_test(ranks)
    assert result is not None
    assert result.p_exact == pytest.approx(stats.binomtest(8, 10).pvalue, rel=1e-12)


def test_exact_p_nears_chi_square_with_many_blocks():
    rng = np.random.default_rng(1)
    result = friedman_test([rng.permutation([1, 2, 3]) for _ in range(100)])
    assert result is not None
    assert result.p_exact == pytest.approx(result.p, abs=0.01)


def test_table_that_is_too_large_has_no_exact_p():
    rng = np.random.default_rng(0)
    result = friedman_test([rng.permutation(9) + 1 for _ in range(9)])
    assert result is not None
    assert result.p_exact is None
    assert 0 < result.p < 1


def test_table_of_many_treatments_with_few_orders_has_an_exact_p_or_none_but_no_wrong_one():
    one_ahead = [1.0] + [11.0] * 19
    result = friedman_test([one_ahead] * 2)
    assert result is not None
    assert result.p_exact in (None, pytest.approx(1 / 20))


def test_full_agreement_has_an_infinite_f_and_a_finite_exact_p():
    result = friedman_test([[1, 2, 3]] * 4)
    assert result is not None
    assert result.f == np.inf
    assert result.p_f == 0
    assert result.p_exact == pytest.approx(1 / 6**3, rel=1e-12)


def test_one_block_shows_nothing():
    result = friedman_test([[1, 2, 3]])
    assert result is not None
    assert (result.f, result.p_f, result.p_exact) == (0, 1, 1)


def test_two_treatments_have_a_chi_square():
    result = friedman_test([[1, 2], [1, 2], [2, 1], [1, 2]])
    assert result is not None
    assert result[:3] == pytest.approx((1.0, 1, 0.3173105), abs=1e-6)


def test_rank_one_is_the_best_in_either_direction():
    assert midranks([[3, 1, 2]]).tolist() == [[1, 3, 2]]
    assert midranks([[3, 1, 2]], higher_is_better=False).tolist() == [[3, 1, 2]]


@given(st.lists(st.integers(0, 3), min_size=2, max_size=9))
def test_midranks_sum_as_ranks_do(block):
    assert midranks([block]).sum() == len(block) * (len(block) + 1) / 2
