import math
import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch.nn import functional

from ercsatz.classifiers.emoone.soft_labels import (
    adjust,
    category,
    gray_cross_entropy,
    gray_loss,
    read_word_vectors,
    word,
    word_softmax,
)
from ercsatz.data.benchmarks.fetch import settings
from ercsatz.data.dialogue import SENTIMENTS
from ercsatz.errors import UserError
from ercsatz.resources import resource

NAMES = [f"label{number}" for number in range(7)]
FIGURES = [
    ("meld", "joy", "positive", {"joy": 1}),
    ("meld", "anger", "negative", {"anger": 0.4, "disgust": 0.2, "fear": 0.2, "sadness": 0.2}),
    ("meld", "disgust", "negative", {"disgust": 0.4, "anger": 0.2, "fear": 0.2, "sadness": 0.2}),
    ("meld", "fear", None, {"fear": 0.4, "disgust": 0.2, "anger": 0.2, "sadness": 0.2}),
    ("meld", "sadness", "negative", {"sadness": 0.4, "disgust": 0.2, "fear": 0.2, "anger": 0.2}),
    ("meld", "neutral", "neutral", {"neutral": 2 / 3, "surprise": 1 / 3}),
    ("meld", "surprise", "positive", {"surprise": 2 / 3, "joy": 1 / 3}),
    (
        "meld",
        "surprise",
        "negative",
        {"surprise": 1 / 3, "anger": 1 / 6, "disgust": 1 / 6, "fear": 1 / 6, "sadness": 1 / 6},
    ),
    (
        "meld",
        "surprise",
        None,
        {"surprise": 1 / 2, "joy": 1 / 6, "anger": 1 / 12, "disgust": 1 / 12, "fear": 1 / 12, "sadness": 1 / 12},
    ),
    ("emorynlp", "joyful", None, {"joyful": 0.5, "peaceful": 0.25, "powerful": 0.25}),
    ("emorynlp", "powerful", None, {"powerful": 0.5, "peaceful": 0.25, "joyful": 0.25}),
    ("emorynlp_small", "scared", None, {"scared": 0.5, "mad": 0.25, "sad": 0.25}),
    ("emorynlp", "neutral", None, {"neutral": 1}),
    ("iemocap", "excited", None, {"excited": 2 / 3, "happy": 1 / 3}),
    ("iemocap", "frustrated", None, {"frustrated": 0.5, "angry": 0.25, "sad": 0.25}),
    ("iemocap", "neutral", None, {"neutral": 1}),
]


def distributions(labels: int, dtype=np.float64):
    weights = arrays.arrays(dtype, labels, elements=st.floats(0, 1, width=32))
    return weights.filter(lambda row: row.sum() > 0.01).map(lambda row: row / row.sum())


@st.composite
def teachers(draw):
    """Probabilities of a teacher and the gold classes."""
    labels, n = draw(st.integers(2, 7)), draw(st.integers(1, 5))
    rows = draw(st.lists(distributions(labels), min_size=n, max_size=n))
    return np.stack(rows), np.array(draw(st.lists(st.integers(0, labels - 1), min_size=n, max_size=n)))


@st.composite
def embeddings(draw):
    """Word vectors of up to seven labels; none is near zero."""
    labels = NAMES[: draw(st.integers(2, 7))]
    width = draw(st.integers(1, 5))
    vector = arrays.arrays(np.float64, width, elements=st.floats(-9, 9)).filter(lambda v: np.abs(v).max() > 1e-3)
    return {label: draw(vector) for label in labels}


groupings = st.lists(st.sampled_from([*SENTIMENTS, None]), min_size=2, max_size=7).map(
    lambda groups: dict(zip(NAMES, groups, strict=False))
)


def every_case(groups):
    """Each label with each annotation, as two sequences."""
    cases = [(label, sentiment) for label in groups for sentiment in (*SENTIMENTS, None)]
    return [label for label, _ in cases], [sentiment for _, sentiment in cases]


def are_distributions(rows) -> bool:
    return bool((rows >= 0).all() and np.allclose(rows.sum(axis=1), 1, rtol=0, atol=1e-12))


@pytest.mark.parametrize(("name", "emotion", "sentiment", "expected"), FIGURES)
def test_category_gives_the_published_figures(name, emotion, sentiment, expected):
    benchmark = settings(name, [resource("conf")])
    (row,) = category(benchmark.labels, [emotion], [sentiment], benchmark.sentiments)

    assert row == pytest.approx([expected.get(label, 0) for label in benchmark.labels])


