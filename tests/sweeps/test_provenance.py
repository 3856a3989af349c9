import copy
from typing import Any

import pandas as pd
import pytest

from ercsatz.config import RankingConfig, Repeats
from ercsatz.errors import UserError
from ercsatz.ranking import pivot
from ercsatz.sweeps.provenance import background
from ercsatz.sweeps.results import records, unique

LABELS = ["neutral", "joy"]
SETTINGS = RankingConfig(["classifier", "variant"], ["benchmark", "test_set"], ["original", "finetune"], "w_f1", "org")


def scored(right: int) -> dict[str, Any]:
    """Ten utterances of each label, of which the first label's are all found and ``right`` of the second's."""
    precision = 10 / (20 - right)
    f1 = {"neutral": 2 * precision / (precision + 1), "joy": 2 * right / (10 + right)}
    return {
        "w_f1": sum(f1.values()) / 2,
        "macro_f1": sum(f1.values()) / 2,
        "accuracy": (10 + right) / 20,
        "per_class": {label: {"f1": f1[label], "support": 10} for label in LABELS},
        "confusion": [[10, 0], [10 - right, right]],
    }


def trained(stage: str, variant: str, key: str, right: int) -> dict[str, Any]:
    curve = [{"epoch": epoch, "loss": 2.0 / epoch, "w_f1": 0.1 * right + epoch / 100} for epoch in (1, 2)]
    tests = {test_set: scored(right + more) for more, test_set in enumerate(("org", "nat"))}
    device = {"accelerator": "cpu", "precision": "32-true"}
    return {"stage": stage, "variant": variant, "key": key, "curve": curve, "test": tests, **device}


def job(variant: str, seed: int = 0, **more: Any) -> dict[str, Any]:
    """A finished job whose ``original`` stage is the same for every variant."""
    right = {"nat": 3, "bal": 5}[variant] + seed
    data = {split: {"neutral": 6, "joy": 4} for split in ("train", "validation", "test")}
    return {
        "status": "completed",
        "choices": {"classifier": "compm", "backbone": "tiny", "benchmark": "meld", "variant": variant},
        "sweep": "first",
        "overrides": ["classifier=compm", f"data=meld_{variant}", f"seed={seed}", "paths.cache=/home/ann/cache"],
        "seed": seed,
        "labels": LABELS,
        "label_counts": {"meld_org": data, f"meld_{variant}": data},
        "stages": [
            trained("original", "org", f"org{seed}", 1 + seed),
            trained("pretrain", variant, f"pre-{variant}{seed}", 0),
            trained("finetune", variant, f"fine-{variant}{seed}", right),
        ],
        "hashes": {"org": "ab" * 32, "nat": "cd" * 32},
        "code": "c0de",
        "versions": {"python": "3.11.2", "torch": "2.13.0"},
        "host": "Linux-6.1.0-18-amd64-x86_64-with-glibc2.36",
        "started": "2026-11-21T17:10:30+00:00",
        "seconds": 95.0,
        "source": f"multirun/first/compm-meld_{variant}-seed{seed}",
        **more,
    }


JOBS = [job("nat"), job("bal"), job("nat", seed=1), job("bal", seed=1)]


