import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ercsatz.artifacts.cache import State
from ercsatz.classifiers import checkpoint
from ercsatz.classifiers.compm.config import CoMPMConfig
from ercsatz.classifiers.emoone.classifier import EmoOne
from ercsatz.classifiers.encoder.pretrained import open_backbone
from ercsatz.config import TrainConfig
from ercsatz.data.dialogue import SPLITS
from ercsatz.data.files import read_jsonl, write_jsonl
from ercsatz.data.metrics import scores
from ercsatz.errors import UserError
from ercsatz.sweeps.cell import run_job
from ercsatz.training import run as run_module
from ercsatz.training import stage as stage_module
from ercsatz.training.graph import optimisation
from ercsatz.training.job import load_job
from ercsatz.training.losses import ClassWeightsConfig
from ercsatz.training.run import StageRunner
from ercsatz.training.samplers import OversamplingConfig
from tests.training.composed import LABELS, train_config


@dataclass(frozen=True)
class Place:
    """A folder with a benchmark ``mini`` of its own, generated variants, and a cache."""

    root: Path

    def settings(self, *overrides: str) -> TrainConfig:
        folders = [f"paths.data={self.root}/data", f"paths.cache={self.root}/cache", f"benchmark.path={self.root}/mini"]
        return train_config(*folders, *overrides)

    def run(self, *overrides: str) -> dict[str, Any]:
        return run_job(self.settings(*overrides), overrides, self.root / "job")

    def finished(self) -> set[str]:
        return {file.parent.name for file in self.root.glob("cache/stages/*/stage.json")}


@pytest.fixture(scope="session")
def make_place(tmp_path_factory, make_dialogues) -> Callable[..., Place]:
    def make(*variants: str) -> Place:
        place = Place(tmp_path_factory.mktemp("place"))
        folders = [place.root / "mini", *(place.root / "data" / f"mini_{variant}" for variant in variants)]
        for number, folder in enumerate(folders):
            for split, size in zip(SPLITS, (8, 4, 4), strict=True):
                write_jsonl(folder / f"{split}.jsonl", make_dialogues(size, seed=10 * number + SPLITS.index(split)))
        return place

    return make


@pytest.fixture(scope="module")
def place(make_place) -> Place:
    """Natural and balanced data, and a cache that the tests share."""
    return make_place("nat", "bal")


@pytest.fixture(scope="module")
def natural(place) -> dict[str, Any]:
    """The result of one whole job."""
    return place.run("data=mini_nat")


def cached(result: dict[str, Any]) -> dict[str, bool]:
    return {stage["stage"]: stage["cached"] for stage in result["stages"]}


def test_a_job_trains_three_stages_and_scores_each_on_every_test_set(natural):
    assert [(stage["stage"], stage["variant"]) for stage in natural["stages"]] == [
        ("original", "org"),
        ("pretrain", "nat"),
        ("finetune", "nat"),
    ]
    for stage in natural["stages"]:
        assert stage["test"].keys() == {"org", "nat", "bal"} == natural["hashes"].keys()
        assert all(
            0 <= test["w_f1"] <= 1 and test["per_class"].keys() == set(LABELS) for test in stage["test"].values()
        )
        assert stage["best_epoch"] in {1, 2}
        for test in stage["test"].values():
            right = sum(row[i] for i, row in enumerate(test["confusion"]))
            assert right / test["utterances"] == pytest.approx(test["accuracy"])
            assert [sum(row) for row in test["confusion"]] == [test["per_class"][label]["support"] for label in LABELS]
    assert len({stage["key"] for stage in natural["stages"]}) == 3
    assert natural["labels"] == LABELS
    assert (natural["choices"]["data"], natural["choices"]["variant"]) == ("mini_nat", "nat")
    json.dumps(natural)


