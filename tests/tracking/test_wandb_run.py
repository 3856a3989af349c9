import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import wandb

from ercsatz.config import WandbConfig, WandbMode
from ercsatz.tracking import wandb_run
from ercsatz.tracking.wandb_run import Guarded, RunName, open_run, wandb_mode

pytestmark = pytest.mark.usefixtures("logged_out")

RUN = RunName("0123456789abcdef", "mini_bal-compm-finetune-s0", "sweep-1", "finetune", ("mini", "bal", "compm", "tiny"))
CONFIG = {"seed": 0, "optimisation": {"lr": 1e-3}}
FAKE_KEY = "0" * 40
NOBODY = "http://127.0.0.1:9"  # a port that nothing listens on


@contextmanager
def run(folder: Path, mode: str = "offline") -> Iterator[Any]:
    with open_run(WandbConfig(WandbMode(mode), "ercsatz"), RUN, CONFIG, folder) as live:
        yield live


@pytest.fixture
def log(tmp_path) -> Callable[..., Path]:
    """Log three scores to a run; gives its folder."""

    def logged(mode: str = "auto", error: BaseException | None = None) -> Path:
        folder = tmp_path / "job"
        with run(folder, mode) as live:
            for epoch, score in enumerate((0.25, 0.5, 0.4)):
                if live is not None:
                    live.log({"validation/w_f1": score, "epoch": epoch})
            if error is not None:
                raise error
        return folder

    return logged


def test_an_offline_run_is_named_grouped_and_tagged(log, inspect):
    folder = log("offline")
    (found,) = (record["run"] for record in inspect(folder) if record["type"] == "run")
    assert found["run_id"] == RUN.id
    assert (found["display_name"], found["run_group"], found["job_type"]) == (RUN.name, RUN.group, RUN.job_type)
    assert tuple(found["tags"]) == RUN.tags
    assert found["project"] == "ercsatz"
    (found,) = inspect(folder, "--summary")
    assert {key: found["config"][key] for key in CONFIG} == CONFIG
    assert (found["state"], found["exit_code"]) == ("finished", 0)
    assert found["summary"]["validation/w_f1"] == 0.4


@pytest.mark.parametrize("error", [ValueError("out of memory"), KeyboardInterrupt(), SystemExit(1)])
def test_a_run_that_raises_is_failed(log, inspect, tmp_path, error):
    with pytest.raises(type(error)):
        log("offline", error)
    (found,) = inspect(tmp_path / "job", "--summary")
    assert found["state"] == "failed"
    assert found["exit_code"] != 0


def test_without_a_key_a_run_is_offline_and_nothing_is_asked(log, inspect):
    (found,) = inspect(log("auto"), "--summary")
    assert found["state"] == "finished"


def test_online_without_a_key_is_offline_and_said_once(log, inspect, tmp_path, capsys):
    (found,) = inspect(log("online"), "--summary")
    assert found["state"] == "finished"
    with run(tmp_path / "two", "online"):
        pass
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("wandb.mode=online (or WANDB_MODE), but nobody is logged in")
    assert line.endswith("wandb login")


def test_with_a_key_auto_is_online(monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", FAKE_KEY)
    monkeypatch.setenv("WANDB_BASE_URL", NOBODY)
    assert wandb_mode(WandbMode.auto) == "online"


@pytest.mark.parametrize("mode", ["offline", "disabled"])
def test_wandb_mode_in_the_environment_decides_for_auto(monkeypatch, mode):
    monkeypatch.setenv("WANDB_API_KEY", FAKE_KEY)
    monkeypatch.setenv("WANDB_MODE", mode)
    assert wandb_mode(WandbMode.auto) == mode


def test_the_configuration_decides_over_the_environment(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "online")
    assert wandb_mode(WandbMode.disabled) == "disabled"


@pytest.mark.parametrize("by", ["configuration", "environment"])
def test_disabled_makes_no_run_and_no_folder(log, monkeypatch, by):
    if by == "environment":
        monkeypatch.setenv("WANDB_MODE", "disabled")
    folder = log("disabled" if by == "configuration" else "auto")
    assert not (folder / "wandb").exists()
    assert wandb.run is None


def test_a_server_out_of_reach_means_offline_soon_and_a_line_that_says_so(log, inspect, monkeypatch, capsys):
    monkeypatch.setenv("WANDB_BASE_URL", NOBODY)
    monkeypatch.setenv("WANDB_API_KEY", FAKE_KEY)
    assert wandb_run.INIT_TIMEOUT <= 30
    monkeypatch.setattr(wandb_run, "INIT_TIMEOUT", 2.0)
    started = time.monotonic()
    folder = log("auto")
    assert time.monotonic() - started < 30
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "Weights & Biases" in line)
    assert "out of reach" in line
    assert f"wandb sync {folder}/wandb/*run-*" in line
    (found,) = inspect(folder, "--summary")
    assert found["state"] == "finished"


