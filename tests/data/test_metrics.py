import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_recall_fscore_support

from ercsatz.data.metrics import learnt_nothing, scores

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


def test_one_label_for_all_is_told_whatever_it_scores():
    assert learnt_nothing(scores([0, 0, 0, 2], [0, 0, 0, 0], LABELS)) == "one label"
    assert learnt_nothing(scores([0, 0, 0, 2], [3, 3, 3, 3], LABELS)) == "one label"
    assert learnt_nothing(scores([1, 1], [1, 1], LABELS)) == "one label"  # nothing can be learnt of such a test set


@given(st.lists(st.tuples(classes, classes), min_size=1, max_size=40))
def test_what_is_not_above_the_majority_floor_is_told(pairs):
    gold, predicted = zip(*pairs, strict=True)
    most = max(set(gold), key=gold.count)
    floor = f1_score(gold, [most] * len(gold), average="weighted", zero_division=0)
    found = scores(gold, predicted, LABELS)
    expected = "majority floor" if found["w_f1"] <= floor + 1e-9 else None
    assert learnt_nothing(found) == ("one label" if len(set(predicted)) == 1 else expected)


@given(st.lists(st.tuples(classes, classes), min_size=1, max_size=40))
def test_older_scores_without_a_confusion_matrix_are_judged_by_their_classes(pairs):
    gold, predicted = zip(*pairs, strict=True)
    found = scores(gold, predicted, LABELS)
    judged = learnt_nothing({key: value for key, value in found.items() if key != "confusion"})
    assert (judged is None) == (learnt_nothing(found) is None)


def test_scores_that_do_not_tell_are_not_judged():
    assert learnt_nothing({"w_f1": 0.0, "macro_f1": 0.0, "accuracy": 0.0}) is None
    assert learnt_nothing({"w_f1": 0.9, "per_class": {"joy": {"f1": 0.9, "support": 3}}}) == "majority floor"
    assert learnt_nothing({"w_f1": 0.0, "per_class": {}, "confusion": []}) is None