def test_every_stage_has_the_curve_that_was_kept_with_it(natural, place):
    for stage in natural["stages"]:
        assert [point["epoch"] for point in stage["curve"]] == [1, 2]
        best = stage["curve"][stage["best_epoch"] - 1]
        assert best["w_f1"] == stage["validation_w_f1"] == max(point["w_f1"] for point in stage["curve"])
        kept = json.loads((place.root / "cache" / "stages" / stage["key"] / "stage.json").read_text())
        assert kept["curve"] == stage["curve"]


def test_the_labels_of_the_real_and_of_the_synthetic_data_are_counted(natural, place):
    folders = {"mini_org": place.root / "mini", "mini_nat": place.root / "data" / "mini_nat"}
    assert natural["label_counts"].keys() == folders.keys()
    for name, folder in folders.items():
        assert list(natural["label_counts"][name]) == list(SPLITS)
        for split, counts in natural["label_counts"][name].items():
            text = (folder / f"{split}.jsonl").read_text()
            assert counts == {label: text.count(f'"emotion": "{label}"') for label in LABELS}
    assert sum(natural["label_counts"]["mini_nat"]["train"].values()) > 8


def test_predictions_lie_beside_the_result_and_have_its_scores(natural, place):
    for stage in natural["stages"]:
        for variant, found in stage["test"].items():
            folder = place.root / "mini" if variant == "org" else place.root / "data" / f"mini_{variant}"
            test = read_jsonl(folder / "test.jsonl")
            file = place.root / "job" / "predictions" / f"{stage['stage']}-{variant}.jsonl"
            rows = [json.loads(line) for line in file.read_text().splitlines()]
            assert [(row["dialogue"], row["turn"], row["emotion"]) for row in rows] == [
                (d.id, i, turn.emotion) for d in test for i, turn in enumerate(d.utterances)
            ]
            for row in rows:
                assert sum(row["probabilities"]) == pytest.approx(1, abs=1e-4)
                assert row["predicted"] == LABELS[row["probabilities"].index(max(row["probabilities"]))]
            gold, predicted = ([LABELS.index(row[key]) for row in rows] for key in ("emotion", "predicted"))
            assert scores(gold, predicted, LABELS) == found


def test_the_same_job_again_is_all_from_the_cache_with_the_same_scores(natural, place):
    again = place.run("data=mini_nat", "sweep=another")
    assert cached(again) == {"original": True, "pretrain": True, "finetune": True}
    for key in ("test", "curve"):
        assert [stage[key] for stage in again["stages"]] == [stage[key] for stage in natural["stages"]]
    assert [stage["key"] for stage in again["stages"]] == [stage["key"] for stage in natural["stages"]]


def test_the_original_stage_is_shared_by_two_variants(natural, place):
    balanced = place.run("data=mini_bal")
    assert cached(balanced) == {"original": True, "pretrain": False, "finetune": False}
    assert balanced["stages"][0]["test"] == natural["stages"][0]["test"]
    assert balanced["stages"][0]["key"] == natural["stages"][0]["key"]


def test_another_fine_tuning_rate_does_not_repeat_the_pretraining(natural, place):
    result = place.run("data=mini_nat", "training.finetune.lr=5e-4")
    assert cached(result) == {"original": True, "pretrain": True, "finetune": False}
    assert result["stages"][2]["key"] != natural["stages"][2]["key"]


@pytest.mark.parametrize(
    "override", ["trainer.accelerator=auto", "wandb.project=p", "test_sets=[org]", "backbone.name=t"]
)
def test_what_changes_no_weights_trains_nothing(natural, place, override):
    assert all(cached(place.run("data=mini_nat", override)).values())


def test_another_seed_trains_everything_again(make_place):
    place = make_place("nat")
    place.run("data=mini_nat", "phase=original")
    assert cached(place.run("data=mini_nat", "phase=original", "seed=1")) == {"original": False}
    assert len(place.finished()) == 2


@pytest.mark.parametrize("phase", ["original", "pretrain", "finetune"])
def test_a_phase_runs_its_stage(natural, place, phase):
    assert cached(place.run("data=mini_nat", f"phase={phase}")) == {phase: True}


