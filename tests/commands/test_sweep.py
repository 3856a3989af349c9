import csv
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from ercsatz.classifiers.encoder.pretrained import open_backbone
from ercsatz.config import BackboneConfig, Pooling, TinySizeConfig

SWEEP = ("--config-dir", "own", "-m", "classifier=compm", "data=small_nat,small_bal")


@pytest.fixture(scope="module")
def first(world, command, micro):
    """The sweep that the others are compared with; it fills ``world/cache``."""
    done = command(world, "train.py", *SWEEP, *micro, "sweep=first")
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture
def trained_world(first, world, tmp_path):
    """A copy of ``world`` after the first sweep."""
    return Path(shutil.copytree(world, tmp_path / "world", ignore=shutil.ignore_patterns("multirun", "outputs")))


def stages(folder):
    """When each finished stage was written, by its key."""
    files = (folder / "cache" / "stages").glob("*/stage.json")
    return {file.parent.name: file.stat().st_mtime_ns for file in files if file.parent.suffix != ".partial"}


def table(folder):
    return {row["treatment"]: row for row in csv.DictReader(io.StringIO((folder / "ranking.csv").read_text()))}


def test_sweep_ends_with_the_ranking_on_the_terminal_and_in_files(first, world):
    sweep = world / "multirun" / "first"
    head = next(line for line in first.stdout.splitlines() if "W-F1 (rank)" in line)
    assert head.split()[2:] == ["compm_org", "compm_nat", "compm_bal"]
    assert "Trained on synthetic dialogues alone" in first.stdout
    markdown = (sweep / "ranking.md").read_text()
    assert "compm_bal" in markdown
    assert "Trained on synthetic dialogues alone" in markdown
    rows = table(sweep)
    assert list(rows) == ["compm_org", "compm_nat", "compm_bal"]
    scores = {tuple(row[f"small_{test_set}"] for test_set in ("org", "nat", "bal")) for row in rows.values()}
    assert len(scores) > 1, "equal scores would hide mix-ups"
    records = list(csv.DictReader(io.StringIO((sweep / "scores.csv").read_text())))
    assert len(records) == 9
    for record in records:
        treatment, block = f"compm_{record['variant']}", f"small_{record['test_set']}"
        assert float(rows[treatment][block]) == pytest.approx(100 * float(record["w_f1"]))


def test_every_job_leaves_its_result_and_predictions(first, world, result):
    jobs = sorted((world / "multirun" / "first").glob("compm-*"))
    assert [job.name.rpartition("-")[0] for job in jobs] == ["compm-small_bal-seed0", "compm-small_nat-seed0"]
    for job in jobs:
        found = result(job)
        assert found["status"] == "completed"
        assert [stage["stage"] for stage in found["stages"]] == ["original", "pretrain", "finetune"]
        assert all(set(stage["test"]) == {"org", "nat", "bal"} for stage in found["stages"])
        assert len(list((job / "predictions").glob("*.jsonl"))) == 9


def test_org_is_trained_once_for_nat_and_bal(first, world, result):
    jobs = [result(job) for job in sorted((world / "multirun" / "first").glob("compm-*"))]
    assert len(stages(world)) == 5
    assert len({job["stages"][0]["key"] for job in jobs}) == 1
    assert sorted(job["stages"][0]["cached"] for job in jobs) == [False, True]


def test_same_sweep_again_trains_nothing_and_imports_no_torch(first, world, command, micro):
    before, ranking = stages(world), (world / "multirun" / "first" / "ranking.csv").read_bytes()
    done = command(world, "train.py", *SWEEP, *micro, "sweep=first", PYTHONPROFILEIMPORTTIME="1")
    assert done.returncode == 0
    assert done.stdout.count("from the cache") == 6
    assert stages(world) == before
    assert (world / "multirun" / "first" / "ranking.csv").read_bytes() == ranking
    assert not any(line.endswith(" torch") for line in done.stderr.splitlines())


@pytest.fixture
def logged_out(tmp_path):
    """Variables with which nobody is logged in to Weights & Biases."""
    return {"HOME": str(tmp_path / "home"), "NETRC": str(tmp_path / "home" / "netrc"), "WANDB_API_KEY": ""}


