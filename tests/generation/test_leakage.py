import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from ercsatz.config import LeakageConfig
from ercsatz.data.benchmarks import load
from ercsatz.data.benchmarks.fetch import settings
from ercsatz.data.contamination import Reference
from ercsatz.data.dialogue import Dialogue, Utterance
from ercsatz.errors import UserError
from ercsatz.generation.leakage import LeakageReport, load_reference
from ercsatz.generation.rejection import Reason
from ercsatz.resources import resource

LEAKAGE = LeakageConfig(words=6, ngram=8, containment=0.1, dialogue=0.5)
LINE = "I have never seen so many owls in one kitchen, and I was raised on a farm."


def turns(*texts):
    return tuple(Utterance("AB"[place % 2], text, "joy") for place, text in enumerate(texts))


@pytest.fixture
def reference():
    return Reference({"validation": [Dialogue("v2", turns(LINE, "Whose owls?"))]}, LEAKAGE)


@pytest.fixture(scope="module")
def mini():
    return settings("mini", [resource("conf")])


def test_every_planted_dialogue_of_mini_is_found_and_nothing_else(mini, tmp_path):
    corpus = load(mini)
    planted = corpus.split("test")[::10]
    generated = [dialogue.utterances for dialogue in corpus.split("train")]
    places = range(0, 10 * len(planted), 10)
    for place, dialogue in zip(places, planted, strict=True):
        generated[place] = tuple(Utterance("X", turn.text.upper()) for turn in dialogue.utterances)
    with LeakageReport(load_reference(mini, LEAKAGE), tmp_path / "leakage.jsonl") as report:
        reasons = [report.add(index, dialogue) for index, dialogue in enumerate(generated)]
    assert [index for index, reason in enumerate(reasons) if reason is Reason.leaked] == list(places)
    lines = [json.loads(line) for line in (tmp_path / "leakage.jsonl").read_text().splitlines()]
    assert {(line["index"], line["split"], line["dialogue"]) for line in lines if line["kind"] == "dialogue"} == {
        (place, "test", dialogue.id) for place, dialogue in zip(places, planted, strict=True)
    }
    assert (report.left_out, report.unchecked) == (len(planted), None)
    assert report.hits == Counter(line["kind"] for line in lines)
    assert list(lines[0]) == ["index", "kind", "split", "dialogue", "text", "score"]


def test_without_the_real_sets_nothing_leaks_and_the_reason_is_kept(mini, tmp_path):
    reference = load_reference(replace(mini, path=str(tmp_path / "none")), LEAKAGE)
    assert isinstance(reference, str)
    assert str(tmp_path / "none") in reference
    with LeakageReport(reference, tmp_path / "leakage.jsonl") as report:
        assert report.add(0, turns("Anything at all.")) is None
    assert (report.unchecked, report.left_out, list(tmp_path.iterdir())) == (reference, 0, [])


def test_a_missing_split_is_a_reason_and_a_damaged_one_an_error(mini, tmp_path):
    for name in mini.files.values():
        (tmp_path / name).write_bytes((Path(mini.path) / name).read_bytes())
    copy = replace(mini, path=str(tmp_path))
    assert isinstance(load_reference(copy, LEAKAGE), Reference)
    (tmp_path / "test.jsonl").write_text("{}\n")
    with pytest.raises(UserError, match=r"test.jsonl, line 1"):
        load_reference(copy, LEAKAGE)
    (tmp_path / "test.jsonl").unlink()
    assert "no file test.jsonl" in str(load_reference(copy, LEAKAGE))


def interrupted(report):
    with report:
        assert report.add(7, turns(LINE)) is Reason.leaked
        raise KeyboardInterrupt


def test_the_report_is_whole_or_not_there(reference, tmp_path):
    report = LeakageReport(reference, tmp_path / "leakage.jsonl")
    with pytest.raises(KeyboardInterrupt):
        interrupted(report)
    assert list(tmp_path.iterdir()) == []
    with LeakageReport(reference, tmp_path / "leakage.jsonl"):
        pass
    assert (tmp_path / "leakage.jsonl").read_text() == ""
