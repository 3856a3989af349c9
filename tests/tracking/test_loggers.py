import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import wandb
from pytorch_lightning.loggers import CSVLogger, WandbLogger

from ercsatz.config import WandbConfig, WandbMode
from ercsatz.errors import UserError
from ercsatz.tracking import wandb_run
from ercsatz.tracking.loggers import stage_loggers
from ercsatz.tracking.wandb_run import RunName, wandb_mode

pytestmark = pytest.mark.usefixtures("logged_out")

RUN = RunName("0123456789abcdef", "mini_bal-compm-finetune-s0", "sweep-1", "finetune", ("mini", "bal", "compm", "tiny"))
CONFIG = {"seed": 0, "optimisation": {"lr": 1e-3}}
FAKE_KEY = "0" * 40
NOBODY = "http://127.0.0.1:9"  # a port that nothing listens on


@pytest.fixture
def log(tmp_path) -> Callable[..., Path]:
    """Log one score to a stage's loggers; gives the stage's folder."""

    def logged(mode: str = "auto", error: BaseException | None = None) -> Path:
        folder = tmp_path / "abc.partial"
        folder.mkdir(exist_ok=True)
        with stage_loggers(WandbConfig(WandbMode(mode), "ercsatz", None), RUN, CONFIG, folder) as loggers:
            assert isinstance(loggers[0], CSVLogger)
            for logger in loggers:
                for epoch, score in enumerate((0.25, 0.5, 0.4)):
                    logger.log_metrics({"validation/w_f1": score, "epoch": epoch}, step=epoch)
                logger.save()
            if error is not None:
                raise error
        return folder

    return logged


def test_an_offline_run_is_named_grouped_and_tagged(log, inspect):
    folder = log("offline")
    (run,) = (record["run"] for record in inspect(folder) if record["type"] == "run")
    assert run["run_id"] == RUN.id
    assert (run["display_name"], run["run_group"], run["job_type"]) == (RUN.name, RUN.group, RUN.job_type)
    assert tuple(run["tags"]) == RUN.tags
    assert run["project"] == "ercsatz"
    (found,) = inspect(folder, "--summary")
    assert {key: found["config"][key] for key in CONFIG} == CONFIG
    assert (found["state"], found["exit_code"]) == ("finished", 0)
    assert found["summary"]["validation/w_f1"] == {"max": 0.5}


def test_the_csv_log_is_always_there(log):
    for mode in ("offline", "disabled"):
        (metrics, *_) = log(mode).glob("logs/version_*/metrics.csv")
        assert metrics.read_text().splitlines()[0].split(",") == ["epoch", "step", "validation/w_f1"]


@pytest.mark.parametrize("error", [ValueError("out of memory"), KeyboardInterrupt(), SystemExit(1)])
def test_the_run_of_a_stage_that_raises_is_failed(log, inspect, tmp_path, error):
    with pytest.raises(type(error)):
        log("offline", error)
    (found,) = inspect(tmp_path / "abc.partial", "--summary")
    assert found["state"] == "failed"
    assert found["exit_code"] != 0


def test_without_a_key_a_run_is_offline_and_nothing_is_asked(log, inspect):
    (found,) = inspect(log("auto"), "--summary")
    assert found["state"] == "finished"


def test_online_without_a_key_is_an_error_and_nothing_is_asked(log):
    with pytest.raises(UserError, match=r"wandb\.mode=online.*wandb login"):
        log("online")


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
    # The stage's folder is renamed when the stage is done.
    assert f"wandb sync {folder.with_name('abc')}/wandb/*run-*" in line
    (found,) = inspect(folder, "--summary")
    assert found["state"] == "finished"


def test_a_stage_after_another_has_a_run_of_its_own(log, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        with stage_loggers(WandbConfig(WandbMode.offline, "p", None), RUN, CONFIG, tmp_path / name) as (_, logger):
            assert isinstance(logger, WandbLogger)
            logger.log_metrics({"validation/w_f1": 0.5}, step=0)
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
    with stage_loggers(WandbConfig(WandbMode.offline, "p", None), RUN, CONFIG, tmp_path):
        process = own_process()
    assert not psutil.pid_exists(process)


def test_w_and_b_that_hangs_at_the_end_is_ended_and_the_next_stage_is_tracked(log, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(wandb_run, "END_TIMEOUT", 2.0)
    started = time.monotonic()
    with stage_loggers(WandbConfig(WandbMode.offline, "p", None), RUN, CONFIG, tmp_path) as (_, logger):
        logger.log_metrics({"validation/w_f1": 0.5}, step=0)
        os.kill(own_process(), signal.SIGSTOP)
    assert time.monotonic() - started < 30
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "Weights & Biases" in line)
    assert "did not end in 2 s" in line
    assert f"wandb sync {tmp_path}/wandb/*run-*" in line
    assert list((log("offline") / "wandb").glob("offline-run-*/run-*.wandb"))


def test_w_and_b_that_hangs_at_the_start_is_ended_and_says_how_to_go_on_without(log, tmp_path, monkeypatch):
    monkeypatch.setattr(wandb_run, "START_TIMEOUT", 2.0)
    init = wandb.init

    def hangs(**settings):
        wandb.setup().ensure_service()
        os.kill(own_process(), signal.SIGSTOP)
        return init(**settings)

    monkeypatch.setattr(wandb, "init", hangs)
    with pytest.raises(UserError, match=r"does not start \(2 s\).*wandb\.mode=disabled"):
        log("offline")


def test_w_and_b_that_dies_costs_a_line_and_no_number(tmp_path, capsys):
    with stage_loggers(WandbConfig(WandbMode.offline, "p", None), RUN, CONFIG, tmp_path) as loggers:
        for epoch in range(3):
            for logger in loggers:
                logger.log_metrics({"validation/w_f1": epoch / 4}, step=epoch)
            if not epoch:
                os.kill(own_process(), signal.SIGKILL)
                time.sleep(1)  # until the connection notices
        for logger in loggers:
            logger.save()
    lost, ended = (line for line in capsys.readouterr().out.splitlines() if "Weights & Biases" in line)
    assert "training goes on" in lost
    assert "lost the end of a run" in ended
    (metrics,) = tmp_path.glob("logs/version_*/metrics.csv")
    assert [row.split(",")[-1] for row in metrics.read_text().splitlines()[1:]] == ["0.0", "0.25", "0.5"]
