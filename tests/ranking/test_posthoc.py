import numpy as np
import pandas as pd
import pytest
import scikit_posthocs
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ercsatz.errors import UserError
from ercsatz.ranking import (
    conover_pairs,
    exact_against,
    exact_pairs,
    midranks,
    nemenyi_pairs,
    pairwise_exact_p_midranks,
    siegel_pairs,
    sign_pairs,
)

SCORES = st.tuples(st.integers(3, 6), st.integers(2, 9), st.booleans(), st.integers(0, 10_000)).map(
    lambda drawn: random_scores(*drawn)
)


def random_scores(k: int, n: int, tied: bool, seed: int) -> pd.DataFrame:
    """Random scores, some treatments better than others; with ties if asked for."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(n, k)) + rng.uniform(0, 3) * np.linspace(0, 1, k)
    return pd.DataFrame(np.round(scores) if tied else scores, columns=[f"t{i}" for i in range(k)])


def ranks_of(scores: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(midranks(scores.to_numpy()), columns=scores.columns)


def agreeing(blocks: int) -> pd.DataFrame:
    return pd.DataFrame([[1, 2, 3]] * blocks, columns=["a", "b", "c"])


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (nemenyi_pairs, scikit_posthocs.posthoc_nemenyi_friedman),
        (siegel_pairs, scikit_posthocs.posthoc_siegel_friedman),
        (conover_pairs, scikit_posthocs.posthoc_conover_friedman),
    ],
)
@given(scores=SCORES)
@settings(max_examples=40, deadline=None)
def test_pairs_equal_scikit_posthocs_with_and_without_ties(ours, theirs, scores):
    ranks = ranks_of(scores)
    w = ranks.sum().var(ddof=0) / len(ranks) / ranks.to_numpy().var(axis=1).sum()
    assume(0 < w < 1 - 1e-9)  # full agreement, or no difference at all, has a test of its own
    np.testing.assert_allclose(ours(ranks), theirs(scores.to_numpy()), rtol=1e-7, atol=1e-12)


@given(SCORES)
@settings(max_examples=30, deadline=None)
def test_exact_pairs_are_the_exact_p_of_each_difference(scores):
    ranks = ranks_of(scores)
    p = exact_pairs(ranks)
    for one in ranks:
        for other in ranks:
            difference = ranks[one].sum() - ranks[other].sum()
            assert p.loc[one, other] == pytest.approx(pairwise_exact_p_midranks(difference, ranks), rel=1e-12)


@given(st.integers(1, 12), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_exact_p_of_two_treatments_is_the_sign_test(n, seed):
    scores = pd.DataFrame(np.random.default_rng(seed).integers(0, 4, size=(n, 2)), columns=["a", "b"])
    np.testing.assert_allclose(exact_pairs(ranks_of(scores)), sign_pairs(scores), rtol=1e-12)


def test_exact_against_a_control_is_its_column_of_all_pairs():
    ranks = ranks_of(random_scores(4, 6, True, 0))
    p = exact_against(ranks, "t2")
    assert list(p.index) == ["t0", "t1", "t3"]
    assert p.tolist() == exact_pairs(ranks).loc["t2", ["t0", "t1", "t3"]].tolist()


def test_unknown_control_is_refused():
    with pytest.raises(UserError, match=r"no treatment 'org' to compare with\. The treatments are: a, b, c"):
        exact_against(agreeing(2), "org")


def test_full_agreement_leaves_conover_no_variance():
    ranks = pd.DataFrame([[1, 2.5, 2.5]] * 3, columns=["a", "b", "c"])
    p = conover_pairs(ranks)
    assert p.loc["a", "b"] == 0
    assert p.loc["b", "c"] == 1


def test_one_block_has_no_conover_p():
    p = conover_pairs(agreeing(1))
    assert np.isnan(p.loc["a", "b"])
    assert p.loc["a", "a"] == 1


@pytest.mark.parametrize("pairs", [exact_pairs, nemenyi_pairs, siegel_pairs, conover_pairs])
def test_nothing_differs_where_all_is_tied(pairs):
    tied = pd.DataFrame([[2.0, 2.0, 2.0]] * 3, columns=["a", "b", "c"])
    np.testing.assert_allclose(pairs(tied), np.ones((3, 3)))


@pytest.mark.parametrize("pairs", [nemenyi_pairs, siegel_pairs])
def test_large_differences_do_not_become_negative(pairs):
    p = pairs(agreeing(200)).to_numpy()
    assert (p >= 0).all()
    assert p[0, 2] < 1e-9