def test_a_server_out_of_reach_is_not_waited_for_twice(tmp_path, inspect, monkeypatch, capsys):
    monkeypatch.setenv("WANDB_BASE_URL", NOBODY)
    monkeypatch.setenv("WANDB_API_KEY", FAKE_KEY)
    monkeypatch.setattr(wandb_run, "INIT_TIMEOUT", 2.0)
    with run(tmp_path / "one", "auto"):
        pass
    monkeypatch.setattr(wandb_run, "INIT_TIMEOUT", 60.0)
    started = time.monotonic()
    with run(tmp_path / "two", "online") as live:
        assert live.offline
    assert time.monotonic() - started < 50
    assert capsys.readouterr().out.count("Weights & Biases") == 1
    (found,) = inspect(tmp_path / "two", "--summary")
    assert found["state"] == "finished"


def test_a_run_after_another_is_its_own(tmp_path):
    for name in ("one", "two"):
        with run(tmp_path / name) as live:
            live.log({"validation/w_f1": 0.5})
        assert wandb.run is None
        assert list((tmp_path / name / "wandb").glob("offline-run-*/run-*.wandb"))


def own_process() -> int:
    (process,) = (
        child.pid
        for child in psutil.Process().children()
        if child.name().startswith("wandb-core") and child.status() != psutil.STATUS_ZOMBIE
    )
    return process


def test_w_and_b_ends_with_its_run(tmp_path):
    with run(tmp_path):
        process = own_process()
    assert not psutil.pid_exists(process)


@pytest.mark.parametrize(("patience", "stopped"), [("END_TIMEOUT", False), ("STOP_TIMEOUT", True)])
def test_w_and_b_that_hangs_at_the_end_is_ended_and_the_next_run_is_tracked(
    patience, stopped, log, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(wandb_run, patience, 2.0)
    monkeypatch.setattr(wandb_run.signals, "asked", lambda: stopped)
    started = time.monotonic()
    with run(tmp_path) as live:
        live.log({"validation/w_f1": 0.5})
        os.kill(own_process(), signal.SIGSTOP)
    assert time.monotonic() - started < 30
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "Weights & Biases" in line)
    assert "did not end in 2 s" in line
    assert f"wandb sync {tmp_path}/wandb/*run-*" in line
    assert list((log("offline") / "wandb").glob("offline-run-*/run-*.wandb"))


def test_the_end_of_w_and_b_that_hung_once_is_not_waited_for_long_again(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(wandb_run, "END_TIMEOUT", 2.0)
    monkeypatch.setattr(wandb_run, "STOP_TIMEOUT", 1.0)
    for name in ("one", "two"):
        with run(tmp_path / name):
            os.kill(own_process(), signal.SIGSTOP)
    first, second = (line for line in capsys.readouterr().out.splitlines() if "Weights & Biases" in line)
    assert "did not end in 2 s" in first
    assert "did not end in 1 s" in second


def test_w_and_b_that_hangs_at_the_start_is_ended_and_costs_no_run(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(wandb_run, "START_TIMEOUT", 2.0)
    init = wandb.init

    def hangs(**settings):
        wandb.setup().ensure_service()
        os.kill(own_process(), signal.SIGSTOP)
        return init(**settings)

    monkeypatch.setattr(wandb, "init", hangs)
    with run(tmp_path / "one") as live:
        assert live is None
    monkeypatch.setattr(wandb, "init", lambda **_: pytest.fail("it was started once more"))
    with run(tmp_path / "two") as live:
        assert live is None
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "Weights & Biases" in line)
    assert "does not start (2 s)" in line
    assert "wandb.mode=disabled" in line


def test_a_folder_that_takes_no_files_costs_no_run(tmp_path, capsys):
    (tmp_path / "job").write_text("")
    with run(tmp_path / "job") as live:
        assert live is None
    assert "does not start" in capsys.readouterr().out


def test_guarded_calls_stop_at_the_first_that_fails_and_say_so_once(capsys):
    def fails(*given: int, **named: int) -> None:
        raise ConnectionError("gone")

    guarded, called = Guarded("The log", " Later: sync"), []
    assert guarded(max, 1, 2) == 2
    assert guarded(fails, 1, named=2) is None
    assert guarded(called.append, 3) is None
    assert called == []
    (line,) = capsys.readouterr().out.splitlines()
    assert line == "The log is lost (ConnectionError('gone')); training goes on. Later: sync"
