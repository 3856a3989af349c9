"""``assess.py`` as users type it, on the small world of ``conftest``."""

import csv
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

OWN = ("--config-dir", "own")
QUICK = ("assess.halves=3", "assess.sample=100")
BAD = "<script>alert(1)</script>"
FILES = {
    "wandb",
    "assessment.json",
    "offenders.csv",
    "quality.html",
    "quality.md",
    "quality.csv",
    "quality.png",
    "emotions.png",
}
SWEEP = (*OWN, "-m", "data=small_nat,small_bal", *QUICK, "hydra.sweep.dir=sweep")


@pytest.fixture(scope="module")
def sweep(world, tmp_path_factory, command):
    """A world after a sweep of two data sets."""
    folder = tmp_path_factory.mktemp("assessed") / "world"
    shutil.copytree(world, folder, ignore=shutil.ignore_patterns("cache", "multirun", "outputs"))
    done = command(folder, "assess.py", *SWEEP, WANDB_MODE="offline")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done


def logged(folder, *options):
    """The records of the one offline run of Weights & Biases below a folder; ``--summary`` gives one in all."""
    (run,) = (folder / "wandb").glob("offline-run-*")
    line = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", *options, str(run)]
    text = subprocess.run(line, capture_output=True, text=True, check=True, timeout=60).stdout
    return [json.loads(text)] if options else [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def assessed(sweep, tmp_path) -> Path:
    """A copy of that world."""
    return Path(shutil.copytree(sweep[0], tmp_path / "world"))


def rows(file):
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_a_sweep_ends_with_one_table_of_all_data_sets(sweep):
    folder, done = sweep
    made = {path.name for path in (folder / "sweep").iterdir()}
    reports = FILES - {"assessment.json", "offenders.csv"}
    assert made == {"0-small_nat", "1-small_bal", "multirun.yaml", *reports}
    for job in ("0-small_nat", "1-small_bal"):
        assert {path.name for path in (folder / "sweep" / job).iterdir()} == FILES
    together = rows(folder / "sweep" / "quality.csv")
    alone = [row for job in ("0-small_nat", "1-small_bal") for row in rows(folder / "sweep" / job / "quality.csv")]
    assert together == alone
    assert {row["family"] for row in together} == {
        *("diversity", "clusters", "realism", "labels", "leakage", "splits", "human")
    }
    assert re.search(r"small_nat +small_bal +real", done.stdout)
    assert "small_bal: " in (folder / "sweep" / "quality.md").read_text()
    assert "Not judged: generator=offline is no language model" in done.stdout


def test_a_sweep_is_one_group_of_runs_in_weights_and_biases(sweep):
    folders = [sweep[0] / "sweep", *(sweep[0] / "sweep" / job for job in ("0-small_nat", "1-small_bal"))]
    runs = [next(each["run"] for each in logged(folder) if each["type"] == "run") for folder in folders]
    assert {(run["run_group"], run["job_type"]) for run in runs} == {("sweep", "assess")}
    assert [run["display_name"] for run in runs] == [
        "assess small_nat, small_bal",
        "assess small_nat",
        "assess small_bal",
    ]
    assert len({run["run_id"] for run in runs}) == 3


def test_a_failed_job_costs_the_others_nothing_whatever_runs_them(assessed, command):
    """Nor is anything of the earlier sweep in the same folder taken for this one's."""
    data = ("data=small_per,small_nat", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "hydra.sweep.dir=sweep")
    done = command(assessed, "assess.py", *OWN, "-m", *QUICK, *data)
    assert done.returncode == 1
    mend = "python generate.py data=small_per --config-dir own"
    why = f"There is no data set small_per in data/small_per. Make it with: {mend}"
    assert f"Not assessed: small_per: {why}" in done.stdout
    assert json.loads((assessed / "sweep" / "0-small_per" / "failure.json").read_text())["error"] == why
    assert why in (assessed / "sweep" / "quality.html").read_text()
    assert {row["data"] for row in rows(assessed / "sweep" / "quality.csv")} == {"small_nat"}
    assert "Traceback" not in done.stderr
    assert len(list((assessed / "cache" / "assessments").iterdir())) == 2, "small_nat was measured before"


def hostile(world):
    """A data set of the user's own: hostile text everywhere, and two dialogues of the real test set."""
    folder = world / "data" / "hostile"
    folder.mkdir()
    test = [json.loads(line) for line in (world / "small" / "test.jsonl").read_text().splitlines()]
    own = [json.loads(line) for line in (world / "data" / "small_nat" / "train.jsonl").read_text().splitlines()]
    for number, dialogue in enumerate(own):
        dialogue["id"] = f"{BAD}{number}"
        dialogue["utterances"][0]["speaker"] = f"{BAD}\x1b[31m"
        dialogue["utterances"][0]["text"] = f"=1+1 {BAD} | [red]\u202e" + dialogue["utterances"][0]["text"]
    own[3]["utterances"], own[4]["utterances"] = test[0]["utterances"], test[1]["utterances"]
    for split, dialogues in {"train": own[:-2], "validation": own[-2:-1], "test": own[-1:]}.items():
        lines = [json.dumps({"id": each["id"], "utterances": each["utterances"]}) for each in dialogues]
        (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
    return len(own)


def test_leaks_are_found_and_left_out_of_a_copy_and_hostile_text_does_nothing(new_world, command):
    total = hostile(new_world)
    named = (*OWN, "data=small_nat", "data.name=hostile", *QUICK, "hydra.run.dir=out")
    done = command(new_world, "assess.py", *named, "assess.fix=true", WANDB_MODE="offline")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"2 of its {total} dialogues repeat something" in done.stdout
    assert "\x1b[31m" not in done.stdout
    page = (new_world / "out" / "quality.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "<script" not in (new_world / "out" / "quality.md").read_text()
    found = rows(new_world / "out" / "offenders.csv")
    assert {row["dialogue"] for row in found} == {f"{BAD}3", f"{BAD}4"}
    assert {row["real_split"] for row in found} == {"test"}
    assert "hostile_clean. Use it with: data=small_nat data.name=hostile_clean" in done.stdout
    (run,) = logged(new_world / "out", "--summary")
    assert run["summary"]["leakage/leaking"] == pytest.approx(2 / total)
    assert run["state"] == "finished"

    again = command(new_world, "assess.py", *named, "assess.fix=true")
    assert again.returncode == 1
    assert "hostile_clean is there already" in again.stderr
    assert "use it: data=small_nat data.name=hostile_clean" in again.stderr
    clean = command(new_world, "assess.py", *OWN, "data=small_nat", "data.name=hostile_clean", *QUICK)
    assert clean.returncode == 0, clean.stdout + clean.stderr
    assert f"None of its {total - 2} dialogues repeats" in clean.stdout


def test_what_cannot_be_cleaned_is_assessed_all_the_same(new_world, command):
    shutil.copyfile(new_world / "small" / "test.jsonl", new_world / "data" / "small_nat" / "test.jsonl")
    (new_world / "data" / "small_nat" / "SHA256SUMS").unlink()
    sweep = ("-m", "data=small_nat,small_bal", *QUICK, "assess.fix=true", "hydra.sweep.dir=out")
    done = command(new_world, "assess.py", *OWN, *sweep)
    assert done.returncode == 1
    assert "Not cleaned: small_nat: assess.fix=true: there is no clean copy" in done.stdout
    assert "Not assessed" not in done.stdout
    assert {row["data"] for row in rows(new_world / "out" / "quality.csv")} == {"small_nat", "small_bal"}


def test_a_split_needs_a_file_and_that_may_be_empty(new_world, command):
    (new_world / "data" / "small_nat" / "validation.jsonl").unlink()
    done = command(new_world, "assess.py", *OWN, "data=small_nat", *QUICK, "hydra.run.dir=out")
    assert done.returncode == 1
    assert "There is no file data/small_nat/validation.jsonl. An empty one will do" in done.stderr


def test_an_empty_split_is_no_fault(new_world, command):
    folder = new_world / "data" / "small_nat"
    (folder / "validation.jsonl").write_text("")
    (folder / "SHA256SUMS").unlink()
    done = command(new_world, "assess.py", *OWN, "data=small_nat", *QUICK, "hydra.run.dir=out")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "undefined because the split validation has nothing to compare" in (new_world / "out/quality.md").read_text()


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (("data=small_org",), "data=small_org is the benchmark itself"),
        (("data=small_nat", "assess.halves=2"), "assess.halves=2: must be 3 or more"),
        (("data=small_nat", "judge.n=0"), "judge.n=0: must be 1 or more"),
        (("data=small_nat", "checks.leakage.dialogue=2"), "checks.leakage.dialogue=2.0: must be above 0 and at most 1"),
        (("data=small_nat", "data.name=wrong"), "dialogue 'x': unknown label 'rage'. The labels are: neutral, joy"),
        (("data=small_bal", "assess.embedder=nowhere/at-all"), "assess.embedder=nowhere/at-all: "),
    ],
)
def test_what_makes_no_sense_is_refused(new_world, command, overrides, told):
    folder = new_world / "data" / "wrong"
    folder.mkdir()
    line = {"id": "x", "utterances": [{"speaker": "Leo", "text": "Hello.", "emotion": "rage"}]}
    for split in ("train", "validation", "test"):
        (folder / f"{split}.jsonl").write_text(json.dumps(line) + "\n")
    done = command(new_world, "assess.py", *OWN, *overrides, "hydra.run.dir=out", HF_HUB_OFFLINE="1")
    assert done.returncode == 1
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert not (new_world / "out" / "quality.html").exists()
    assert "diversity ..." not in done.stdout, "before anything is measured"


def test_a_sweep_in_a_folder_of_an_earlier_one_reports_its_own(assessed, command):
    done = command(assessed, "assess.py", *OWN, "-m", "data=small_nat", *QUICK, "hydra.sweep.dir=sweep")
    assert done.returncode == 0, done.stderr
    assert {path.parent.name for path in (assessed / "sweep").glob("*/assessment.json")} == {"0-small_nat"}
    assert not (assessed / "sweep" / "quality.csv").exists()  # of one data set alone the report is the job's


def test_folders_in_which_the_report_would_not_find_the_jobs_are_refused(assessed, command):
    done = command(assessed, "assess.py", *SWEEP, "hydra.sweep.subdir=one")
    assert done.returncode == 1
    assert "hydra.sweep.subdir=one must begin with ${hydra.job.num}-" in done.stderr
    assert (assessed / "sweep" / "quality.csv").exists()
