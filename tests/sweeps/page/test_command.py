import os
import re
import signal
import subprocess
import sys

import pytest

from ercsatz.sweeps import sweep_file
from ercsatz.sweeps.page.command import RUNNING, main


def test_status_shows_each_cell_and_stage_and_writes_the_page(fake_sweep, capsys):
    sweep = fake_sweep(4)
    sweep.complete(0)
    lock = sweep_file.claim(sweep.folder)
    sweep.run(1)
    assert main([str(sweep.folder)]) == RUNNING
    out = capsys.readouterr().out
    assert "classifier=compm data=mini_nat" in out
    assert "original done, finetune running" in out
    assert "The sweep is running: 1 of 4 cells are done. (2 queued, 1 running, 1 done)" in out
    assert "\x1b" not in out
    assert (sweep.folder / "index.html").is_file()
    sweep_file.release(lock)
    assert main([str(sweep.folder)]) == 1
    assert "The sweep was stopped before its end: 1 of 4 cells are done; 3 have no result." in capsys.readouterr().out
    for number in range(4):
        sweep.complete(number)
    assert main([str(sweep.folder)]) == 0


def test_failures_are_told_once_each_and_are_no_markup(fake_sweep, capsys, hostile, obeyed):
    sweep = fake_sweep(4)
    for number in range(4):
        sweep.write(number, "failed", error=f"[red]no[/] {hostile}", traceback="", begun="9999")
    assert main([str(sweep.folder)]) == 1
    out = capsys.readouterr().out
    assert out.count("4 jobs failed, the first of them classifier=compm data=mini_nat seed=0: [red]no[/]") == 1
    assert not obeyed(out)


def test_narrow_terminal_folds_and_cuts_nothing_off(fake_sweep, capsys, monkeypatch):
    sweep = fake_sweep(4)
    sweep.complete(0)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm")
    main([str(sweep.folder)])
    out = re.sub("\x1b\\[[0-9;]*m", "", capsys.readouterr().out)
    table = out.partition("The sweep")[0].splitlines()
    assert max(len(line) for line in table) <= 60
    assert "…" not in out


@pytest.mark.parametrize("name", ["nowhere", "."])
def test_folder_that_is_no_sweep_is_an_error(tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    assert main([name]) == 1
    assert "multirun/" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_newest_sweep_is_shown_where_none_is_named_and_a_name_will_do(fake_sweep, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([]) == 1
    assert "There is no sweep below multirun/" in capsys.readouterr().err
    for age, name in enumerate(("new", "old")):
        fake_sweep(1, name=f"multirun/{name}").complete(0)
        os.utime(tmp_path / "multirun" / name / "sweep.json", (1e9 - age, 1e9 - age))
    assert main([]) == 0
    assert "Page: multirun/new/index.html" in capsys.readouterr().out
    assert main(["old"]) == 0
    assert "Page: multirun/old/index.html" in capsys.readouterr().out


def test_watching_prints_what_changes_and_a_ctrl_c_ends_it_without_a_word(fake_sweep):
    sweep = fake_sweep(2)
    lock = sweep_file.claim(sweep.folder)
    line = [sys.executable, "-m", "ercsatz", "status", str(sweep.folder), "--watch"]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        first = [process.stdout.readline() for _ in range(3)]
        sweep.complete(0)
        then = [process.stdout.readline() for _ in range(2)]
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=200)
    finally:
        process.kill()
        sweep_file.release(lock)
    assert "data=mini_nat queued: original queued, finetune queued" in first[0]
    assert "data=mini_nat done: original done, finetune done" in then[0]
    assert "1 of 2 cells are done" in then[1]
    assert {*rest.splitlines(keepends=True)} <= {*then}  # what the signal interrupts is printed to its end
    assert (errors, process.returncode) == ("", 130)


def test_watching_ends_with_the_sweep(fake_sweep, capsys):
    sweep = fake_sweep(1)
    sweep.complete(0)
    assert main([str(sweep.folder), "--watch"]) == 0
    assert "The cell is done" in capsys.readouterr().out
