import csv
import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {*("torch", "pytorch_lightning", "transformers", "wandb", "pandas", "scipy", "sklearn", "numpy")}
LABELS = ["neutral", "joy", "surprise", "anger", "sadness", "disgust", "fear"]
CONSOLE = Path(sys.executable).with_name("ercsatz")


@pytest.fixture(scope="module")
def trained(world, command, micro, tmp_path_factory):
    """A working directory with one trained cell of a sweep; its test set is ``small/test.jsonl``."""
    folder = tmp_path_factory.mktemp("trained") / "world"
    shutil.copytree(world, folder, ignore=shutil.ignore_patterns("cache", "multirun", "outputs", "data"))
    line = ("--config-dir", "own", "-m", "data=small_org", "phase=original", "sweep=one", *micro, "training.epochs=3")
    done = command(folder, "train.py", *line)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def job(trained):
    """The folder of the cell, from the working directory."""
    (folder,) = (trained / "multirun" / "one").glob("compm-small_org-*")
    return folder.relative_to(trained)


def rows(file):
    return [json.loads(line) for line in file.read_text(encoding="utf-8").removesuffix("\n").split("\n")]


def imported(importtime):
    lines = [line for line in importtime.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}


def test_predictions_are_those_of_the_job(trained, job, command):
    before = set(trained.rglob("*"))
    done = command(trained, "predict.py", f"checkpoint={job}", "dialogues=small/test.jsonl", "output=out.jsonl")
    assert done.returncode == 0, done.stderr
    expected, found = rows(trained / job / "predictions" / "original-org.jsonl"), rows(trained / "out.jsonl")
    assert len({row["predicted"] for row in expected}) > 1, "one label would hide mix-ups"
    assert [(row["dialogue"], row["turn"]) for row in found] == [(row["dialogue"], row["turn"]) for row in expected]
    for mine, theirs in zip(found, expected, strict=True):
        assert list(mine["probabilities"]) == LABELS
        assert mine["label"] == theirs["predicted"]
        assert list(mine["probabilities"].values()) == pytest.approx(theirs["probabilities"], abs=2e-6)
    result = json.loads((trained / job / "result.json").read_text())
    scores = result["stages"][0]["test"]["org"]
    assert result["labels"] == LABELS
    told = f"W-F1 {100 * scores['w_f1']:.2f}, macro F1 {100 * scores['macro_f1']:.2f}"
    assert (
        f"Against the labels of {len(expected)} turns: {told}, accuracy {100 * scores['accuracy']:.2f}" in done.stdout
    )
    assert f"compm in {Path('cache/stages') / result['stages'][0]['key']} (stage original of {job})" in done.stderr
    assert set(trained.rglob("*")) - before == {trained / "out.jsonl"}


@pytest.mark.parametrize("name", ["model.safetensors", "classifier.json", "tokenizer.json", "config.json"])
def test_a_stage_with_a_flipped_byte_predicts_nothing_and_is_named(name, trained, job, command, tmp_path):
    (saved,) = {file.parent for file in (trained / "cache" / "stages").glob("*/classifier.json")}
    copy = shutil.copytree(saved, tmp_path / "copy")
    content = bytearray((copy / name).read_bytes())
    content[-3] ^= 1
    (copy / name).write_bytes(content)
    done = command(trained, "predict.py", f"checkpoint={copy}", "dialogues=small/test.jsonl", "output=no.jsonl")
    assert done.returncode == 1
    assert f"error: {copy} is damaged: {name} was changed." in done.stderr
    assert "Traceback" not in done.stderr
    assert not (trained / "no.jsonl").exists()


