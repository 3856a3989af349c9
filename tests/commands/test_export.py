import json
import shutil
import subprocess
import sys

import pytest

# Whatever is read or asked for beside the folder fails: nothing is where it might be, and there is no network.
ALONE = """
import json, socket, sys
def refuse(*_, **__): raise AssertionError("the network was asked for")
socket.socket.connect = socket.getaddrinfo = refuse
import ercsatz
classifier = ercsatz.load_classifier("classifier")
dialogues = [[(turn["speaker"], turn["text"]) for turn in each["utterances"]] for each in map(json.loads, sys.stdin)]
said = [turn for turns in classifier.predict(dialogues) for turn in turns]
print(json.dumps([(turn.label, list(turn.probabilities.values())) for turn in said]))
"""


@pytest.fixture(scope="module")
def swept(world, command, micro, tmp_path_factory):
    """A working directory with a sweep of two seeds."""
    folder = tmp_path_factory.mktemp("swept") / "world"
    shutil.copytree(world, folder, ignore=shutil.ignore_patterns("cache", "multirun", "outputs"))
    line = ("--config-dir", "own", "-m", "data=small_bal", "seed=0,1", "sweep=two", *micro, "training.finetune.lr=0.01")
    done = command(folder, "train.py", *line)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def export(folder, environment, *arguments):
    line = [sys.executable, "-m", "ercsatz", "export", *arguments]
    done = subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_is_exported_works_alone_and_predicts_what_the_job_predicted(swept, environment, command, tmp_path):
    told = export(swept, environment, "multirun/two", "--config-dir", "own", "--to", "handed/on")
    jobs = {path: json.loads((path / "result.json").read_text()) for path in (swept / "multirun/two").glob("*seed*")}
    stages = {path.relative_to(swept): result["stages"][-1] for path, result in jobs.items()}
    best = max(stages, key=lambda path: (stages[path]["validation_w_f1"], -int(jobs[swept / path]["seed"])))
    assert f"stage finetune of {best}, the best of 2 jobs by validation W-F1" in told

    shutil.copytree(swept / "handed" / "on", tmp_path / "alone" / "classifier")
    for name in ("home", "cache", "data"):  # in the first matplotlib keeps its list of fonts
        (tmp_path / name).mkdir()
    places = {"HOME": "home", "HF_HOME": "home", "ERCSATZ_CACHE": "cache", "ERCSATZ_DATA": "data"}
    kept = {name: environment[name] for name in ("PATH", "PYTHONPATH") if name in environment}
    done = subprocess.run(
        [sys.executable, "-c", ALONE],
        cwd=tmp_path / "alone",
        env={**kept, **{name: str(tmp_path / folder) for name, folder in places.items()}, "OMP_NUM_THREADS": "1"},
        input=(swept / "small" / "test.jsonl").read_text(encoding="utf-8").removesuffix("\n"),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    lines = (swept / best / "predictions" / "finetune-org.jsonl").read_text(encoding="utf-8").splitlines()
    turns = [json.loads(line) for line in lines]
    expected = [turn["predicted"] for turn in turns]
    assert [label for label, _ in found] == expected
    for (_, probabilities), turn in zip(found, turns, strict=True):  # all labels may be the same one
        assert probabilities == pytest.approx(turn["probabilities"], abs=1e-4)
    assert not [path for name in ("cache", "data") for path in (tmp_path / name).iterdir()]

    line = ("--config-dir", "own", f"checkpoint={tmp_path / 'alone' / 'classifier'}", "benchmark=small")
    again = command(swept, "predict.py", *line, "output=again.jsonl")
    assert again.returncode == 0, again.stderr
    assert [json.loads(line)["label"] for line in (swept / "again.jsonl").read_text().splitlines()] == expected
    assert f"W-F1 {100 * stages[best]['test']['org']['w_f1']:.2f}" in again.stdout


def test_predict_takes_a_sweep_and_a_stage(swept, command):
    line = ("predict.py", "checkpoint=multirun/two", "dialogues=small/test.jsonl", "output=out.csv")
    done = command(swept, *line)
    assert "by validation W-F1" in done.stderr
    done = command(swept, *line, "stage=original")
    assert "(stage original of multirun/two/" in done.stderr
    done = command(swept, *line, "stage=nope")
    assert done.returncode == 1
    assert "there are original, pretrain, finetune: stage=NAME" in done.stderr


def test_the_card_knows_both_corpora_and_both_seeds(swept, environment):
    export(swept, environment, "multirun/two", "--config-dir", "own", "--to", "card")
    text = (swept / "card" / "README.md").read_text(encoding="utf-8")
    assert "W-F1, 2 seeds" in text
    assert "| small_org | small | not stated |" in text
    assert "written by offline | apache-2.0 |" in text
    assert "small_bal compm pretrain seed" in text
    export(swept, environment, "multirun/two", "--stage", "pretrain", "--config-dir", "own", "--to", "synthetic")
    synthetic = (swept / "synthetic" / "README.md").read_text(encoding="utf-8")
    assert "| small_bal | train |" in synthetic
    assert "| small_org |" not in synthetic, "it has not seen it"
    assert "python train.py --config-dir own -m data=small_bal seed=0,1 sweep=two" in text