def rows(frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    return list(frame.itertuples(index=False, name=None))


@pytest.mark.parametrize("parts", ["classifier variant", "variant", "variant classifier training.lr"])
def test_names_are_those_of_the_ranking(parts):
    treatment = parts.split()
    jobs = copy.deepcopy(JOBS)
    if "training.lr" in treatment:
        jobs[1]["overrides"].append("training.lr=0.1")
        jobs[3]["overrides"].append("training.lr=0.1")
    settings = RankingConfig(treatment, ["test_set"], ["original", "finetune"], "w_f1", "org")
    long = records(jobs)
    ranked = unique(long[long.stage.isin(settings.stages)], settings)
    table = pivot(ranked, treatment, ["test_set"], "w_f1")
    found = background(jobs, settings)
    cells = {(treatment, block) for treatment in table.cells.columns for block in table.cells.index}
    assert set(found.confusions) == cells
    assert set(zip(found.per_class.treatment, found.per_class.block, strict=True)) == cells
    assert set(found.curves.treatment) == set(table.cells.columns)


def test_confusions_are_summed_over_seeds_and_a_shared_stage_counts_once():
    confusions = background(JOBS, SETTINGS).confusions
    assert list(confusions) == [
        (f"compm_{variant}", f"meld_{test_set}") for variant in ("org", "nat", "bal") for test_set in ("org", "nat")
    ]
    assert confusions["compm_org", "meld_org"].to_dict("index") == {
        "neutral": {"neutral": 20, "joy": 0},
        "joy": {"neutral": 17, "joy": 3},  # 1 of 10 right with seed 0, 2 with seed 1
    }
    assert confusions["compm_bal", "meld_nat"].loc["joy", "joy"] == 6 + 7
    assert confusions["compm_bal", "meld_nat"].index.name == "gold"
    assert all((counts.to_numpy().sum() == 40) for counts in confusions.values())


def test_per_class_scores_are_of_every_seed_and_of_the_stages_that_are_ranked():
    found = background(JOBS, SETTINGS).per_class
    assert list(found.columns) == ["treatment", "block", "seed", "label", "f1", "support", "share"]
    assert len(found) == 3 * 2 * 2 * 2  # treatments, blocks, seeds, labels
    org = found[(found.treatment == "compm_org") & (found.block == "meld_org") & (found.label == "joy")]
    assert rows(org[["seed", "f1", "support"]]) == [(0, 2 / 11, 10), (1, 4 / 12, 10)]
    alone = background(JOBS, RankingConfig(["variant"], ["test_set"], ["pretrain"], "w_f1", "org"))
    assert set(alone.per_class.treatment) == {"nat", "bal"}
    assert alone.confusions["nat", "org"].loc["joy", "joy"] == 0


def test_curves_are_of_every_stage_once():
    found = background(JOBS, SETTINGS).curves
    assert list(found.columns) == ["treatment", "benchmark", "stage", "seed", "epoch", "loss", "w_f1"]
    assert not found.duplicated().any()
    trained = found.groupby(["treatment", "stage", "seed"]).epoch.apply(list)
    names = [("compm_org", "original"), *((f"compm_{v}", s) for v in ("nat", "bal") for s in ("finetune", "pretrain"))]
    assert trained.to_dict() == {(*name, seed): [1, 2] for name in names for seed in (0, 1)}
    row = found[(found.treatment == "compm_bal") & (found.stage == "finetune") & (found.seed == 1)].iloc[1]
    assert (row.benchmark, row.loss) == ("meld", 1.0)
    assert row.w_f1 == pytest.approx(0.62)


def test_curves_of_benchmarks_are_told_apart():
    other = job("nat", source="multirun/first/other")
    other["choices"]["benchmark"] = "mini"
    for stage in other["stages"]:
        stage["key"] += "-mini"
    found = background([job("nat"), other], SETTINGS).curves
    assert len(found) == 2 * 3 * 2
    assert set(found.benchmark) == {"meld", "mini"}


@pytest.mark.parametrize(("repeats", "right"), [(Repeats.first, 3), (Repeats.last, 7)])
def test_of_two_scores_of_a_cell_that_counts_which_is_ranked(repeats, right):
    again = job("nat", source="multirun/second/compm-meld_nat-seed0", overrides=["training.lr=0.1"])
    again["stages"][2] = trained("finetune", "nat", "another", 7)
    settings = RankingConfig(["classifier", "variant"], ["test_set"], ["finetune"], "w_f1", "org", repeats=repeats)
    found = background([job("nat"), again], settings)
    assert found.confusions["compm_nat", "org"].loc["joy", "joy"] == right
    assert len(found.per_class) == 2 * 2
    fine = found.curves[found.curves.stage == "finetune"]
    assert fine.w_f1.tolist() == pytest.approx([0.1 * right + 0.01, 0.1 * right + 0.02])


def test_results_of_the_older_form_leave_their_parts_empty():
    old = job("nat")
    for key in ("label_counts", "code"):
        del old[key]
    for stage in old["stages"]:
        del stage["curve"]
        for scores in stage["test"].values():
            del scores["confusion"]
    found = background([old], SETTINGS)
    assert found.curves.empty
    assert found.label_counts.empty
    assert found.confusions == {}
    assert "code" not in found.provenance
    assert len(found.per_class) == 2 * 2 * 2
    bare = {key: old[key] for key in ("status", "choices", "seed", "overrides", "stages", "hashes", "source")}
    assert background([bare], SETTINGS).provenance["jobs"] == "1"


def test_labels_are_counted_by_data_set_and_split():
    found = background(JOBS, SETTINGS).label_counts
    assert list(found.columns) == ["data", "split", "label", "count"]
    assert list(dict.fromkeys(found["data"])) == ["meld_org", "meld_nat", "meld_bal"]
    assert rows(found[:3]) == [
        ("meld_org", "train", "neutral", 6),
        ("meld_org", "train", "joy", 4),
        ("meld_org", "validation", "neutral", 6),
    ]
    assert len(found) == 3 * 3 * 2


def test_data_that_was_generated_anew_between_two_sweeps_is_numbered():
    new = job("nat", sweep="second")
    new["label_counts"]["meld_nat"] = {"train": {"neutral": 1, "joy": 9}}
    found = background([job("nat"), new], SETTINGS).label_counts
    assert list(dict.fromkeys(found["data"])) == ["meld_org", "meld_nat", "meld_nat (2)"]
    assert rows(found[found["data"] == "meld_nat (2)"])[1] == ("meld_nat (2)", "train", "joy", 9)


def test_jobs_that_did_not_complete_are_named():
    failed = {**job("nat", seed=2), "status": "failed", "error": "no memory left\non any device", "stages": []}
    killed = {"status": "running", "source": "multirun/first/killed", "overrides": []}
    found = background([*JOBS, failed, killed], SETTINGS)
    assert found.failures == (
        "multirun/first/compm-meld_nat-seed2 failed: no memory left",
        "multirun/first/killed did not finish: its process was killed, or is still at it.",
    )
    assert found.provenance["jobs"] == "6, of which 2 did not complete"
    alone = background([failed, killed], SETTINGS)
    assert len(alone.failures) == 2
    assert alone.curves.empty
    assert alone.per_class.empty


def test_a_failure_without_words_is_named():
    failed = {**job("nat"), "status": "failed", "error": "", "stages": []}
    assert background([failed], SETTINGS).failures == (f"{failed['source']} failed: it gave no reason",)


def test_a_shared_stage_with_two_scores_is_refused():
    other = job("bal")
    other["stages"][0]["test"]["org"] = scored(9)
    with pytest.raises(UserError, match="It ran twice with different results"):
        background([job("nat"), other], SETTINGS)


def test_a_column_that_is_not_there_is_left_for_the_ranking_to_refuse():
    settings = RankingConfig(["classifier", "nope"], ["test_set"], ["finetune"], "w_f1", "org", seed="run")
    assert background(JOBS, settings).failures == ()


def test_provenance_says_what_was_run_and_not_on_whose_machine():
    assert background(JOBS, SETTINGS).provenance == {
        "benchmarks": "meld",
        "date": "2026-11-21 17:10 to 17:12 UTC",
        "sweeps": "first",
        "settings": "classifier=compm data=meld_nat,meld_bal seed=0,1",
        "jobs": "4",
        "systems": "Linux",
        "devices": "cpu (32-true)",
        "versions": "python 3.11.2, torch 2.13.0",
        "code": "c0de",
        "test sets": "meld_org abababababab, meld_nat cdcdcdcdcdcd",
    }


def test_provenance_of_sweeps_that_differ_shows_both():
    second = job("nat", sweep="second", overrides=["seed=7"], code="beef", host="macOS-14.1-arm64-arm-64bit", seed=7)
    second |= {"versions": {"python": "3.12.1", "torch": "2.13.0"}, "hashes": {"org": "ab" * 32, "nat": "ef" * 32}}
    second |= {"started": "2026-11-20T09:00:00+00:00", "seconds": 1.0}
    found = background([job("nat"), second], SETTINGS).provenance
    assert found["sweeps"] == "first, second"
    assert found["settings"] == "first: classifier=compm data=meld_nat seed=0; second: seed=7"
    assert found["versions"] == "python 3.11.2 or 3.12.1, torch 2.13.0"
    assert found["test sets"] == "meld_org abababababab, meld_nat cdcdcdcdcdcd or efefefefefef"
    assert (found["systems"], found["code"]) == ("Linux, macOS", "c0de, beef")
    assert found["date"] == "2026-11-20 09:00 to 2026-11-21 17:12 UTC"
    assert background([second], SETTINGS).provenance["date"] == "2026-11-20 09:00 UTC"
