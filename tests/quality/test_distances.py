import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm
from scipy.spatial.distance import cdist

from ercsatz.quality.distances import c2st, frechet, has_mauve, mauve, prdc


def normal(n, d=6, shift=0.0, seed=0):
    return np.random.default_rng(seed).normal(shift, 1, (n, d))


def groups(n, size=4, name="a"):
    return [(name, i // size) for i in range(n)]


def direct_frechet(a, b):
    ca, cb = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    return float(np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(ca + cb - 2 * np.real(sqrtm(ca @ cb))))


@pytest.mark.parametrize(("n", "m"), [(50, 50), (200, 30), (9, 300)])
def test_frechet_against_the_formula_with_sqrtm(n, m):
    a, b = normal(n), normal(m, shift=0.3, seed=1) * np.arange(1, 7)
    assert frechet(a, b) == pytest.approx(direct_frechet(a, b), rel=1e-6)
    assert frechet(b, a) == pytest.approx(frechet(a, b))


def test_frechet_of_fewer_vectors_than_dimensions():
    # The covariances are singular there, where sqrtm fails; the mean alone differs.
    a = normal(5, d=20)
    assert frechet(a, a + 1) == pytest.approx(20)


def test_frechet_closed_cases():
    assert frechet(normal(50), normal(50)) == pytest.approx(0, abs=1e-9)
    assert frechet(np.zeros((9, 3)), np.ones((5, 3))) == pytest.approx(3)
    # In one dimension: the difference of the means squared and that of the deviations squared.
    a, b = np.array([[0.0], [2.0]]), np.array([[5.0], [11.0]])
    assert frechet(a, b) == pytest.approx(49 + (math.sqrt(2) - math.sqrt(18)) ** 2)
    assert frechet(normal(1), normal(9)) is None
    assert frechet(np.zeros((0, 3)), normal(9, 3)) is None


def brute_prdc(real, fake, k):
    """By the papers' sums, one vector after the other; balls are closed, distances exact to 9 digits."""
    near = [np.round(cdist(x, y), 9) for x, y in ((real, real), (fake, fake), (real, fake))]
    real_radius = [sorted(row)[k] for row in near[0]]
    fake_radius = [sorted(row)[k] for row in near[1]]
    inside = [sum(d <= r for d in row) - 1 for row, r in zip(near[0], real_radius, strict=True)]
    n, m = len(real), len(fake)
    precision = sum(any(near[2][i, j] <= real_radius[i] for i in range(n)) for j in range(m)) / m
    recall = sum(any(near[2][i, j] <= fake_radius[j] for j in range(m)) for i in range(n)) / n
    density = sum(near[2][i, j] <= real_radius[i] and 1 / inside[i] for i in range(n) for j in range(m)) / m
    coverage = sum(any(near[2][i, j] <= real_radius[i] for j in range(m)) for i in range(n)) / n
    return precision, recall, density, coverage


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=4, max_size=14),
    st.lists(st.tuples(st.integers(1, 5), st.integers(0, 3)), min_size=4, max_size=14),
    st.integers(1, 3),
)
def test_prdc_against_brute_force_with_many_ties(real, fake, k):
    assert prdc(np.array(real), np.array(fake), k) == pytest.approx(brute_prdc(real, fake, k))


def test_prdc_against_brute_force_over_several_blocks(monkeypatch):
    monkeypatch.setattr("ercsatz.quality.distances._BLOCK", 7)
    real, fake = normal(60), normal(45, shift=0.5, seed=1)
    assert prdc(real, fake) == pytest.approx(brute_prdc(real, fake, 5))


def test_without_ties_density_is_that_of_the_paper():
    real, fake = normal(200, d=2), normal(150, d=2, seed=1)
    between, reach = cdist(real, fake), np.sort(cdist(real, real), axis=1)[:, 5]
    assert prdc(real, fake).density == pytest.approx((between <= reach[:, None]).sum(0).mean() / 5)


def test_prdc_closed_cases():
    same, far = prdc(normal(50), normal(50)), prdc(normal(50), normal(50, shift=100))
    assert same == pytest.approx((1, 1, 6 / 5, 1))  # of its k neighbours in its own set and itself
    assert far == (0, 0, 0, 0)
    alike = prdc(normal(2000, d=2), normal(2000, d=2, seed=1))
    assert alike == pytest.approx((1, 1, 1, 1 - 0.5**5), abs=0.03)  # coverage: Naeem et al. 2020, equation 10
    assert prdc(normal(5), normal(50)) is None
    assert prdc(normal(50), normal(5)) is None


def test_one_of_the_real_texts_repeated_is_precise_and_covers_nothing():
    real = normal(200)
    repeated = prdc(real, np.repeat(real[:1], 200, axis=0))
    assert repeated.precision == 1
    assert repeated.recall == 1 / 200
    assert repeated.coverage < 0.1


def test_texts_that_are_said_often_do_not_raise_density():
    real = np.vstack([normal(200), np.zeros((200, 6))])
    assert prdc(real, real).density == pytest.approx(1.1, abs=0.1)


def test_c2st_of_one_distribution_and_of_two():
    a = normal(400)
    assert c2st(a, normal(400, seed=1), groups(400), groups(400, name="b")) == pytest.approx(0.5, abs=0.06)
    assert c2st(a, normal(400, shift=9), groups(400), groups(400, name="b")) == 1
    some = c2st(a, normal(400, shift=0.5, seed=1), groups(400), groups(400, name="b"))
    assert 0.7 < some < 0.95


def test_c2st_learns_nothing_about_a_dialogue_from_its_copy():
    # A copy in the training folds, under the other label, would make the area fall far below a half.
    a = normal(300, d=100)
    assert c2st(a, a, groups(300), groups(300)) == pytest.approx(0.5, abs=0.01)
    assert c2st(a, a, groups(300), groups(300, name="b")) < 0.3


def test_c2st_learns_nothing_about_a_dialogue_from_its_own_turns():
    # Each dialogue has a mark of its own, which tells nothing about other dialogues.
    draw = np.random.default_rng(0)
    a, b = (np.repeat(draw.normal(size=(40, 60)), 10, axis=0) for _ in range(2))
    assert c2st(a, b, groups(400, 10), groups(400, 10, "b")) == pytest.approx(0.5, abs=0.12)
    assert c2st(a, b, groups(400, 1), groups(400, 1, "b")) > 0.9


def test_c2st_of_texts_that_are_all_equal_or_too_few():
    same = np.ones((30, 3))
    assert c2st(same, same, groups(30, 1), groups(30, 1, "b")) == 0.5
    assert c2st(same, same, groups(30, 1), ["b"] * 30) is None
    assert c2st(same[:0], same, [], groups(30)) is None


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 5), st.integers(0, 3))
@pytest.mark.filterwarnings("error")
def test_c2st_is_between_0_and_1_or_none(n, m, size, seed):
    area = c2st(normal(n), normal(m, seed=1), groups(n, size), groups(m, size, "b"), seed)
    assert area is None or 0 <= area <= 1
    assert (area is None) >= (max(n, m) < 2)


@pytest.mark.skipif(not has_mauve(), reason="the extra mauve is not installed")
def test_mauve_of_sets_alike_and_apart():
    assert mauve(normal(400), normal(400)) == pytest.approx(1, abs=1e-3)
    assert mauve(normal(400), normal(400, seed=1)) > 0.8
    assert mauve(normal(400), normal(400, shift=9)) < 0.1
    assert mauve(normal(39), normal(400)) is None
