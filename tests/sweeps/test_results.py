"""Whose a result is, and score records of jobs of several phases and settings in one sweep."""

import os
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ercsatz.config import RankingConfig
from ercsatz.errors import UserError
from ercsatz.sweeps.result_file import write_result
from ercsatz.sweeps.results import collect, is_ranked, records, statuses, told_apart
from ercsatz.sweeps.sweep_file import start

PHASES = {
    "tstr": [("original", "org", True), ("pretrain", "nat", False), ("finetune", "nat", True)],
    "joint": [("original", "org", True), ("joint", "nat", True)],
    "low_resource": [("original", "org", True), ("pretrain", "nat", False), ("finetune", "nat", True)],
}


def job(phase: str, classifier: str = "compm", **keys: str) -> dict[str, Any]:
    """The result of a job; ``keys`` are those of stages that are not named after their phase."""
    scores = dict.fromkeys(("w_f1", "macro_f1", "accuracy"), 0.5)
    stages = [
        {"stage": stage, "variant": variant, "ranked": ranked, "key": keys.get(stage, f"{phase}-{stage}")}
        for stage, variant, ranked in PHASES[phase]
    ]
    return {
        "status": "completed",
        "source": f"{phase}-{classifier}",
        "choices": {"classifier": classifier, "backbone": "tiny", "benchmark": "mini", "phase": phase},
        "overrides": [f"phase={phase}"],
        "seed": 0,
        "hashes": {"org": "1"},
        "stages": [stage | {"test": {"org": scores}} for stage in stages],
    }


def ranking(*treatment: str, stages: list[str] | None = None) -> RankingConfig:
    return RankingConfig(list(treatment), ["benchmark", "test_set"], stages, baseline="org")


def phases(*jobs: dict[str, Any]) -> dict[tuple[str, str], str]:
    """The phase of each record by source and stage."""
    long = records(jobs)
    return dict(zip(zip(long.source, long.stage, strict=True), long.phase, strict=True))


@pytest.mark.parametrize("order", [1, -1])
def test_a_stage_that_phases_share_counts_as_one_of_tstr(order):
    found = phases(*[job("tstr", original="same"), job("joint", original="same")][::order])
    assert found == {
        ("tstr-compm", "original"): "tstr",
        ("tstr-compm", "pretrain"): "tstr",
        ("tstr-compm", "finetune"): "tstr",
        ("joint-compm", "original"): "tstr",
        ("joint-compm", "joint"): "joint",
    }


def test_a_stage_of_the_same_name_with_another_key_is_of_its_own_phase():
    found = phases(job("tstr"), job("low_resource"))
    assert {stage: found["low_resource-compm", stage] for stage in ("original", "finetune")} == {
        "original": "low_resource",
        "finetune": "low_resource",
    }


def test_without_tstr_a_shared_stage_is_of_the_first_phase():
    found = phases(job("joint", original="same"), job("low_resource", original="same"))
    assert found["joint-compm", "original"] == found["low_resource-compm", "original"] == "joint"


def test_treatments_of_several_phases_have_the_phase_in_their_name():
    long = records([job("tstr", original="same"), job("joint", original="same")])
    assert told_apart(long, ranking("classifier", "variant")).treatment == ["classifier", "variant", "phase"]
    assert told_apart(long, ranking("classifier", "phase")).treatment == ["classifier", "phase"]
    # No treatment has two: the stages that are ranked tell the phases apart already.
    assert told_apart(long, ranking("classifier", "stage")).treatment == ["classifier", "stage"]
    assert told_apart(long, ranking("classifier", "variant", stages=["original"])).treatment == [
        *("classifier", "variant")
    ]


def test_one_phase_is_not_named():
    for jobs in ([job("joint")], [job("tstr"), job("tstr", "emoone")], [job("tstr"), job("joint", "emoone")]):
        assert told_apart(records(jobs), ranking("classifier", "variant")).treatment == ["classifier", "variant"]


def test_what_is_ranked_is_what_the_phases_say_or_the_stages_that_are_named():
    long = records([job("tstr"), job("joint")])
    assert set(long[is_ranked(long, ranking("classifier"))].stage) == {"original", "finetune", "joint"}
    assert set(long[is_ranked(long, ranking("classifier", stages=["pretrain"]))].stage) == {"pretrain"}
    with pytest.raises(UserError, match=r"no job ran the stage other\. There are: "):
        is_ranked(long, ranking("classifier", stages=["other"]))


# Whose a result is

CELLS = [{"overrides": ["data=mini_nat", f"training.lr={lr}"], "seed": 0} for lr in (1, 2)]


def finished(folder: Path, sweep_id: str | None, overrides: list[str]) -> None:
    result = {**job("tstr"), "overrides": overrides, "sweep_id": sweep_id}
    write_result(folder, {key: value for key, value in result.items() if key != "source"})


