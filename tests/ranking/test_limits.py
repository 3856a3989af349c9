import numpy as np
import pandas as pd
import pytest

from ercsatz.errors import UserError
from ercsatz.ranking import blocks_needed, difference_distribution, rank, smallest_attainable_p
from ercsatz.ranking.exact import SMALLEST_P

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