def slow_category(labels, emotion, sentiment, groups):
    """By hand: a table of groups in which a label without a sentiment stands under neutral."""
    table = {sentiment: [] for sentiment in SENTIMENTS}
    for label in labels:
        table["neutral" if groups[label] is None else groups[label]].append(label)
    if groups[emotion] is not None:
        possible = [groups[emotion]]
    elif sentiment is not None:
        possible = [sentiment]
    else:
        possible = ["negative", "positive"]
    result = [0.0] * len(labels)
    for group in possible:
        scores = []
        for label in labels:
            if label == emotion:
                scores.append(1.0)
            elif label in table[group]:
                scores.append(0.5)
            else:
                scores.append(0.0)
        for place, score in enumerate(scores):
            result[place] += score / sum(scores) / len(possible)
    return result


@given(groupings)
def test_category_agrees_with_a_loop_over_a_table_of_groups(groups):
    emotions, sentiments = every_case(groups)
    rows = category(list(groups), emotions, sentiments, groups)

    slow = [slow_category(list(groups), *case, groups) for case in zip(emotions, sentiments, strict=True)]
    np.testing.assert_allclose(rows, slow, rtol=0, atol=1e-12)


@given(groupings)
def test_category_gives_distributions_with_the_gold_label_above_all_others(groups):
    emotions, sentiments = every_case(groups)
    rows = category(list(groups), emotions, sentiments, groups)

    assert are_distributions(rows)
    for row, emotion in zip(rows, emotions, strict=True):
        gold = list(groups).index(emotion)
        assert row[gold] > np.delete(row, gold).max()


@given(groupings, st.randoms(use_true_random=False))
def test_category_follows_the_label_order(groups, random):
    order = random.sample(range(len(groups)), len(groups))
    emotions, sentiments = every_case(groups)
    rows = category(list(groups), emotions, sentiments, groups)

    np.testing.assert_array_equal(category([NAMES[i] for i in order], emotions, sentiments, groups), rows[:, order])


def test_category_names_every_label_without_a_group():
    with pytest.raises(UserError, match=r"^benchmark\.sentiments lacks calm, glad: the category method needs"):
        category(["calm", "cross", "glad"], ["cross"], [None], {"cross": "negative"})


def test_category_wants_as_many_sentiments_as_emotions():
    with pytest.raises(ValueError, match="zip"):
        category(["calm"], ["calm", "calm"], [None], {"calm": "neutral"})


def slow_cosine(a, b) -> float:
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    return dot / math.sqrt(sum(x * x for x in a)) / math.sqrt(sum(y * y for y in b))


@given(embeddings())
def test_word_and_word_softmax_agree_with_a_loop_over_pairs(vectors):
    labels = list(vectors)
    for gold, row, soft in zip(labels, word(labels, vectors), word_softmax(labels, vectors), strict=True):
        cosines = [slow_cosine(vectors[gold], vectors[label]) for label in labels]
        clipped = [max(cosine, 0.0) for cosine in cosines]
        exponents = [math.exp(cosine) for cosine in cosines]
        assert row == pytest.approx([c / sum(clipped) for c in clipped], abs=1e-9)
        assert soft == pytest.approx([e / sum(exponents) for e in exponents], abs=1e-9)


@pytest.mark.parametrize("method", [word, word_softmax])
@given(vectors=embeddings())
def test_word_methods_give_distributions_with_the_gold_label_largest(method, vectors):
    rows = method(list(vectors), vectors)

    assert are_distributions(rows)
    assert (np.diag(rows) >= rows.max(axis=1) - 1e-12).all()


@pytest.mark.parametrize("method", [word, word_softmax])
@given(vectors=embeddings(), random=st.randoms(use_true_random=False))
def test_word_methods_follow_the_label_order(method, vectors, random):
    order = random.sample(range(len(vectors)), len(vectors))
    rows = method(list(vectors), vectors)

    np.testing.assert_allclose(method([NAMES[i] for i in order], vectors), rows[order][:, order], atol=1e-12)


def test_word_sets_opposites_to_0_and_word_softmax_does_not():
    vectors = {"joy": np.array([1.0, 0.0]), "fear": np.array([-2.0, 0.0]), "awe": np.array([3.0, 3.0])}
    half = math.sqrt(0.5)

    assert word(list(vectors), vectors)[0] == pytest.approx([1 / (1 + half), 0, half / (1 + half)])
    total = math.e + math.exp(-1) + math.exp(half)
    assert word_softmax(list(vectors), vectors)[0] == pytest.approx(
        [math.e / total, math.exp(-1) / total, math.exp(half) / total]
    )