def test_fine_tuning_alone_trains_what_it_starts_from(make_place):
    place = make_place("nat")
    assert cached(place.run("data=mini_nat", "phase=finetune")) == {"finetune": False}
    assert len(place.finished()) == 2


def test_a_job_on_the_benchmark_itself_is_one_stage(natural, place):
    result = place.run("data=mini_org")
    assert cached(result) == {"original": True}
    assert result["label_counts"].keys() == {"mini_org"}


@pytest.mark.parametrize("phase", ["pretrain", "finetune"])
def test_a_phase_that_needs_synthetic_data_is_refused_without(place, phase):
    with pytest.raises(UserError, match=rf"phase={phase} needs synthetic data.*data=mini_nat or _bal"):
        place.run("data=mini_org", f"phase={phase}")


def test_missing_synthetic_data_names_the_command_that_makes_it(place):
    with pytest.raises(UserError) as error:
        place.run("data=mini_per")
    assert str(place.root / "data" / "mini_per") in str(error.value)
    assert "python generate.py data=mini_per" in str(error.value)


def test_a_split_that_is_missing_is_an_error_before_anything_is_trained(make_place):
    place = make_place("nat")
    (place.root / "data" / "mini_nat" / "validation.jsonl").unlink()
    with pytest.raises(UserError, match=r"no file .*mini_nat/validation\.jsonl"):
        place.run("data=mini_nat")
    assert not (place.root / "cache").exists()


def test_a_test_set_that_is_asked_for_and_missing_is_an_error(place):
    with pytest.raises(UserError, match=r"python generate\.py data=mini_per"):
        place.run("data=mini_nat", "test_sets=[org,per]")


def test_only_the_test_sets_that_are_asked_for_are_scored(natural, place):
    result = place.run("data=mini_nat", "test_sets=[bal]")
    assert all(stage["test"].keys() == {"bal"} for stage in result["stages"])


def test_synthetic_data_with_another_label_is_refused(make_place):
    place = make_place("nat")
    file = place.root / "data" / "mini_nat" / "train.jsonl"
    file.write_text(file.read_text().replace('"joy"', '"delight"'))
    with pytest.raises(UserError, match=r"mini_nat, split train, dialogue .* unknown label 'delight'"):
        place.run("data=mini_nat")


def save(cfg: TrainConfig, folder: Path, labels: list[str], **changes: Any) -> Path:
    assert isinstance(cfg.classifier, CoMPMConfig)
    settings = replace(cfg.classifier, **changes)
    checkpoint.save(checkpoint.build(settings, open_backbone(cfg.backbone, ["the train"]), labels), folder)
    return folder


def test_fine_tuning_starts_from_a_given_checkpoint(natural, place, tmp_path):
    saved = save(place.settings("data=mini_nat"), tmp_path / "saved", LABELS)
    before = place.finished()
    result = place.run("data=mini_nat", "phase=finetune", f"training.checkpoint={saved}")
    assert cached(result) == {"finetune": False}
    assert place.finished() - before == {result["stages"][0]["key"]}
    assert all(cached(place.run("data=mini_nat", "phase=finetune", f"training.checkpoint={saved}")).values())


def test_a_checkpoint_for_other_labels_is_refused(place, tmp_path):
    saved = save(place.settings("data=mini_nat"), tmp_path / "saved", ["calm", "cross"])
    with pytest.raises(UserError, match=r"trained for the labels calm, cross; this benchmark has neutral, joy, anger"):
        place.run("data=mini_nat", "phase=finetune", f"training.checkpoint={saved}")


def test_a_checkpoint_with_other_settings_is_refused(place, tmp_path):
    saved = save(place.settings("data=mini_nat"), tmp_path / "saved", LABELS, max_tokens=32)
    with pytest.raises(UserError, match=r"classifier\.max_tokens is 32 there and 64 here"):
        place.run("data=mini_nat", "phase=finetune", f"training.checkpoint={saved}")


def test_a_checkpoint_that_is_none_is_refused(place, tmp_path):
    with pytest.raises(UserError, match=r"is not a saved classifier"):
        place.run("data=mini_nat", "phase=finetune", f"training.checkpoint={tmp_path}")


