from fractions import Fraction
from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ercsatz.ranking import score_differences, sign_pairs, sign_test, wilcoxon_pairs, wilcoxon_signed_rank
from ercsatz.ranking.exact_test import SMALLEST_P
from ercsatz.ranking.signed_rank import sign_tests, wilcoxon_signed_ranks

TIED = st.lists(st.integers(-4, 4), min_size=1, max_size=10)


def brute_force_wilcoxon(differences: list[int]) -> Fraction:
    """Share of all signs that give signed ranks at least as far from balance; zeros are left out."""
    values = [d for d in differences if d]
    ranks = (2 * stats.rankdata(np.abs(values))).astype(int).tolist() if values else []
    sums = [sum(s * r for s, r in zip(signs, ranks, strict=True)) for signs in product((1, -1), repeat=len(ranks))]
    observed = sum(int(np.sign(d)) * r for d, r in zip(values, ranks, strict=True))
    return Fraction(sum(abs(total) >= abs(observed) for total in sums), len(sums))


@given(st.integers(1, 30), st.integers(0, 1000))
@settings(max_examples=50, deadline=None)
def test_wilcoxon_equals_scipy_without_ties(n, seed):
    differences = np.random.default_rng(seed).normal(0.4, size=n)
    expected = stats.wilcoxon(differences, method="exact").pvalue
    assert wilcoxon_signed_rank(differences) == pytest.approx(expected, rel=1e-12)


@given(TIED)
@settings(max_examples=60, deadline=None)
def test_wilcoxon_equals_brute_force_with_ties_and_zeros(differences):
    assert wilcoxon_signed_rank(differences) == pytest.approx(float(brute_force_wilcoxon(differences)), rel=1e-12)


@given(TIED)
@settings(max_examples=60, deadline=None)
def test_sign_test_equals_scipy(differences):
    positive, negative = (np.array(differences) > 0).sum(), (np.array(differences) < 0).sum()
    expected = stats.binomtest(positive, positive + negative).pvalue if positive + negative else 1.0
    assert sign_test(differences) == pytest.approx(expected, rel=1e-12)


@given(TIED, st.sampled_from([wilcoxon_signed_rank, sign_test]))
@settings(max_examples=40, deadline=None)
def test_direction_does_not_matter(differences, test):
    assert test(differences) == test([-d for d in differences])


@pytest.mark.parametrize("test", [wilcoxon_signed_rank, sign_test])
def test_no_difference_is_no_evidence(test):
    assert test([0, 0, 0]) == 1
    assert test([]) == 1


def test_wilcoxon_nears_the_normal_distribution_with_many_blocks():
    differences = np.random.default_rng(0).normal(0.1, size=400)
    assert wilcoxon_signed_rank(differences) == pytest.approx(
        stats.wilcoxon(differences, method="asymptotic").pvalue, rel=0.02
    )


@pytest.mark.parametrize("test", [wilcoxon_signed_rank, sign_test])
def test_smallest_p_is_its_floor(test):
    assert test(np.arange(1, 601)) == SMALLEST_P


@given(st.lists(st.tuples(st.integers(0, 999), st.integers(0, 999)), min_size=1, max_size=12))
@settings(max_examples=60, deadline=None)
def test_ties_do_not_break_on_the_way_through_fractions(scores):
    """Scores of three digits give the same test as whole numbers, as shares of 1 and in per cent."""
    a, b = np.array(scores).T
    expected = wilcoxon_signed_rank(a - b)
    assert wilcoxon_signed_rank(score_differences(a / 1000, b / 1000)) == expected
    assert wilcoxon_signed_rank(score_differences(a / 10, b / 10)) == expected


def test_differences_keep_twelve_digits_of_any_scale():
    assert score_differences([1e9, 2.0], [0.0, 1.0]).tolist() == [1e9, 1.0]
    assert score_differences([3e-9], [1e-9]).tolist() == pytest.approx([2e-9], rel=1e-9)
    assert score_differences([0.0], [0.0]).tolist() == [0.0]


@pytest.mark.parametrize("digits", [0, 1, 12])
def test_many_pairs_at_once_have_the_p_of_each(digits):
    random = np.random.default_rng(digits)
    a, b = np.round(random.normal(60, 2, size=(2, 14, 50)), digits)
    a[:, 0] = b[:, 0]
    a[:, 1] *= 1e6
    differences = score_differences(a, b)
    for i, (wilcoxon, sign) in enumerate(zip(wilcoxon_signed_ranks(differences), sign_tests(differences), strict=True)):
        alone = score_differences(a[:, i], b[:, i])
        assert differences[:, i].tolist() == alone.tolist()
        assert wilcoxon == pytest.approx(float(brute_force_wilcoxon_by_sums(alone)), rel=1e-12)
        assert (wilcoxon, sign) == (wilcoxon_signed_rank(alone), sign_test(alone))


def brute_force_wilcoxon_by_sums(differences: np.ndarray) -> Fraction:
    """The share of signs, counted by what the positive ranks add up to."""
    values = differences[differences != 0]
    ranks = (2 * stats.rankdata(np.abs(values))).astype(int).tolist() if len(values) else []
    ways = {0: 1}
    for rank in ranks:
        ways = {total: ways.get(total, 0) + ways.get(total - rank, 0) for total in {*ways, *(t + rank for t in ways)}}
    observed = abs(2 * sum(rank for rank, value in zip(ranks, values, strict=True) if value > 0) - sum(ranks))
    return Fraction(sum(n for total, n in ways.items() if abs(2 * total - sum(ranks)) >= observed), 2 ** len(ranks))


@pytest.mark.parametrize(("pairs", "test"), [(wilcoxon_pairs, wilcoxon_signed_rank), (sign_pairs, sign_test)])
def test_pairs_are_the_test_of_each_pair(pairs, test):
    scores = pd.DataFrame(np.random.default_rng(0).integers(0, 9, size=(7, 4)), columns=list("abcd"))
    p = pairs(scores)
    for one in scores:
        for other in scores:
            assert p.loc[one, other] == pytest.approx(test(scores[one] - scores[other]), rel=1e-12)
