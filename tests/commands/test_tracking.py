import json
import shutil

import pytest

from tests.tracking.offline import read_all

HEAVY = {"wandb", "torch", "pytorch_lightning", "mlflow", "tensorboard"}


@pytest.fixture(scope="module")
def tracked(world, command, micro, tmp_path_factory):
    """A world in which a data set was written, assessed, trained on, ranked and predicted, all logged offline."""
    folder = tmp_path_factory.mktemp("tracked") / "world"
    shutil.copytree(world, folder, ignore=shutil.ignore_patterns("cache", "multirun", "outputs", "data"))
    own = ("--config-dir", "own")
    lines = (
        ("generate.py", *own, "data=small_bal", "plan.n_dialogues=40", "plan.max_turns=6"),
        ("assess.py", *own, "data=small_bal", "assess.halves=3"),
        ("train.py", *own, "-m", "data=small_bal", *micro, "sweep=one"),
        ("rank.py", "sweeps=[multirun/one]", "output=report"),
    )
    for line in lines:
        done = command(folder, *line, WANDB_MODE="offline", HOME=str(folder / "home"), WANDB_API_KEY="")
        assert done.returncode == 0, done.stdout + done.stderr
    (job,) = (file.parent for file in folder.glob("multirun/one/*/result.json"))
    line = (f"checkpoint={job}", "dialogues=small/test.jsonl", "output=predicted/out.jsonl")
    done = command(folder, "predict.py", *line, WANDB_MODE="offline", HOME=str(folder / "home"), WANDB_API_KEY="")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, job


def of(folder, kind):
    return [run for run in read_all(folder) if run.run.job_type == kind]


@pytest.mark.slow
def test_a_data_set_can_be_followed_to_the_classifier_the_ranking_and_the_predictions(tracked):
    folder, job = tracked
    result = json.loads((job / "result.json").read_text())
    (written,) = of(folder / "data", "generate")
    (assessed,) = of(folder / "outputs", "assess")
    content = written.config["hash.small_bal"]
    assert content == assessed.config["hash.small_bal"] == result["corpora"]["small_bal"]
    (made,) = (each for each in written.artifacts if each.type == "dataset")
    assert json.loads(made.metadata)["hash"] == content
    assert {entry.path for entry in made.manifest.contents} == {"train.jsonl", "validation.jsonl", "test.jsonl"}
    assert written.summary["funnel/kept"] == sum(
        written.summary[f"dialogues/{s}"] for s in ("train", "validation", "test")
    )
    (trained,) = of(folder / "multirun", "finetune")
    assert trained.config["hash.small_bal"] == content
    rankings = [*of(folder / "multirun", "ranking"), *of(folder / "report", "ranking")]
    assert len(rankings) == 2
    for ranking in rankings:
        assert ranking.config["hash.small_bal"] == content
        assert trained.config["key"] in ranking.config["keys"]
        assert {each.type for each in ranking.artifacts} >= {"report"}
    (predicted,) = of(folder / "predicted", "predict")
    assert predicted.config["key"] == trained.config["key"]
    (stage,) = (each for each in result["stages"] if each["stage"] == "finetune")
    assert predicted.summary["test/given/w_f1"] == pytest.approx(stage["test"]["org"]["w_f1"])


@pytest.mark.slow
def test_no_text_of_a_corpus_is_logged_anywhere(tracked):
    folder, _ = tracked
    files = [folder / "small" / "test.jsonl", *(folder / "data" / "small_bal").glob("*.jsonl")]
    texts = {
        turn["text"]
        for file in files
        for line in file.read_text().splitlines()
        for turn in json.loads(line).get("utterances", ())
        if len(turn["text"]) > 30
    }
    assert len(texts) > 50
    runs = read_all(folder)
    assert len(runs) > 6
    for run in runs:
        everything = b"".join(file.read_bytes() for file in run.folder.rglob("*") if file.is_file())
        assert not [text for text in texts if text.encode() in everything], run.run.display_name


def test_disabled_imports_nothing_of_it(new_world, command):
    line = ("--config-dir", "own", "data=small_nat", "plan.n_dialogues=12", "overwrite=true")
    done = command(new_world, "generate.py", *line, PYTHONPROFILEIMPORTTIME="1")
    assert done.returncode == 0, done.stdout
    imports = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    assert imports
    assert not HEAVY & {line.rpartition("|")[2].strip().partition(".")[0] for line in imports}
    assert not list(new_world.rglob("wandb"))
