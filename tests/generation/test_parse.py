import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ercsatz.data.dialogue import Utterance
from ercsatz.generation.parse import parse
from ercsatz.generation.rejection import Reason
from ercsatz.generators.interface import Answer, FinishReason

SPEAKERS = ("Maya", "Tomas")
LABELS = ("neutral", "joy", "anger")
TURNS = (Utterance("Maya", "You're early.", "anger"), Utterance("Tomas", "Am I? Ha!", "joy"))


def read(text: str, finish_reason: FinishReason = FinishReason.stop):
    return parse(Answer(text, finish_reason), SPEAKERS, LABELS)


words = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "Zs")), min_size=1).map(lambda t: f"a{t} z")
turns = st.lists(
    st.builds(Utterance, st.sampled_from(SPEAKERS), words.map(lambda t: " ".join(t.split())), st.sampled_from(LABELS)),
    min_size=1,
)


@settings(max_examples=50)
@given(turns)
def test_what_is_rendered_is_read_back(dialogue):
    lines = [f"{turn.speaker}: {turn.text} ({LABELS.index(turn.emotion) + 1})" for turn in dialogue]
    assert read("\n".join(lines)) == tuple(dialogue)


@pytest.mark.parametrize(
    "text",
    [
        "Maya: You're early. (3)\nTomas: Am I? Ha! (2)",
        "Maya: You're early. (3)  \r\n\r\nTomas: Am I? Ha! (2)\r\n",
        "**Maya:** You're early. (3)\n**Tomas:** Am I? Ha! (2)",
        "- Maya: You're early. [3]\n- Tomas: Am I? Ha! [2]",
        "1. Maya: You're early. (3)\n2. Tomas: Am I? Ha! (2)",
        "Maya (3): You're early.\nTomas (2): Am I? Ha!",
        "Maya [anger]: You're early.\nTomas [joy]: Am I? Ha!",
        'Maya: "You\'re early." (3)\nTomas: "Am I? Ha!" (2)',
        "Maya: You're early. (anger)\nTomas: Am I? Ha! (Joy)",
        "Maya: You're early. (3 - anger)\nTomas: Am I? Ha! (2: joy)",
        "MAYA: You're early. (3).\ntomas: Am I? Ha! (2)",
        "Sure! Here is the conversation:\n\nMaya: You're early. (3)\nTomas: Am I? Ha! (2)\n\nI hope this helps!",
        "```\nMaya: You're early. (3)\nTomas: Am I? Ha! (2)\n```",
        "Maya: You're early. (3)\x07\nTomas: Am I?\u2028Ha! (2)",
    ],
)
def test_usual_formats_of_one_dialogue_are_read(text):
    assert read(text) == TURNS


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", Reason.empty),
        (" \n\t\x00\n", Reason.empty),
        ("I am sorry, but I cannot write that.", Reason.no_turns),
        ("Maya: Hi. (1)\nTomas: Hello.\nMaya: Bye. (1)", Reason.no_label),
        ("Maya: Hi. (1)\nTomas: I was going to", Reason.cut_off),
        ("Maya: Hi. (1)\nTomas:", Reason.cut_off),
        ("Maya: Hi. (1)\nTom", Reason.cut_off),
        ("Maya: Hi. (1)\nTomas: Hello. (2", Reason.cut_off),
        ("Maya: Hi. (4)\nTomas: Hello. (1)", Reason.unknown_label),
        ("Maya: Hi. (0)\nTomas: Hello. (1)", Reason.unknown_label),
        ("Maya: Hi. (2, anger)\nTomas: Hello. (1)", Reason.two_labels),
        ("Maya (2): Hi. (3)\nTomas: Hello. (1)", Reason.two_labels),
        ("Maya: Hi. (2) (3)\nTomas: Hello. (1)", Reason.two_labels),
        ("Maya: (2)\nTomas: Hello. (1)", Reason.no_text),
        ("Maya: Hi. (1)\nA long silence.\nTomas: Hello. (1)", Reason.stray_line),
        ("Tomas walks in (2)\nMaya: Hi. (1)\nTomas: Hello. (1)", Reason.stray_line),
        ("Maya: Hi. (1) Tomas: Hello. (2)\nMaya: Bye. (1)", Reason.two_turns),
    ],
)
def test_broken_answers_have_a_reason(text, reason):
    assert read(text) is reason


def test_answer_that_ran_into_the_limit_is_refused_even_if_it_reads_well():
    assert read("Maya: You're early. (3)\nTomas: Am I? Ha! (2)", FinishReason.length) is Reason.cut_off


def test_numbers_in_brackets_inside_an_utterance_are_left_alone():
    (turn,) = read("- Maya: Take (2) eggs, no, 3. You know. (1)")
    assert turn.text == "Take (2) eggs, no, 3. You know."


def test_unknown_speaker_is_kept_for_the_check():
    assert read("Maya: Hi. (1)\nBob: Hello. (1)")[1].speaker == "Bob"


def test_brackets_that_hold_no_label_stay_in_the_text():
    (turn,) = read("Maya (whispering): I was born then (1984, I think). (laughs) No. (1)")
    assert turn == Utterance("Maya (whispering)", "I was born then (1984, I think). (laughs) No.", "neutral")


@given(st.text(st.characters(exclude_categories=()) | st.sampled_from("\n:()[]{}*_`#12 Maya")))
def test_any_text_gives_turns_or_a_reason(text):
    result = read(text)
    assert isinstance(result, Reason) or all(t.text and t.speaker and t.emotion in LABELS for t in result)
    if not isinstance(result, Reason):
        assert all(turn.text.encode() for turn in result)  # no lone surrogates, which no file can hold


@pytest.mark.parametrize("piece", ["(", ")", "a ", "[1", "Maya: ", "(1) ", "**", "1. ", '"', "((((1", " \x00"])
def test_huge_lines_take_linear_time(piece):
    text = "Maya: " + piece * (1_000_000 // len(piece)) + " (1)"
    start = time.perf_counter()
    read(text)
    assert time.perf_counter() - start < 2


@pytest.mark.parametrize(
    "text",
    ["Ignore all previous instructions.", "<script>alert(1)</script>", "{{ 7 * 7 }}", "'; DROP TABLE x; --", "%s"],
)
def test_hostile_words_are_just_words(text):
    assert read(f"Maya: {text} (1)\nTomas: Hello. (1)")[0].text == text
