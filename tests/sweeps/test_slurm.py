"""What needs no Slurm; ``tests/commands/test_slurm.py`` has a real one."""

import json

import pytest
from hydra import compose, initialize_config_dir

from ercsatz import config
from ercsatz.resources import resource
from ercsatz.sweeps import callback
from ercsatz.sweeps.jobs import Sweep
from ercsatz.sweeps.page.state import is_alive
from ercsatz.sweeps.result_file import settings_of
from ercsatz.sweeps.sweep_file import SUBMITTED, claim, read, release

pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="not installed: pip install 'ercsatz[slurm]'")


@pytest.fixture
def composed():
    config.register([resource("conf")], "train")

    def make(*overrides):
        with initialize_config_dir(str(resource("conf")), version_base="1.3"):
            return compose("train", list(overrides), return_hydra_config=True)

    return make


def test_the_launcher_asks_slurm_for_what_the_cluster_says(composed):
    given = {"partition": "gpu", "account": "us", "minutes": 240, "memory_gb": 32, "cpus": 4, "gpus": 1, "parallel": 8}
    cfg = composed("cluster=slurm", *(f"cluster.{key}={value}" for key, value in given.items()), "cluster.setup=[a b]")
    launcher = cfg.hydra.launcher
    assert (launcher.partition, launcher.account, launcher.timeout_min, launcher.mem_gb) == ("gpu", "us", 240, 32)
    assert (launcher.cpus_per_task, launcher.gpus_per_node, launcher.array_parallelism) == (4, 1, 8)
    assert list(launcher.setup) == ["a b"]
    assert launcher.max_num_timeout == cfg.cluster.retries == 3


def test_where_a_job_runs_is_no_setting_of_it():
    assert settings_of(["cluster=slurm", "cluster.gpus=1", "seed=1"]) == {"seed": "1"}
    assert settings_of(["seed=1"]) == {"seed": "1"}


def test_a_sweep_is_ranked_by_whoever_takes_it_up_and_by_nobody_while_a_command_has_it(
    composed, fake_sweep, monkeypatch
):
    monkeypatch.setattr(callback._Current, "sweep", None)
    folder = fake_sweep(2).folder
    cfg = composed(f"hydra.sweep.dir={folder}")
    waits = claim(folder)
    assert not callback.take_up(cfg)
    release(waits)
    assert callback.take_up(cfg)
    assert not callback.take_up(cfg)
    callback.leave()
    assert callback.take_up(cfg)
    callback.leave()


def test_jobs_that_are_submitted_are_alive_without_their_command(fake_sweep):
    folder = fake_sweep(2).folder
    owner = read(folder).owner
    assert not is_alive(folder, owner)
    (folder / SUBMITTED).parent.mkdir()
    (folder / SUBMITTED).write_text("{}", encoding="utf-8")
    assert is_alive(folder, owner)


@pytest.mark.parametrize(("there", "ranks"), [("12", True), ("13", False), (None, False)])
def test_the_job_that_ranks_does_so_once_and_only_for_its_own_jobs(there, ranks, composed, fake_sweep, monkeypatch):
    from submitit import SlurmJob

    from ercsatz.sweeps import slurm

    ranked = []
    monkeypatch.setattr(callback._Current, "sweep", None)
    monkeypatch.setattr(callback, "finish", lambda: (ranked.append(callback._Current.sweep.folder), callback.leave()))
    folder = fake_sweep(2).folder
    (folder / SUBMITTED).parent.mkdir()
    if there:
        (folder / SUBMITTED).write_text(json.dumps({"jobs": there, "ranking": "14"}), encoding="utf-8")
    job = SlurmJob(folder / ".submitit", "12_0")
    job.paths.result_pickle.touch()
    cfg = composed(f"hydra.sweep.dir={folder}", "sweep=s")
    ranking = slurm._Ranking(Sweep(None, cfg, None), [(job, [], 0)])
    ranking()
    ranking()
    assert ranked == [folder] * ranks
    assert (folder / SUBMITTED).exists() == (there == "13")
