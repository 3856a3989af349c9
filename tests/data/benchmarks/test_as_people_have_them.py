"""Corpora as spreadsheets, data frames and joined files leave them: read right, or refused with file, line and mend."""

import json
import re
import unicodedata
from pathlib import Path

import pytest

from ercsatz.data.benchmarks import load
from ercsatz.data.dialogue import Utterance
from ercsatz.errors import UserError

COLUMNS = {"dialogue": "d", "speaker": "s", "text": "t", "emotion": "e"}
ROWS = {"columns": COLUMNS}
ORDERED = {"columns": COLUMNS | {"order": "n"}}
TABLE = "d,s,t,e,n\n"
MELD = "Dialogue_ID,Speaker,Utterance,Emotion"
EMORY = "Utterance,Speaker,Emotion,Scene_ID,Season,Episode,Utterance_ID\n"
OURS = '{"id": "1", "utterances": [{"speaker": "Ann", "text": "Hi.", "emotion": "calm"}]}'


def write(benchmark, content: str) -> None:
    for file in benchmark.files.values():
        Path(benchmark.path, file).write_text(content, encoding="utf-8")


@pytest.mark.parametrize("order", ["nan", "NaN", "inf", "", "second", "1-2"])
def test_an_order_that_is_no_number_is_refused_with_its_line(small, order):
    benchmark = small(reader="table", options=ORDERED)
    write(benchmark, TABLE + f"x,Ann,Hi.,calm,1\nx,Bo,Hm.,cross,{order}\n")
    with pytest.raises(UserError, match=r"train\.csv, line 3: 'n' must be a number to sort by"):
        load(benchmark)


def test_two_turns_of_one_number_are_refused_with_both_lines(small):
    benchmark = small(reader="table", options=ORDERED)
    write(benchmark, TABLE + "x,Ann,Hi.,calm,1\nx,Bo,Hm.,cross,2\nx,Ann,Yo.,calm,1\n")
    with pytest.raises(UserError, match=r"line 4: 'n' is 1, as it is at .*line 2, in the same dialogue 'x'\. Two dia"):
        load(benchmark)


@pytest.mark.parametrize(
    ("reader", "options", "content", "line"),
    [
        ("table", ROWS, TABLE + "x,Ann,Hi.,calm,\ny,Bo,Hm.,calm,\nx,Ann,Yo.,calm,\n", 4),
        ("meld", {}, MELD + "\n0,Ann,Hi.,calm\n1,Bo,Hm.,calm\n0,Ann,Yo.,calm\n", 4),
        ("emorynlp_csv", {}, EMORY[:-14] + "\nHi.,['A'],calm,1,1,1\nHi.,['A'],calm,2,1,1\nHi.,['A'],calm,1,1,1\n", 4),
    ],
)
def test_an_id_that_comes_again_is_not_one_dialogue(small, reader, options, content, line):
    benchmark = small(reader=reader, options=options)
    write(benchmark, content)
    with pytest.raises(UserError, match=rf"train\.csv, line {line}: dialogue .* is there before already.*must count"):
        load(benchmark)


@pytest.mark.parametrize(
    ("reader", "content"),
    [
        ("meld", MELD + ",Utterance_ID\n0,Ann,Hi.,calm,0\n0,Bo,Hm.,calm,1\n0,Ann,Yo.,calm,0\n"),
        ("emorynlp_csv", EMORY + "Hi.,['A'],calm,1,1,1,1\nHi.,['A'],calm,1,1,1,2\nHi.,['A'],calm,1,1,1,1\n"),
    ],
)
def test_two_dialogues_of_one_id_after_each_other_are_told_by_their_numbers(small, reader, content):
    benchmark = small(reader=reader)
    write(benchmark, content)
    with pytest.raises(UserError, match=r"train\.csv, line 4: Utterance_ID \d comes after \d in dialogue"):
        load(benchmark)


def test_a_number_of_meld_that_is_none_is_refused(small):
    benchmark = small()
    write(benchmark, MELD + ",Utterance_ID\n0,Ann,Hi.,calm,0\n0,Bo,Hm.,calm,nan\n")
    with pytest.raises(UserError, match=r"line 3: 'Utterance_ID' must be a number to sort by, not 'nan'"):
        load(benchmark)


def test_two_records_of_one_id_are_not_one_dialogue(small):
    options = {"turns": "turns", "columns": COLUMNS}
    record = {"d": "x", "turns": [{"s": "Ann", "t": "Hi.", "e": "calm"}]}
    with pytest.raises(UserError, match=r"record 2, turn 1: dialogue 'x' is there before already"):
        load(small(json.dumps([record, record]), "table", ".json", options=options))


@pytest.mark.parametrize("missing", ["nan", "NaN", "None", "null", "<NA>", " nan "])
@pytest.mark.parametrize(("column", "name"), [("s", "speaker"), ("t", "text"), ("d", "d")])
def test_what_a_program_writes_for_a_missing_value_is_no_text(small, missing, column, name):
    benchmark = small(reader="table", options=ROWS)
    row = {"d": "x", "s": "Ann", "t": "Hi.", "e": "calm", "n": ""} | {column: missing}
    write(benchmark, TABLE + "w,Bo,Yo.,calm,\n" + ",".join(row.values()) + "\n")
    with pytest.raises(
        UserError, match=rf"train\.csv, line 3: the {name} is '{missing.strip()}', which is how programs"
    ):
        load(benchmark)