def test_ranking_is_the_last_run_of_the_sweep_in_weights_and_biases(trained_world, command, micro, logged_out):
    for _ in range(2):  # the second time it is the same run
        done = command(trained_world, "train.py", *SWEEP, *micro, "sweep=tracked", **logged_out, WANDB_MODE="offline")
        assert done.returncode == 0, done.stdout + done.stderr
        (run,) = (trained_world / "multirun" / "tracked" / "wandb").glob("offline-run-*-ranking-*")
    media = {folder.name for folder in (run / "files" / "media").iterdir()}
    assert media == {"table", "images", "html"}
    line = [sys.executable, "-m", "wandb", "leet", "inspect", "--summary", "--json", str(run)]
    found = json.loads(subprocess.run(line, capture_output=True, text=True, check=True).stdout)
    assert (found["name"], found["tags"], found["state"]) == ("tracked ranking", ["ranking"], "finished")
    # So little training leaves a baseline that is no better than one label: its p values are no summary.
    assert table(trained_world / "multirun" / "tracked")["compm_bal"]["baseline_learnt_nothing"] == "True"
    assert not [key for key in found["summary"] if key.startswith("p/")]


def test_tracking_that_is_to_be_online_where_nobody_is_logged_in_costs_a_line(
    trained_world, command, micro, logged_out
):
    arguments = (*SWEEP, *micro, "sweep=untracked", "wandb.mode=online")
    done = command(trained_world, "train.py", *arguments, **logged_out)
    sweep = trained_world / "multirun" / "untracked"
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("wandb.mode=online (or WANDB_MODE), but nobody is logged in") == 1
    assert (sweep / "ranking.csv").is_file()
    assert list(sweep.glob("wandb/offline-run-*-ranking-*"))


def test_joblib_workers_share_org_and_end_with_the_same_ranking(first, world, new_world, command, micro):
    parallel = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    done = command(new_world, "train.py", *SWEEP, *micro, "sweep=first", *parallel)
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(stages(new_world)) == set(stages(world))
    assert done.stdout.count("small_org seed 0 | original | epoch 1/") == 1
    expected = (world / "multirun" / "first" / "ranking.csv").read_bytes()
    assert (new_world / "multirun" / "first" / "ranking.csv").read_bytes() == expected


def test_a_stage_that_diverges_fails_its_cell_and_the_rest_is_ranked(new_world, command, micro, result):
    settings = [setting for setting in micro if not setting.startswith("classifier.")]
    arguments = ("classifier=compm,todkat", "data=small_nat", "training.topic.lr=1e30", "training.clip=0")
    done = command(new_world, "train.py", "--config-dir", "own", "-m", *arguments, *settings, "sweep=diverged")
    sweep = new_world / "multirun" / "diverged"
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    (job,) = sweep.glob("todkat-*")
    error = result(job)["error"]
    assert re.match(r"todkat small_org seed 0 \| topic: .* step \d+ of \d+ \(epoch 1\)", error)
    assert "Try a learning rate below 1e+30 (training.lr, or the stage's own: training.STAGE.lr)" in error
    assert f"multirun/diverged/{job.name} failed: {error}" in done.stdout
    assert not any("topic" in file.read_text() for file in (new_world / "cache" / "stages").glob("*/stage.json"))
    assert list(table(sweep)) == ["compm_org", "compm_nat"]
    assert {row["classifier"] for row in csv.DictReader((sweep / "scores.csv").open()) if row["w_f1"]} == {"compm"}


def test_what_learns_nothing_is_marked_everywhere_and_claims_nothing(new_world, command, micro):
    # So low a rate leaves the random weights, which give one label.
    still = ("training.lr=1e-30", "training.pretrain.epochs=1", "training.finetune.lr=1e-30")
    settings = [setting for setting in micro if not setting.startswith("training.")] + ["training.epochs=1", *still]
    done = command(new_world, "train.py", *SWEEP, *settings, "sweep=still", "training.batch_tokens=1024")
    sweep = new_world / "multirun" / "still"
    assert done.returncode == 0, done.stdout + done.stderr
    first = "A baseline learnt nothing: compm_org † (on small_org, small_nat, small_bal)."
    meaning = "† learnt nothing (of one seed at least, where there are several): every prediction is the same label"
    assert done.stdout.count("(learnt nothing: one label)") > 3
    for text in (done.stdout, (sweep / "ranking.md").read_text(), (sweep / "ranking.html").read_text()):
        assert first in text
        assert text.count(meaning) == 1
        assert "Friedman's test over" not in text.partition("How to cite this")[0]
        assert not re.search("(?i)better than the baseline:|no difference shown", text)
    assert r"\caption{A baseline learnt nothing: compm\_org $^{\dagger}$" in (sweep / "ranking.tex").read_text()
    assert "compm_org †" in (sweep / "ranking.svg").read_text()
    reasons = {row["learnt_nothing"] for row in csv.DictReader((sweep / "scores.csv").open())}
    assert "one label" in reasons <= {"one label", "majority floor"}
    assert table(sweep)["compm_org"]["small_org_learnt_nothing"] == "True"
    again = command(new_world, "rank.py", "sweeps=[multirun/still]")
    assert first in again.stdout


