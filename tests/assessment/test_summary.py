import re

import pytest

from ercsatz.assessment.summary import headline, sentences

PREFERENCE = {"low": 0.2, "high": 0.6, "synthetic": 4, "real": 6, "tied": 0, "measure": "called_more_natural"}


def told(found):
    return " ".join(sentences(found))


def test_the_headline_counts(assessment, line):
    lines = [line(1.0), line(1.0, better="higher"), line(), line(None)]
    assert headline(assessment(lines=lines)) == "mini_bal: 3 figures, 1 as in real dialogues, 1 worse, 1 better."


@pytest.mark.parametrize(("value", "word"), [(0.2, "less varied"), (0.4, "as varied"), (0.6, "more varied")])
def test_variety_is_told_in_words_and_numbers(assessment, line, value, word):
    pairs = line(value, 0.4, family="diversity", name="distinct_2", better="higher", chance=0.1)
    said = told(assessment(lines=[pairs]))
    assert re.search(f"Its wording is {word} (as|than) that of real dialogues", said)
    assert f"{100 * value:.0f} % of the pairs of neighbouring words are different ones (real: 40 %)" in said


def test_repetition_is_told_only_where_there_is_too_much(assessment, line):
    lines = [line(0.9, 0.3, family="diversity", name="self_repetition", chance=0.1)]
    assert "repeat each other's phrases 3.0 times as much as real ones do" in told(assessment(lines=lines))
    assert "phrases" not in told(assessment(lines=[line(0.3, 0.3, name="self_repetition")]))
    assert "and real ones do not" in told(assessment(lines=[line(0.9, 0.0, name="self_repetition")]))


def test_emotions_most_out_of_proportion_are_named(assessment, line):
    own, real = {"neutral": 10, "joy": 10, "fear": 80}, {"neutral": 50, "joy": 20, "fear": 30}
    counts = {name: dict.fromkeys(("train", "validation", "test"), each) for name, each in
              (("mini_org", real), ("mini_bal", own))}  # fmt: skip
    found = assessment(lines=[line(0.4, 0.1, name="js_labels", chance=0.1)], label_counts=counts)
    assert "fear 80 % of turns (real: 30 %), neutral 10 % of turns (real: 50 %) and joy" in told(found).replace(
        "1.0e", ""
    )
    found = assessment(lines=[line(0.11, 0.1, name="js_labels", chance=0.1)], label_counts=counts)
    assert "not shown to be distributed otherwise" in told(found)


def test_what_it_teaches_is_told_as_a_share(assessment, line):
    lines = [
        line(0.4, 0.5, family="labels", name="tstr_w_f1_words", better="higher"),
        line(0.3, None, family="labels", name="majority_w_f1", better="higher"),
    ]
    said = told(assessment(lines=lines))
    assert "W-F1 40.0 on the real test set; trained on real dialogues 50.0, and 30.0 without learning" in said
    assert "it teaches 50 % of what real dialogues teach" in said


def test_leaks_are_told_with_what_mends_them(assessment, line):
    leaking = line(0.25, 0.01, family="leakage", name="leaking", n=200, of=200)
    said = told(assessment(lines=[leaking]))
    assert "50 of its 200 dialogues repeat something" in said
    assert "assess.fix=true" in said
    assert "repeat something" in sentences(assessment(lines=[leaking, line(name="coverage")]))[1], "what matters first"
    clean = line(0.0, 0.01, family="leakage", name="leaking", n=200, of=200)
    assert "None of its 200 dialogues repeats" in told(assessment(lines=[clean]))


def test_splits_that_differ_are_named(assessment, line):
    lines = [line(0.3, 0.1, family="splits", name=name, p=p) for name, p in (("labels", 0.01), ("turn_lengths", 0.5))]
    assert "splits differ in emotions (tested" in told(assessment(lines=lines))
    assert "not shown to differ" in told(assessment(lines=lines[1:]))
    assert "splits" not in told(assessment(lines=[]))


def test_the_judge_is_told_with_its_interval(assessment, line):
    judge = {"not_judged": "", "by": "tgi m", "preference": PREFERENCE}
    preferred = line(0.4, 0.5, family="human", name="called_more_natural", better="higher", n=10, p=0.75)
    said = told(assessment(lines=[preferred], judge=judge))
    assert "in 40 % of 10 decided pairs (95 % interval 20 % to 60 %, p = 0.750)" in said
    none = line(None, None, family="human", name="called_more_natural", undefined="undefined because of few pairs")
    assert "No figure from the judge: undefined because of few pairs." in told(assessment(lines=[none], judge=judge))
    assert "Not judged: nobody was asked." in told(assessment())


LEFT_OUT = (
    *("distinct_2", "self_repetition", "vendi", "c2st_auc", "coverage", "js_labels", "js_transitions"),
    *("js_turn_lengths", "agreement_accuracy_words", "tstr_w_f1_words", "leaking", "closer_to_held_out"),
)


def test_what_is_undefined_is_left_out(assessment, line):
    lines = [line(None, None, name=name, undefined="undefined because of nothing") for name in LEFT_OUT]
    assert len(sentences(assessment(lines=lines, lexical=False))) == 2  # the headline, and that nobody judged