@pytest.mark.parametrize(
    ("overrides", "told", "done"),
    [
        (["classifier=compm", "training.lr=1e30"], "compm mini_org seed 0 | original: the loss is nan at step", 0),
        (["classifier=emoone", "classifier.gray=self_adjust", "training.lr=1e30"], "seed 0 | teacher: the loss is", 0),
        (["classifier=todkat", "training.topic.lr=1e30"], "todkat mini_org seed 0 | topic: ", 0),
        (["data=mini_nat", "training.finetune.lr=1e30"], "compm mini_nat seed 0 | finetune: the loss is", 2),
    ],
    ids=["original", "teacher", "topic", "finetune"],
)
def test_a_stage_that_diverges_is_an_error_and_is_not_kept(overrides, told, done, make_place):
    place = make_place("nat")
    with pytest.raises(UserError) as error:
        place.run("data=mini_org", "training.clip=0", *overrides)
    assert told in str(error.value)
    assert re.search(r"step \d+ of \d+ \(epoch 1\)", str(error.value))
    assert "a learning rate below 1e+30 (training.lr" in str(error.value)
    assert len(place.finished()) == done
    assert len(list(place.root.glob("cache/predictions/*/predictions.jsonl"))) == done * 2 * (done > 0)


def test_soft_labels_that_are_no_numbers_are_an_error(make_place, monkeypatch):
    place = make_place()

    def soft(self: EmoOne, _: object, dialogues: list[Any], taught: object) -> list[Any]:
        rows = [np.full((len(dialogue.utterances), 3), 1 / 3) for dialogue in dialogues]
        rows[1][1, 0] = np.nan
        return rows

    monkeypatch.setattr(EmoOne, "soft_labels", soft)
    with pytest.raises(UserError, match=r"teacher: dialogue '.+', turn 2: its soft label is not finite"):
        place.run("data=mini_org", "classifier=emoone")
    assert not place.finished()


def test_a_stage_that_diverged_in_an_earlier_version_is_refused(make_place, monkeypatch):
    place = make_place()
    kept = stage_module.train_stage

    def diverging(*given: Any, **named: Any) -> dict[str, Any]:
        record = kept(*given, **named)
        record["curve"][-1]["loss"] = None
        return record

    with monkeypatch.context() as patch:
        patch.setattr(stage_module, "train_stage", diverging)
        patch.setattr(run_module, "_refuse_diverged", lambda *_: None)
        place.run("data=mini_org")
    (key,) = place.finished()
    with pytest.raises(UserError, match=rf"stages/{key}: its training diverged: its loss was no number in epoch 2"):
        place.run("data=mini_org")