def test_the_planned_cells_are_a_sweeps_own_by_its_id(tmp_path, caplog):
    caplog.set_level("INFO")
    id = start(tmp_path, "s", CELLS).id
    finished(tmp_path / "a", id, ["sweep=s", *CELLS[1]["overrides"]])
    finished(tmp_path / "b", "another", CELLS[0]["overrides"])
    finished(tmp_path / "c", None, CELLS[0]["overrides"])
    finished(tmp_path / "d", id, ["data=mini_bal"])
    for name in "abcd":  # file times say nothing
        os.utime(tmp_path / name / "result.json", (1000, 1000))
    found = collect([tmp_path])
    assert [(one["status"], one["source"]) for one in found] == [
        ("missing", str(tmp_path)),
        ("completed", str(tmp_path / "a")),
    ]
    assert [one["swept"] for one in found] == [["training.lr"]] * 2
    assert f"{tmp_path}: 3 results are of another sweep, and left out." in caplog.text
    assert statuses(tmp_path) == {"completed"}


def test_sweeps_below_a_folder_each_know_their_own_and_earlier_ones_are_taken_as_they_are(tmp_path):
    finished(tmp_path / "one" / "a", start(tmp_path / "one", "one", CELLS[:1]).id, CELLS[0]["overrides"])
    finished(tmp_path / "two" / "a", start(tmp_path / "two", "two", CELLS[:1]).id, CELLS[0]["overrides"])
    finished(tmp_path / "old" / "a", None, CELLS[0]["overrides"])
    assert [one["status"] for one in collect([tmp_path])] == ["completed"] * 3


def test_a_sweep_below_a_sweep_is_no_part_of_it(tmp_path):
    finished(tmp_path / "a", start(tmp_path, "one", CELLS[:1]).id, CELLS[0]["overrides"])
    finished(tmp_path / "two" / "a", start(tmp_path / "two", "one/two", CELLS[:1]).id, CELLS[0]["overrides"])
    assert [one["source"] for one in collect([tmp_path])] == [str(tmp_path / "a")]


def test_a_sweep_whose_cells_were_not_planned_has_those_of_its_id(tmp_path):
    id = start(tmp_path, "s", None).id
    finished(tmp_path / "a", id, ["training.lr=1"])
    finished(tmp_path / "b", id, ["training.lr=2"])
    finished(tmp_path / "c", "another", ["training.lr=3"])
    assert [one["source"][-1] for one in collect([tmp_path])] == ["a", "b"]


def test_two_results_of_one_cell_are_refused(tmp_path):
    id = start(tmp_path, "s", CELLS).id
    finished(tmp_path / "a", id, CELLS[0]["overrides"])
    finished(tmp_path / "copy", id, CELLS[0]["overrides"])
    with pytest.raises(UserError, match=r"Two results of the same cell: .*/a and .*/copy\. Delete"):
        collect([tmp_path])


def test_a_sweep_that_left_nothing_has_not_started(tmp_path):
    start(tmp_path, "s", CELLS)
    finished(tmp_path / "b", "another", CELLS[0]["overrides"])
    assert statuses(tmp_path) == set()


# Swept keys


def swept_job(value: str, **keys: str) -> dict[str, Any]:
    made = job("tstr", **keys)
    return made | {"overrides": [f"training.lr={value}"], "source": value, "swept": ["training.lr"]}


def test_each_value_of_a_swept_key_is_a_treatment():
    long = records([swept_job("1", original="a"), swept_job("2", original="b")])
    told = told_apart(long, ranking("classifier", "variant"), ["training.lr"])
    assert told.treatment == ["classifier", "variant", "training.lr"]
    blocks = RankingConfig(["classifier", "variant"], ["benchmark", "training.lr"], baseline="org")
    assert told_apart(long, blocks, ["training.lr"]).treatment == ["classifier", "variant"]


def test_a_stage_that_a_swept_key_does_not_touch_is_one_of_any_value():
    long = records([swept_job("1", original="same", finetune="a"), swept_job("2", original="same", finetune="b")])
    found = dict(zip(zip(long.source, long.stage, strict=True), long["training.lr"], strict=True))
    assert {key: found[key] for key in found if key[1] != "pretrain"} == {
        ("1", "original"): "any",
        ("2", "original"): "any",
        ("1", "finetune"): "1",
        ("2", "finetune"): "2",
    }


def test_what_learnt_nothing_is_told_and_older_results_are_left_alone():
    told, older, failed = job("tstr"), job("joint", original="x"), job("tstr", "emoone") | {"status": "failed"}
    for stage in told["stages"]:
        stage["test"] = {"org": {**stage["test"]["org"]}}
    told["stages"][0]["test"]["org"] |= {"confusion": [[5, 0], [5, 0]]}
    told["stages"][1]["test"]["org"] |= {"confusion": [[9, 1], [3, 2]], "w_f1": 0.7}
    told["stages"][2]["test"]["org"] |= {"confusion": [[9, 1], [5, 0]], "w_f1": 0.52}
    long = records([told, older, failed])
    found = dict(zip(zip(long.source, long.stage, strict=True), long.learnt_nothing, strict=True))
    assert {key: reason for key, reason in found.items() if not pd.isna(reason)} == {
        ("tstr-compm", "original"): "one label",
        ("tstr-compm", "finetune"): "majority floor",
    }


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_a_score_that_is_none_is_refused(score):
    broken = job("tstr")
    broken["stages"][2]["test"] = {"org": dict.fromkeys(("w_f1", "macro_f1", "accuracy"), score)}
    with pytest.raises(UserError, match=f"tstr-compm: the w_f1 of finetune on org is {score}"):
        records([broken])
