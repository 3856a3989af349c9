import json
import re
from copy import deepcopy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ercsatz.generators.interface import Answer, FinishReason
from ercsatz.judging.read import (
    JudgedComparison,
    JudgementReason,
    PersonaFit,
    Rating,
    grammar,
    read_comparison,
    read_persona_fit,
)

GOOD = {
    "A": {"naturalness": 4, "coherence": 5, "emotional_fit": {"1": 3, "3": 2}},
    "B": {"naturalness": 1, "coherence": 2, "emotional_fit": {}},
    "more_natural": "B",
}
READ = JudgedComparison(Rating(4, 5, {1: 3, 3: 2}), Rating(1, 2, {}), first_more_natural=False)


def read(text, reason=FinishReason.stop):
    return read_comparison(Answer(text, reason), (1, 3), ())


def changed(path, value):
    said = deepcopy(GOOD)
    at = said
    for key in path[:-1]:
        at = at[key]
    if value is None:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return json.dumps(said)


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(GOOD),
        json.dumps(GOOD, indent=2),
        f"\n {json.dumps(dict(reversed(GOOD.items())))} \n",
        f"```json\n{json.dumps(GOOD, indent=1)}\n```",
        f"```\n{json.dumps(GOOD)}\n```\n",
    ],
)
def test_a_judgement_is_read(text):
    assert read(text) == READ


TEXT = json.dumps(GOOD)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", JudgementReason.empty),
        (" \n ", JudgementReason.empty),
        ("I cannot rate conversations.", JudgementReason.prose),
        (f"Here it is: {TEXT}", JudgementReason.prose),
        (f"{TEXT}\nA seems a little stiff.", JudgementReason.prose),
        (f"Sure!\n```json\n{TEXT}\n```", JudgementReason.prose),
        (f"{TEXT}\n{TEXT}", JudgementReason.broken),
        (f"[{TEXT}]", JudgementReason.prose),
        ("5", JudgementReason.prose),
        ('"A"', JudgementReason.prose),
        ("null", JudgementReason.prose),
        (TEXT.replace("4", "4 or 5"), JudgementReason.broken),
        (TEXT.replace('"', "'"), JudgementReason.broken),
        (TEXT[:-1] + ",}", JudgementReason.broken),
        (TEXT.replace("4", "N"), JudgementReason.broken),
        (TEXT.replace("4", "9" * 5000), JudgementReason.broken),
        ("[" * 100_000, JudgementReason.prose),
        ('{"A": ' * 100_000 + "1" + "}" * 100_000, JudgementReason.broken),
        (TEXT.replace('"coherence": 5', '"coherence": 5, "coherence": 5'), JudgementReason.repeated_key),
        (TEXT.replace('"1": 3', '"1": 3, "1": 4'), JudgementReason.repeated_key),
        (changed(["B"], None), JudgementReason.missing_key),
        (changed(["more_natural"], None), JudgementReason.missing_key),
        (changed(["A", "coherence"], None), JudgementReason.missing_key),
        (changed(["B", "emotional_fit"], None), JudgementReason.missing_key),
        ("{}", JudgementReason.missing_key),
        (changed(["C"], 1), JudgementReason.unknown_key),
        (changed(["A", "why"], "it flows"), JudgementReason.unknown_key),
        (changed(["A", "naturalness"], "4"), JudgementReason.not_a_score),
        (changed(["A", "naturalness"], 4.0), JudgementReason.not_a_score),
        (changed(["A", "naturalness"], True), JudgementReason.not_a_score),
        (changed(["A", "naturalness"], [4]), JudgementReason.not_a_score),
        (TEXT.replace("4", "NaN"), JudgementReason.not_a_score),
        (TEXT.replace("4", "null"), JudgementReason.not_a_score),
        (changed(["A", "emotional_fit", "1"], "3"), JudgementReason.not_a_score),
        (changed(["B", "coherence"], 0), JudgementReason.out_of_range),
        (changed(["B", "coherence"], 6), JudgementReason.out_of_range),
        (changed(["B", "coherence"], -3), JudgementReason.out_of_range),
        (changed(["A", "emotional_fit", "3"], 10), JudgementReason.out_of_range),
        (changed(["A", "emotional_fit", "3"], None), JudgementReason.wrong_labels),
        (changed(["A", "emotional_fit", "2"], 3), JudgementReason.wrong_labels),
        (changed(["B", "emotional_fit", "1"], 3), JudgementReason.wrong_labels),
        (changed(["A", "emotional_fit"], [3, 2]), JudgementReason.wrong_labels),
        (changed(["A", "emotional_fit"], 3), JudgementReason.wrong_labels),
        (changed(["more_natural"], "both"), JudgementReason.no_choice),
        (changed(["more_natural"], "a"), JudgementReason.no_choice),
        (changed(["more_natural"], ["A"]), JudgementReason.no_choice),
        (changed(["A"], 4), JudgementReason.prose),
    ],
)
def test_whatever_is_wrong_is_rejected_with_its_reason(text, reason):
    assert read(text) is reason


@pytest.mark.parametrize("text", [TEXT, TEXT[:50], "```json\n" + TEXT])
def test_an_answer_that_ran_into_the_limit_is_rejected(text):
    assert read(text, FinishReason.length) is JudgementReason.cut_off


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('{"persona_fit": 3}', PersonaFit(3)),
        ('```\n{"persona_fit": 5}\n```', PersonaFit(5)),
        ('{"persona_fit": 6}', JudgementReason.out_of_range),
        ('{"persona_fit": "3"}', JudgementReason.not_a_score),
        ('{"score": 3}', JudgementReason.missing_key),
        ("3", JudgementReason.prose),
    ],
)
def test_persona_fit_is_read_as_strictly(text, wanted):
    assert read_persona_fit(Answer(text, FinishReason.stop)) == wanted


@settings(deadline=None)
@given(st.text())
def test_no_text_breaks_the_reading(text):
    assert isinstance(read(text), JudgementReason)
    assert isinstance(read_persona_fit(Answer(text, FinishReason.stop)), JudgementReason)


turns = st.lists(st.integers(1, 20), unique=True, max_size=20).map(tuple)


@given(turns, turns, st.integers(1, 5), st.sampled_from("AB"))
def test_the_grammar_takes_what_is_read(first, second, score, choice):
    a, b = (
        {"naturalness": score, "coherence": 1, "emotional_fit": dict.fromkeys(map(str, t), 5)} for t in (first, second)
    )
    text = json.dumps({"A": a, "B": b, "more_natural": choice})
    assert re.fullmatch(grammar(20), text)
    said = read_comparison(Answer(text, FinishReason.stop), first, second)
    assert said == JudgedComparison(
        Rating(score, 1, dict.fromkeys(first, 5)), Rating(score, 1, dict.fromkeys(second, 5)), choice == "A"
    )


def test_the_grammar_takes_nothing_else():
    assert re.fullmatch(grammar(2), '{"persona_fit": 4}')
    for text in (TEXT.replace("4", "6"), TEXT + " ", TEXT.replace("B", "C"), '{"persona_fit": 0}', ""):
        assert not re.fullmatch(grammar(2), text)
    assert re.fullmatch(grammar(2), TEXT)
    assert not re.fullmatch(grammar(1), TEXT)
