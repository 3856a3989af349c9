import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ercsatz.ranking import friedman_test, midranks


@given(
    st.integers(3, 6).flatmap(
        lambda k: st.lists(st.lists(st.integers(0, 5), min_size=k, max_size=k), min_size=2, max_size=8)
    )
)
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


def test_two_treatments_have_a_chi_square():
    result = friedman_test([[1, 2], [1, 2], [2, 1], [1, 2]])
    assert result == pytest.approx((1.0, 1, 0.3173105), abs=1e-6)


def test_rank_one_is_the_best_in_either_direction():
    assert midranks([[3, 1, 2]]).tolist() == [[1, 3, 2]]
    assert midranks([[3, 1, 2]], higher_is_better=False).tolist() == [[3, 1, 2]]


@given(st.lists(st.integers(0, 3), min_size=2, max_size=9))
def test_midranks_sum_as_ranks_do(block):
    assert midranks([block]).sum() == len(block) * (len(block) + 1) / 2
