import pytest

from ercsatz.assessment.verdict import beside, can_be_better, count, direction, mark_of, number, tolerance, verdict


@pytest.mark.parametrize(
    ("better", "value", "word"),
    [
        ("lower", 0.61, "worse"),
        ("lower", 0.39, "no worse"),
        ("lower", 0.59, "as real"),
        ("higher", 0.61, "no worse"),
        ("higher", 0.39, "worse"),
        ("real", 0.61, "worse"),
        ("real", 0.39, "worse"),
        ("real", 0.45, "as real"),
    ],
)
def test_what_chance_does_not_explain_is_better_or_worse(line, better, value, word):
    assert verdict(line(value, 0.5, better=better, chance=0.1)).word == word


@pytest.mark.parametrize(
    ("family", "name", "better", "possible"),
    [
        ("diversity", "distinct_2", "higher", False),
        ("leakage", "nearest_median", "higher", False),
        ("realism", "coverage", "higher", False),
        ("labels", "tstr_w_f1_words", "higher", True),
        ("labels", "tstr_w_f1_embedding", "higher", True),
        ("labels", "trts_w_f1_words", "real", False),
        ("labels", "agreement_w_f1_words", "real", False),
        ("human", "naturalness", "higher", True),
        ("human", "emotional_fit", "real", False),
        ("own", "mine.length", "higher", True),
        ("own", "mine.length", "lower", True),
        ("own", "mine.length", "real", False),
    ],
)
def test_better_than_real_is_said_only_where_it_is_possible(line, family, name, better, possible):
    good = line(0.2 if better == "lower" else 0.8, 0.5, family=family, name=name, better=better, chance=0.1)
    assert can_be_better(good) is possible
    assert verdict(good).word == ("better" if possible else "worse" if better == "real" else "no worse")
    told = {"higher": "lower is worse", "lower": "higher is worse", "real": "like real is best"}[better]
    assert direction(good) == (f"{better} is better" if possible else told)


def test_differences_of_two_per_cent_are_none_however_certain(line):
    assert verdict(line(0.509, 0.5, chance=0.0)).word == "as real"
    assert verdict(line(0.511, 0.5, chance=0.0)).word == "worse"
    assert tolerance(line(0.5, 0.5)) == pytest.approx(0.01)


def test_without_a_value_a_mark_or_what_chance_explains_there_is_no_verdict(line):
    assert verdict(line(None, 0.5)).word == "undefined"
    assert verdict(line(0.5, None)).word == "no mark"
    assert verdict(line(0.9, 0.5, chance=None)).word == "no mark"


@pytest.mark.parametrize(
    ("value", "mark", "p", "mark_p", "word"),
    [
        (0.3, 0.1, 0.04, 0.01, "worse"),
        (0.3, 0.1, 0.06, 0.01, "as real"),
        (0.1, 0.3, 0.04, 0.01, "as real"),
        (0.1, 0.3, 0.04, 0.06, "worse"),
        (0.1, 0.3, 0.04, None, "worse"),
    ],
)
def test_splits_that_are_significantly_apart_are_worse_unless_the_real_ones_are_so_too(
    line, value, mark, p, mark_p, word
):
    assert verdict(line(value, mark, family="splits", p=p, mark_p=mark_p)).word == word


def test_leaks_are_judged_by_their_test_and_their_marks_have_no_p(line):
    more, fewer = (line(value, 0.2, family="leakage", name="leaking", p=0.01) for value in (0.25, 0.15))
    assert (verdict(more).word, verdict(fewer).word) == ("worse", "no worse")
    assert verdict(line(0.9, 0.2, family="leakage", name="leaking", p=0.05)).word == "as real"
    assert mark_of([more]) == "0.200"


@pytest.mark.parametrize(("value", "p", "word"), [(0.9, 0.01, "better"), (0.1, 0.01, "worse"), (0.4, 0.3, "as real")])
def test_a_preference_is_judged_by_its_test(line, value, p, word):
    told = verdict(line(value, 0.5, family="human", name="called_more_natural", better="higher", p=p, chance=0.9))
    assert told.word == word
    assert told.difference == pytest.approx(value - 0.5)


def test_figures_are_counted_once_and_only_with_a_mark(line):
    lines = [line(1.0), line(0.1), line(), line(None), line(0.5, None), line(1.0, emotion="joy")]
    assert count(lines) == {"as real": 1, "better": 0, "no worse": 1, "worse": 1}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0.0, "0.000"),
        (0.5, "0.500"),
        (0.00092, "0.00092"),
        (-0.00004, "-4e-05"),
        (12.34, "12.3"),
        (1234.5, "1,234"),
    ],
)
def test_numbers(value, text):
    assert number(value) == text


def test_marks_that_agree_are_shown_once_and_others_as_a_range(line):
    assert mark_of([line(0.4, 0.5, chance=0.1), line(0.4, 0.5, chance=0.2)]) == "0.500 ± 0.100 to 0.200"
    assert mark_of([line(0.4, 0.50, chance=0.1), line(0.4, 0.52, chance=0.1)]) == "0.500 to 0.520 ± 0.100"
    assert mark_of([line(0.4, 0.1, chance=0.1), None, line(0.4, 0.5, chance=0.2)]) == "0.100 to 0.500 ± 0.100 to 0.200"
    assert mark_of([line(0.1, 0.2, p=0.3, mark_p=0.25)]) == "0.200 (p = 0.250)"
    assert mark_of([line(0.1, None)]) == ""
    assert beside(line(0.1, 0.2)) == "0.100, real 0.200"
