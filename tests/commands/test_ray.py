"""Sweeps on a real Ray: one of their own, and a cluster that runs already, its head on loopback."""

import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil
import pytest

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'ercsatz[ray]'")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SWEEP = ("--config-dir", "own", "-m", "classifier=compm", "data=small_nat,small_bal", "sweep=rays")
LONGER = "training.pretrain.epochs=30"
TASK = "ray::_run"  # what Ray calls a process that runs a job
TREATMENTS = ["compm_org", "compm_nat", "compm_bal"]


class Cluster:
    """A Ray that runs already: two cores, and a GPU that it believes in."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        line = ["-m", "ray.scripts.scripts", "start", "--head", "--block", "--node-ip-address=127.0.0.1"]
        line += [f"--port={self.address.partition(':')[2]}", "--num-cpus=2", "--num-gpus=1"]
        line += ["--include-dashboard=false", "--disable-usage-stats", f"--object-store-memory={100_000_000}"]
        with (folder / "head.log").open("wb") as log:
            self.head = subprocess.Popen(
                [sys.executable, *line],
                env={**environment, **self.token},
                cwd=folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def answers(self) -> bool:
        host, _, port = self.address.partition(":")
        with socket.socket() as asked:
            return asked.connect_ex((host, int(port))) == 0

    def tasks(self) -> list[psutil.Process]:
        """The processes that run a job."""
        return tasks(self.head.pid)

    def stop(self) -> None:
        processes = psutil.Process(self.head.pid).children(recursive=True)
        os.killpg(self.head.pid, signal.SIGKILL)  # at SIGTERM it would wait for half a minute
        self.head.wait()
        for process in psutil.wait_procs(processes, 10)[1]:
            process.kill()


def tasks(pid: int) -> list[psutil.Process]:
    found = []
    for process in psutil.Process(pid).children(recursive=True):
        try:
            found += [process] if TASK in " ".join(process.cmdline()) else []
        except psutil.NoSuchProcess:
            continue
    return found


def wait_for(condition: Callable[[], object], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, environment):
    running = Cluster(tmp_path_factory.mktemp("head"), environment)
    wait_for(running.answers, 120)
    yield running
    running.stop()


def on(cluster: Cluster) -> tuple[str, ...]:
    return ("hydra/launcher=ray", f"hydra.launcher.address={cluster.address}", "hydra.launcher.num_gpus=0.5")


def logs(world: Path) -> dict[str, str]:
    folder = world / "multirun" / "rays" / ".ray"
    return {file.stem: file.read_text(encoding="utf-8") for file in folder.glob("*.log")}


def treatments(world: Path) -> list[str]:
    table = (world / "multirun" / "rays" / "ranking.csv").read_text(encoding="utf-8")
    return [line.partition(",")[0] for line in table.splitlines()[1:]]


def in_epoch(world: Path, epoch: int) -> dict[str, int]:
    """The processes whose job is past an epoch of its pre-training, by the job's number."""
    found = {}
    for number, text in logs(world).items():
        begun = re.findall(r"in process (\d+) of", text)
        if re.search(rf"pretrain . epoch {epoch}/", text) and begun:
            found[number] = int(begun[-1])
    return found


def test_a_killed_worker_is_tried_again_goes_on_and_the_ranking_is_whole(cluster, new_world, start, micro):
    run = start(new_world, "train.py", *SWEEP, *micro, *on(cluster), LONGER, **cluster.token)
    run.until(lambda: in_epoch(new_world, 3))
    number, pid = next(iter(in_epoch(new_world, 3).items()))
    assert len(cluster.tasks()) == 2  # half a GPU each
    os.kill(pid, signal.SIGKILL)
    status, output, errors = run.end()
    assert status == 0, output + errors
    assert treatments(new_world) == TREATMENTS
    assert errors == ""
    assert "raylet" not in output
    _, *tries = logs(new_world)[number].split("Job ")
    assert len(tries) == 2
    (went_on_with,) = re.findall(r"pretrain . epoch (\d+)/", tries[1])[:1]
    assert int(went_on_with) > 2
    assert cluster.answers()


def test_a_job_that_dies_for_good_costs_its_own_cell(cluster, new_world, start, micro, result):
    run = start(
        new_world, "train.py", *SWEEP, *micro, *on(cluster), LONGER, "hydra.launcher.max_retries=0", **cluster.token
    )
    run.until(lambda: in_epoch(new_world, 1))
    os.kill(next(iter(in_epoch(new_world, 1).values())), signal.SIGKILL)
    status, output, errors = run.end()
    (job,) = (each for each in (new_world / "multirun" / "rays").glob("compm-*") if result(each)["status"] == "failed")
    assert status == 1, output + errors
    assert "Traceback" not in errors
    assert errors.count("its process died") == 1
    assert f"{job.name} failed: its process died" in output
    assert len(treatments(new_world)) == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_nothing_on_a_cluster_that_goes_on_running(
    number, cluster, new_world, start, micro, check_stopped
):
    run = start(new_world, "train.py", *SWEEP, *micro, *on(cluster), LONGER, **cluster.token)
    run.until(lambda: in_epoch(new_world, 1))
    run.send(number, group=True)
    check_stopped(run, number)
    wait_for(lambda: not cluster.tasks(), 15)
    assert cluster.answers()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_ray_of_the_sweep_s_own(number, new_world, start, micro, check_stopped):
    run = start(new_world, "train.py", *SWEEP, *micro, "hydra/launcher=ray", LONGER)
    run.until(lambda: in_epoch(new_world, 1))
    run.send(number, group=True)
    check_stopped(run, number)


def test_jobs_of_a_ray_of_the_sweep_s_own_end_with_a_sweep_that_is_killed(new_world, start, micro):
    run = start(new_world, "train.py", *SWEEP, *micro, "hydra/launcher=ray", LONGER)
    run.until(lambda: in_epoch(new_world, 1))
    jobs = tasks(run.process.pid)
    assert jobs
    run.process.kill()
    run.process.wait()
    assert not psutil.wait_procs(jobs, 30)[1]
    for pid in run.others():  # agents of Ray, which do no work and end after minutes
        os.kill(pid, signal.SIGKILL)


def test_a_ray_of_the_sweep_s_own_ends_with_the_same_ranking(new_world, command, micro):
    done = command(new_world, "train.py", *SWEEP, *micro, "hydra/launcher=ray")
    assert done.returncode == 0, done.stdout + done.stderr
    table = (new_world / "multirun" / "rays" / "ranking.csv").read_bytes()
    assert "What the jobs print is in multirun/rays/.ray" in done.stdout
    assert done.stderr == ""
    basic = command(new_world, "train.py", *SWEEP, *micro, "paths.cache=another")
    assert basic.returncode == 0, basic.stdout + basic.stderr
    assert (new_world / "multirun" / "rays" / "ranking.csv").read_bytes() == table