def test_a_dialogue_without_an_id_is_refused(small):
    with pytest.raises(UserError, match=r"line 2: the Dialogue_ID is empty"):
        load(small(MELD + "\n,Ann,Hi.,calm\n"))


@pytest.mark.parametrize("value", ["NaN", '["Hi."]', '{"en": "Hi."}', "true", "null"])
def test_a_json_text_that_is_none_is_refused(small, value):
    content = f'{{"d": 1, "s": "Ann", "t": {value}, "e": "calm"}}\n{{"d": 1, "s": "Bo", "t": "Yo.", "e": "calm"}}\n'
    benchmark = small(content, "table", ".jsonl", options=ROWS)
    with pytest.raises(UserError, match=r"train\.jsonl, line 1"):
        load(benchmark)


@pytest.mark.parametrize(("yaml", "file"), [("NFC", "NFD"), ("NFD", "NFC"), ("NFD", "NFD")])
def test_labels_are_the_same_however_their_accents_are_composed(small, yaml, file):
    label, published, named = (unicodedata.normalize(yaml, word) for word in ("gêné", "fâché", "fâchée"))
    benchmark = small(labels=[label, published], label_names={named: published})
    write(benchmark, MELD + "\n" + unicodedata.normalize(file, "0,Ann,Hi.,Gêné\n0,Bo,Hm.,fâchée\n"))
    assert [turn.emotion for turn in load(benchmark).split("train")[0].utterances] == [label, published]


def test_labels_that_only_look_different_to_a_computer_are_one_twice(small):
    labels = [unicodedata.normalize(form, "gêné") for form in ("NFC", "NFD")]
    with pytest.raises(UserError, match="occurs twice"):
        load(small(labels=labels))


@pytest.mark.parametrize("end", ["\n\n\n", "\n,,,\n,,,\n", "\n  \n", "\r\n\r\n", ""])
def test_blank_lines_at_the_end_of_a_table_are_none(small, end):
    train = load(small(MELD + "\n0,Ann,Hi.,calm" + end)).split("train")
    assert [dialogue.utterances for dialogue in train] == [(Utterance("Ann", "Hi.", "calm"),)]


@pytest.mark.parametrize("end", ["\n\n", "\r\n \r\n", "\n\t\n\n"])
def test_blank_lines_at_the_end_of_json_lines_are_none(small, end):
    assert len(load(small("\ufeff" + OURS + end, "jsonl", ".jsonl")).split("train")) == 1


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_line_ends_and_byte_order_marks_make_no_difference_to_tab_separated_text(small, line_end, mark):
    content = line_end.join(["Ann\tHi.\tcalm", "", "Bo\tHm.\tcross", "", ""])
    train = load(small((mark + content).encode(), "tab", ".txt")).split("train")
    assert [d.utterances for d in train] == [(Utterance("Ann", "Hi.", "calm"),), (Utterance("Bo", "Hm.", "cross"),)]


@pytest.mark.parametrize("twice", ["Utterance", "Emotion", "Other"])
def test_a_repeated_column_is_not_chosen_between(small, twice):
    with pytest.raises(UserError, match=rf"train\.csv, line 1: the column '{twice}' occurs twice\. Rename one"):
        load(small(f"{MELD},Other,{twice}\n0,Ann,Hi.,calm,a,b\n"))


@pytest.mark.parametrize(("suffix", "place"), [(".jsonl", "train.jsonl, line 1"), (".json", "train.json")])
def test_a_repeated_key_is_not_chosen_between(small, suffix, place):
    record = '{"d": 1, "s": "Ann", "t": "Hi.", "t": "Yo.", "e": "calm"}'
    with pytest.raises(UserError, match=re.escape(f"{place}: the key 't' occurs twice")):
        load(small(record if suffix == ".jsonl" else f"[{record}]", "table", suffix, options=ROWS))


def test_the_suffix_may_be_in_capitals(small):
    assert load(small(json.dumps([{"d": 1, "s": "A", "t": "B.", "e": "calm"}]), "table", ".JSON", options=ROWS))


@pytest.mark.parametrize("how", ["same", "link"])
def test_one_file_for_two_splits_is_a_leak(small, how):
    benchmark = small()
    if how == "same":
        benchmark.files["test"] = benchmark.files["train"]
    else:
        test = Path(benchmark.path, benchmark.files["test"])
        test.unlink()
        test.symlink_to(Path(benchmark.path, benchmark.files["train"]))
    with pytest.raises(UserError, match="names this file for train and for test"):
        load(benchmark)


def test_all_missing_files_are_named_at_once(small):
    benchmark = small()
    for split in ("validation", "test"):
        Path(benchmark.path, benchmark.files[split]).unlink()
    with pytest.raises(UserError, match=r"no file validation\.csv in .* or below it, nor test\.csv\."):
        load(benchmark)


def test_labels_that_yaml_takes_for_truth_values_are_told(small):
    with pytest.raises(UserError, match="'True' is what yes, no, on, off, true and false are read as"):
        load(small(labels=["True", "False"]))


def test_the_check_of_counts_can_be_switched_off(small):
    assert load(small(published=None)).name == "small_org"


def test_names_of_labels_may_be_written_in_capitals(small):
    train = load(small(MELD + "\nx,Ann,Hi.,Angry\n", label_names={"Angry": "cross"})).split("train")
    assert train[0].utterances[0].emotion == "cross"
