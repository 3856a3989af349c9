import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ercsatz.data.dialogue import SENTIMENTS, Dialogue, Utterance
from ercsatz.data.files import from_json, read_jsonl, to_json, write_jsonl
from ercsatz.errors import UserError

FIRST, SECOND = Utterance("Maya", "You're early.", "joy"), Utterance("Leo", "Am I?")
A_DIALOGUE = Dialogue("1", (FIRST, SECOND), {"prompt": 7})

said = st.text(min_size=1).filter(str.strip)
utterances = st.builds(Utterance, said, said, st.none() | st.text(), st.none() | st.sampled_from(SENTIMENTS))
dialogues = st.builds(
    Dialogue,
    st.text(),
    st.lists(utterances, min_size=1, max_size=4).map(tuple),
    st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.text(), max_size=3),
)


@given(st.lists(dialogues, min_size=1, max_size=4).map(tuple))
def test_what_is_written_is_read_again(tmp_path_factory, written):
    path = tmp_path_factory.mktemp("jsonl") / "train.jsonl"
    write_jsonl(path, written)
    assert read_jsonl(path) == written


@pytest.mark.parametrize(
    "text",
    [
        "line\u2028separator\u2029\x85",
        "tab\tnew\nline\r\n",
        "a \"quote\" \\ and 'one'",
        "👩‍👩‍👧 ok",
        "\ufeffBOM",
        "\x00",
    ],
)
def test_awkward_text_is_kept_on_one_line(tmp_path, text):
    written = (replace(A_DIALOGUE, utterances=(Utterance(text, text, "joy"),)),)
    write_jsonl(tmp_path / "a.jsonl", written)
    assert (tmp_path / "a.jsonl").read_bytes().count(b"\n") == 1
    assert read_jsonl(tmp_path / "a.jsonl") == written


def test_a_file_with_windows_ends_and_a_byte_order_mark_is_read(tmp_path):
    lines = [json.dumps(to_json(replace(A_DIALOGUE, id=i))) for i in "ab"]
    (tmp_path / "a.jsonl").write_bytes(b"\xef\xbb\xbf" + "\r\n".join([*lines, ""]).encode())
    assert [dialogue.id for dialogue in read_jsonl(tmp_path / "a.jsonl")] == ["a", "b"]


def test_a_sentiment_is_written_only_where_there_is_one():
    annotated = replace(A_DIALOGUE, utterances=(replace(FIRST, sentiment="positive"), SECOND))

    assert to_json(annotated)["utterances"] == [
        {"speaker": "Maya", "text": "You're early.", "emotion": "joy", "sentiment": "positive"},
        {"speaker": "Leo", "text": "Am I?", "emotion": None},
    ]


def test_a_null_sentiment_is_none():
    read = from_json(json.loads(turn(text="Hi.", emotion=None, sentiment=None)), "line 1")

    assert read.utterances[1] == Utterance("Leo", "Hi.")


def line(**changes) -> str:
    return json.dumps(to_json(A_DIALOGUE) | changes)


def turn(**changes) -> str:
    return line(utterances=[{"speaker": "Maya", "text": "Hi.", "emotion": None}, {"speaker": "Leo"} | changes])


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[]", "expected an object with the keys id, utterances"),
        ("{}", "the key 'id' is missing"),
        (line(turns=[]), "unknown key 'turns'; known are id, provenance, utterances"),
        (line(id=1), "'id' must be a string"),
        (line(utterances=[]), "'utterances' a list of at least one turn"),
        (line(utterances="Hi."), "'utterances' a list of at least one turn"),
        (line(provenance=[1]), "'provenance' must be an object"),
        (line(utterances=["Hi."]), "turn 1: expected an object with the keys emotion, speaker, text"),
        (turn(emotion=None), "turn 2: the key 'text' is missing"),
        (turn(text="Hi."), "turn 2: the key 'emotion' is missing"),
        (turn(text=" \u2028", emotion=None), "turn 2: 'text' must be a string that is not empty"),
        (turn(text=3, emotion=None), "turn 2: 'text' must be a string that is not empty"),
        (turn(text="Hi.", emotion=None, speaker=None), "turn 2: 'speaker' must be a string that is not empty"),
        (turn(text="Hi.", emotion=2), "turn 2: 'emotion' must be a label or null"),
        (
            turn(text="Hi.", emotion=None, mood="joy"),
            "turn 2: unknown key 'mood'; known are emotion, sentiment, speaker, text",
        ),
        *(
            (
                turn(text="Hi.", emotion=None, sentiment=bad),
                "turn 2: 'sentiment' must be negative, neutral, positive or null",
            )
            for bad in ("mixed", "Positive", "", 1, ["positive"])
        ),
    ],
)
def test_a_bad_line_is_refused_with_its_place(tmp_path, bad, message):
    path = tmp_path / "train.jsonl"
    path.write_text(f"{line()}\n{bad}\n{line()}\n", encoding="utf-8")
    with pytest.raises(UserError) as error:
        read_jsonl(path)
    assert str(error.value).startswith(f"{path}, line 2")
    assert message in str(error.value)


def test_a_missing_file_and_one_that_is_not_utf8_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"no file .*absent\.jsonl"):
        read_jsonl(tmp_path / "absent.jsonl")
    (tmp_path / "latin.jsonl").write_bytes(f"{line()}\n".encode() + b"\xe9\n")
    with pytest.raises(UserError, match=r"latin\.jsonl, line 2: not UTF-8\. Convert"):
        read_jsonl(tmp_path / "latin.jsonl")


def test_a_file_without_a_dialogue_is_refused(tmp_path):
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(UserError, match=r"empty\.jsonl: no dialogues"):
        read_jsonl(tmp_path / "empty.jsonl")


def test_write_jsonl_leaves_no_file_when_a_dialogue_cannot_be_written(tmp_path):
    with pytest.raises(TypeError):
        write_jsonl(tmp_path / "a.jsonl", (A_DIALOGUE, replace(A_DIALOGUE, provenance={"x": object()})))
    assert not list(tmp_path.iterdir())


def test_from_json_names_the_place_it_is_given():
    with pytest.raises(UserError, match=r"^answer 12: "):
        from_json({}, "answer 12")
