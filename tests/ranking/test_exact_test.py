import itertools
from collections import Counter
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ercsatz.errors import UserError
from ercsatz.ranking import (
    blocks_needed,
    difference_distribution,
    midranks,
    pairwise_exact_p,
    pairwise_exact_p_midranks,
    rank,
    smallest_attainable_p,
)
from ercsatz.ranking.exact_test import SMALLEST_P

# Number of compositions W(|D| = d), d = 0..20, for k = n = 5: Table 4 of Eisinga et al. 2017.
COMPOSITIONS = [
    *(246820, 488200, 462100, 422400, 372050, 314388, 257330, 201440, 150760, 107520, 72706),
    *(46740, 28220, 15780, 8010, 3584, 1380, 440, 110, 20, 2),
]
P_K5_N5 = [
    *(1, 0.92286875, 0.77030625, 0.6259, 0.4939, 0.377634375, 0.279388125, 0.1989725, 0.1360225, 0.08891, 0.05531),
    *(0.032589375, 0.017983125, 0.009164375, 0.004233125, 0.00173, 0.00061, 0.00017875, 4.125e-05, 6.875e-06, 6.25e-07),
]
# Computed with the authors' R function in high precision (Rmpfr): (k, n, d, p).
R_GRID = [
    (3, 4, 4, 0.217592592593),
    (3, 4, 8, 0.00154320987654),
    (3, 10, 10, 0.0314206739318),
    (4, 6, 9, 0.0552581661523),
    (4, 8, 12, 0.0235870272952),
    (4, 8, 18, 0.000236535650113),
    (5, 10, 20, 0.0046607229082),
    (6, 6, 15, 0.0227339753086),
    (8, 10, 35, 0.00116145920437),
    (10, 10, 45, 0.000689361024851),
    (10, 30, 68, 0.00376613479126),
    (10, 30, 135, 2.38209235671e-09),
    (10, 30, 270, 4.71796497519e-59),
    (100, 100, 100, 0.808525146818),
]
# In Table IV of Kaplan et al. 2025.
PUBLISHED = [(39, 0.0005716492), (34, 0.0031136778), (27, 0.0212199305), (25, 0.0337653081)]


def brute_force_p(blocks: list[list[float]], difference: float) -> Fraction:
    """Share of all orders of all blocks whose first two rank sums differ by at least ``difference``."""
    counts = Counter({0.0: 1})
    for block in blocks:
        longer = Counter[float]()
        for (d, count), order in itertools.product(counts.items(), itertools.permutations(block)):
            longer[d + order[0] - order[1]] += count
        counts = longer
    hits = sum(count for d, count in counts.items() if abs(d) >= abs(difference))
    return Fraction(hits, sum(counts.values()))


def is_possible(blocks: list[list[float]], difference: float) -> bool:
    """Whether any order of the blocks gives this very difference of the first two rank sums."""
    sums = {0.0}
    for block in blocks:
        sums = {total + a - b for total in sums for a, b in itertools.permutations(block, 2)}
    return difference in sums


@pytest.mark.parametrize(("d", "p"), list(enumerate(P_K5_N5)))
def test_p_equals_eisinga_table_4(d, p):
    assert pairwise_exact_p(d, k=5, n=5) == pytest.approx(p, rel=1e-10)


def test_p_counts_the_compositions():
    distribution = difference_distribution([[1, 2, 3, 4, 5]] * 5)
    expected = np.cumsum(COMPOSITIONS[::-1])[::-1] / 20**5
    np.testing.assert_allclose([distribution.p(d) for d in range(21)], expected, rtol=1e-12)


@pytest.mark.parametrize(("k", "n", "d", "p"), R_GRID)
def test_p_equals_r(k, n, d, p):
    assert pairwise_exact_p(d, k, n) == pytest.approx(p, rel=1e-11)


@pytest.mark.parametrize(("d", "p"), PUBLISHED)
def test_p_equals_published_comparisons(d, p):
    assert pairwise_exact_p(d, k=9, n=9) == pytest.approx(p, abs=5e-11)


@pytest.mark.parametrize(("k", "n"), [(2, 1), (2, 5), (3, 3), (4, 2), (5, 1)])
def test_p_equals_brute_force(k, n):
    blocks = [list(map(float, range(1, k + 1)))] * n
    for d in range(n * (k - 1) + 1):
        assert pairwise_exact_p(d, k, n) == pytest.approx(float(brute_force_p(blocks, d)), rel=1e-13)


