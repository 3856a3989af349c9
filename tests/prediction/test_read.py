import csv
import io
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ercsatz.data.benchmarks.parsing import MISSING_VALUES
from ercsatz.data.dialogue import Dialogue, Utterance
from ercsatz.errors import UserError
from ercsatz.prediction.read import Given, given_labels, read_dialogues

TALK = (
    Dialogue("1", (Utterance("Ann", "hello: you"), Utterance("小明", "你好 😀"), Utterance("Ann", "[red] </s> 12:30"))),
    Dialogue("2", (Utterance("أحمد", "مرحبا\u2028كيف حالك"),)),
)
TXT = """\
Ann: hello: you
小明\N{FULLWIDTH COLON}你好 😀
  Ann : [red] </s> 12:30


أحمد: مرحبا\u2028كيف حالك
"""


@pytest.fixture
def read(tmp_path):
    """Read a file of this name that has this content."""

    def do(name, content):
        data = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
        (tmp_path / name).write_bytes(data)
        return read_dialogues(tmp_path / name)

    return do


def as_jsonl(dialogues, **more):
    return "".join(
        json.dumps({"id": d.id, "utterances": [{"speaker": t.speaker, "text": t.text, **more} for t in d.utterances]})
        + "\n"
        for d in dialogues
    )


def as_table(dialogues, delimiter):
    file = io.StringIO()
    rows = csv.writer(file, delimiter=delimiter)
    rows.writerow(["text", "speaker", "dialogue", "mood"])
    rows.writerows((turn.text, turn.speaker, d.id, "x") for d in dialogues for turn in d.utterances)
    return file.getvalue()


def test_the_same_dialogues_are_read_of_every_form(read):
    assert read("talk.txt", TXT) == TALK
    assert read("talk.txt", TXT.replace("\n", "\r\n")) == TALK
    assert read("talk.TXT", "\ufeff" + TXT.rstrip("\n")) == TALK
    assert read("talk.jsonl", as_jsonl(TALK)) == TALK
    assert read("talk.jsonl", as_jsonl(TALK, emotion=None)) == TALK
    assert read("talk.csv", as_table(TALK, ",")) == TALK
    assert read("talk.tsv", as_table(TALK, "\t")) == TALK


def test_labels_are_read_where_there_are_any(read):
    jsonl = (
        '{"id": "1", "utterances": [{"speaker": "A", "text": "b", "emotion": "joy"}, {"speaker": "A", "text": "c"}]}'
    )
    table = "dialogue,speaker,text,emotion\n1,A,b,joy\n1,A,c,\n"
    for dialogue in (*read("talk.jsonl", jsonl), *read("talk.csv", table)):
        assert [turn.emotion for turn in dialogue.utterances] == ["joy", None]


def test_our_own_data_sets_are_read_as_they_are(read):
    line = {
        "id": "1",
        "utterances": [{"speaker": "A", "text": "b", "emotion": "joy", "sentiment": "positive"}],
        "provenance": {"seed": 3},
    }
    (dialogue,) = read("talk.jsonl", json.dumps(line))
    assert dialogue.provenance == {"seed": 3}
    assert dialogue.utterances == (Utterance("A", "b", "joy", "positive"),)


def test_rows_of_a_dialogue_need_not_stand_together(read):
    first, second = read("talk.csv", "dialogue,speaker,text\nx,A,one\ny,B,two\nx,C,three\n")
    assert (first.id, [turn.text for turn in first.utterances]) == ("x", ["one", "three"])
    assert (second.id, [turn.text for turn in second.utterances]) == ("y", ["two"])


SOME = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), min_size=1, max_size=20).map(
    str.strip
)
FILLED = SOME.filter(bool).filter(lambda text: text not in MISSING_VALUES)
DIALOGUES = st.lists(st.lists(st.tuples(FILLED, FILLED), min_size=1, max_size=4), min_size=1, max_size=4)


