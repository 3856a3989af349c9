"""Who has a sweep, and which cells are its own."""

import json
import os
import signal
import subprocess
import sys

import pytest

from ercsatz.errors import UserError
from ercsatz.sweeps.sweep_file import LOCK, NAME, add, claim, key_of, read, release, start

CELLS = [{"overrides": ["data=mini_nat", "seed=0"]}, {"overrides": ["data=mini_nat", "seed=1"]}]


def test_a_sweep_is_read_as_it_was_written(tmp_path):
    written = start(tmp_path, "s", CELLS)
    found = read(tmp_path)
    assert found is not None
    assert (found.id, found.name, list(found.cells or ())) == (written.id, "s", CELLS)
    assert found.owner["pid"] == os.getpid()


def test_two_sweeps_have_two_ids(tmp_path):
    assert start(tmp_path / "a", "s", CELLS).id != start(tmp_path / "b", "s", CELLS).id


def test_the_same_cells_go_on_under_the_same_id_in_any_order(tmp_path):
    other = [{"overrides": ["seed=1", "paths.cache=elsewhere", "data=mini_nat"]}, CELLS[0]]
    assert start(tmp_path, "s", CELLS).id == start(tmp_path, "s", other).id


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (CELLS[:1], r"it has seed=1\. Give"),
        ([*CELLS, {"overrides": ["data=mini_nat", "seed=2"]}], r"this one has seed=2\. Give"),
        ([{"overrides": ["data=mini_bal", "seed=0"]}], r"it has .*data=mini_nat seed=1; this one has data=mini_bal"),
        ([{"overrides": []}], r"this one has the defaults"),
    ],
)
def test_other_cells_are_refused_with_the_difference(tmp_path, cells, message):
    start(tmp_path, "s", CELLS)
    with pytest.raises(UserError, match=rf"{tmp_path} is a sweep of other cells: .*{message}.*sweep=NAME"):
        start(tmp_path, "s", cells)
    assert read(tmp_path).cells == tuple(CELLS)


def test_cells_that_nobody_knows_before_go_on(tmp_path):
    first = start(tmp_path, "s", None)
    assert start(tmp_path, "s", None).id == first.id


SEARCH = {
    "space": {"training.lr": "interval(1e-5,1e-4)"},
    "fixed": {"data": "mini_nat"},
    "objective": {"objective": ["validation/w_f1"]},
    "settings": {"training.clip": 1.0, "phase.ranked": ["original"]},
}


def test_a_search_gets_its_cells_one_by_one_and_keeps_them_when_it_goes_on(tmp_path):
    first = start(tmp_path, "s", [], search=SEARCH)
    assert first.cells == ()
    add(tmp_path, CELLS[:1])
    add(tmp_path, [CELLS[1], {**CELLS[0], "seed": 0}])
    again = start(tmp_path, "s", [], search=SEARCH)
    assert (again.id, again.search) == (first.id, SEARCH)
    assert read(tmp_path).cells == tuple(CELLS)
    assert read(tmp_path).search == SEARCH


@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        ("space", {"training.lr": "interval(1e-5,1e-3)"}, "the search space training.lr: was interval"),
        ("space", {}, r"the search space training.lr: was .* and is None"),
        ("fixed", {"data": "mini_bal"}, "what all trials have data: was mini_nat and is mini_bal"),
        ("objective", {"objective": ["seconds"]}, r"objective: was \['validation/w_f1'\] and is \['seconds'\]"),
        (
            "settings",
            {"training.clip": 2.0, "phase.ranked": ["original"]},
            "settings training.clip: was 1.0 and is 2.0",
        ),
    ],
)
def test_another_search_is_refused_with_the_difference(tmp_path, part, value, message):
    start(tmp_path, "s", [], search=SEARCH)
    with pytest.raises(UserError, match=rf"is another search: {message}.*sweep=NAME"):
        start(tmp_path, "s", [], search={**SEARCH, part: value})


def test_a_sweep_and_a_search_are_not_the_same(tmp_path):
    start(tmp_path / "sweep", "s", CELLS)
    start(tmp_path / "search", "s", [], search=SEARCH)
    with pytest.raises(UserError, match="is a sweep, and this is a search"):
        start(tmp_path / "sweep", "s", [], search=SEARCH)
    with pytest.raises(UserError, match="is a search, and this is a sweep"):
        start(tmp_path / "search", "s", CELLS)


def test_a_folder_without_a_sweep_file_has_no_sweep(tmp_path):
    assert read(tmp_path) is None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", '{"schema": 1}', '{"schema": 1, "id": "a", "name": "s", "cells": 3}', "[" * 100_000]
)
def test_a_damaged_sweep_file_is_refused(tmp_path, text):
    (tmp_path / NAME).write_text(text)
    with pytest.raises(UserError, match=r"sweep\.json is damaged.*Delete it and run the sweep again"):
        read(tmp_path)


def test_a_later_sweep_file_is_refused(tmp_path):
    (tmp_path / NAME).write_text(json.dumps({"schema": 2, "cells": {}}))
    with pytest.raises(UserError, match="A later version"):
        read(tmp_path)


def holder(folder, *, starts):
    """Another process that has the sweep; it says so on its standard output and waits."""
    code = f"""
import sys, time
from pathlib import Path
from ercsatz.sweeps.sweep_file import claim, start
folder = Path(sys.argv[1]); lock = claim(folder)
{"start(folder, 's', [])" if starts else ""}
print("has it", flush=True)
time.sleep(300)
"""
    process = subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "has it\n"
    return process


@pytest.mark.parametrize("starts", [True, False])
def test_what_a_living_process_has_is_refused_and_what_a_killed_one_had_is_free(tmp_path, starts):
    process = holder(tmp_path, starts=starts)
    try:
        who = f"process {process.pid} of .* on .*, since 20" if starts else "another process"
        with pytest.raises(UserError, match=rf"The sweep {tmp_path} is being run by {who}.*sweep=NAME"):
            claim(tmp_path)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    release(claim(tmp_path))
    assert not (tmp_path / LOCK).exists()


def test_what_changes_no_score_is_no_part_of_a_cell():
    assert key_of(["seed=0", "sweep=a", "paths.cache=c", "trainer.workers=2", "hydra.x=1"]) == key_of(["seed=0"])
    assert key_of(["seed=0"]) != key_of(["seed=1"])


def test_other_settings_of_the_same_overrides_are_refused_with_the_difference(tmp_path):
    before = [{"overrides": ["seed=0"], "settings": {"classifier.dropout": 0.1, "training.lr": 1e-5}}]
    now = [{"overrides": ["seed=0"], "settings": {"classifier.dropout": 0.2, "training.lr": 1e-5}}]
    start(tmp_path, "s", before)
    with pytest.raises(UserError, match=r"classifier\.dropout was 0\.1 and is 0\.2\. Give"):
        start(tmp_path, "s", now)
    start(tmp_path, "s", before)
