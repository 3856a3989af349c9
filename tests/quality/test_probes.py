import numpy as np
import pytest

from ercsatz.quality.embedder import Embedder, lexical
from ercsatz.quality.probes import embedding_probe, words_probe

pytestmark = pytest.mark.filterwarnings("error")

JOY = ["What a lovely day.", "I love this so much.", "This is lovely, thanks.", "So much love."]
ANGER = ["Get out of here.", "Shut up, get out.", "Out, I said, out.", "Shut up, will you."]


def probes(texts):
    return [words_probe(), embedding_probe(lexical(texts, 16))]


@pytest.mark.parametrize("which", [0, 1])
def test_learns_what_words_mean(which):
    predict = probes(JOY + ANGER)[which].fit(JOY + ANGER, ["joy"] * 4 + ["anger"] * 4)
    assert predict(["I love it", "OUT!", "lovely", "shut up"]) == ["joy", "anger", "joy", "anger"]
    assert predict([]) == []


def test_hears_pairs_of_words_and_marks():
    texts = ["not good", "good", "not bad", "bad"] * 3
    predict = words_probe().fit(texts, ["sadness", "joy", "joy", "sadness"] * 3)
    assert predict(["so not bad", "so not good"]) == ["joy", "sadness"]
    predict = words_probe().fit(["Tea.", "Tea?!", "No.", "No?!"], ["neutral", "surprise"] * 2)
    assert predict(["Home?!", "Home."]) == ["surprise", "neutral"]


@pytest.mark.parametrize("which", [0, 1])
def test_one_class_is_always_said(which):
    assert probes(JOY)[which].fit(JOY, ["joy"] * 4)(["Shut up.", "..."]) == ["joy", "joy"]


@pytest.mark.parametrize(
    "texts",
    [
        ["...", "\u2014", "", "--"],
        ["same", "same", "same", "same"],
        ["\u4f60\u597d", "\U0001f602\U0001f602", "\u041f\u0440\u0438\u0432\u0435\u0442", "?"],
    ],
)
def test_any_text_will_do(texts):
    for probe in probes(texts):
        predicted = probe.fit(texts, ["joy", "anger", "joy", "fear"])(texts)
        assert len(predicted) == 4
        assert set(predicted) <= {"joy", "anger", "fear"}


def test_frequent_classes_weigh_more_but_not_in_proportion():
    # Nothing to learn from: what is left is the weight, the root of the share.
    ones = Embedder("ones", True, lambda texts: np.ones((len(texts), 1), np.float32))
    assert embedding_probe(ones).fit(["a"] * 9, ["joy"] * 3 + ["anger"] * 6)(["a"]) == ["anger"]
    seen = embedding_probe(Embedder("", True, lambda texts: np.array([[text == "a"] for text in texts], np.float32)))
    # Of a hundred turns, 80 "b" are anger; of 20 "a", 12 are anger and 8 joy, the rarer class.
    texts = ["b"] * 80 + ["a"] * 20
    labels = ["anger"] * 92 + ["joy"] * 8
    assert seen.fit(texts, labels)(["a", "b"]) == ["joy", "anger"]


def test_is_named_and_the_same_each_time():
    names = [probe.name for probe in probes(JOY)]
    assert names == ["TF-IDF + logistic regression", "lexical (TF-IDF + SVD) + logistic regression"]
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(list("abcdefgh"), 4)) for _ in range(80)]
    labels = list(rng.choice(["joy", "anger", "fear"], 80))
    for probe in probes(texts):
        assert probe.fit(texts, labels)(texts) == probe.fit(texts, labels)(texts)
