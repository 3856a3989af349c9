"""``hydra/sweeper=optuna``: a search from its first trial to its report, stopped or not."""

import csv
import json
import re
import shlex
import signal
from pathlib import Path

import pytest

pytest.importorskip("optuna")
SEARCH = ("--config-dir", "own", "-m", "hydra/sweeper=optuna", "phase=original", "data=small_org", "sweep=tried")
SPACE = ("training.lr=tag(log, interval(1e-3,1e-1))", "training.warmup=choice(0,0.2)")
FILES = {
    "index.html",
    "search.html",
    "search.md",
    "search.csv",
    "search.png",
    "search.db",
    "sweep.json",
    "multirun.yaml",
}


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "multirun" / "tried" / "search.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def completed(folder: Path) -> int:
    return sum('"completed"' in file.read_text() for file in folder.glob("multirun/tried/*/result.json"))


def wait(run, folder: Path, first: int, last: int) -> None:
    """Until so many trials are done; for each of them as long as for anything else."""
    for number in range(first, last + 1):
        run.until(lambda number=number: completed(folder) >= number)


def test_a_search_ends_with_its_report_and_a_diverged_trial_costs_only_itself(new_world, command, micro, result):
    space = ("training.lr=choice(0.01,1e30)", "training.warmup=interval(0,0.5)")
    given = (*SEARCH, *micro, *space, "hydra.sweeper.n_trials=4", "hydra.sweeper.sampler=random")
    done = command(new_world, "train.py", *given)
    folder = new_world / "multirun" / "tried"
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert {file.name for file in folder.iterdir() if file.is_file()} == FILES  # no ranking
    trials = rows(new_world)
    assert {trial["state"] for trial in trials} == {"completed", "failed"}
    for trial in trials:
        there = result(folder / trial["folder"])
        assert (there["status"] == "completed") == (trial["training.lr"] == "0.01")
        if trial["state"] == "completed":
            assert there["objective"] == {"validation/w_f1": float(trial["validation/w_f1"])}
            assert there["stages"][-1]["validation_w_f1"] == float(trial["validation/w_f1"])
        else:
            assert "the loss is" in trial["reason"]
    cells = json.loads((folder / "sweep.json").read_text())["cells"]
    assert len(cells) == len({trial["folder"] for trial in trials}) == 4
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("  python train.py -m"))
    assert {"seed=1,2,3,4,5", "sweep=tried-best", "training.lr=0.01", "--config-dir"} <= set(shlex.split(line))
    ranked = command(new_world, "rank.py", "sweeps=[multirun/tried]")
    assert ranked.returncode == 1
    assert "is a search: its trials were chosen by their scores" in ranked.stderr
    other = command(new_world, "train.py", *given, "training.weight_decay=0.5")
    assert other.returncode == 1
    assert "another search: what all trials have training.weight_decay: was None and is 0.5" in other.stderr


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("objective=test/org/w_f1", *SPACE), "a search on the test set would report what it was chosen by"),
        (("objective=[validation/w_f1,test/org/w_f1]", *SPACE), "a search on the test set"),
        (SPACE[:0], "nothing to search over"),
        (("seed=1,2",), "finds a lucky one"),
        (("training.lr=interval(1,0)",), "no such range"),
        (("classifier=compm,nobody",), "nobody"),
        ((*SPACE, "hydra.sweeper.n_trials=0"), "must be 1 or more"),
        ((*SPACE, "hydra.sweeper.sampler=guess"), "guess"),
        ((*SPACE, "data=small_per"), "Files are missing"),
    ],
)
def test_a_search_that_makes_no_sense_is_refused_before_anything_runs(new_world, command, micro, given, words):
    done = command(new_world, "train.py", *SEARCH, *micro, *given)
    assert done.returncode == 1, done.stdout
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(new_world.glob("multirun/tried/*.json"))
    assert not (new_world / "cache").exists()


def test_an_objective_of_a_test_set_is_refused_in_any_sweep_and_job(new_world, command, micro):
    for kind in (("-m", "seed=0,1"), ()):
        given = ("--config-dir", "own", *kind, "data=small_org", "objective=test/w_f1")
        done = command(new_world, "train.py", *given, *micro)
        assert done.returncode == 1
        assert "a search on the test set" in done.stderr
        assert not (new_world / "cache").exists()


def test_a_dry_run_shows_a_trial_and_writes_nothing(new_world, command, micro):
    done = command(new_world, "train.py", *SEARCH, *micro, *SPACE, "dry_run=true")
    assert done.returncode == 0, done.stderr
    assert "original (" in done.stdout
    assert not list(new_world.glob("multirun/tried/*.db"))
    assert not (new_world / "cache").exists()


def test_generate_has_nothing_to_search_for(new_world, command):
    done = command(new_world, "generate.py", "-m", "hydra/sweeper=optuna", "data=mini_nat", "plan.seed=1,2")
    assert done.returncode == 1
    assert "it is for train.py alone" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_search_that_was_killed_goes_on_with_the_same_command(new_world, start, micro, result):
    given = (*SEARCH, *micro, *SPACE, "hydra.sweeper.n_trials=8", "hydra.sweeper.n_startup_trials=3")
    run = start(new_world, "train.py", *given)
    wait(run, new_world, 1, 4)
    run.send(signal.SIGKILL)
    run.end()
    before = {file.parent.name: result(file.parent) for file in new_world.glob("multirun/tried/*/result.json")}
    assert 4 <= sum(each["status"] == "completed" for each in before.values()) < 8
    run = start(new_world, "train.py", *given)
    wait(run, new_world, 5, 8)
    run.until("Written to")
    status, output, errors = run.end()
    assert status == 0, output + errors
    assert re.search("in 8 trials. [3-7] are there already", output)
    trials = rows(new_world)
    assert [trial["state"] for trial in trials] == ["completed"] * 8
    assert {*before} <= {trial["folder"] for trial in trials}  # what had begun was asked for again
    done = {name for name, each in before.items() if each["status"] == "completed"}
    kept = sum(result(new_world / "multirun/tried" / name) == before[name] for name in done)
    assert kept >= len(done) - 1  # the last may not have been told to the storage


@pytest.mark.slow
def test_several_objectives_and_two_trials_at_once_in_processes(new_world, command, micro):
    two = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "hydra.sweeper.n_jobs=2", "hydra.sweeper.n_trials=5")
    given = (*SEARCH, *micro, "training.lr=choice(0.01,1e30)", "training.warmup=interval(0,0.5)", *two)
    done = command(new_world, "train.py", *given, "objective=[validation/macro_f1,seconds]")
    assert done.returncode in (0, 1), done.stdout + done.stderr
    trials = rows(new_world)
    assert len(trials) == 5
    for trial in trials:
        assert (trial["state"] == "completed") == (trial["training.lr"] == "0.01")
        assert (trial["validation/macro_f1"] != "") == (trial["state"] == "completed")
    assert any(trial["best"] == "true" for trial in trials)
    assert "The Pareto front is" in done.stdout


@pytest.mark.slow
def test_ctrl_c_shows_what_is_done_and_the_same_command_goes_on(new_world, start, command, check_stopped, micro):
    given = (*SEARCH, *micro, *SPACE, "hydra.sweeper.n_trials=4")
    run = start(new_world, "train.py", *given)
    run.until(lambda: completed(new_world) >= 2)
    run.send(signal.SIGINT)
    output, _ = check_stopped(run, signal.SIGINT)
    assert "The best is trial" in output
    done = command(new_world, "train.py", *given)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [trial["state"] for trial in rows(new_world)] == ["completed"] * 4