def test_a_backbone_whose_weights_are_no_numbers_is_an_error(new_world, command, micro, result):
    folder = new_world / "backbone"
    texts = ["the train on monday", "no tea again"]
    pretrained = open_backbone(BackboneConfig("tiny", None, Pooling.mean, 1e-3, TinySizeConfig(16, 1, 2, 300)), texts)
    pretrained.save(folder)
    model = pretrained.encoder().model
    with torch.no_grad():
        model.embeddings.word_embeddings.weight[7, 3] = torch.inf
    model.save_pretrained(folder)
    settings = [setting for setting in micro if not setting.startswith("backbone.")]
    own = ("backbone=local", f"backbone.checkpoint={folder}", "phase=original", "hydra.run.dir=job")
    done = command(new_world, "train.py", "--config-dir", "own", "data=small_org", *settings, *own)
    told = f"Backbone {folder}: the weight model.embeddings.word_embeddings.weight is not finite (NaN or infinite)"
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert told in done.stdout + done.stderr
    assert told in result(new_world / "job")["error"]


def test_failed_cell_is_named_and_the_rest_is_ranked(trained_world, command, micro, result):
    broken = trained_world / "data" / "small_bal" / "train.jsonl"
    broken.write_text("no dialogue\n" + broken.read_text())
    (broken.parent / "SHA256SUMS").unlink()
    done = command(trained_world, "train.py", *SWEEP, *micro, "sweep=broken")
    sweep = trained_world / "multirun" / "broken"
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "data/small_bal/train.jsonl, line 1: not JSON" in done.stderr
    (job,) = sweep.glob("compm-small_bal-*")
    assert result(job)["status"] == "failed"
    failure = f"multirun/broken/{job.name} failed: data/small_bal/train.jsonl, line 1: not JSON"
    assert failure in done.stdout
    assert failure in (sweep / "ranking.md").read_text()
    assert failure in (sweep / "ranking.html").read_text()
    assert list(table(sweep)) == ["compm_org", "compm_nat"]
    assert "No scores, so left out: compm_bal." in done.stdout


def test_sweep_of_which_every_job_fails_ranks_nothing(new_world, command, micro):
    for file in (new_world / "data").glob("small_*/train.jsonl"):
        file.write_text("no dialogue\n")
        (file.parent / "SHA256SUMS").unlink()
    done = command(new_world, "train.py", *SWEEP, *micro, "sweep=failed")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "No job of the sweep completed, so there is nothing to rank." in done.stderr
    assert not list((new_world / "multirun" / "failed").glob("ranking.*v"))


def test_sweep_of_which_every_job_misses_its_data_is_refused_before_any(new_world, command, micro):
    shutil.rmtree(new_world / "data")
    done = command(new_world, "train.py", *SWEEP, *micro, "sweep=refused")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "Every cell of this sweep would fail, so nothing is trained" in done.stderr
    assert "Make them with: python generate.py -m data=small_nat,small_bal" in done.stderr
    assert not list(new_world.rglob("result.json"))


def test_ranking_that_breaks_is_not_swallowed_and_can_be_mended(trained_world, command, micro):
    sweep, data = trained_world / "multirun" / "gap", trained_world / "data" / "small_bal" / "train.jsonl"
    whole = data.read_text()
    data.write_text("no dialogue\n")
    done = command(trained_world, "train.py", *SWEEP, *micro, "sweep=gap", "ranking.missing=refuse")
    assert done.returncode == 1
    assert "error (ranking): 3 cells have no score: compm_bal on small_org" in done.stderr
    assert "3 cells have no score" in (sweep / "ranking.error.txt").read_text()
    assert not (sweep / "ranking.csv").exists()
    data.write_text(whole)
    done = command(trained_world, "train.py", *SWEEP, *micro, "sweep=gap")
    assert done.returncode == 0
    assert not (sweep / "ranking.error.txt").exists()
    assert list(table(sweep)) == ["compm_org", "compm_nat", "compm_bal"]


