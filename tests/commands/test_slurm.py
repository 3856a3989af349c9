"""A sweep on a real Slurm of two nodes, which is set up for it: jobs are killed, run out of time, are cancelled.

``-s`` shows what happens when. The first four cells train so long that each fault finds its cell at work.
"""

import json
import re
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest

sys.path.append(str(Path(__file__).parents[1] / "servers"))
from slurm import Slurm, lacks

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(lacks() is not None, reason=f"no Slurm: {lacks()}"),
]

CELLS = ("classifier=compm", "training.pretrain.epochs=60,2,3", "data=small_nat,small_bal", "seed=0,1")
SWEEP = ("--config-dir", "own", "-m", *CELLS, "sweep=cluster", "cluster=slurm", "cluster.partition=main")
LIMITS = ("cluster.minutes=30", "cluster.parallel=2", "hydra.launcher.signal_delay_s=25")


@pytest.fixture(scope="session")
def slurm(tmp_path_factory):
    with Slurm(tmp_path_factory.mktemp("slurm") / "slurm") as running:
        yield running


@pytest.fixture(scope="session")
def environment(environment, slurm):
    return {**environment, **slurm.environment}


class Sweep:
    """What can be seen of the sweep from outside."""

    def __init__(self, folder: Path, slurm: Slurm) -> None:
        self.folder, self.slurm, self.began = folder / "multirun" / "cluster", slurm, time.monotonic()

    def say(self, what: str) -> None:
        print(f"{time.monotonic() - self.began:6.0f} s  {what}", flush=True)

    def until(self, what: str, condition, seconds: float = 900) -> None:
        end = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < end, f"not {what}:\n{self.queue()}\n{self.logs()}"
            time.sleep(0.5)
        self.say(what)
        return found

    @property
    def submitted(self) -> dict[str, str] | None:
        file = self.folder / ".submitit" / "submitted.json"
        return json.loads(file.read_text()) if file.exists() else None

    def queue(self) -> str:
        return self.slurm.ask("squeue", "--array", "--states=all")

    def logs(self) -> str:
        return "\n".join(f"{file}: {file.read_text()[-1500:]}" for file in self.folder.glob(".submitit/*/*_log.*"))

    def printed(self, job: str) -> str:
        return "".join(file.read_text() for file in sorted(self.folder.glob(f".submitit/{job}/{job}_0_log.*")))

    def state(self, job: str, field: str) -> str:
        found = re.search(rf"\b{field}=(\S+)", self.slurm.ask("scontrol", "show", "job", job))
        return found[1] if found else ""

    def process(self, job: str) -> psutil.Process:
        """The process of Python that trains the job."""
        array, _, place = job.partition("_")
        mine = {"SLURM_ARRAY_JOB_ID": array, "SLURM_ARRAY_TASK_ID": place}
        for each in psutil.process_iter():
            try:
                line = each.cmdline()
                if line[1:3] == ["-u", "-m"] and mine.items() <= each.environ().items():
                    return each
            except psutil.Error:
                continue
        raise AssertionError(f"no process of {job}")

    def results(self) -> dict[str, str]:
        found = {}
        for file in sorted(self.folder.glob("compm-*/result.json")):
            result = json.loads(file.read_text(encoding="utf-8"))
            found[file.parent.name] = result["status"]
        return found


def at_work(sweep: Sweep, job: str):
    return lambda: "pretrain | epoch 3/" in sweep.printed(job)


def first_epochs(printed: str) -> list[int]:
    """The epoch of pretraining that each process of the job did first."""
    starts = printed.split("Starting with JobEnvironment")[1:]
    found = (re.search(r"pretrain \| epoch (\d+)/", each) for each in starts)
    return [int(each[1]) for each in found if each]


