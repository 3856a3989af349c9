"""Whose result is it: two sweeps of one name or of one second, other settings, what lies about, data that change."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SWEEP = ("--config-dir", "own", "-m", "classifier=compm", "data=small_nat")


@pytest.fixture(scope="module")
def trained(world, tmp_path_factory, command, micro) -> Path:
    """A world after a sweep over two seeds, ``first``."""
    folder = tmp_path_factory.mktemp("trained") / "world"
    shutil.copytree(world, folder, ignore=shutil.ignore_patterns("cache", "multirun", "outputs"))
    done = command(folder, "train.py", *SWEEP, *micro, "seed=0,1", "sweep=first")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Ranked at the end: compm_org, compm_nat; scores are means over the seeds 0, 1." in done.stdout
    return folder


@pytest.fixture
def own(trained, tmp_path) -> Path:
    """A copy of it that a test may spoil."""
    return Path(shutil.copytree(trained, tmp_path / "world"))


@pytest.fixture
def begin(environment, script, micro):
    """Start a sweep in a folder, without waiting for it."""

    def started(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
        line = [sys.executable, str(script("train.py")), *SWEEP, *micro, *arguments]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen(line, cwd=folder, env=dict(environment), start_new_session=True, **pipes)

    return started


def cells(sweep: Path) -> dict[str, Path]:
    """The folders of a sweep's cells by their seed."""
    return {file.parent.name.split("-")[2]: file.parent for file in sweep.glob("*/result.json")}


def test_of_two_sweeps_of_one_name_at_once_the_second_is_refused(own, begin, command, micro):
    first = begin(own, "seed=7", "sweep=both")
    try:
        deadline = time.monotonic() + 120
        while not list((own / "multirun").glob("both/*/result.json")) and time.monotonic() < deadline:
            time.sleep(0.01)
        done = command(own, "train.py", *SWEEP, *micro, "seed=7", "sweep=both")
        assert done.returncode == 1
        assert f"The sweep multirun/both is being run by process {first.pid} of " in done.stderr
        assert "Traceback" not in done.stderr
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.communicate()
    done = command(own, "train.py", *SWEEP, *micro, "seed=7", "sweep=both")  # a lock dies with its owner
    assert done.returncode == 0, done.stdout + done.stderr


def test_sweeps_without_a_name_have_folders_of_their_own_also_in_one_second(own, begin):
    sweeps = [begin(own, "seed=0") for _ in range(3)]
    printed = [sweep.communicate(timeout=300)[0] for sweep in sweeps]
    assert [sweep.returncode for sweep in sweeps] == [0] * 3, printed
    folders = [folder for folder in (own / "multirun").iterdir() if folder.name != "first"]
    assert len(folders) == 3
    assert all(len(list(folder.glob("*/result.json"))) == 1 for folder in folders)


def test_a_name_that_has_other_settings_is_refused_with_the_difference(own, command, micro):
    before = (own / "multirun/first/ranking.csv").read_bytes()
    for given, told in (("training.lr=0.02", "training.lr=0.02"), ("seed=0", "it has seed=1")):
        done = command(own, "train.py", *SWEEP, *micro, "seed=0,1", given, "sweep=first")
        assert done.returncode == 1
        assert "multirun/first is a sweep of other cells: " in done.stderr
        assert told in done.stderr
    assert (own / "multirun/first/ranking.csv").read_bytes() == before


def test_what_else_lies_in_the_folder_is_not_ranked_whatever_the_clock_says(own, command, micro):
    sweep = own / "multirun" / "first"
    before = (sweep / "ranking.csv").read_bytes()
    stranger = shutil.copytree(cells(sweep)["seed1"], sweep / "compm-small_nat-seed2-abcdef")
    result = json.loads((stranger / "result.json").read_text())
    result |= {"sweep_id": "0123456789abcdef", "schema": 1, "seed": 2}
    (stranger / "result.json").write_text(json.dumps(result))
    for folder, moment in ((stranger, 2**32), *((folder, 1000) for folder in cells(sweep).values())):
        os.utime(folder / "result.json", (moment, moment))
    done = command(own, "rank.py", "sweeps=[multirun/first]", "output=again")
    assert done.returncode == 0, done.stderr
    assert "multirun/first: 1 result is of another sweep, and left out." in done.stdout
    assert (own / "again" / "ranking.csv").read_bytes() == before


def test_jobs_in_folders_of_their_own_are_the_sweeps_too(own, command, micro):
    places = {"paths.data": "data", "paths.cache": "cache", "benchmark.path": "small"}
    absolute = (f"{key}={own / folder}" for key, folder in places.items())
    done = command(own, "train.py", *SWEEP, *micro, *absolute, "seed=0,1", "sweep=apart", "hydra.job.chdir=true")
    assert done.returncode == 0, done.stderr
    ranked = [(own / "multirun" / name / "ranking.csv").read_bytes() for name in ("first", "apart")]
    assert ranked[0] == ranked[1]