def slow_adjust(row, gold):
    if row[gold] >= 0.5:
        return list(row)
    others = sum(p for place, p in enumerate(row) if place != gold)
    return [0.5 if place == gold else 0.5 * p / others for place, p in enumerate(row)]


@given(teachers())
def test_adjust_agrees_with_a_loop(teacher):
    rows, gold = teacher
    before = rows.copy()

    slow = [slow_adjust(row, place) for row, place in zip(rows, gold, strict=True)]
    np.testing.assert_allclose(adjust(rows, gold), slow, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(rows, before)


@given(teachers())
def test_adjust_gives_distributions_with_at_least_half_for_the_gold_label(teacher):
    rows, gold = teacher
    adjusted = adjust(rows, gold)

    assert are_distributions(adjusted)
    assert (adjusted[np.arange(len(gold)), gold] >= 0.5).all()
    np.testing.assert_allclose(adjust(adjusted, gold), adjusted, rtol=0, atol=1e-15)


@given(teachers(), st.randoms(use_true_random=False))
def test_adjust_follows_the_label_order(teacher, random):
    rows, gold = teacher
    order = random.sample(range(rows.shape[1]), rows.shape[1])

    np.testing.assert_allclose(
        adjust(rows[:, order], np.argsort(order)[gold]), adjust(rows, gold)[:, order], rtol=0, atol=1e-12
    )


@pytest.mark.parametrize(
    ("row", "gold", "expected"),
    [
        ([1, 0, 0], 0, [1, 0, 0]),
        ([1, 0, 0], 1, [0.5, 0.5, 0]),
        ([0.5, 0.3, 0.2], 0, [0.5, 0.3, 0.2]),
        ([0.2, 0.6, 0.2], 0, [0.5, 0.375, 0.125]),
        ([0, 0.25, 0.75], 0, [0.5, 0.125, 0.375]),
    ],
)
def test_adjust_in_closed_cases(row, gold, expected):
    with np.errstate(all="raise"):
        (adjusted,) = adjust(np.array([row], dtype=np.float32), np.array([gold]))

    assert adjusted == pytest.approx(expected, abs=1e-7)


@st.composite
def losses(draw):
    labels, n = draw(st.integers(2, 7)), draw(st.integers(1, 5))
    logits = draw(arrays.arrays(np.float64, (n, labels), elements=st.floats(-50, 50)))
    gray = np.stack(draw(st.lists(distributions(labels), min_size=n, max_size=n)))
    gold = draw(st.lists(st.integers(0, labels - 1), min_size=n, max_size=n))
    return torch.tensor(logits, requires_grad=True), torch.tensor(gray), torch.tensor(gold)


@given(losses())
def test_soft_cross_entropy_agrees_with_pytorchs_own_and_with_a_loop(drawn):
    logits, gray, _ = drawn
    loss = gray_cross_entropy(logits, gray)
    theirs = functional.cross_entropy(logits, gray)

    assert loss.item() == pytest.approx(theirs.item(), abs=1e-9)
    slow = []
    for row, target in zip(logits.tolist(), gray.tolist(), strict=True):
        largest = max(row)
        norm = largest + math.log(sum(math.exp(z - largest) for z in row))
        slow.append(-sum(p * (z - norm) for p, z in zip(target, row, strict=True)))
    assert loss.item() == pytest.approx(sum(slow) / len(slow), abs=1e-9)
    ours, reference = (torch.autograd.grad(value, logits)[0] for value in (loss, theirs))
    torch.testing.assert_close(ours, reference)


@given(losses(), st.floats(0, 3), st.floats(0, 3))
def test_gray_loss_is_the_cross_entropy_of_the_mixed_targets(drawn, w1, w2):
    logits, gray, gold = drawn
    one_hot = functional.one_hot(gold, logits.shape[1]).to(gray)
    expected = -((w1 * one_hot + w2 * gray) * logits.log_softmax(-1)).sum() / len(logits)

    assert gray_loss(functional.cross_entropy(logits, gold), logits, gray, w1, w2).item() == pytest.approx(
        expected.item(), abs=1e-9
    )


def test_a_hopeless_logit_costs_a_finite_loss():
    logits = torch.tensor([[0.0, -1e4, 1e4]], requires_grad=True)
    loss = gray_cross_entropy(logits, torch.tensor([[0.5, 0.5, 0.0]]))
    loss.backward()

    assert loss.item() == pytest.approx(1.5e4)
    assert logits.grad.tolist() == [[-0.5, -0.5, 1.0]]


def test_the_loss_has_the_type_of_the_logits_though_gray_labels_are_float64():
    gray = torch.from_numpy(category(["a", "b"], ["a"], [None], {"a": "positive", "b": "positive"}))

    assert gray_cross_entropy(torch.zeros(1, 2), gray).dtype == torch.float32


def vector_file(tmp_path, content: str | bytes):
    path = tmp_path / "vectors.vec"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    "content",
    [
        "joy 1 -2.5\nfear 3e-1 4\n",
        "2000000 2\nthe 9 9\njoy 1 -2.5 \nfear 0.3 4 \nJoy 7 7\n",
        "\ufeff3 2\r\nfear 0.3 4\r\njoy 1 -2.5\r\n",
        "\ufefffear 0.3 4\n\njoyful 7 7\njoy 1 -2.5\njoy 8 8\n",
        b"\xff\xfe\xe9 1 2\n. . . 1 2\njoy  1  -2.5\nthe 1 2 3 4\nfear .3 4",
    ],
    ids=["plain", "header", "windows", "mark", "alien bytes"],
)
def test_word_vectors_are_read(tmp_path, content):
    vectors = read_word_vectors(vector_file(tmp_path, content), ["fear", "joy"])

    assert {name: vector.tolist() for name, vector in vectors.items()} == {"joy": [1, -2.5], "fear": [0.3, 4]}