def test_a_sweep_of_twelve_cells_outlives_what_happens_to_its_jobs_and_its_terminal(
    new_world, slurm, start, command, micro
):
    sweep = Sweep(new_world, slurm)
    own = [setting for setting in micro if not setting.startswith("training.pretrain")]
    settings = (*SWEEP, *LIMITS, *own)
    run = start(new_world, "train.py", *settings)
    run.until(r"Slurm has the 12 jobs of the array")
    array = sweep.submitted["jobs"]
    sweep.say(f"12 jobs submitted: {array}, ranked by {sweep.submitted['ranking']}")
    killed, late = f"{array}_0", f"{array}_1"
    sweep.until(f"{killed} and {late} train", lambda: at_work(sweep, killed)() and at_work(sweep, late)())

    run.send(signal.SIGHUP)
    status, output, errors = run.end()
    sweep.say(f"the terminal is closed, and the command ended with status {status}")
    assert status == 128 + signal.SIGHUP, output + errors
    assert "sacct" not in output + errors
    assert sweep.state(killed, "JobState") == sweep.state(late, "JobState") == "RUNNING"

    sweep.process(killed).kill()
    sweep.until(f"{killed} was killed, and is queued again", lambda: sweep.state(killed, "Restarts") == "1")
    minutes = int(sweep.state(late, "RunTime").split(":")[1]) + 1
    slurm.ask("scontrol", "update", f"JobId={late}", f"TimeLimit={minutes}")
    sweep.say(f"{late} has {minutes} minutes in all from now on")
    sweep.until(f"{late} ran out of time, and is queued again", lambda: sweep.state(late, "Restarts") == "1")
    slurm.ask("scontrol", "update", f"JobId={late}", "TimeLimit=30")
    victim = sweep.until(
        "a third job trains",
        lambda: next((each for each in (f"{array}_{n}" for n in (2, 3)) if at_work(sweep, each)()), None),
    )
    slurm.ask("scancel", victim)
    sweep.say(f"{victim} is cancelled")
    sweep.until("the sweep is ranked", lambda: sweep.submitted is None and (sweep.folder / "scores.csv").exists(), 1800)
    print(sweep.queue())
    print(sweep.logs()[-6000:])
    results = sweep.results()
    assert sorted(results.values()) == ["completed"] * 11 + ["failed"]
    (lost,) = (name for name, status in results.items() if status == "failed")
    assert f"{lost} failed: its process died" in (sweep.folder / "ranking.md").read_text(encoding="utf-8")
    for job in (killed, late):
        first, *again = first_epochs(sweep.printed(job))
        assert first == 1
        assert again
        assert min(again) > 1

    done = command(new_world, "train.py", *settings, "cluster.wait=false")
    sweep.say("the same command again, with cluster.wait=false, ended")
    assert done.returncode == 0, done.stdout + done.stderr
    twice = command(new_world, "train.py", *settings)
    assert twice.returncode == 1
    assert f"scancel {sweep.submitted['jobs']}" in twice.stderr
    ranking = sweep.submitted["ranking"]
    sweep.until(
        "the sweep is ranked again",
        lambda: sweep.submitted is None and not (sweep.folder / "sweep.lock").exists(),
        1800,
    )
    assert set(sweep.results().values()) == {"completed"}
    assert "failed" not in (sweep.folder / "ranking.md").read_text(encoding="utf-8")
    assert "W-F1 (rank)" in sweep.printed(ranking)
    print(sweep.queue())
    print(sweep.printed(ranking))


def test_a_command_that_waits_notices_a_cancelled_job_and_cancels_the_others_at_ctrl_c(
    new_world, slurm, start, micro, check_stopped
):
    sweep = Sweep(new_world, slurm)
    longer = [setting for setting in micro if not setting.startswith("training.pretrain")]
    cells = ("classifier=compm", "data=small_nat,small_bal", "training.pretrain.epochs=4000", "sweep=cluster")
    run = start(new_world, "train.py", "--config-dir", "own", "-m", *cells, "cluster=slurm", *longer)
    run.until("Slurm has the 2 jobs")
    first, second = (f"{sweep.submitted['jobs']}_{n}" for n in (0, 1))
    sweep.until("both train", lambda: at_work(sweep, first)() and at_work(sweep, second)())
    slurm.ask("scancel", first)
    sweep.until("the command has noticed", lambda: run.seen("its process died"), 120)
    run.send(signal.SIGINT)
    _, errors = check_stopped(run, signal.SIGINT)
    sweep.until("the other is cancelled", lambda: sweep.state(second, "JobState") == "CANCELLED")
    assert sweep.submitted is None
    assert "sacct" not in errors
