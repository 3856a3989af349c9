import csv
import io
import json
from dataclasses import replace

import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score

from ercsatz.config import HardwareConfig, PathsConfig, PredictConfig
from ercsatz.data.dialogue import Dialogue, Knowledge, Utterance
from ercsatz.errors import UserError
from ercsatz.knowledge.relations import Inference
from ercsatz.knowledge.sidecar import SidecarEntry, write_entries
from ercsatz.knowledge.texts import text_hash
from ercsatz.prediction.run import run
from ercsatz.prediction.saved_classifier import load_classifier

TALK = [[("Ann", "hello"), ("Bo", "go away"), ("Ann", "oh no really")], [("小明", "你好 😀")]]


@pytest.fixture
def load(saved):
    return lambda kind: load_classifier(saved(kind), accelerator="cpu")


def vectors(predictions):
    return torch.tensor([list(turn.probabilities.values()) for turns in predictions for turn in turns])


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Run the command on a file with these lines; returns what it printed to stdout and to stderr."""
    monkeypatch.chdir(tmp_path)

    def do(folder, text, suffix=".jsonl", **more):
        (tmp_path / f"talk{suffix}").write_text(text, encoding="utf-8")
        config = PredictConfig(str(folder), dialogues=f"talk{suffix}", **more)
        config.paths, config.trainer = PathsConfig("data", "cache"), HardwareConfig("cpu", "auto")
        run(config)
        return capsys.readouterr()

    return do


def as_lines(dialogues, labels=None):
    """The JSONL form; labels go round."""
    emotions = iter(range(10**6))
    return "".join(
        json.dumps(
            {
                "id": str(number),
                "utterances": [
                    {"speaker": speaker, "text": text}
                    | ({"emotion": labels[next(emotions) % len(labels)]} if labels else {})
                    for speaker, text in turns
                ],
            }
        )
        + "\n"
        for number, turns in enumerate(dialogues, 1)
    )


def test_without_an_output_tables_are_printed_and_nothing_is_written(saved, load, command, tmp_path):
    printed = command(saved("compm"), as_lines(TALK))
    lines = printed.out.splitlines()
    assert [line.strip() for line in lines if line.startswith("Dialogue")] == ["Dialogue 1", "Dialogue 2"]
    turns = [line.split() for line in lines if line.startswith(" ")]
    expected = [
        [speaker, *text.split(), prediction.label, f"{prediction.probability:.2f}"]
        for dialogue, predictions in zip(TALK, load("compm").predict(TALK), strict=True)
        for (speaker, text), prediction in zip(dialogue, predictions, strict=True)
    ]
    assert turns == expected
    assert printed.err == f"compm in {saved('compm')}. Labels: joy, neutral, anger, fear.\n"
    assert [path.name for path in tmp_path.iterdir()] == ["talk.jsonl"]


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_an_output_has_a_row_a_turn(suffix, labels, saved, load, command, tmp_path):
    dialogues = [[("Ann", 'say "hi", ok'), ("Bo\tB", "two\nlines \u2028 three")], TALK[1]]
    printed = command(saved("emoone"), as_lines(dialogues), output=f"deep/out{suffix}")
    text = (tmp_path / "deep" / f"out{suffix}").read_text(encoding="utf-8")
    if suffix == ".csv":
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
        assert list(rows[0]) == ["dialogue", "turn", "speaker", "text", "label", *(f"p_{label}" for label in labels)]
        for row in rows:
            row["probabilities"] = {label: float(row.pop(f"p_{label}")) for label in labels}
    else:
        rows = [json.loads(line) for line in text.removesuffix("\n").split("\n")]
        assert all(list(row["probabilities"]) == list(labels) for row in rows)
    flat = [(str(n), i, *turn) for n, turns in enumerate(dialogues, 1) for i, turn in enumerate(turns)]
    assert [(row["dialogue"], int(row["turn"]), row["speaker"], row["text"]) for row in rows] == flat
    predicted = [prediction for turns in load("emoone").predict(dialogues) for prediction in turns]
    for row, prediction in zip(rows, predicted, strict=True):
        assert row["label"] == prediction.label
        assert row["probabilities"] == pytest.approx(prediction.probabilities, abs=1e-6)
    counts = ", ".join(f"{label} {sum(p.label == label for p in predicted)}" for label in labels)
    assert printed.out == f"Wrote deep/out{suffix}: 3 turns; {counts}\n"


def test_labels_in_the_file_are_scored(saved, load, talk, command):
    dialogues = talk(6, 5)
    gold = [("Joy", "neutral", "", " FEAR ")[i % 4] for i in range(30)]
    predicted = [prediction.label for turns in load("compm").predict(dialogues) for prediction in turns]
    pairs = [(g.strip().lower(), p) for g, p in zip(gold, predicted, strict=True) if g]
    truth, said = zip(*pairs, strict=True)
    printed = command(saved("compm"), as_lines(dialogues, ("Joy", "neutral", "", " FEAR ")), output="out.csv")
    told = (
        f"Against the labels of {len(pairs)} turns: W-F1 {100 * f1_score(truth, said, average='weighted'):.2f}, "
        f"macro F1 {100 * f1_score(truth, said, average='macro'):.2f}, accuracy {100 * accuracy_score(truth, said):.2f}"
    )
    assert printed.out.splitlines()[-1] == told


def test_labels_of_another_set_are_ignored_with_a_note(saved, command):
    printed = command(saved("compm"), as_lines(TALK, ("bored", "calm")))
    assert (
        "The labels in talk.jsonl ('bored', 'calm') are none of the classifier's, so nothing is scored." in printed.err
    )
    assert "Against" not in printed.out


def test_some_unknown_labels_are_an_error_that_names_the_first(saved, command, tmp_path):
    with pytest.raises(UserError, match=r"talk\.jsonl, dialogue '1', turn 2: unknown label 'calm', while others"):
        command(saved("compm"), as_lines(TALK, ("joy", "calm")), output="out.csv")
    assert not (tmp_path / "out.csv").exists()


def test_todkat_says_what_it_reads(saved, command):
    printed = command(saved("todkat-both-ways"), as_lines(TALK))
    assert "todkat was trained to read later turns, too" in printed.err
    assert "todkat runs without knowledge: knowledge=FILE.jsonl was not given." in printed.err
    printed = command(saved("todkat-no-knowledge"), as_lines(TALK))
    assert printed.err.count("\n") == 1


def test_a_sidecar_is_read(saved, load, command, tmp_path):
    entries = [
        SidecarEntry(
            "test", "1", 1, text_hash(TALK[0][1][1]), generated=Inference(("to be alone",), ("annoyed",), ("hurt",))
        ),
        SidecarEntry("train", "1", 0, "00000000", generated=Inference(("to be kind",))),
        SidecarEntry("train", "of another split", 7, "00000000", generated=Inference(("to be kind",))),
    ]
    write_entries(tmp_path / "about.jsonl", entries)
    printed = command(saved("todkat"), as_lines(TALK), knowledge="about.jsonl", output="out.jsonl")
    assert "Knowledge about 1 of 4 turns, from the lines of split test in about.jsonl." in printed.err
    found = [json.loads(line)["probabilities"] for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    told = ("PersonX wants to be alone.", "PersonX feels annoyed.", "PersonY feels hurt.")
    turns = [Utterance(*turn) for turn in TALK[0]]
    turns[1] = replace(turns[1], knowledge=Knowledge(generated=told))
    expected = load("todkat").predict([Dialogue("1", tuple(turns)), TALK[1]])
    assert found == [pytest.approx(turn.probabilities, abs=1e-6) for turns in expected for turn in turns]
    plain = load("todkat").predict(TALK)
    assert (vectors(plain) - vectors(expected)).abs().max() > 1e-4


@pytest.mark.parametrize(
    ("kind", "knowledge", "told"),
    [
        ("compm", "about.jsonl", "knowledge=about.jsonl: this classifier reads none"),
        ("todkat-no-knowledge", "about.jsonl", "knowledge=about.jsonl: this classifier reads none"),
        ("todkat", "nowhere.jsonl", "knowledge=nowhere.jsonl: must be a .jsonl or .safetensors file"),
        ("todkat", "talk.txt", "knowledge=talk.txt: must be a .jsonl or .safetensors file"),
        ("todkat", "about.jsonl", "about.jsonl, line 1: there is no dialogue '9'"),
        ("todkat", "later.jsonl", "later.jsonl, line 1: turn 0 of dialogue '1' (test) has another text"),
    ],
)
def test_a_sidecar_that_does_not_fit_is_refused(kind, knowledge, told, saved, command, tmp_path):
    for name, number in (("about", "9"), ("later", "1")):
        entry = SidecarEntry("test", number, 0, "00000000", generated=Inference(("to be kind",)))
        write_entries(tmp_path / f"{name}.jsonl", [entry])
    with pytest.raises(UserError) as error:
        command(saved(kind), "Ann: hi\n", ".txt", knowledge=knowledge)
    assert str(error.value).startswith(told)


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ("out.xlsx", "output=out.xlsx: the name must end in .jsonl or .csv"),
        ("talk.jsonl", "output=talk.jsonl is the file with the dialogues"),
        ("folder.csv", "output=folder.csv is a folder"),
        ("talk.jsonl/out.csv", "Cannot write talk.jsonl/out.csv: "),
    ],
)
def test_an_output_that_cannot_be_is_refused(output, told, saved, command, tmp_path):
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(UserError) as error:
        command(saved("compm"), as_lines(TALK), output=output)
    assert str(error.value).startswith(told)
    assert (tmp_path / "talk.jsonl").read_text() == as_lines(TALK)


def test_an_error_on_the_way_leaves_the_earlier_output(saved, command, tmp_path, monkeypatch):
    (tmp_path / "out.csv").write_text("earlier")
    monkeypatch.setattr("ercsatz.training.trainer.predict", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        command(saved("compm"), as_lines(TALK), output="out.csv")
    assert (tmp_path / "out.csv").read_text() == "earlier"
    assert {path.name for path in tmp_path.iterdir()} == {"out.csv", "talk.jsonl"}


def test_both_keys_are_asked_for(command):
    with pytest.raises(UserError, match=r"Give both checkpoint=FOLDER, .* and dialogues=FILE"):
        run(PredictConfig(dialogues="talk.txt"))
    with pytest.raises(UserError, match=r"Give both checkpoint=FOLDER, .* and dialogues=FILE"):
        run(PredictConfig(checkpoint="here"))
