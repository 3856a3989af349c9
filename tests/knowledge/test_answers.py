import pytest
from hypothesis import given
from hypothesis import strategies as st

from ercsatz.generators.interface import Answer, FinishReason
from ercsatz.knowledge import Inference
from ercsatz.knowledge.answers import MAX_PHRASES, MAX_WORDS, AnswerReason, read_answer

GOOD = "xIntent: to make up; to be forgiven\nxReact: guilty\noReact: none"
READ = Inference(("to make up", "to be forgiven"), ("guilty",), ())

phrase = st.lists(st.sampled_from(["to", "be", "kind", "a bit", "glad"]), min_size=1, max_size=4).map(" ".join)
phrases = st.lists(phrase, max_size=MAX_PHRASES, unique=True).map(tuple)


def read(text, reason=FinishReason.stop):
    return read_answer(Answer(text, reason))


@given(st.builds(Inference, phrases, phrases, phrases), st.permutations(["xIntent", "xReact", "oReact"]))
def test_what_is_written_in_the_asked_form_is_read(inference, order):
    said = inference.to_json()
    assert read("\n".join(f"{name}: {'; '.join(said[name]) or 'none'}" for name in order)) == inference


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"Sure! Here is the answer:\n\n{GOOD}\n\nLet me know if you need more.",
        "**xIntent:** To make up.; to be forgiven.\n**xReact:** Guilty.\n**oReact:** None".replace("To", "to").lower(),
        "- XINTENT : to make up;to be forgiven;\r\n- xreact: guilty; guilty\r\n- oReact: None.",
        "```\n" + GOOD + "\n```",
        "1. xIntent: to make up; to be forgiven\n2. xReact: guilty\n3. oReact: none",
    ],
)
def test_what_models_make_of_the_form_is_read(text):
    assert read(text) == READ


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", AnswerReason.empty),
        (" \n\u200b\n", AnswerReason.empty),
        ("PersonX wants to make up.", AnswerReason.no_lines),
        ("xIntent: to make up\nBecause it was late.\nxReact: guilty\noReact: none", AnswerReason.stray_line),
        (GOOD + "\nxReact: sad", AnswerReason.repeated_line),
        ("xIntent: to make up\nxReact: guilty", AnswerReason.missing_line),
        ("xIntent: to make up\nxReact:\noReact: none", AnswerReason.no_phrases),
        ("xIntent: to make up\nxReact: ;\noReact: none", AnswerReason.no_phrases),
        ("xIntent: a; b; c; d\nxReact: guilty\noReact: none", AnswerReason.many_phrases),
        (f"xIntent: to {'go ' * MAX_WORDS}\nxReact: guilty\noReact: none", AnswerReason.long_phrase),
    ],
)
def test_anything_else_is_rejected_with_its_reason(text, reason):
    assert read(text) is reason


def test_an_answer_that_ran_into_the_limit_is_cut_off_however_it_looks():
    assert read(GOOD, FinishReason.length) is AnswerReason.cut_off


@given(st.text())
def test_any_text_is_read_or_rejected(text):
    result = read(text)
    assert isinstance(result, AnswerReason | Inference)