def test_a_stage_that_is_killed_while_it_tidies_up_can_be_run_again(make_place, monkeypatch):
    place = make_place()

    def killed(work: Path, **_: object) -> None:
        if work.name != "work":
            return
        [file.unlink() for file in work.glob("best-*.safetensors")]
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("ercsatz.training.stage.shutil.rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            place.run("data=mini_org")
    assert not place.finished()
    assert cached(place.run("data=mini_org")) == {"original": False}


def test_a_sweep_of_any_name_can_be_tracked(make_place):
    place = make_place()
    place.run("data=mini_org", "sweep='runs/a:b#1'", "wandb.mode=offline")
    (stage,) = place.finished()
    (log,) = place.root.glob(f"job/wandb/offline-run-*/run-{stage}-*.wandb")
    assert log.stat().st_size > 0


def test_a_stage_overrides_what_it_names_alone(place):
    cfg = place.settings("data=mini_nat", "training.lr=1e-3", "training.finetune.lr=2e-4", "training.pretrain.epochs=7")
    assert {
        s: (optimisation(cfg, s)["lr"], optimisation(cfg, s)["epochs"]) for s in ("original", "pretrain", "finetune")
    } == {
        "original": (1e-3, 2),
        "pretrain": (1e-3, 7),
        "finetune": (2e-4, 2),
    }


@pytest.mark.parametrize(
    ("classifier", "title", "change"),
    [("emoone", "teacher", "classifier.w2=0.5"), ("todkat", "topic", "classifier.dropout=0.2")],
)
def test_what_is_trained_before_a_stage_is_asked_for_only_when_the_stage_is_trained(
    classifier, title, change, make_place, capsys
):
    place = make_place()
    line = ("data=mini_org", f"classifier={classifier}")
    (stage,) = place.run(*line)["stages"]
    assert f"| {title} | best validation" in capsys.readouterr().out
    before = place.root / "cache" / "stages" / stage["before"]
    shutil.rmtree(before)
    (again,) = place.run(*line)["stages"]
    assert (again["cached"], again["before"], again["key"]) == (True, stage["before"], stage["key"])
    assert not before.exists()
    assert f"| {title} |" not in capsys.readouterr().out
    (other,) = place.run(*line, change)["stages"]
    assert (other["cached"], other["before"]) == (False, stage["before"])
    assert (before / "stage.json").is_file()


ELSEWHERE = """
import sys, time
from pathlib import Path
from ercsatz.artifacts.cache import locked

held, until = map(Path, sys.argv[1:])
held.with_name(f"{held.name}.partial").mkdir(parents=True)
with locked(held):
    print("held", flush=True)
    for _ in range(1200):
        if until.exists():
            sys.exit()
        time.sleep(0.05)
sys.exit("nobody went on")
"""


def test_what_is_trained_elsewhere_is_left_for_last(make_place):
    place = make_place("nat")
    job = load_job(place.settings("data=mini_nat"))
    original, pretrain, finetune = job.stages
    runner = StageRunner(job.cfg, job.data, place.root / "job")
    held, until = (place.root / "cache" / "stages" / stage.key for stage in (original, finetune))
    command = [sys.executable, "-c", ELSEWHERE, str(held), str(until)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        assert runner.cache.state(original) is State.running
        records = runner.run(job.stages)
    assert other.returncode == 0
    assert list(runner.done) == [pretrain.key, finetune.key, original.key]
    assert [record["stage"] for record in records] == ["original", "pretrain", "finetune"]
    assert not any(record["cached"] for record in records)


def test_each_stage_has_the_label_counts_of_its_own_training_dialogues(make_place, monkeypatch):
    place, seen, prepared = make_place("nat"), [], ClassWeightsConfig.prepared

    def noted(self, counts):
        seen.append(counts)
        return prepared(self, counts)

    monkeypatch.setattr(ClassWeightsConfig, "prepared", noted)
    found = place.run("data=mini_nat", "loss=class_weights", "phase.real_share=0.5")
    counts = {name: found["label_counts"][f"mini_{name}"]["train"] for name in ("org", "nat")}
    original, pretrain, finetune = seen
    assert pretrain == [counts["nat"][label] for label in LABELS]
    assert original == finetune
    assert 0 < sum(original) < sum(counts["org"].values())


def test_a_sampler_draws_for_what_learns_labels_and_for_no_topic_layer(make_place, monkeypatch):
    place, seen, fit = make_place("nat"), {}, stage_module.fit

    def noted(classifier, train, validation, run, soft=None):
        seen[run.title.rpartition(" ")[2]] = run.sampler
        return fit(classifier, train, validation, run, soft)

    monkeypatch.setattr(stage_module, "fit", noted)
    small = ("data=mini_org", "sampler=oversampling")
    todkat = ("classifier=todkat", "classifier.knowledge=none", "classifier.layers=1", "classifier.heads=2")
    (stage,) = place.run(*small, *todkat, "training.topic.epochs=1")["stages"]
    assert seen == {"topic": None, "original": OversamplingConfig("oversampling")}
    assert stage["recipe"]["sampler.name"] == "oversampling"
    place.run(*small, "classifier=emoone", "classifier.gray=self_adjust")
    assert seen["teacher"] == OversamplingConfig("oversampling")
