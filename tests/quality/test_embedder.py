from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

from ercsatz.data.ngrams import words
from ercsatz.quality.embedder import Embedder, lexical, remembering

REAL = ["The train is late again.", "Is the train late?", "My sister paints the house.", "My sister is late, you know."]


def cosines(embedder, *texts):
    vectors = embedder.encode(texts)
    return vectors @ vectors.T


def tf_idf(texts):
    """Cosines of words and of those pairs of words that two texts have, by scikit-learn."""

    def pairs(text):
        return [" ".join(pair) for pair in pairwise(["", *words(text), ""])]

    kept = CountVectorizer(analyzer=pairs, min_df=2).fit(texts).vocabulary_
    rows = TfidfVectorizer(
        analyzer=lambda text: words(text) + [pair for pair in pairs(text) if pair in kept], sublinear_tf=True
    ).fit_transform(texts)
    return (rows @ rows.T).toarray()


def test_a_small_vocabulary_is_not_cut_down():
    np.testing.assert_allclose(cosines(lexical(REAL), *REAL), tf_idf(REAL), atol=1e-6)


def test_what_has_fewer_dimensions_than_the_space_keeps_its_angles():
    texts = [" ".join(f"w{(7 * i + 5 * j) % 97}" for j in range(8)) for i in range(12)] * 2
    np.testing.assert_allclose(cosines(lexical(texts, width=32), *texts), tf_idf(texts), atol=1e-5)


def test_equal_texts_are_equal_and_words_in_another_order_are_not():
    embedder = lexical(REAL * 3)
    same, other = cosines(embedder, REAL[0], REAL[0], "again late is train The.")[0, 1:]
    assert same == pytest.approx(1)
    assert 0.5 < other < 0.999


@given(st.lists(st.text(max_size=20), max_size=6))
def test_every_row_has_length_1_and_does_not_depend_on_the_others(texts):
    embedder = lexical(REAL)
    vectors = embedder.encode([*texts, REAL[0]])
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(vectors[-1:], embedder.encode(REAL[:1]), atol=1e-6)


def test_texts_of_which_nothing_is_known_are_like_each_other_only():
    between = cosines(lexical(REAL), "Guten Morgen", "\U0001f642", "...", REAL[0])
    np.testing.assert_allclose(between[:3, :3], 1, atol=1e-6)
    np.testing.assert_allclose(between[3, :3], 0, atol=1e-6)


@pytest.mark.parametrize("real", [[], ["...", "!"], ["one"], ["\u4eca\u65e5\u306f", "\u4eca\u65e5\u306f\u6674\u308c"]])
@pytest.mark.filterwarnings("error")
def test_odd_training_texts_make_an_embedder_all_the_same(real):
    embedder = lexical(real)
    vectors = embedder.encode(["one", "two \U0001f642", "\u4eca\u65e5\u306f"])
    assert embedder.encode([]).shape == (0, vectors.shape[1])
    assert np.isfinite(vectors).all()
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_japanese_is_compared_by_characters():
    rainy, also, other = "\u4eca\u65e5\u306f\u96e8\u3067\u3059", "\u4eca\u65e5\u306f\u6674\u308c", "\u6b62\u3081\u3066"
    between = cosines(lexical([rainy, also, other]), rainy, also, other)
    assert between[0, 1] > 0.1 > abs(between[0, 2])


def test_the_width_is_bounded_and_the_name_says_lexical():
    texts = [f"w{i} w{i + 1} w{i + 2}" for i in range(300)]
    assert lexical(texts).encode(texts).shape == (300, 128)
    assert lexical(texts, width=16).encode(texts).shape == (300, 16)
    assert lexical(texts).lexical
    assert "lexical" in lexical(texts).name


def test_a_remembering_embedder_asks_once_for_a_text():
    asked = []

    def encode(texts):
        asked.extend(texts)
        return np.array([[len(text)] for text in texts], np.float32).reshape(-1, 1)

    embedder = remembering(Embedder("lengths", False, encode))
    assert embedder.encode(["a", "bb", "a"]).tolist() == [[1], [2], [1]]
    assert embedder.encode(["ccc", "bb"]).tolist() == [[3], [2]]
    assert embedder.encode([]).shape == (0, 1)
    assert asked == ["a", "bb", "ccc"]
    assert embedder.name == "lengths"