@pytest.fixture
def kill_when(environment, script, micro):
    """Start the sweep in a folder and kill all its processes the moment that ``seen()`` holds."""

    def kill(folder, seen):
        line = [sys.executable, str(script("train.py")), *SWEEP, *micro, "sweep=killed"]
        with (folder / "killed.log").open("w") as log:
            process = subprocess.Popen(
                line, cwd=folder, env=dict(environment), stdout=log, stderr=log, start_new_session=True
            )
            deadline = time.monotonic() + 240
            while not seen() and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.002)
            os.killpg(process.pid, signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL, (folder / "killed.log").read_text()

    return kill


def test_killed_sweep_goes_on_where_it_was(first, world, new_world, command, kill_when, micro):
    cache = new_world / "cache" / "stages"
    kill_when(new_world, lambda: stages(new_world) and list(cache.glob("*.partial")))
    (original,) = stages(new_world).items()
    (partial,) = cache.glob("*.partial")
    kill_when(new_world, lambda: (partial / "work" / "last.ckpt").exists())
    assert dict([original]) == stages(new_world)
    done = command(new_world, "train.py", *SWEEP, *micro, "sweep=killed")
    assert done.returncode == 0, done.stdout + done.stderr
    assert stages(new_world)[original[0]] == original[1]
    assert "small_nat seed 0 | pretrain | epoch 1/8" not in done.stdout
    assert "small_nat seed 0 | pretrain | epoch 8/8" in done.stdout
    expected = (world / "multirun" / "first" / "ranking.csv").read_bytes()
    assert (new_world / "multirun" / "killed" / "ranking.csv").read_bytes() == expected


def test_finished_sweeps_are_merged_by_rank(first, world, command, micro):
    for variant in ("nat", "bal"):
        done = command(world, "train.py", *SWEEP, *micro, f"data=small_{variant}", f"sweep={variant}")
        assert done.returncode == 0
    done = command(world, "rank.py", "sweeps=[multirun/nat,multirun/bal]", "output=merged")
    assert done.returncode == 0, done.stderr
    assert (world / "merged" / "ranking.csv").read_bytes() == (world / "multirun/first/ranking.csv").read_bytes()


@pytest.mark.slow
def test_each_value_of_a_swept_key_has_its_own_baseline(first, world, command, micro):
    done = command(world, "train.py", *SWEEP, *micro, "data=small_nat", "training.lr=0.01,0.02", "sweep=lr")
    assert done.returncode == 0, done.stderr
    assert {name: row["baseline"] for name, row in table(world / "multirun" / "lr").items()} == {
        "compm_org_0.01": "",
        "compm_org_0.02": "",
        "compm_nat_0.01": "compm_org_0.01",
        "compm_nat_0.02": "compm_org_0.02",
    }


@pytest.mark.slow
def test_seeds_are_averaged_and_their_spread_is_shown(first, world, command, micro, result):
    seeds = command(world, "train.py", *SWEEP, *micro, "data=small_nat", "seed=0,1", "sweep=seeds")
    assert seeds.returncode == 0, seeds.stderr
    jobs = [result(job) for job in sorted((world / "multirun" / "seeds").glob("compm-*"))]
    scores = [100 * job["stages"][2]["test"]["org"]["w_f1"] for job in jobs]
    row = table(world / "multirun" / "seeds")["compm_nat"]
    mean, spread = sum(scores) / 2, abs(scores[0] - scores[1]) / 2**0.5
    assert float(row["small_org"]) == pytest.approx(mean)
    assert float(row["small_org_std"]) == pytest.approx(spread)
    assert row["small_org_seeds"] == "2"
    assert f"{mean:.2f} ± {spread:.2f}" in seeds.stdout
    assert "Scores are means over 2 seeds" in seeds.stdout


def test_sweep_with_one_treatment_shows_its_scores_and_ranks_nothing(first, world, command, micro):
    done = command(world, "train.py", *SWEEP, *micro, "data=small_org", "phase=original", "seed=0,1", "sweep=org")
    sweep = world / "multirun" / "org"
    assert done.returncode == 0, done.stderr
    for text in (done.stdout, (sweep / "ranking.md").read_text()):
        assert "compm_org is the only treatment with scores, so there is nothing to rank." in text
        assert "Scores are means over 2 seeds" in text
    assert "±" in done.stdout
    assert len((sweep / "scores.csv").read_text().splitlines()) == 1 + 2 * 3
    assert not (sweep / "ranking.csv").exists()


def test_sweep_of_pretrain_alone_shows_its_scores_and_how_to_rank_them(first, world, command, micro):
    arguments = (*SWEEP, *micro, "phase=pretrain", "sweep=pretrain")
    done = command(world, "train.py", *arguments)
    assert done.returncode == 0, done.stderr
    assert "Trained on synthetic dialogues alone" in done.stdout
    assert "ranking.stages can name the stages that ran." in done.stdout
    done = command(world, "rank.py", "sweeps=[multirun/pretrain]", "ranking.stages=[pretrain]")
    assert done.returncode == 0, done.stderr
    assert next(line for line in done.stdout.splitlines() if "(rank)" in line).split()[2:] == ["compm_nat", "compm_bal"]


def test_single_run_writes_its_result_and_ranks_nothing(trained_world, command, micro, result):
    done = command(trained_world, "train.py", "--config-dir", "own", *micro, "data=small_nat")
    (folder,) = (trained_world / "outputs").iterdir()
    assert done.returncode == 0, done.stderr
    found = result(folder)
    assert (found["status"], found["choices"]["data"]) == ("completed", "small_nat")
    assert "rank" not in done.stdout