@pytest.mark.parametrize(
    "blocks",
    [
        [[1, 2.5, 2.5]],
        [[1.5, 1.5], [1, 2]],
        [[1, 2, 3], [1.5, 1.5, 3], [2, 2, 2]],
        [[1, 2.5, 2.5, 4], [2, 2, 2, 4], [1, 2, 3, 4]],
    ],
)
def test_p_with_ties_equals_brute_force(blocks):
    distribution = difference_distribution(blocks)
    for d in np.arange(0, distribution.largest + 0.5, 1 / distribution.per_unit):
        assert distribution.p(d) == pytest.approx(float(brute_force_p(blocks, d)), rel=1e-13)


def test_p_with_ties_is_not_the_untied_p():
    assert pairwise_exact_p_midranks(2, [[1, 2.5, 2.5]] * 2) != pytest.approx(pairwise_exact_p(2, k=3, n=2))


@given(st.integers(2, 8), st.integers(1, 12))
@settings(max_examples=40, deadline=None)
def test_p_falls_from_one_and_stays_positive(k, n):
    distribution = difference_distribution([range(1, k + 1)] * n)
    p = [distribution.p(d) for d in range(n * (k - 1) + 1)]
    assert p[0] == 1
    assert min(p) > 0
    step = 2 if k == 2 else 1  # a sign test: the difference has the parity of n
    assert all(later < earlier for earlier, later in zip(p[1:], p[1 + step :], strict=False))
    assert p == sorted(p, reverse=True)
    assert p == [distribution.p(-d) for d in range(n * (k - 1) + 1)]


@given(st.lists(st.lists(st.integers(0, 2), min_size=4, max_size=4), min_size=1, max_size=5), st.randoms())
@settings(max_examples=40, deadline=None)
def test_p_depends_only_on_the_ranks_in_each_block(scores, random):
    shuffled = [random.sample(block, len(block)) for block in random.sample(scores, len(scores))]
    one, other = difference_distribution(midranks(scores)), difference_distribution(midranks(shuffled))
    assert one.largest == other.largest
    np.testing.assert_allclose(one.tail, other.tail, rtol=1e-12)


@pytest.mark.parametrize(("k", "n"), [(2, 6), (3, 2), (4, 5), (10, 30)])
def test_smallest_p_is_that_of_full_agreement(k, n):
    assert difference_distribution([range(1, k + 1)] * n).smallest_p == pytest.approx(2 / (k * (k - 1)) ** n)


def test_smallest_p_is_one_where_all_is_tied():
    assert difference_distribution([[2, 2, 2]] * 4).smallest_p == 1


@pytest.mark.parametrize("difference", [2.5, 19, -19])
def test_impossible_difference_is_refused(difference):
    with pytest.raises(UserError, match=r"must be a multiple of 1 between -18 and 18"):
        pairwise_exact_p(difference, k=3, n=9)


def test_p_equals_exact_integers_for_a_large_table():
    """Counts of compositions as digits of one huge number, which is raised to the power n."""
    k, n, bits = 20, 100, 1200
    one = sum((k - abs(d)) << (bits * (d + k - 1)) for d in range(1 - k, k) if d)
    power = one**n
    counts = [(power >> (bits * i)) & ((1 << bits) - 1) for i in range(2 * n * (k - 1) + 1)]
    assert sum(counts) == (k * (k - 1)) ** n
    tail = list(itertools.accumulate(reversed(counts)))
    distribution = difference_distribution([range(1, k + 1)] * n)
    for d in (1, 10, 100, 500, 900):
        exact = Fraction(2 * tail[n * (k - 1) - d], (k * (k - 1)) ** n)
        assert distribution.p(d) == pytest.approx(float(exact), rel=1e-12)


@pytest.mark.parametrize(("k", "n"), [(100, 100), (50, 1000)])
def test_p_equals_the_fourier_transform_for_the_largest_tables(k, n):
    one = np.concatenate([np.arange(1, k), [0], np.arange(k - 1, 0, -1)]) / (k * (k - 1))
    width = 2 * n * (k - 1) + 1
    pmf = np.fft.irfft(np.fft.rfft(one, width) ** n, width)
    distribution = difference_distribution([range(1, k + 1)] * n)
    for d in (1, 50, 200, 652, 1500):
        assert distribution.p(d) == pytest.approx(2 * pmf[n * (k - 1) + d :].sum(), abs=1e-11)