@given(DIALOGUES)
def test_any_text_is_the_same_in_tables_and_in_jsonl(tmp_path_factory, dialogues):
    folder = tmp_path_factory.mktemp("any")
    expected = tuple(
        Dialogue(str(number), tuple(Utterance(*turn) for turn in turns)) for number, turns in enumerate(dialogues)
    )
    for name, text in (
        ("a.jsonl", as_jsonl(expected)),
        ("a.csv", as_table(expected, ",")),
        ("a.tsv", as_table(expected, "\t")),
    ):
        (folder / name).write_text(text, encoding="utf-8", newline="")
        assert read_dialogues(folder / name) == expected


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("talk.xlsx", "", "the name must end in .jsonl, .csv, .tsv or .txt"),
        ("talk", "Ann: hi", "the name must end in"),
        ("talk.txt", "", "talk.txt: no dialogues"),
        ("talk.txt", "\n \n", "talk.txt: no dialogues"),
        ("talk.txt", "Ann: hi\n\nBo says no\n", "talk.txt, line 3: there is no colon"),
        ("talk.txt", "Ann: hi\nBo:  \n", "talk.txt, line 2: the text is empty"),
        ("talk.txt", ": hi\n", "talk.txt, line 1: the speaker is empty"),
        ("talk.txt", "Ann: \xe9".encode("latin-1"), "talk.txt: not UTF-8 at byte 5"),
        ("talk.jsonl", "", "talk.jsonl: no dialogues"),
        ("talk.jsonl", "{}\n", "talk.jsonl, line 1: the key 'id' is missing"),
        ("talk.jsonl", "[1]\n", "talk.jsonl, line 1: expected an object"),
        ("talk.jsonl", '{"id": "1", "utterances": [3]}', "talk.jsonl, line 1, turn 1: expected an object"),
        ("talk.jsonl", '{"id": "1", "utterances": 3}', "'utterances' a list of at least one turn"),
        ("talk.jsonl", '{"id": "1", "utterances": []}', "'utterances' a list of at least one turn"),
        ("talk.jsonl", as_jsonl(TALK) + "{\n", "talk.jsonl, line 3: not JSON"),
        ("talk.jsonl", as_jsonl(TALK, emotion=3), "talk.jsonl, line 1, turn 1: 'emotion' must be a label or null"),
        ("talk.jsonl", as_jsonl(TALK, mood="x"), "talk.jsonl, line 1, turn 1: unknown key 'mood'"),
        ("talk.jsonl", as_jsonl(TALK + TALK[:1]), "talk.jsonl, dialogue '1': the id occurs twice"),
        (
            "talk.jsonl",
            as_jsonl([Dialogue("1", (Utterance("A", "oh \ud83d"),))]),
            "turn 1: the text has half a surrogate",
        ),
        (
            "talk.jsonl",
            as_jsonl([Dialogue("1", (Utterance("\ud83d", "oh"),))]),
            "turn 1: the speaker has half a surrogate",
        ),
        ("talk.jsonl", as_jsonl([Dialogue("\ud83d", TALK[0].utterances)]), "the id has half a surrogate pair"),
        ("talk.csv", "", "talk.csv: the column 'dialogue' is missing; the file has: no header"),
        ("talk.csv", "dialogue,speaker,text\n", "talk.csv: no dialogues"),
        (
            "talk.csv",
            "Dialogue_ID,Speaker\n",
            "talk.csv, line 1: the column 'dialogue' is missing; the file has: Dialogue_ID",
        ),
        ("talk.csv", "dialogue,speaker,text\n1,A\n", "talk.csv, line 2: 2 fields where the header has 3"),
        ("talk.csv", "dialogue,speaker,text\n1,A,b\n,A,b\n", "talk.csv, line 3: the dialogue is empty"),
        ("talk.csv", "dialogue,speaker,text\n1, ,b\n", "talk.csv, line 2: the speaker is empty"),
        ("talk.csv", 'dialogue,speaker,text\n1,A,"b\n', "talk.csv, line 2: not CSV"),
        ("talk.tsv", "dialogue,speaker,text\n1,A,b\n", "talk.tsv, line 1: the column 'dialogue' is missing"),
    ],
)
def test_what_is_wrong_is_named_by_its_place(name, content, told, read, tmp_path):
    with pytest.raises(UserError, match=re.escape(told)) as error:
        read(name, content)
    assert str(tmp_path / name) in str(error.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match=r"There is no file .*nowhere\.csv"):
        read_dialogues(tmp_path / "nowhere.csv")


# Labels


def labelled(*emotions):
    return [
        Dialogue(str(n), tuple(Utterance("A", "b", emotion) for emotion in each)) for n, each in enumerate(emotions)
    ]


def test_labels_become_classes_in_the_classifiers_order():
    dialogues = labelled(("joy", None), ("NEUTRAL", " joy "))
    assert given_labels(dialogues, ("neutral", "joy"), "f") == Given(((1, None), (0, 1)), ())
    assert given_labels(dialogues, ("Joy", "Neutral"), "f") == Given(((0, None), (1, 0)), ())


def test_a_file_without_labels_needs_no_note():
    assert given_labels(labelled((None, None)), ("joy",), "f") == Given(((None, None),), ())


def test_other_labels_are_noted_and_some_others_refused():
    found = given_labels(labelled(("sad", None), ("bored",)), ("joy",), "f")
    assert found.classes == ((None, None), (None,))
    assert found.notes == ("The labels in f ('bored', 'sad') are none of the classifier's, so nothing is scored.",)
    with pytest.raises(UserError, match=r"f, dialogue '1', turn 2: unknown label 'bored', while others .* joy"):
        given_labels(labelled(("joy", None), ("joy", "bored")), ("joy",), "f")
