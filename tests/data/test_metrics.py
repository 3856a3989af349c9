import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_recall_fscore_support

from ercsatz.data.metrics import scores

LABELS = ("neutral", "joy", "anger", "fear")
classes = st.integers(0, len(LABELS) - 1)


@given(st.lists(st.tuples(classes, classes), min_size=1, max_size=40))
def test_scores_are_those_of_scikit_learn(pairs):
    gold, predicted = zip(*pairs, strict=True)
    found = scores(gold, predicted, LABELS)
    assert found["w_f1"] == pytest.approx(f1_score(gold, predicted, average="weighted", zero_division=0))
    assert found["macro_f1"] == pytest.approx(f1_score(gold, predicted, average="macro", zero_division=0))
    assert found["accuracy"] == pytest.approx(accuracy_score(gold, predicted))
    assert found["utterances"] == len(gold)
    columns = precision_recall_fscore_support(gold, predicted, labels=[0, 1, 2, 3], zero_division=0)
    for name, column in zip(("precision", "recall", "f1", "support"), columns, strict=True):
        assert [found["per_class"][label][name] for label in LABELS] == pytest.approx(list(column))
    assert found["confusion"] == confusion_matrix(gold, predicted, labels=range(len(LABELS))).tolist()


def test_a_class_that_never_occurs_does_not_count():
    found = scores([0, 0, 1], [0, 0, 1], LABELS)
    assert (found["w_f1"], found["macro_f1"], found["accuracy"]) == (1.0, 1.0, 1.0)
    assert found["per_class"]["fear"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0}


def test_a_class_that_is_only_predicted_costs_macro_f1():
    found = scores([0, 0], [0, 1], LABELS)
    assert found["w_f1"] == pytest.approx(2 / 3)
    assert found["macro_f1"] == pytest.approx(1 / 3)


def test_the_confusion_matrix_has_a_row_per_gold_label():
    found = scores([0, 0, 0, 2], [0, 1, 1, 0], LABELS)
    assert found["confusion"] == [[1, 2, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]


def test_scores_are_plain_numbers_for_json():
    found = scores([0, 1], [0, 1], LABELS)
    assert type(found["w_f1"]) is float
    assert type(found["per_class"]["joy"]["support"]) is int
    assert type(found["confusion"][0][0]) is int
