import json
import re
from pathlib import Path

import pytest

from ercsatz.data.benchmarks import load
from ercsatz.data.dialogue import Utterance
from ercsatz.errors import UserError

ROWS = {"columns": {"dialogue": "d", "speaker": "s", "text": "t", "emotion": "e"}}
NESTED = {"turns": "turns", "columns": {"speaker": "s", "text": "t", "emotion": "e"}}
LISTS = {"alternate": ["Ann", "Bo"], "columns": {"text": "t", "emotion": "e"}}


def train(benchmark):
    return load(benchmark).split("train")


def refused(benchmark, message):
    with pytest.raises(UserError, match=re.escape(message)):
        load(benchmark)


def test_tab_fills_the_text_with_surplus_fields_and_ignores_extra_blank_lines(small):
    dialogues = train(small("\nAnn\tHi\tthere\tcalm\n\n \nBo\tHm.\tcross\n\n\n", "tab", ".txt"))

    assert [d.id for d in dialogues] == ["1", "2"]
    assert dialogues[0].utterances == (Utterance("Ann", "Hi there", "calm"),)


def test_tab_passes_over_other_columns_and_header_lines(small):
    options = {"columns": ["speaker", "text", "emotion", "season"], "skip": 2}
    dialogues = train(small("Who\tWhat\n\nAnn\tHi\tthere\tcalm\t3\n", "tab", ".txt", options=options))

    assert dialogues[0].utterances == (Utterance("Ann", "Hi there", "calm"),)


def test_tab_reads_a_sentiment(small):
    options = {"columns": ["speaker", "text", "emotion", "sentiment"]}
    dialogues = train(small("Ann\tHi\tthere\tcalm\tPositive\nBo\tHm.\tcross\t\n", "tab", ".txt", options=options))

    assert dialogues[0].utterances == (
        Utterance("Ann", "Hi there", "calm", "positive"),
        Utterance("Bo", "Hm.", "cross"),
    )


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("Ann\tHi.\n", {}, "train.txt, line 1: 2 fields where there are 3 columns"),
        ("Ann\tHi.\tcalm\nBo\tHm.\tglad\n", {}, "train.txt, line 2: unknown label 'glad'"),
        (
            "Ann\tHi.\tcalm\tgood\n",
            {"columns": ["speaker", "text", "emotion", "sentiment"]},
            "train.txt, line 1: unknown sentiment 'good'",
        ),
        ("Ann\tHi.\tcalm\n", {"columns": ["speaker", "text"]}, "benchmark.options.columns: emotion must be among them"),
        ("\n\n", {}, "split train: no dialogues"),
        ("", {"skip": "two"}, "benchmark.options.skip='two': must be a whole number"),
        ("", {"skip": True}, "benchmark.options.skip=True: must be a whole number"),
        ("", {"columns": "text"}, "benchmark.options.columns='text': must be a list of strings"),
        ("", {"columns": ["speaker", "text", "emotion", 4]}, "benchmark.options.columns=['speaker', 'text',"),
    ],
)
def test_tab_refuses(small, content, options, message):
    refused(small(content, "tab", ".txt", options=options), message)


@pytest.mark.parametrize("suffix", [".tsv", ".json", ".jsonl"])
def test_rows_are_the_same_in_every_format(small, suffix):
    records = [
        {"d": "x", "n": "1", "s": "Ann", "t": "Hi.", "e": "calm"},
        {"d": "y", "n": "1", "s": "Bo", "t": "Yo.", "e": "cross"},
        {"d": "x", "n": "2", "s": "Bo", "t": "Hm.", "e": ""},
    ]
    content = {
        ".tsv": "\n".join("\t".join(row) for row in [records[0].keys(), *(r.values() for r in records)]),
        ".json": json.dumps(records),
        ".jsonl": "\n".join(map(json.dumps, records)) + "\n",
    }
    options = {"columns": ROWS["columns"] | {"order": "n"}}
    dialogues = train(small(content[suffix], "table", suffix, options=options))

    assert [(d.id, [turn.text for turn in d.utterances]) for d in dialogues] == [("x", ["Hi.", "Hm."]), ("y", ["Yo."])]
    assert dialogues[0].utterances[1] == Utterance("Bo", "Hm.", None)


def test_an_order_column_sorts_by_number(small):
    records = [{"d": 1, "s": "Ann", "t": str(n), "e": "calm", "n": n} for n in (10, 9, 2)]
    options = {"columns": ROWS["columns"] | {"order": "n"}}

    dialogue = train(small(json.dumps(records), "table", ".json", options=options))[0]
    assert [turn.text for turn in dialogue.utterances] == ["2", "9", "10"]


SAID = {"d": "x", "s": "Ann", "t": "Hi.", "e": "calm"}


@pytest.mark.parametrize(
    ("content", "suffix", "options"),
    [
        ("d,s,t,e,m\nx,Ann,Hi.,calm,Negative\nx,Ann,Hi.,calm,\n", ".csv", ROWS),
        (json.dumps([SAID | {"m": "negative"}, SAID | {"m": None}]), ".json", ROWS),
        (json.dumps([SAID | {"m": "negative"}, SAID]), ".json", ROWS),
        (json.dumps([{"turns": [SAID | {"m": "NEGATIVE"}, SAID | {"m": ""}]}]), ".json", NESTED),
        (
            '{"t": ["Hi.", "Hi."], "e": ["calm", "calm"], "m": ["negative", null]}',
            ".jsonl",
            LISTS | {"alternate": ["Ann"]},
        ),
    ],
)
def test_a_sentiment_column_is_read_from_every_format(small, content, suffix, options):
    columns = options["columns"] | {"sentiment": "m"}
    benchmark = small(content, "table", suffix, options=options | {"columns": columns})
    for file in benchmark.files.values():
        Path(benchmark.path, file).write_text(content)

    assert train(benchmark)[0].utterances == (
        Utterance("Ann", "Hi.", "calm", "negative"),
        Utterance("Ann", "Hi.", "calm"),
    )


