import json

import pytest

from ercsatz.errors import UserError
from ercsatz.sweeps import sweep_file
from ercsatz.sweeps.page.state import State, is_alive, read_sweep


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
