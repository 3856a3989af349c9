from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from ercsatz.ranking import adjust_pairs, benjamini_hochberg, bonferroni, holm, hommel

METHODS = {"bonferroni": bonferroni, "holm": holm, "hommel": hommel, "fdr_bh": benjamini_hochberg}
P_VALUES = st.lists(st.sampled_from([0.0, 1e-12, 0.01, 0.02, 0.5, 1.0]) | st.floats(0, 1), min_size=1, max_size=12)


def hommel_by_closed_testing(p: list[float]) -> list[float]:
    """The largest Simes p of all the sets that a comparison is in."""
    corrected = [0.0] * len(p)
    for size in range(1, len(p) + 1):
        for chosen in combinations(range(len(p)), size):
            simes = min(size * value / rank for rank, value in enumerate(sorted(p[i] for i in chosen), 1))
            for i in chosen:
                corrected[i] = max(corrected[i], simes)
    return corrected


def test_bonferroni_multiplies_by_the_number_of_comparisons_up_to_one():
    assert bonferroni([0.25, 0.125, 0.5]).tolist() == [0.75, 0.375, 1.0]


@pytest.mark.parametrize("method", METHODS.values())
def test_correction_of_nothing_is_nothing(method):
    assert method([]).tolist() == []


@pytest.mark.parametrize("name", METHODS)
@given(p=P_VALUES)
@settings(max_examples=20, deadline=None)  # statsmodels collects garbage in each call of Holm's method
def test_corrections_equal_statsmodels(name, p):
    np.testing.assert_allclose(METHODS[name](p), multipletests(p, method=name)[1], rtol=1e-12, atol=1e-300)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_hommel_is_closed_testing_with_simes(p):
    np.testing.assert_allclose(hommel(p), hommel_by_closed_testing(p), rtol=1e-12)


@pytest.mark.parametrize("digits", [1, 3, 16])
def test_hommel_of_many_is_wrights_algorithm_size_by_size(digits):
    p = np.round(np.random.default_rng(digits).uniform(size=700) ** 3, digits)
    order = np.argsort(p)
    ordered = p[order]
    expected = ordered.copy()
    for size in range(len(p), 1, -1):
        split = len(p) - size
        simes = np.min(size * ordered[split:] / np.arange(1, size + 1))
        expected[split:] = np.maximum(expected[split:], simes)
        expected[:split] = np.maximum(expected[:split], np.minimum(simes, size * ordered[:split]))
    assert hommel(p)[order].tolist() == expected.tolist()


@given(P_VALUES)
@settings(max_examples=60, deadline=None)
def test_each_correction_finds_no_less_than_the_stricter_one(p):
    assert (holm(p) <= bonferroni(p)).all()
    assert (hommel(p) <= holm(p) * (1 + 1e-12)).all()
    assert (benjamini_hochberg(p) <= hommel(p) * (1 + 1e-12)).all()


def test_what_is_not_defined_stays_so():
    assert np.isnan(holm([np.nan, np.nan])).all()


def test_pairs_are_corrected_once_each():
    names = ["a", "b", "c"]
    p = pd.DataFrame([[1, 0.01, 0.04], [0.01, 1, 0.5], [0.04, 0.5, 1]], index=names, columns=names)
    corrected = adjust_pairs(p, holm)
    assert corrected.loc["a"].tolist() == pytest.approx([1, 0.03, 0.08])
    assert corrected.loc["b", "c"] == 0.5
    pd.testing.assert_frame_equal(corrected, corrected.T)
