"""A worker that is killed, of a sweep or of data loading, costs its own cell; the others are trained and ranked."""

import json
import signal
import time

import psutil
import pytest

SWEEP = ("--config-dir", "own", "-m", "classifier=compm", "data=small_nat,small_bal", "sweep=killed")
LAUNCHERS = {
    "joblib": ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2"),
    "submitit": ("hydra/launcher=submitit_local",),
}
JOB = ("processes import main", "submitit.core._submit")  # in the command lines of processes that run jobs


def jobs(run):
    """The processes that run a job, the first that was started first."""
    found = psutil.Process(run.process.pid).children(recursive=True)
    return sorted(
        (p for p in found if any(part in " ".join(p.cmdline()) for part in JOB)), key=lambda p: p.create_time()
    )


def started(folder, cell):
    files = list((folder / "multirun" / "killed").glob(f"compm-{cell}-*/result.json"))
    return files and json.loads(files[0].read_text(encoding="utf-8"))["status"] == "running"


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_job_that_is_killed_is_named_and_the_others_are_trained_and_ranked(launcher, new_world, start, micro, result):
    run = start(new_world, "train.py", *SWEEP, *micro, *LAUNCHERS[launcher])
    run.until(lambda: started(new_world, "small_bal") and started(new_world, "small_nat"))
    jobs(run)[1].kill()
    status, output, errors = run.end()
    sweep = new_world / "multirun" / "killed"
    (job,) = (each for each in sweep.glob("compm-*") if result(each)["status"] == "failed")
    assert status == 1, output + errors
    assert "Traceback" not in errors
    assert f"{job.name} failed: its process died" in output
    assert errors.count("its process died") == 1
    other = "nat" if "small_bal" in job.name else "bal"
    table = (sweep / "ranking.csv").read_text(encoding="utf-8")
    assert [line.partition(",")[0] for line in table.splitlines()[1:]] == ["compm_org", f"compm_{other}"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("group", [False, True], ids=["alone", "group"])
@pytest.mark.parametrize("launcher", [pytest.param("submitit", marks=pytest.mark.slow), "joblib"])
def test_a_signal_ends_a_sweep_with_all_its_processes(launcher, group, number, new_world, start, micro, check_stopped):
    run = start(new_world, "train.py", *SWEEP, *micro, *LAUNCHERS[launcher])
    run.until(lambda: started(new_world, "small_nat"))
    run.send(number, group)
    check_stopped(run, number)


def test_jobs_of_a_sweep_that_is_killed_end_too(new_world, start, micro):
    run = start(new_world, "train.py", *SWEEP, *micro, *LAUNCHERS["joblib"])
    run.until(lambda: started(new_world, "small_nat"))
    run.process.kill()
    status, _, _ = run.end()
    assert status == -signal.SIGKILL


def test_a_process_that_makes_batches_and_is_killed_costs_its_cell_alone(new_world, start, micro):
    longer = ("trainer.workers=2", "training.pretrain.epochs=400", "data=small_nat", "classifier=compm")
    run = start(new_world, "train.py", "--config-dir", "own", *micro, *longer)
    run.until("pretrain . epoch 2/")
    psutil.Process(run.process.pid).children()[0].kill()
    began = time.monotonic()
    status, output, errors = run.end()
    assert status == 1, output + errors
    assert time.monotonic() - began < 30
    assert "A process that makes batches died" in errors
    assert "trainer.workers=0" in errors
    assert "Traceback" not in errors


@pytest.mark.slow
def test_processes_without_a_job_make_stages_of_the_jobs_that_run_and_none_is_trained_twice(new_world, start, micro):
    longer = ("training.pretrain.epochs=400", "training.original.epochs=400")
    run = start(new_world, "train.py", *SWEEP, *micro, *longer, "hydra/launcher=joblib", "hydra.launcher.n_jobs=4")
    status, output, errors = run.end(300)
    assert status == 0, output + errors
    sweep = new_world / "multirun" / "killed"
    planned = json.loads((sweep / "stages.json").read_text(encoding="utf-8"))["stages"]
    lines = {file: file.read_text(encoding="utf-8").splitlines() for file in (sweep / "workers").iterdir()}
    begun = [
        (file, each["stage"]) for file in lines for each in map(json.loads, lines[file]) if each["event"] == "begins"
    ]
    assert sorted(stage for _, stage in begun) == sorted(planned)
    assert len(planned) == 5
    assert len({file for file, _ in begun}) >= 3, "two jobs, and a third process that helps"
    assert (sweep / "ranking.csv").is_file()
