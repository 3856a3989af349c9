import csv
import json

import pytest

from ercsatz.data.figure import main

LABELS = ("joy", "fear")


def folder(path, data, title="MELD", labels=LABELS):
    """A generated data set."""
    path.mkdir()
    settings = {"data": data, "benchmark": {"title": title, "labels": list(labels)}}
    (path / "config.json").write_text(json.dumps({"settings": settings}))
    turns = [{"speaker": "a", "text": "b", "emotion": emotion} for emotion in ("joy", "joy", "fear")]
    for split in ("train", "validation", "test"):
        (path / f"{split}.jsonl").write_text(json.dumps({"id": "0", "utterances": turns}) + "\n")
    return str(path)


def rows(file):
    return [tuple(row) for row in csv.reader(file.read_text().splitlines())][1:]


def test_folders_become_figures_and_a_table(tmp_path, capsys):
    folders = [folder(tmp_path / name, name) for name in ("meld_nat", "meld_bal")]
    assert main(["labels", *folders, "--split", "all", "--output", str(tmp_path / "out" / "figure")]) == 0
    names = {f"figure-{width}.{suffix}" for width in ("column", "text") for suffix in ("pdf", "svg", "png")}
    assert {path.name for path in (tmp_path / "out").iterdir()} == {*names, "figure.csv"}
    assert (tmp_path / "out" / "figure-column.pdf").read_bytes().startswith(b"%PDF")
    assert rows(tmp_path / "out" / "figure.csv")[:2] == [
        ("MELD", "nat", "joy", "6", "0.6667"), ("MELD", "nat", "fear", "3", "0.3333")
    ]  # fmt: skip
    assert "figure-text.svg" in capsys.readouterr().out


def test_benchmark_by_its_name_is_read_and_labels_have_its_order_or_ones_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["labels", "mini_org", "--split", "test"]) == 0
    mini = rows(tmp_path / "labels.csv")
    assert [row[2] for row in mini] == ["neutral", "joy", "surprise", "anger", "sadness", "disgust", "fear"]
    assert [int(row[3]) for row in mini] == [150, 53, 35, 37, 24, 8, 17]
    assert main(["labels", "mini_org", "--order", "fear,joy,surprise,anger,sadness,disgust,neutral"]) == 0
    assert rows(tmp_path / "labels.csv")[0][2] == "fear"


def test_counts_of_a_benchmark_that_is_not_there_are_the_published_ones(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ERCSATZ_DATA", str(tmp_path))
    assert main(["labels", "meld_org"]) == 0
    assert rows(tmp_path / "labels.csv")[0] == ("MELD", "org", "neutral", "4710", "0.4715")
    assert "those that are published" in capsys.readouterr().out


def test_real_meld_counts_as_published(shared, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["labels", "meld_org", "--path", f"meld={shared('data/meld')}"]) == 0
    assert rows(tmp_path / "labels.csv")[0] == ("MELD", "org", "neutral", "4710", "0.4715")
    assert "published" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["meld_bal"], "generate.py data=meld_bal"),
        (["nonsense"], "neither a data set such as meld_org"),
        (["mini_org", "mini_org"], "mini: org is given twice"),
        (["mini_org", "--order", "joy"], "give each label of mini once: neutral,joy,"),
        (["mini_org", "--path", "meld"], "give NAME=FOLDER"),
    ],
)
def test_what_cannot_be_drawn_is_said_and_nothing_is_written(tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ERCSATZ_DATA", str(tmp_path))
    assert main(["labels", *arguments]) == 1
    assert words in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_too_many_kinds_are_refused(tmp_path, capsys):
    folders = [folder(tmp_path / f"n{n}", f"own{n}") for n in range(7)]
    assert main(["labels", *folders]) == 1
    assert "7 kinds of data set are too many" in capsys.readouterr().err
