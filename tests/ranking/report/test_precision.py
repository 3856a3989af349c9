import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ercsatz.ranking import pairwise_exact_p, pivot, rank
from ercsatz.ranking.report.precision import findable, seed_spread


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 8), st.integers(2, 12), st.data())
def test_needed_difference_is_the_smallest_that_is_significant(k, n, data):
    made = data.draw(st.integers(1, k - 1))
    rng = np.random.default_rng(k * n)
    scores = pd.DataFrame(
        rng.permuted(np.tile(np.arange(k), (n, 1)), axis=1) / 100, columns=[f"t{i}" for i in range(k)]
    )
    result = rank(scores, [(f"t{i}", "t0") for i in range(1, made + 1)])
    reached = range(2 - n % 2, n + 1, 2) if k == 2 else range(1, n * (k - 1) + 1)
    possible = [d for d in reached if made * pairwise_exact_p(d, k, n) < 0.05]
    assert result.needed_difference == (min(possible) if possible else None)


def test_size_and_twice_the_blocks_are_told(table4):
    (told,) = findable(table4)
    assert told.startswith(
        "At this size (9 blocks, 9 treatments, 6 comparisons) rank sums differ significantly from 31 apart; in mean "
        "ranks, 3.44 of at most 8, and with twice the blocks 2.44."
    )
    assert 6 * pairwise_exact_p(31, 9, 9) < 0.05 <= 6 * pairwise_exact_p(30, 9, 9)
    assert 6 * pairwise_exact_p(44, 9, 18) < 0.05 <= 6 * pairwise_exact_p(43, 9, 18)


def test_nothing_is_told_where_nothing_is_compared(table4):
    assert findable(rank(table4.table, [])) == []


def test_spread_is_the_pooled_standard_deviation():
    cells = {
        ("a", "x"): [0.50, 0.52, 0.57],
        ("b", "x"): [0.40, 0.41, 0.45],
        ("a", "y"): [0.3, 0.31],
        ("b", "y"): [0.2, 0.3],
    }
    rows = [(t, b, seed, score) for (t, b), scores in cells.items() for seed, score in enumerate(scores)]
    table = pivot(pd.DataFrame(rows, columns=["t", "b", "seed", "w_f1"]), ["t"], ["b"], "w_f1")
    squares = sum(np.var(scores) * len(scores) for scores in cells.values())
    pooled = 100 * math.sqrt(squares / sum(len(scores) - 1 for scores in cells.values()))
    told = seed_spread(table, table.cells.index, 100)
    assert f"seeds spread by {pooled:.2f} (pooled standard deviation; the most: b on y, 7.07)" in told
    assert f"standard error of about {pooled * math.sqrt(2 / 2):.2f}." in told


@pytest.mark.parametrize(("scores", "told"), [([0.5, 0.6], "Where there is one score"), ([0.5], "One score stands")])
def test_cells_with_one_seed_have_no_standard_error(scores, told):
    rows = [("a", "x", seed, score) for seed, score in enumerate(scores)] + [("b", "x", 0, 0.4)]
    table = pivot(pd.DataFrame(rows, columns=["t", "b", "seed", "w_f1"]), ["t"], ["b"], "w_f1")
    text = seed_spread(table, table.cells.index, 100)
    assert told in text
    assert "standard error" not in text