def test_parallel_lists_alternate_between_two_speakers(small):
    content = '{"t": ["a", "b", "c"], "e": [0, 1, null]}'
    names = {"0": "calm", "1": "cross"}
    dialogue = train(small(content, "table", ".jsonl", options=LISTS, label_names=names))[0]

    assert dialogue.id == "1"
    assert dialogue.utterances == (Utterance("Ann", "a", "calm"), Utterance("Bo", "b", "cross"), Utterance("Ann", "c"))


@pytest.mark.parametrize(
    ("content", "suffix", "options", "message"),
    [
        ("{}", ".json", ROWS, "expected a list of objects"),
        ("[1]", ".json", ROWS, "train.json, record 1: expected an object"),
        ("[{]", ".json", ROWS, "train.json, line 1, column 3: not JSON"),
        ('{"d": 1,}', ".jsonl", ROWS, "train.jsonl, line 1: not JSON"),
        ('[{"d": 1, "s": "Ann", "e": "calm"}]', ".json", ROWS, "record 1: 't' is missing"),
        ('[{"s": "Ann", "t": "Hi.", "e": "calm"}]', ".json", ROWS, "record 1: 'd' is missing"),
        (
            '[{"t": "Hi.", "e": "calm"}]',
            ".json",
            LISTS,
            "one utterance a record needs benchmark.options.columns.dialogue",
        ),
        ('[{"turns": "Hi."}]', ".json", NESTED, "record 1: 'turns' must be a list of objects"),
        ('[{"turns": [{"s": "Ann", "t": "Hi.", "e": "glad"}]}]', ".json", NESTED, "record 1, turn 1: unknown label"),
        ('[{"t": ["a", "b"], "e": ["calm"]}]', ".json", LISTS, "record 1: t, e must be lists of the same length"),
        ('[{"t": ["a"], "e": "calm"}]', ".json", LISTS, "record 1: t, e must be lists of the same length"),
        ("d,s,t,e\n", ".xlsx", ROWS, "must end in .csv, .tsv, .json or .jsonl"),
        ("[]", ".json", {"columns": {"text": "t"}}, "benchmark.options.columns lacks emotion"),
        ("[]", ".json", {"columns": {"text": "t", "emotion": "e"}}, "either columns.speaker or alternate"),
        ("[]", ".json", {"columns": {"txt": "t"}}, "benchmark.options.columns.txt: unknown"),
        (
            '[{"d": 1, "s": "Ann", "t": "Hi.", "e": "calm", "n": "last"}]',
            ".json",
            {"columns": ROWS["columns"] | {"order": "n"}},
            "record 1: 'n' must be a number",
        ),
        ("[]", ".json", {"columns": ["text"]}, "benchmark.options.columns=['text']: must be a mapping"),
        ("[]", ".json", {"columns": {"text": ["t"]}}, "benchmark.options.columns={'text': ['t']}: must be a mapping"),
        ("[]", ".json", LISTS | {"alternate": "AB"}, "benchmark.options.alternate='AB': must be a list of strings"),
        ("[]", ".json", NESTED | {"turns": 1}, "benchmark.options.turns=1: must be a string"),
        (
            '[{"d": 1, "s": "Ann", "t": "Hi."}, {"d": 1, "s": "Bo", "t": "Yo.", "mood": "calm"}]',
            ".json",
            ROWS,
            "train.json: the key 'e' is missing; the file has: d, s, t, mood. Mend benchmark.options.columns.emotion",
        ),
        (
            '{"turns": [{"s": "Ann", "t": "Hi.", "mood": "calm"}]}',
            ".jsonl",
            NESTED,
            "train.jsonl: the key 'e' is missing; the file has: s, t, mood",
        ),
        ('[{"t": ["a"], "mood": ["calm"]}]', ".json", LISTS, "record 1: 'e' is missing; there are: t, mood"),
        (
            '[{"d": 1, "s": "Ann", "t": "Hi.", "e": "calm"}, {"d": 1, "s": "Bo", "t": "Yo.", "e": "calm"}]',
            ".json",
            {"columns": ROWS["columns"] | {"sentiment": "m"}},
            "train.json: the key 'm' is missing; the file has: d, s, t, e. Mend benchmark.options.columns.sentiment",
        ),
        (
            '[{"d": 1, "s": "Ann", "t": "Hi.", "e": "calm", "m": 1}]',
            ".json",
            {"columns": ROWS["columns"] | {"sentiment": "m"}},
            "record 1: unknown sentiment '1'",
        ),
        (
            '[{"t": ["a"], "e": ["calm"]}]',
            ".json",
            LISTS | {"columns": LISTS["columns"] | {"sentiment": "m"}},
            "record 1: 'm' is missing; there are: t, e",
        ),
        ('[{"t": ["\\ud83d"], "e": ["calm"]}]', ".json", LISTS, "turn 1: the text has half a surrogate pair"),
    ],
)
def test_table_refuses(small, content, suffix, options, message):
    refused(small(content, "table", suffix, options=options), message)