def test_reading_stops_when_all_words_are_found(tmp_path):
    path = vector_file(tmp_path, "joy 1 2\nfear 3 4\njoy x\nfear 1\n")

    assert read_word_vectors(path, ["joy", "fear"]).keys() == {"joy", "fear"}


def test_a_header_is_no_vector_even_where_a_label_is_a_number(tmp_path):
    assert read_word_vectors(vector_file(tmp_path, "2 2\n2 1 5\n3 1 6\n"), ["2"])["2"].tolist() == [1, 5]


def test_labels_need_not_be_ascii(tmp_path):
    assert read_word_vectors(vector_file(tmp_path, "喜悦 1 2\n"), ["喜悦"])["喜悦"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", ": no vector for joy, fear, awe. The file must have a line for every label"),
        ("awe 1 2\nJoy 1 2\nfears 1 2\n", ": no vector for joy, fear. The file must"),
        ("joy\t1\t2\nawe 1 2\n", ": no vector for joy, fear. The file must"),
        ("awe 1 2\n\njoy 1 2 3\n", ", line 3, joy: 3 numbers where awe has 2. Mend the line."),
        ("2 2\njoy 1 O\n", ", line 2, joy: not a number (could not convert string to float: 'O'). Mend"),
        ("joy to the world 1\n", ", line 1, joy: not a number (could not convert string to float: 'to')"),
        (b"joy 1 \xff\n", ", line 1, joy: not a number"),
        ("joy 0 0.0 -0\n", ", line 1, joy: a vector of length 0, which must be finite and above 0. Mend"),
        ("joy\n", ", line 1, joy: a vector of length 0"),
        ("joy 1 nan\n", ", line 1, joy: a vector of length nan"),
        ("joy 1 inf\n", ", line 1, joy: a vector of length inf"),
    ],
)
def test_a_bad_file_of_word_vectors_is_refused_with_its_place(tmp_path, content, message):
    path = vector_file(tmp_path, content)

    with pytest.raises(UserError, match=f"^{re.escape(str(path) + message)}"):
        read_word_vectors(path, ["joy", "fear", "awe"])


def test_a_missing_file_of_word_vectors_and_a_folder_are_refused(tmp_path):
    for path, reason in ((tmp_path / "none.vec", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(UserError, match=f"^{re.escape(str(path))}: {reason}.*text file of word vectors"):
            read_word_vectors(path, ["joy"])


def test_what_is_read_makes_gray_labels(tmp_path):
    path = vector_file(tmp_path, "joy 1 0\nawe 3 4\n")

    rows = word(["awe", "joy"], read_word_vectors(path, ["awe", "joy"]))
    np.testing.assert_allclose(rows, [[1 / 1.6, 0.6 / 1.6], [0.6 / 1.6, 1 / 1.6]])
