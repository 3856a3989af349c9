import pytest

from ercsatz.assessment.sentences import headline, sentences

PREFERENCE = {"low": 0.2, "high": 0.6, "synthetic": 4, "real": 6, "tied": 0, "measure": "called_more_natural"}


def told(found):
    return " ".join(sentences(found))


def test_the_headline_counts(assessment, line):
    lines = [line(1.0), line(1.0, better="higher"), line(), line(None)]
    counted = "mini_bal: 3 figures, 1 as in real dialogues, 1 worse, 1 past them on the side that is no worse"
    assert headline(assessment(lines=lines)) == f"{counted}."
    useful = line(1.0, better="higher", family="labels", name="tstr_w_f1_words")
    lines = [line(0.5, 0.5), useful, line(0.1, better="higher", family="human", name="coherence")]
    told = headline(assessment(lines=lines))
    assert (
        told == "mini_bal: 3 figures, 1 as in real dialogues, 1 worse. Better than real is possible on 2 of them: 1 is."
    )
    assert headline(assessment(lines=lines[2:])).endswith(
        "1 worse. Better than real is possible on 1 of them: none is."
    )
    assert headline(assessment(lines=[line(0.5, None)])) == "mini_bal: too little to compare it with real dialogues."


@pytest.mark.parametrize(("value", "told_as"), [(0.2, "is"), (0.4, "is not shown to be"), (0.6, "")])
def test_variety_is_told_in_words_and_numbers(assessment, line, value, told_as):
    pairs = line(value, 0.4, family="diversity", name="distinct_2", better="higher", chance=0.1)
    said = told(assessment(lines=[pairs]))
    wording = f"{told_as} less varied" if told_as else "is more varied"
    assert f"Its wording {wording} than that of real dialogues" in said
    assert f"{100 * value:.0f} % of the pairs of neighbouring words are different ones (real: 40 %)" in said


def test_repetition_is_told_only_where_there_is_too_much(assessment, line):
    lines = [line(0.9, 0.3, family="diversity", name="self_repetition", chance=0.1)]
    said = told(assessment(lines=lines))
    assert "repeat each other's phrases more than real ones do (self-repetition 0.900, real 0.300)" in said
    assert " times" not in said, "the figure is a logarithm"
    assert "phrases" not in told(assessment(lines=[line(0.3, 0.3, name="self_repetition")]))


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
    assert (
        "W-F1 40.0 on the real test set; trained on as many turns of real dialogues 50.0, and 30.0 without learning"
        in said
    )
    assert "it teaches 50 % of what real dialogues teach" in said


def test_leaks_are_told_with_what_mends_them(assessment, line):
    leaking = line(0.25, 0.01, family="leakage", name="leaking", n=200, of=200)
    said = told(assessment(lines=[leaking]))
    assert "50 of its 200 dialogues repeat something" in said
    assert "assess.fix=true" in said
    assert "repeat something" in sentences(assessment(lines=[leaking, line(name="coverage")]))[1], "what matters first"
    clean = line(0.0, 0.01, family="leakage", name="leaking", n=200, of=200)
    assert "None of its 200 dialogues repeats" in told(assessment(lines=[clean]))


@pytest.mark.parametrize(
    ("share", "n", "words"),
    [
        (0.0, 1, "Its one dialogue does not repeat the real validation"),
        (1.0, 1, "Its one dialogue repeats something of"),
        (0.5, 2, "1 of its 2 dialogues repeats something of"),
    ],
)
def test_of_one_dialogue_leaks_are_told_in_the_singular(assessment, line, share, n, words):
    assert words in told(assessment(lines=[line(share, 0.01, family="leakage", name="leaking", n=n, of=n)]))


def test_the_label_that_falls_short_most_is_not_called_the_one_agreed_on_least(assessment, line):
    def f1(emotion, value, mark):
        return line(value, mark, family="labels", name="agreement_f1_words", emotion=emotion, better="higher")

    accuracy = line(0.5, 0.6, family="labels", name="agreement_accuracy_words", better="higher")
    said = told(assessment(lines=[accuracy, f1("neutral", 0.6, 0.8), f1("fear", 0.1, 0.15)]))
    assert "Furthest below what real labels reach: neutral (F1 0.600, real 0.800)." in said
    assert "least" not in said


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


def test_splits_that_differ_as_real_ones_do_are_no_fault(assessment, line):
    lines = [line(0.1, 0.3, family="splits", name="labels", p=0.01, mark_p=0.01)]
    assert "differ in emotions, but no more than the real ones" in told(assessment(lines=lines))


def test_of_few_dialogues_nothing_is_said_of_marks_that_are_not_there(assessment, line):
    names = ("c2st_auc", "coverage", "js_labels", "js_transitions", "agreement_accuracy_words", "leaking")
    said = told(assessment(lines=[line(0.25, None, name=name) for name in names]))
    assert "it picks the real one in 25 % of cases." in said
    assert "something like them" not in said
    assert "Its emotions" not in said
    assert "25 % of its turns the label that they have." in said
    assert "validation and test sets (25.0 %). assess.fix=true" in said


def test_a_copy_of_the_real_training_split_is_told(assessment, line):
    lines = [line(0.01, None, family="leakage", name="leaking", n=100, of=100)]
    assert "a copy is no new data" not in told(assessment(lines=[*lines, line(0.0, None, name="train_dialogues")]))
    said = told(assessment(lines=[*lines, line(0.69, None, name="train_dialogues")]))
    assert "69 % of its dialogues are of the real training split" in said