def test_largest_table_is_nearly_normal_and_keeps_its_floor():
    distribution = difference_distribution([range(1, 51)] * 1000)
    assert distribution.smallest_p == SMALLEST_P
    tail = [distribution.p(d) for d in range(0, 20000, 100)]
    assert tail == sorted(tail, reverse=True)
    variance = 1000 * 50 * 51 / 6
    for d in (100, 652, 1500):
        assert distribution.p(d) == pytest.approx(2 * stats.norm.sf((d - 0.5) / variance**0.5), rel=2e-3)


@given(st.lists(st.lists(st.integers(0, 2), min_size=3, max_size=3), min_size=1, max_size=6), st.floats(0.001, 0.5))
@settings(max_examples=40, deadline=None)
def test_critical_difference_is_the_smallest_that_is_possible_and_below_the_level(scores, level):
    ranks = midranks(scores)
    distribution = difference_distribution(ranks)
    steps = np.arange(0, distribution.largest + 0.5, 0.5)
    possible = [float(d) for d in steps if is_possible(ranks.tolist(), d)]
    below = [d for d in possible if distribution.p(d) < level]
    assert distribution.critical(level) == (below[0] if below else None)


def test_critical_difference_of_two_treatments_has_the_parity_of_the_blocks():
    assert difference_distribution([[1, 2]] * 9).critical(0.05) == 7  # 8 to 1: p = .039


# Two-sided, n = 2..6; then the number of pairs and the blocks that all pairs need with Bonferroni below .05.
ATTAINABLE = {
    2: ([0.5, 0.25, 0.125, 0.0625, 0.0312], 1, 6),
    3: ([0.0556, 0.00926, 0.00154, 0.00026, 4.3e-05], 3, 3),
    4: ([0.0139, 0.00116, 9.6e-05, 8e-06, 6.7e-07], 6, 3),
    5: ([0.005, 0.00025, 1.3e-05, 6e-07, 3e-08], 10, 3),
    6: ([0.0022, 7.4e-05, 2.5e-06, 8e-08, 2.7e-09], 15, 2),
}


@pytest.mark.parametrize("k", ATTAINABLE)
def test_known_limits(k):
    p, pairs, needed = ATTAINABLE[k]
    np.testing.assert_allclose([smallest_attainable_p(k, n) for n in range(2, 7)], p, rtol=0.05)
    assert blocks_needed(k, pairs) == needed


@pytest.mark.parametrize(("k", "n"), [(2, 1), (2, 6), (3, 2), (5, 4), (9, 9), (100, 100)])
def test_limit_is_that_of_the_distribution(k, n):
    untied = difference_distribution(np.tile(np.arange(1, k + 1), (n, 1)))
    assert smallest_attainable_p(k, n) == pytest.approx(untied.smallest_p, rel=1e-10)
    assert smallest_attainable_p(k, n) >= SMALLEST_P


@pytest.mark.parametrize(("k", "comparisons"), [(2, 1), (3, 2), (3, 3), (5, 10), (9, 6)])
def test_blocks_needed_are_just_enough_for_full_agreement(k, comparisons):
    needed = blocks_needed(k, comparisons)
    names = [f"t{i}" for i in range(k)]
    pairs = [(names[-1], name) for name in names[:-1]] * comparisons
    for blocks in (needed - 1, needed):
        scores = pd.DataFrame([range(50, 50 + k)] * blocks, columns=names)
        assert rank(scores, pairs[:comparisons]).can_be_significant is (blocks == needed)


def test_one_block_is_never_enough():
    assert smallest_attainable_p(20, 1) < 0.05
    assert blocks_needed(20, 1) == 2


def test_no_comparison_counts_as_one():
    assert blocks_needed(2, 0) == blocks_needed(2, 1)


def test_stricter_level_needs_more_blocks():
    assert blocks_needed(2, 1, alpha=0.001) == 11
    assert blocks_needed(2, 1, alpha=1e-150) == 500


@pytest.mark.parametrize(("k", "n"), [(1, 5), (3, 0)])
def test_table_that_is_none_is_refused(k, n):
    with pytest.raises(UserError, match="at least two treatments and one block"):
        smallest_attainable_p(k, n)


@pytest.mark.parametrize(("k", "alpha"), [(1, 0.05), (3, 0.0), (3, 1.0)])
def test_impossible_level_is_refused(k, alpha):
    with pytest.raises(UserError, match="a level between 0 and 1"):
        blocks_needed(k, 1, alpha)