def test_a_cell_that_is_gone_is_a_gap_that_is_told(own, command, micro):
    sweep = own / "multirun" / "first"
    shutil.rmtree(cells(sweep)["seed1"])
    done = command(own, "rank.py", "sweeps=[multirun/first]", "output=again")
    assert done.returncode == 1
    assert "multirun/first has no result of classifier=compm data=small_nat " in done.stdout
    assert "seed=1" in (own / "again" / "ranking.md").read_text()


def test_a_result_that_was_changed_is_named_and_not_ranked(own, command):
    file = cells(own / "multirun" / "first")["seed0"] / "result.json"
    text = file.read_text()
    place = text.index('"w_f1": 0.') + len('"w_f1": 0.')
    file.write_text(text[:place] + str((int(text[place]) + 1) % 10) + text[place + 1 :])
    done = command(own, "rank.py", "sweeps=[multirun/first]")
    assert done.returncode == 1
    assert f"{file.relative_to(own)} has been changed since it was written" in done.stderr
    assert "W-F1" not in done.stdout


def test_cells_that_saw_different_data_are_not_ranked_together(own, command, micro):
    plan = ("plan.n_dialogues=40", "plan.max_turns=6", "seed=5", "overwrite=true")
    again = command(own, "generate.py", "--config-dir", "own", "data=small_nat", *plan)
    assert again.returncode == 0, again.stderr
    done = command(own, "train.py", *SWEEP, *micro, "seed=3", "test_sets=[org]", "sweep=second")
    assert done.returncode == 0, done.stdout + done.stderr
    done = command(own, "rank.py", "sweeps=[multirun/first,multirun/second]")
    assert done.returncode == 1
    assert "small_nat is not the same for all: it has changed between multirun/first/" in done.stderr


def test_each_value_of_a_swept_key_is_a_treatment_and_said_to_be_before_training(own, command, micro):
    done = command(own, "train.py", *SWEEP, *micro, "training.finetune.lr=1e-6,1e-3", "sweep=lr")
    assert done.returncode == 0, done.stdout + done.stderr
    said, trained = (done.stdout.index(text) for text in ("each value of training.finetune.lr (", "finetune | epoch 1"))
    assert said < trained
    head = next(line for line in done.stdout.splitlines() if "W-F1 (rank)" in line)
    assert head.split()[2:] == ["compm_org_any", "compm_nat_1e-06", "compm_nat_0.001"]


@pytest.mark.parametrize(
    "given",
    [
        *("paths.cache=a,b", "sweep=a,b", "ranking.rope=0,1", "ranking.treatment=[classifier]"),
        *("data.path=data/small_nat,data/small_bal", "benchmark.path=small,other", "paths.data=data,other"),
    ],
)
def test_a_sweep_that_could_not_be_ranked_is_refused_before_it_trains(own, command, micro, given):
    done = command(own, "train.py", *SWEEP, *micro, "seed=11", given)
    assert done.returncode == 1
    assert given.partition("=")[0] in done.stderr
    assert "epoch" not in done.stdout
    assert "Traceback" not in done.stderr


def test_a_sweep_whose_folder_was_moved_while_it_ran_is_not_ranked_in_part(own, start, micro):
    run = start(own, "train.py", *SWEEP, *micro, "seed=3,4", "sweep=moved")
    run.until(lambda: [*own.glob("multirun/moved/*/result.json")])
    (own / "multirun" / "moved").rename(own / "multirun" / "elsewhere")
    status, output, errors = run.end()
    assert status == 1
    assert "multirun/moved/sweep.json is gone, or another's" in errors
    assert "W-F1 (rank)" not in output


def test_stages_that_would_be_mixed_are_refused_before_anything_trains(own, command, micro):
    done = command(own, "train.py", *SWEEP, *micro, "seed=11", "ranking.stages=[pretrain,finetune]")
    assert done.returncode == 1
    assert "The treatment compm_nat would have two scores for each test set, which differ in: stage." in done.stderr
    assert "epoch" not in done.stdout


@pytest.mark.parametrize("given", [("seed=0,00",), ("seed=0,1", "hydra.sweep.subdir=one"), ("classifier=compm,mine",)])
def test_cells_that_would_have_one_folder_are_refused(new_world, command, micro, script, given):
    (new_world / "own" / "classifier").mkdir()
    shutil.copy(script("conf/classifier/compm.yaml"), new_world / "own" / "classifier" / "mine.yaml")
    done = command(new_world, "train.py", *SWEEP, *micro, *given)
    assert done.returncode == 1
    assert "would have one folder, " in done.stderr
    assert "epoch" not in done.stdout
