import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import pairwise_distances, silhouette_samples

from ercsatz.quality.clusters import Centres, centres, clusters, common_counts, silhouettes
from ercsatz.quality.embedder import lexical

NAMES = ["clusters", "entropy", "evenness", "largest_share"]
CORNERS = Centres(np.eye(4, dtype=np.float32), {})


def clouds(n, each=40, width=32, seed=0):
    """Unit vectors around n centres far apart, in random order."""
    draw = np.random.default_rng(seed)
    rows = np.repeat(np.eye(width)[:n], each, axis=0) + draw.normal(size=(n * each, width)) * 0.03
    return draw.permutation(rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def values(measures, emotion=None):
    return {measure.name: measure.value for measure in measures if measure.emotion == emotion}


def at_corners(*counts):
    return np.repeat(np.eye(4, dtype=np.float32), counts, axis=0)


@given(st.lists(st.integers(0, 3), min_size=2, max_size=30), st.integers(0, 9))
def test_silhouettes_against_scikit_learn(clusters, seed):
    labels = np.unique(clusters, return_inverse=True)[1]
    if 0 < labels.max() < len(labels) - 1:
        rows = np.random.default_rng(seed).normal(size=(len(labels), 3))
        between = pairwise_distances(rows)
        np.testing.assert_allclose(silhouettes(between, labels), silhouette_samples(rows, labels), atol=1e-6)


def test_silhouettes_of_equal_rows_are_zero():
    np.testing.assert_array_equal(silhouettes(np.zeros((4, 4), np.float32), np.array([0, 0, 1, 1])), 0)


@pytest.mark.parametrize("n", [3, 5, 8])
def test_the_silhouette_finds_how_many_clouds_there_are(n):
    found = centres(clouds(n), ks=range(2, 12))
    assert len(found.points) == n
    assert max(found.silhouettes, key=found.silhouettes.get) == n
    assert found.silhouettes[n] > 0.6
    spread = values(clusters(clouds(n, seed=1), ["joy"] * 40 * n, found))
    assert spread == pytest.approx({"clusters": n, "entropy": math.log2(n), "evenness": 1, "largest_share": 1 / n})


def test_shares_by_hand():
    spread = values(clusters(at_corners(4, 2, 2, 0), [None] * 8, CORNERS))
    assert spread == {"clusters": 3, "entropy": 1.5, "evenness": 0.75, "largest_share": 0.5}


def test_emotions_are_counted_by_themselves_and_those_without_a_label_only_among_all():
    emotions = ["joy", "joy", "fear", "fear", None, None]
    found = clusters(at_corners(1, 2, 3, 0)[[0, 1, 2, 3, 4, 5]], emotions, CORNERS)
    assert [(measure.emotion, measure.name) for measure in found] == [
        (emotion, name) for emotion in (None, "fear", "joy") for name in NAMES
    ]
    assert values(found, "joy") == {"clusters": 2, "entropy": 1, "evenness": 0.5, "largest_share": 0.5}
    assert Counter((m.emotion, m.n, m.of) for m in found) == {(None, 6, 6): 4, ("fear", 2, 2): 4, ("joy", 2, 2): 4}


def test_sets_are_compared_at_the_same_number_of_texts():
    few, many = ["joy", "fear", "joy", None], ["joy"] * 9 + ["anger"] * 3
    most = common_counts([few, many])
    assert most == {None: 4, "joy": 2, "fear": 1, "anger": 3}
    found = clusters(at_corners(3, 3, 3, 3), many, CORNERS, most)
    assert {(m.emotion, m.n, m.of) for m in found} == {
        (None, 4, 12),
        ("joy", 2, 9),
        ("anger", 3, 3),
        ("fear", 0, 0),
    }
    (absent,) = {m.undefined for m in found if m.emotion == "fear"}
    assert absent == "undefined because no text has the label fear"
    assert values(found)["largest_share"] == 0.75
    assert common_counts([]) == {None: 0}


@settings(max_examples=30)
@given(st.lists(st.integers(0, 30), min_size=4, max_size=4).filter(any))
def test_bounds(counts):
    n = sum(counts)
    spread = values(clusters(at_corners(*counts), ["joy"] * n, CORNERS))
    assert 1 <= spread["clusters"] <= 4
    assert 0 <= spread["entropy"] <= math.log2(spread["clusters"]) + 1e-9
    assert 0 <= spread["evenness"] <= 1
    assert 1 / 4 <= spread["largest_share"] <= 1


def test_the_same_seed_finds_the_same_centres():
    rows = np.random.default_rng(0).normal(size=(500, 8))
    np.testing.assert_array_equal(centres(rows, seed=3).points, centres(rows, seed=3).points)


def test_few_real_texts_make_few_clusters():
    assert len(centres(clouds(20, each=1)).points) == 4
    assert len(centres(np.repeat(clouds(8, each=1), 50, axis=0)).points) == 1


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("real", [["Tea?"], ["Tea?"] * 200, ["...", "!"], ["\U0001f642", "\u96e8"]])
def test_real_texts_too_few_or_all_alike(real):
    embedder = lexical(real)
    found = centres(embedder.encode(real))
    measures = clusters(embedder.encode(["Tea?", "No.", "\U0001f62d"]), ["joy", None, "fear"], found)
    assert len(measures) == 12
    for measure in measures:
        if measure.name == "evenness":
            assert measure.undefined == "undefined because real texts make one cluster only"
        else:
            assert measure.value == {"clusters": 1, "entropy": 0, "largest_share": 1}[measure.name]


def test_no_texts_have_no_values():
    for measure in clusters(np.zeros((0, 4)), [], CORNERS):
        assert measure.value is None
        assert measure.undefined == "undefined because there are no texts"


def test_texts_of_one_kind_are_less_spread_than_real_ones():
    real = clouds(20, each=60)
    found = centres(real[:600])
    wide = values(clusters(real[600:], ["joy"] * 600, found))
    near_first = real[np.argsort(-real[:, 0])][:50]
    narrow = values(clusters(near_first, ["joy"] * 50, found))
    assert narrow["clusters"] < wide["clusters"]
    assert narrow["entropy"] < wide["entropy"]
    assert narrow["evenness"] < wide["evenness"]
    assert narrow["largest_share"] > wide["largest_share"]
