"""Readers of the user's own, named by a dotted path."""

import re
import sys

import pytest

from ercsatz.data.benchmarks import load
from ercsatz.data.dialogue import Dialogue, Utterance
from ercsatz.errors import UserError

MODULE = """
from ercsatz.data.dialogue import Dialogue, Utterance


def lines(source):
    texts = source.path.read_text().splitlines()
    turns = (source.turn("Ann", text, source.options["label"], f"line {n}") for n, text in enumerate(texts, 1))
    yield Dialogue("1", tuple(turns))


def folder(source):
    text = (source.path / f"{source.split}.csv").read_text().splitlines()[0]
    return [Dialogue("1", (Utterance("Bo", text, "cross"),))]


def strings(source):
    return ["not a dialogue"]


def nothing(source):
    pass


def two(path, labels):
    return []


SOMETHING = 3
"""


@pytest.fixture(autouse=True)
def own_readers(tmp_path, monkeypatch):
    (tmp_path / "own_readers.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("own_readers", None)


def test_an_own_reader_gets_the_split_the_labels_and_the_options(small):
    corpus = load(small("Hi.\nBye.\n", "own_readers.lines", options={"label": "Calm"}))

    said = (Utterance("Ann", "Hi.", "calm"), Utterance("Ann", "Bye.", "calm"))
    assert corpus.split("train") == (Dialogue("1", said),)


def test_an_own_reader_without_files_gets_the_folder(small):
    corpus = load(small("Hi.\n", "own_readers.folder", files={}))

    assert corpus.split("train")[0].utterances == (Utterance("Bo", "Hi.", "cross"),)


def test_an_own_reader_with_a_split_left_out_of_its_files_is_refused(small):
    with pytest.raises(UserError, match=r"benchmark.files lacks validation: name the file"):
        load(small(reader="own_readers.lines", files={"train": "train.csv"}, options={"label": "calm"}))


@pytest.mark.parametrize(
    ("reader", "told"),
    [
        (
            "lines",
            "no such reader; there are: meld, emorynlp, emorynlp_csv, iemocap, jsonl, tab, table. One of your own is",
        ),
        (
            "own_readers.line",
            "cannot be imported (module 'own_readers' has no attribute 'line'). It must be MODULE.NAME,",
        ),
        ("elsewhere.read", "cannot be imported (No module named 'elsewhere')."),
        ("own_readers.two", "cannot be called with a Source. A reader is a function of one argument, the Source of a"),
        ("own_readers.SOMETHING", "cannot be called with a Source."),
        ("own_readers.strings", "returned a str. A reader is a function of one argument, the Source of a split, that"),
        ("own_readers.nothing", "returned a NoneType."),
    ],
)
def test_what_is_no_reader_is_refused_with_what_one_must_be(small, reader, told):
    with pytest.raises(UserError, match=re.escape(f"benchmark.reader={reader}: {told}")):
        load(small(reader=reader))