def test_without_an_output_a_table_is_printed(trained, environment):
    (trained / "my talk.txt").write_text("Ann: hello\nBo: go away [bold]\n\n小明: 你好 😀\n", encoding="utf-8")
    (stage,) = (trained / "cache" / "stages").glob("*/classifier.json")
    line = [
        sys.executable,
        "-m",
        "ercsatz",
        "predict",
        f"checkpoint={stage.parent}",
        "dialogues=my talk.txt",
    ]
    done = subprocess.run(
        line, cwd=trained, env={**environment, "HF_HUB_OFFLINE": "1"}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    words = [line.split() for line in done.stdout.splitlines()]
    assert words[0] == ["Dialogue", "1"]
    assert [line[:-2] for line in words[1:3]] == [["Ann", "hello"], ["Bo", "go", "away", "[bold]"]]
    assert {line[-2] for line in words[1:3]} <= set(LABELS)
    assert all(1 / 7 <= float(line[-1]) <= 1 for line in words[1:3])
    assert words[4] == ["Dialogue", "2"]


def test_hostile_and_long_dialogues_of_many_speakers(trained, job, command):
    draw = random.Random(0)
    texts = [
        "</s>",
        "<script>alert(1)</script>",
        "word " * 2000,
        "👩‍👩‍👧 \u202e",
        'שלום, "مرحبا"',
        "=1+1",
        "two\nlines",
        "<s1>",
    ]
    dialogues = {
        "hostile": [(f"<s{i}>", text) for i, text in enumerate(texts)],
        "forty speakers": [(f"S{i}", draw.choice(texts[3:])) for i in range(40)],
        "300 turns": [(f"S{i % 3}", f"turn {i}") for i in range(300)],
    }
    with (trained / "long.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["dialogue", "speaker", "text"])
        table.writerows((name, *turn) for name, turns in dialogues.items() for turn in turns)
    done = command(trained, "predict.py", f"checkpoint={job}", "dialogues=long.csv", "output=long.out.csv")
    assert done.returncode == 0, done.stderr
    assert "348 turns" in done.stdout
    with (trained / "long.out.csv").open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    assert [(row["dialogue"], row["speaker"], row["text"]) for row in found] == [
        (name, speaker, text.strip()) for name, turns in dialogues.items() for speaker, text in turns
    ]
    for row in found:
        probabilities = [float(row[f"p_{label}"]) for label in LABELS]
        assert sum(probabilities) == pytest.approx(1, abs=1e-5)
        assert row["label"] == LABELS[probabilities.index(max(probabilities))]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "Give both checkpoint=FOLDER"),
        (["checkpoint=x"], "Give both checkpoint=FOLDER"),
        (["checkpoint=x", "dialogues=bad.txt"], "bad.txt, line 2: there is no colon"),
        (["checkpoint=x", "dialogues=good.txt"], "There is no x. checkpoint= takes a saved classifier"),
        (["checkpoint=pickled", "dialogues=good.txt"], "pickled is not a saved classifier: it has no config.json"),
        (["checkpoint=x", "dialogues=good.txt", "output=out.pdf"], "output=out.pdf: the name must end in"),
        (["checkpoint=x", "dialogue=good.txt"], "Key 'dialogue' not in 'PredictConfig'"),
        (["+typo=1"], "+typo=1 adds a key that does not exist"),
    ],
)
def test_what_cannot_be_is_refused(arguments, told, command, tmp_path):
    (tmp_path / "good.txt").write_text("Ann: hello\n")
    (tmp_path / "bad.txt").write_text("Ann: hello\nBo says no\n")
    (tmp_path / "pickled").mkdir()
    (tmp_path / "pickled" / "classifier.json").write_text("{}")
    (tmp_path / "pickled" / "model.bin").write_bytes(b"\x80\x04.")
    there = set(tmp_path.iterdir())
    done = command(tmp_path, "predict.py", *arguments)
    assert done.returncode == 1
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert set(tmp_path.iterdir()) == there


@pytest.mark.parametrize("asked", [("--help",), ("--cfg", "job")])
@pytest.mark.parametrize("start", [["-m", "ercsatz", "predict"], [str(CONSOLE), "predict"]], ids=["module", "console"])
def test_help_comes_at_once(start, asked, environment, tmp_path):
    if start[0] == str(CONSOLE) and not CONSOLE.exists():
        pytest.skip("ercsatz is not installed in this environment")
    line = [sys.executable, *start, *asked]
    variables = {**environment, "PYTHONPROFILEIMPORTTIME": "1"}
    done = subprocess.run(line, cwd=tmp_path, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not imported(done.stderr) & HEAVY
    assert "checkpoint" in done.stdout
    assert not list(tmp_path.iterdir())
