"""``wandb sweep conf/wandb/sweep.yaml``: its form, the command that an agent builds of it, and what the job logs."""

import json
import os
import sys
from pathlib import Path

import pytest
from wandb import wandb_agent
from wandb.apis.public.sweeps import _validate_config_and_fill_distribution
from wandb.sdk.launch.sweeps.utils import load_sweep_config

from ercsatz.config import WandbConfig, WandbMode
from ercsatz.config.objective import GOALS
from ercsatz.resources import resource
from ercsatz.tracking.agent import take_over

pytestmark = pytest.mark.usefixtures("logged_out")
ROOT = Path(__file__).resolve().parents[2]
FILE = resource("conf") / "wandb" / "sweep.yaml"
TINY = {"hidden": 16, "layers": 1, "heads": 2, "vocabulary": 400}
SMALL = {**{f"backbone.size.{key}": value for key, value in TINY.items()}, "training.epochs": 1}


@pytest.fixture
def config():
    return load_sweep_config(str(FILE))


def summary(folder: Path, inspect, id: str):
    """The last value of each key that the one run of this id below a folder logged, and its exit status."""
    (run,) = folder.rglob(f"offline-run-*-{id}")
    return inspect(run.parents[1], "--summary", id=id)[0]


def test_the_yaml_is_a_sweep_and_its_metric_what_a_job_logs(config):
    filled = _validate_config_and_fill_distribution(config)
    assert filled["method"] == "bayes"
    assert config["program"] == "train.py"
    goal = GOALS[config["metric"]["name"]]
    assert config["metric"]["goal"] == ("maximize" if goal.maximise else "minimize")


def run_as_agent(config, folder, monkeypatch, **values) -> int:
    """Have W&B's own agent build the command of one run and start it in a folder; its status."""
    chosen = {"training.lr": 0.01, "training.warmup": 0.1, **SMALL, **values}
    fixed = {key: given["value"] for key, given in config["parameters"].items() if "value" in given}
    args = {key: {"value": value} for key, value in {**fixed, **chosen}.items()}
    monkeypatch.chdir(folder)
    given = {"WANDB_SWEEP_ID": "sweep123", "WANDB_MODE": "offline", "OMP_NUM_THREADS": "1"}
    of_agent = {"WANDB_RUN_ID": "run45678", "WANDB_SWEEP_PARAM_PATH": "unset"}  # so that they are taken back
    for name, value in (given | of_agent).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    agent = object.__new__(wandb_agent.Agent)
    vars(agent).update(_in_jupyter=False, _function=None, _forward_signals=False, _run_processes={})
    agent._sweep_command = list(config["command"])
    agent._command_run({"run_id": "run45678", "program": str(ROOT / config["program"]), "args": args})
    return agent._run_processes["run45678"].wait()


def test_an_agents_job_runs_and_its_run_gets_the_objective(config, tmp_path, monkeypatch, inspect):
    assert run_as_agent(config, tmp_path, monkeypatch) == 0
    ended = summary(tmp_path, inspect, "run45678")
    (stage,) = (tmp_path / "cache" / "stages").iterdir()
    assert ended["summary"]["validation/w_f1"] == pytest.approx(best(stage))
    assert ended["exit_code"] == 0
    assert len(list(tmp_path.rglob("offline-run-*"))) == 2  # the stage has a run of its own


def best(stage: Path) -> float:
    return float(json.loads((stage / "stage.json").read_text(encoding="utf-8"))["validation_w_f1"])


def test_a_job_that_fails_ends_the_agents_run_as_failed(config, tmp_path, monkeypatch, inspect):
    assert run_as_agent(config, tmp_path, monkeypatch, **{"training.lr": -1.0}) == 1
    ended = summary(tmp_path, inspect, "run45678")
    assert ended["exit_code"] == 1
    assert "validation/w_f1" not in ended["summary"]


def test_without_an_agent_there_is_nothing_to_take_over(monkeypatch):
    assert take_over() is None
    monkeypatch.setenv("WANDB_RUN_ID", "mine")  # as some set it themselves
    assert take_over() is None
    assert os.environ["WANDB_RUN_ID"] == "mine"


def test_the_agents_run_is_kept_from_those_that_are_opened(monkeypatch, tmp_path):
    for name in ("WANDB_SWEEP_ID", "WANDB_RUN_ID"):
        monkeypatch.setenv(name, name.lower())
    agent = take_over()
    assert agent is not None
    assert not {"WANDB_SWEEP_ID", "WANDB_RUN_ID"} & {*os.environ}
    agent.log(WandbConfig(WandbMode.disabled, "ercsatz", None), "sweep", {"validation/w_f1": 0.5}, tmp_path)
    assert not {"WANDB_SWEEP_ID", "WANDB_RUN_ID"} & {*os.environ}
