import json
import os
import time

import pytest

from ercsatz.errors import UserError
from ercsatz.sweeps import sweep_file
from ercsatz.sweeps.page.state import State, is_alive, read_sweep
from ercsatz.training import pulse

ELSEWHERE = {"pid": 1, "host": "node3", "machine": "node3 x", "born": 1}


def tell(sweep, number, silent=0.0, **known):
    file = sweep.place(number) / pulse.NAME
    pulse.Pulse(file, ELSEWHERE).tell(key="l", epoch=2, epochs=5, step=3, steps=9, device="H200", **known)
    os.utime(file, (time.time() - silent, time.time() - silent))


def states(sweep, alive=None):
    return [cell.state for cell in read_sweep(sweep.folder, alive).cells]


@pytest.mark.parametrize("alive", [True, False])
def test_cells_are_what_their_files_say(fake_sweep, alive):
    sweep = fake_sweep()
    sweep.complete(0)
    sweep.run(1)
    sweep.write(2, "failed", error="no memory", traceback="...", begun="9999")
    now, never = (State.running, State.queued) if alive else (State.stopped, State.missing)
    assert states(sweep, alive) == [State.done, now, State.failed, never]
    done, runs, failed, planned = read_sweep(sweep.folder, alive).cells
    assert [(stage.name, stage.state) for stage in done.stages] == [("original", "done"), ("finetune", "done")]
    assert [(stage.name, stage.state) for stage in runs.stages] == [("original", "done"), ("finetune", now)]
    assert [stage.state for stage in planned.stages] == ["queued", "queued"]
    assert failed.error == "no memory"
    assert done.result["seconds"] == 3661.0


def test_owner_lives_as_long_as_its_lock_is_held_and_looking_takes_nothing(fake_sweep):
    sweep = fake_sweep()
    assert is_alive(sweep.folder, sweep.file.owner) is False
    lock = sweep_file.claim(sweep.folder)
    assert is_alive(sweep.folder, sweep.file.owner) is True
    assert states(sweep) == [State.queued] * 4
    sweep_file.release(lock)
    assert is_alive(sweep.folder, sweep.file.owner) is False
    assert states(sweep) == [State.missing] * 4
    (sweep.folder / sweep_file.LOCK).touch()  # of an owner that was killed
    assert is_alive(sweep.folder, sweep.file.owner) is False
    assert (sweep.folder / sweep_file.LOCK).exists()
    sweep_file.release(sweep_file.claim(sweep.folder))


def test_what_an_earlier_run_of_the_sweep_did_not_complete_is_still_to_come(fake_sweep):
    sweep = fake_sweep(2)
    sweep.complete(0)
    sweep.write(1, "failed", error="no disk", traceback="", begun="2000-01-01T00:00:00+00:00")
    assert states(sweep, True) == [State.done, State.queued]
    assert states(sweep, False) == [State.done, State.failed]


def test_damage_is_a_cell_that_cannot_be_read_and_what_belongs_to_others_is_left_out(fake_sweep):
    sweep = fake_sweep(2)
    sweep.complete(0)
    file = sweep.place(0) / "result.json"
    file.write_text(file.read_text().replace("compm", "compn"))
    other = fake_sweep(1, name="other")
    other.complete(0)
    (sweep.folder / "strange").mkdir()
    (other.place(0) / "result.json").rename(sweep.folder / "strange" / "result.json")
    found = read_sweep(sweep.folder, False)
    assert [cell.state for cell in found.cells] == [State.missing, State.missing, State.unreadable]
    assert "has been changed since it was written" in found.cells[-1].error
    assert found.notes == ["Results of another sweep lie here, and are left out: 1."]


def test_sweep_of_an_earlier_version_shows_its_results_and_says_what_is_missing(fake_sweep):
    sweep = fake_sweep(2)
    sweep.complete(0)
    (sweep.folder / "sweep.json").unlink()
    found = read_sweep(sweep.folder)
    assert [cell.state for cell in found.cells] == [State.done]
    assert found.alive is None
    assert "There is no sweep.json" in found.notes[0]


def test_sweep_that_plans_as_it_goes_has_the_cells_that_began(fake_sweep):
    sweep = fake_sweep(4)
    sweep.complete(2)
    content = json.loads((sweep.folder / "sweep.json").read_text())
    (sweep.folder / "sweep.json").write_text(json.dumps({**content, "cells": None}))
    found = read_sweep(sweep.folder, True)
    assert [cell.state for cell in found.cells] == [State.done]
    assert "plans its jobs as it goes" in found.notes[0]


def test_folder_that_is_no_sweep_is_refused(tmp_path):
    with pytest.raises(UserError, match="There is no folder"):
        read_sweep(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"neither a sweep\.json nor a result\.json"):
        read_sweep(tmp_path)


@pytest.mark.parametrize("alive", [True, False, None])
def test_job_elsewhere_runs_as_long_as_its_file_is_renewed_whoever_submitted_it(fake_sweep, alive):
    sweep = fake_sweep(2)
    sweep.run(0)
    tell(sweep, 0, pulse.SILENT - 60)
    found = read_sweep(sweep.folder, alive)
    assert [cell.state for cell in found.cells] == [State.running, State.queued]
    assert found.running
    stage = found.cells[0].stages[1]
    assert (stage.state, stage.pulse["epoch"], stage.pulse["host"]) == (State.running, 2, "node3")
    tell(sweep, 0, pulse.SILENT + 60)
    found = read_sweep(sweep.folder, alive)
    gone = State.queued if alive else State.stopped  # one who lives will say what becomes of it
    assert found.cells[0].state is gone
    assert found.running is (alive is True)


def test_stage_that_another_job_trains_runs_and_is_told_by_that_job(fake_sweep):
    sweep = fake_sweep(2)
    sweep.run(0)
    sweep.run(1)
    tell(sweep, 1)
    waits, trains = read_sweep(sweep.folder, True).cells
    assert waits.pulse is None
    assert waits.stages[1].pulse == trains.stages[1].pulse == trains.pulse


def test_job_that_was_ended_is_stopped_and_its_own_log_has_its_last_words(fake_sweep, tmp_path):
    sweep = fake_sweep(2)
    for number, log in enumerate((sweep.folder / ".submitit" / "1.err", tmp_path / "another's.log")):
        sweep.run(number)
        log.parent.mkdir(exist_ok=True)
        log.write_text("first\nslurmstepd: CANCELLED DUE TO TIME LIMIT\n\n")
        tell(sweep, number, ended=True, log=str(log))
    found = read_sweep(sweep.folder, False).cells
    assert [cell.state for cell in found] == [State.stopped] * 2
    assert [cell.last_words for cell in found] == ["slurmstepd: CANCELLED DUE TO TIME LIMIT", ""]
    assert found[0].stages[1].pulse["epoch"] == 2


def test_owner_of_another_machine_lives_as_long_as_the_lock_is_renewed(fake_sweep):
    sweep = fake_sweep(2)
    lock = sweep.folder / sweep_file.LOCK
    lock.touch()
    assert is_alive(sweep.folder, ELSEWHERE) is True
    os.utime(lock, (time.time() - pulse.SILENT - 60,) * 2)
    assert is_alive(sweep.folder, ELSEWHERE) is False
    assert is_alive(sweep.folder, ELSEWHERE) is False  # and asking has not renewed it
