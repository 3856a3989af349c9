import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
import wandb

from ercsatz.config import RankingConfig, WandbConfig, WandbMode
from ercsatz.sweeps import callback, wandb_ranking
from ercsatz.sweeps.result_file import write_result
from ercsatz.sweeps.sweep_file import claim, start
from ercsatz.sweeps.wandb_ranking import log_ranking, p_values

pytestmark = pytest.mark.usefixtures("logged_out")

TABLE = """treatment,rank_sum,baseline,rank_sum_difference,p,p_bonferroni,meld_org,meld_org_rank
NA,3.0,,,,,65.43,1.0
nat,4.0,NA,-1.0,0.25,0.5,61.2,2.0
bal,6.0,NA,,,,,
"""
PAGE = "<!doctype html><title>Ranking</title><p>nothing was found</p>\n"


@pytest.fixture
def folder(tmp_path) -> Path:
    """A sweep's folder with its ranking."""
    (tmp_path / "ranking.csv").write_text(TABLE)
    (tmp_path / "ranking.html").write_text(PAGE)
    matplotlib.image.imsave(tmp_path / "ranking.png", np.zeros((8, 16, 3)))
    return tmp_path


@pytest.fixture
def log(folder) -> Callable[..., None]:
    def logged(name: str = "runs/a:b#1", mode: str = "auto", **more: Any) -> None:
        log_ranking(
            WandbConfig(WandbMode(mode), "ercsatz", None), name, folder, {"ranking": {"metric": "w_f1"}}, **more
        )

    return logged


def media(folder: Path, kind: str) -> list[Path]:
    return list((folder / "wandb").glob(f"offline-run-*/files/media/{kind}/*"))


def test_the_ranking_is_a_run_of_the_sweeps_group(log, folder, inspect):
    log()
    (run,) = (record["run"] for record in inspect(folder) if record["type"] == "run")
    assert (run["run_group"], run["job_type"], run["project"]) == ("runs/a:b#1", "ranking", "ercsatz")
    assert run["display_name"] == "runs/a:b#1 ranking"
    (found,) = inspect(folder, "--summary")
    assert (found["state"], found["exit_code"], found["config"]["ranking"]) == ("finished", 0, {"metric": "w_f1"})


def test_it_holds_the_table_the_picture_the_page_and_the_p_values(log, folder, inspect):
    log()
    (table,) = media(folder, "table")
    assert json.loads(table.read_text()) == {
        "columns": TABLE.splitlines()[0].split(","),
        "data": [
            ["NA", 3.0, None, None, None, None, 65.43, 1.0],
            ["nat", 4.0, "NA", -1.0, 0.25, 0.5, 61.2, 2.0],
            ["bal", 6.0, "NA", None, None, None, None, None],
        ],
    }
    (picture,) = media(folder, "images")
    assert picture.read_bytes() == (folder / "ranking.png").read_bytes()
    (page,) = media(folder, "html")
    assert page.read_text() == PAGE
    (found,) = inspect(folder, "--summary")
    found = found["summary"]
    p_values = {name: value for name, value in found.items() if name.startswith("p")}
    assert p_values == {"p/nat against NA": 0.25, "p_bonferroni/nat against NA": 0.5}
    assert {"ranking", "diagram", "report"} < found.keys()


def test_the_same_sweep_again_replaces_its_run(log, folder, inspect):
    log()
    (first,) = (folder / "wandb").glob("offline-run-*")
    first.rename(first.with_name(first.name.replace("offline-run-2", "offline-run-1")))  # as if it was long ago
    (folder / "ranking.csv").write_text(TABLE.replace("0.25", "0.125"))
    log()
    (found,) = inspect(folder, "--summary")
    assert found["run_id"] == f"ranking-{first.name[-16:]}"
    assert found["summary"]["p/nat against NA"] == 0.125


def test_another_sweep_has_a_run_of_its_own(log, folder):
    log("one")
    log("two")
    assert len({run.name[-16:] for run in (folder / "wandb").glob("offline-run-*")}) == 2


def test_disabled_makes_no_run_and_no_folder(log, folder):
    log(mode="disabled")
    assert not (folder / "wandb").exists()
    assert wandb.run is None


def test_online_without_a_key_is_logged_offline_and_nothing_is_asked(log, folder, capsys):
    log(mode="online")
    assert "wandb login" in capsys.readouterr().out
    assert list((folder / "wandb").glob("offline-run-*-ranking-*"))


@pytest.fixture
def finished(tmp_path, monkeypatch) -> None:
    """A sweep that is to be ranked, whose ranking succeeds."""
    id = start(tmp_path, "s", None).id
    write_result(tmp_path, {"status": "completed", "sweep_id": id})
    ranking = RankingConfig(["classifier"], ["benchmark"], ["finetune"], "w_f1", "org")
    monkeypatch.setattr(callback.Status, "code", 0)
    monkeypatch.setattr(
        callback._Current,
        "sweep",
        callback.Sweep(id, "s", tmp_path, ranking, WandbConfig(WandbMode.online, "p"), claim(tmp_path)),
    )
    monkeypatch.setattr("ercsatz.sweeps.rank.rank_sweeps", lambda *_: True)


@pytest.mark.parametrize("error", [RuntimeError("no such\nservice"), OSError(28, "No space left on device")])
def test_what_goes_wrong_costs_a_line_and_not_the_exit_status(error, finished, tmp_path, monkeypatch, capsys):
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(wandb_ranking, "log_ranking", fail)
    monkeypatch.setattr("ercsatz.sweeps.results.collect", lambda _: [])
    callback.finish()
    printed = capsys.readouterr()
    (line,) = printed.out.splitlines()
    assert line.startswith("Weights & Biases has not got the ranking: ")
    words = getattr(error, "strerror", None) or str(error)
    assert words.replace("\n", " ") in line
    assert printed.err == ""
    assert callback.Status.code == 0
    assert not (tmp_path / "ranking.error.txt").exists()


def test_p_values_against_a_baseline_that_learnt_nothing_are_left_out():
    rows = [["org", None, None, None], ["nat", "org", 0.01, True], ["bal", "nat", 0.02, False]]
    table = pd.DataFrame(rows, columns=["treatment", "baseline", "p", "baseline_learnt_nothing"])
    assert p_values(table) == {"p/bal against nat": 0.02}
    assert len(p_values(table.drop(columns="baseline_learnt_nothing"))) == 2
