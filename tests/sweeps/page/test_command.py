import re

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
