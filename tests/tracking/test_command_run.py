from pathlib import Path
from typing import Any

import pytest

from ercsatz.config import WandbConfig, WandbMode
from ercsatz.tracking.command_run import log_command, run_id
from ercsatz.tracking.wandb_run import RunName
from tests.tracking.offline import read_all

pytestmark = pytest.mark.usefixtures("logged_out")

RUN = RunName(run_id("generate", "mini_bal"), "generate mini_bal", "mini_bal", "generate", ("mini",))
OFFLINE = WandbConfig(WandbMode.offline, "p")


def test_what_a_command_has_made_is_a_run_and_made_again_takes_its_place(tmp_path):
    for count in (1, 2):
        config = {"data": "mini_bal", "url": "http://me:secret@host", "folder": Path("x")}
        log_command(OFFLINE, RUN, config, tmp_path, lambda live, count=count: live.summary.update({"count": count}))
    (found,) = read_all(tmp_path)
    assert (found.summary["count"], found.exit_code, found.run.job_type) == (2, 0, "generate")
    assert found.config.items() >= {"data": "mini_bal", "url": "http://***@host", "folder": "x"}.items()


def test_what_goes_wrong_costs_a_line(tmp_path, capsys):
    def fail(_: Any) -> None:
        raise OSError("no such\nservice")

    log_command(OFFLINE, RUN, {}, tmp_path, fail)
    (line,) = capsys.readouterr().out.splitlines()
    assert line == "Weights & Biases has not got the run 'generate mini_bal': no such service"
    (found,) = read_all(tmp_path)
    assert found.exit_code == 1


def test_disabled_logs_nothing(tmp_path):
    log_command(WandbConfig(WandbMode.disabled, "p"), RUN, {}, tmp_path, lambda _: pytest.fail("it was logged"))
    assert not list(tmp_path.iterdir())
