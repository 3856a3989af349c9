import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ercsatz.data.dialogue import (
    SENTIMENTS,
    Corpus,
    Dialogue,
    Knowledge,
    Utterance,
    atomic_write,
    fingerprint,
    from_json,
    json_lines,
    label_counts,
    read_jsonl,
    read_text,
    to_json,
    write_jsonl,
)
from ercsatz.errors import UserError

LABELS = ("neutral", "joy")
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


def test_lines_end_with_a_line_feed_alone(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes("\ufeff".encode() + '["a\u2028b"]\r\n{"c": null}'.encode())
    assert list(json_lines(path)) == [(f"{path}, line 1", ["a\u2028b"]), (f"{path}, line 2", {"c": None})]
    path.write_bytes(b"[]\n\n[]\n")
    with pytest.raises(UserError, match=r"a\.jsonl, line 2: not JSON"):
        list(json_lines(path))
    path.write_bytes(b"")
    assert list(json_lines(path)) == []


def test_a_file_without_a_dialogue_is_refused(tmp_path):
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(UserError, match=r"empty\.jsonl: no dialogues"):
        read_jsonl(tmp_path / "empty.jsonl")


@pytest.mark.parametrize("interruption", [ValueError, KeyboardInterrupt])
def test_atomic_write_leaves_the_old_file_on_an_error(tmp_path, interruption):
    path = tmp_path / "new" / "file.txt"
    with atomic_write(path) as file:
        file.write("old")

    def fail_halfway() -> None:
        with atomic_write(path) as file:
            file.write("half of the ne")
            raise interruption

    with pytest.raises(interruption):
        fail_halfway()
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_write_jsonl_leaves_no_file_when_a_dialogue_cannot_be_written(tmp_path):
    with pytest.raises(TypeError):
        write_jsonl(tmp_path / "a.jsonl", (A_DIALOGUE, replace(A_DIALOGUE, provenance={"x": object()})))
    assert not list(tmp_path.iterdir())


OTHER = Dialogue("2", (Utterance("Maya", "No.", "neutral"),))
KNOWN = Knowledge(("to be on time",), ("to please Leo",), b"\0\0\x80?")


def with_first(**changes) -> tuple[Dialogue, Dialogue]:
    """Both dialogues, with changes to the first turn."""
    return replace(A_DIALOGUE, utterances=(replace(FIRST, **changes), SECOND)), OTHER


@pytest.mark.parametrize(
    "changed",
    [
        (OTHER, A_DIALOGUE),
        (A_DIALOGUE,),
        (replace(A_DIALOGUE, id="3"), OTHER),
        (replace(A_DIALOGUE, utterances=(SECOND, FIRST)), OTHER),
        (replace(A_DIALOGUE, utterances=(replace(FIRST, emotion="neutral"), SECOND)), OTHER),
        (replace(A_DIALOGUE, utterances=(FIRST, replace(SECOND, emotion="None"))), OTHER),
        (replace(A_DIALOGUE, utterances=(replace(FIRST, speaker="Leo"), SECOND)), OTHER),
        (replace(A_DIALOGUE, utterances=(replace(FIRST, text="You're early"), SECOND)), OTHER),
        (replace(A_DIALOGUE, utterances=(FIRST, SECOND, *OTHER.utterances)),),
        with_first(sentiment="neutral"),
        with_first(knowledge=Knowledge()),
        with_first(knowledge=KNOWN),
    ],
)
def test_fingerprint_changes_with_the_content(changed):
    assert fingerprint(changed) != fingerprint((A_DIALOGUE, OTHER))


@pytest.mark.parametrize(
    "change",
    [
        {"sentiment": "negative"},
        {"sentiment": None},
        {"knowledge": None},
        {"knowledge": replace(KNOWN, retrieved=("to be late",))},
        {"knowledge": replace(KNOWN, retrieved=KNOWN.generated, generated=KNOWN.retrieved)},
        {"knowledge": replace(KNOWN, generated=())},
        {"knowledge": replace(KNOWN, vectors=b"")},
    ],
)
def test_fingerprint_changes_with_what_is_known_of_a_turn(change):
    known = {"sentiment": "positive", "knowledge": KNOWN}

    assert fingerprint(with_first(**known | change)) != fingerprint(with_first(**known))


def test_fingerprint_of_turns_without_sentiment_and_knowledge_is_as_ever():
    """Stages and data sets that were made before turns could have either stay valid."""
    lines = [
        '["1", [["Maya", "You\'re early.", "joy"], ["Leo", "Am I?", null]]]',
        '["2", [["Maya", "No.", "neutral"]]]',
    ]
    assert fingerprint((A_DIALOGUE, OTHER)) == hashlib.sha256("".join(lines).encode()).hexdigest()


def test_fingerprint_does_not_change_with_provenance():
    assert fingerprint([replace(A_DIALOGUE, provenance={"prompt": 8})]) == fingerprint([A_DIALOGUE])


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ((), "split train: no dialogues"),
        ((A_DIALOGUE, OTHER, A_DIALOGUE), "dialogue '1': the id occurs twice"),
        ((OTHER, Dialogue("9", (Utterance("Leo", "Hm."),))), "dialogue '9': no turn has a label"),
        (
            (OTHER, Dialogue("9", (Utterance("Leo", "Hm.", "mad"),))),
            "dialogue '9': unknown label 'mad'. The labels are: neutral, joy",
        ),
        ((replace(OTHER, id="\ud83d"),), "dialogue '\\ud83d': the id has half a surrogate pair"),
        (
            (replace(A_DIALOGUE, utterances=(FIRST, Utterance("Leo", "cut-off emoji \ud83d"))),),
            "dialogue '1', turn 2: the text has half a surrogate pair",
        ),
        (
            (replace(A_DIALOGUE, utterances=(replace(FIRST, speaker="\udc00"),)),),
            "dialogue '1', turn 1: the speaker has half a surrogate pair",
        ),
    ],
)
def test_a_split_that_no_stage_could_use_is_refused(split, message):
    with pytest.raises(UserError) as error:
        Corpus("mini_org", LABELS, {"validation": (OTHER,), "train": split})
    assert f"mini_org, split train{', ' if split else ''}" in str(error.value)
    assert message in str(error.value)


def test_a_split_that_is_not_there_is_named_with_those_that_are():
    corpus = Corpus("mini_nat", LABELS, {"train": (OTHER,), "test": (A_DIALOGUE,)})
    assert corpus.split("test") == (A_DIALOGUE,)
    with pytest.raises(UserError, match=r"mini_nat has no validation split; it has: train, test\."):
        corpus.split("validation")


def test_label_counts_leaves_out_context():
    assert label_counts((A_DIALOGUE, OTHER, replace(OTHER, id="3"))) == {"joy": 1, "neutral": 2}


def test_from_json_names_the_place_it_is_given():
    with pytest.raises(UserError, match=r"^answer 12: "):
        from_json({}, "answer 12")


def test_read_text_names_a_missing_file():
    with pytest.raises(UserError, match=r"There is no file nowhere\.txt"):
        read_text(Path("nowhere.txt"))


def test_read_text_refuses_a_folder_and_a_file_used_as_one(tmp_path):
    with pytest.raises(UserError, match=f"^{tmp_path}: Is a directory\\.$"):
        read_text(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="Not a directory"):
        read_text(tmp_path / "file" / "below")
