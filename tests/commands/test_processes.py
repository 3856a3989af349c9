"""A sweep whose stages are trained in two processes each: one result, one ranking, and no process is left."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

SWEEP = ("--config-dir", "own", "-m", "classifier=compm", "data=small_nat", "phase=original", "sweep=together")
TWO = "trainer.devices=2"


def workers(run) -> list[int]:
    """The processes that train, by their start."""
    return sorted(pid for pid in run.others() if "ranks.worker" in " ".join(psutil.Process(pid).cmdline()))


def test_a_sweep_in_two_processes_has_one_result_a_cell(new_world, command, micro, result):
    done = command(new_world, "train.py", *SWEEP, *micro, TWO, "seed=0,1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert not done.stderr.strip()
    sweep = new_world / "multirun" / "together"
    jobs = sorted(sweep.glob("compm-*"))
    assert [len(result(job)["stages"]) for job in jobs] == [1, 1]
    assert all(result(job)["stages"][0]["processes"] == 2 for job in jobs)
    assert len(json.loads((sweep / "sweep.json").read_text(encoding="utf-8"))["cells"]) == 2
    assert done.stdout.count("epoch 1/1") == 2
    again = command(new_world, "train.py", *SWEEP, *micro, "seed=0,1")
    assert again.stdout.count("from the cache") == 2, again.stdout + again.stderr


@pytest.mark.slow
@pytest.mark.parametrize("place", ["training", "validation"])
def test_a_process_that_is_killed_costs_its_stage_and_the_same_command_goes_on(
    place: str, new_world: Path, start: Callable, command, micro
):
    (new_world / "own" / "callbacks").mkdir()
    (new_world / "own" / "callbacks" / "slow.yaml").write_text(f"slow:\n  _target_: slow.Slow\n  place: {place}\n")
    (new_world / "own" / "slow.py").write_text(SLOW)
    line = (*SWEEP, *micro, TWO, "training.epochs=3", "callbacks=slow")
    run = start(new_world, "train.py", *line)
    run.until(lambda: (new_world / "here").exists())
    os.kill(workers(run)[-1], signal.SIGKILL)
    status, output, errors = run.end()
    assert status == 1
    assert "of 2 that trained it died (SIGKILL; the system may have lacked memory)" in output + errors
    assert "Traceback" not in output + errors
    (new_world / "go").touch()
    done = command(new_world, "train.py", *line)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "epoch 1/3" not in done.stdout
    assert "epoch 3/3" in done.stdout


@pytest.mark.slow
def test_a_stopped_sweep_leaves_no_process(new_world, start, micro, check_stopped):
    run = start(new_world, "train.py", *SWEEP, *micro, TWO, "training.epochs=1000")
    run.until("epoch 2/1000")
    run.send(signal.SIGINT, group=True)
    check_stopped(run, signal.SIGINT)


SLOW = """
import time
from pathlib import Path

from pytorch_lightning.callbacks import Callback


class Slow(Callback):
    def __init__(self, place):
        self.place = place

    def wait(self, trainer):
        if trainer.current_epoch == 1 and not Path("go").exists():
            Path("here").touch()
            time.sleep(3)

    def on_train_batch_start(self, trainer, *_):
        if self.place == "training":
            self.wait(trainer)

    def on_validation_batch_start(self, trainer, *_):
        if self.place == "validation":
            self.wait(trainer)
"""
