import csv
import json
from pathlib import Path
from typing import Any

import pytest

from ercsatz.errors import UserError
from ercsatz.sweeps.cell import run_job
from ercsatz.training import stage as stage_module
from tests.tracking.offline import OfflineRun, read_all
from tests.training.composed import LABELS
from tests.training.test_run import Place, make_place  # noqa: F401 - a fixture

pytestmark = pytest.mark.usefixtures("logged_out")

OFFLINE = ("wandb.mode=offline", "backbone=tiny")
TITLES = {"original": "mini_org", "pretrain": "mini_nat", "finetune": "mini_nat"}


@pytest.fixture
def place(make_place) -> Place:  # noqa: F811
    return make_place("nat", "bal")


def run(place: Place, cell: str, *overrides: str) -> dict[str, Any]:
    """A job of a sweep, in a cell's folder."""
    given = (*OFFLINE, *overrides)
    return run_job(place.settings(*given), given, place.root / "sweep" / cell)


def by_stage(folder: Path) -> dict[str, OfflineRun]:
    return {found.run.job_type: found for found in read_all(folder)}


def test_a_stage_is_a_run_from_its_training_to_its_scores(place):
    result = run(place, "nat", "data=mini_nat")
    runs = by_stage(place.root / "sweep" / "nat")
    assert list(runs) == [stage["stage"] for stage in result["stages"]] == list(TITLES)
    for stage in result["stages"]:
        found = runs[stage["stage"]]
        assert (found.run.run_group, found.exit_code) == ("test", 0)
        assert "cached" not in found.run.tags
        assert found.curve("validation/w_f1") == [point["w_f1"] for point in stage["curve"]]
        assert found.curve("train/loss") == [point["loss"] for point in stage["curve"]]
        for name, scores in stage["test"].items():
            for score in ("w_f1", "macro_f1", "accuracy"):
                assert found.summary[f"test/{name}/{score}"] == scores[score]
            for label in LABELS:
                assert found.summary[f"test/{name}/f1/{label}"] == scores["per_class"][label]["f1"]
        assert found.summary["best/epoch"] == stage["best_epoch"]
        assert found.summary["best/w_f1"] == stage["validation_w_f1"]
        assert found.summary["seconds"] == stage["seconds"]


def test_a_run_is_found_by_flat_keys(place):
    result = run(place, "nat", "data=mini_nat", "training.lr=0.01", "training.pretrain.lr=0.02", "seed=3")
    for stage, found in by_stage(place.root / "sweep" / "nat").items():
        config, (record,) = found.config, [each for each in result["stages"] if each["stage"] == stage]
        assert {key: config[key] for key in ("classifier", "benchmark", "backbone", "phase", "loss", "sweep")} == {
            "classifier": "compm",
            "benchmark": "mini",
            "backbone": "tiny",
            "phase": "tstr",
            "loss": "cross_entropy",
            "sweep": "test",
        }
        assert (config["stage"], config["seed"], config["data"]) == (stage, 3, TITLES[stage])
        assert f"mini_{config['variant']}" == config["data"]
        assert (config["training.lr"], config["lr"]) == (0.01, 0.02 if stage == "pretrain" else 0.01)
        assert (config["epochs"], config["batch_tokens"]) == (2, 200)
        assert config["key"] == record["key"]
        assert {f"hash.{name}": value for name, value in result["corpora"].items()}.items() <= config.items()
        assert {f"hash.test.{name}": value for name, value in result["hashes"].items()}.items() <= config.items()
        assert not any(isinstance(value, dict) for key, value in config.items() if key != "_wandb")
        assert not any(str(place.root) in json.dumps(value) for key, value in config.items() if key != "_wandb")


def test_predictions_and_confusion_matrices_are_tables_without_any_text(place):
    result = run(place, "nat", "data=mini_nat", "phase=original")
    (found,) = read_all(place.root / "sweep" / "nat")
    (stage,) = result["stages"]
    for name, scores in stage["test"].items():
        columns, rows = found.table(f"test/{name}/confusion_table")
        assert columns == ["Actual", "Predicted", "nPredictions"]
        assert rows == [[g, p, scores["confusion"][i][j]] for i, g in enumerate(LABELS) for j, p in enumerate(LABELS)]
        columns, rows = found.table(f"test/{name}/predictions")
        assert columns == ["dialogue", "turn", "gold", "predicted", "probability"]
        file = place.root / "sweep" / "nat" / "predictions" / f"original-{name}.jsonl"
        kept = [json.loads(line) for line in file.read_text().splitlines()]
        assert rows == [
            [row["dialogue"], row["turn"], row["emotion"], row["predicted"], max(row["probabilities"])] for row in kept
        ]
    texts = {
        turn["text"] for line in (place.root / "mini" / "test.jsonl").open() for turn in json.loads(line)["utterances"]
    }
    everything = b"".join(file.read_bytes() for file in found.folder.rglob("*") if file.is_file())
    assert texts
    assert not any(text.encode() in everything for text in texts)


def test_texts_are_logged_where_they_are_asked_for(place):
    run(place, "nat", "data=mini_org", "phase=original", "wandb.log_text=true")
    (found,) = read_all(place.root / "sweep" / "nat")
    columns, rows = found.table("test/org/predictions")
    assert columns[-1] == "text"
    lines = [json.loads(line) for line in (place.root / "mini" / "test.jsonl").open()]
    said = {(line["id"], turn): each["text"] for line in lines for turn, each in enumerate(line["utterances"])}
    assert {(row[0], row[1]): row[-1] for row in rows}.items() <= said.items()


def test_a_stage_from_the_cache_is_a_run_with_its_curve_and_scores(place):
    first = run(place, "nat", "data=mini_nat", "wandb.mode=disabled")
    second = run(place, "again", "data=mini_nat")
    assert all(stage["cached"] for stage in second["stages"])
    for stage, found in by_stage(place.root / "sweep" / "again").items():
        (record,) = (each for each in first["stages"] if each["stage"] == stage)
        assert "cached" in found.run.tags
        assert found.curve("validation/w_f1") == [point["w_f1"] for point in record["curve"]]
        assert found.curve("epoch") == [0, 1]
        assert found.curve("trainer/global_step")[-1] == record["steps"] - 1
        assert found.summary["test/org/w_f1"] == record["test"]["org"]["w_f1"]


def test_jobs_of_a_sweep_share_the_run_of_a_stage_and_a_job_run_again_has_one(place):
    run(place, "nat", "data=mini_nat")
    run(place, "bal", "data=mini_bal")
    assert by_stage(place.root / "sweep" / "nat").keys() == {"original", "pretrain", "finetune"}
    assert by_stage(place.root / "sweep" / "bal").keys() == {"pretrain", "finetune"}
    run(place, "nat", "data=mini_nat")
    again = read_all(place.root / "sweep" / "nat")
    assert sorted(found.run.job_type for found in again) == ["finetune", "original", "pretrain"]
    assert all("cached" in found.run.tags for found in again)


def test_a_stage_that_fails_is_a_failed_run(place, monkeypatch):
    def fails(*_: Any) -> None:
        raise UserError("diverged")

    monkeypatch.setattr(stage_module, "fit", fails)
    with pytest.raises(UserError, match="diverged"):
        run(place, "nat", "data=mini_nat", "seed=9")
    (found,) = read_all(place.root / "sweep" / "nat")
    assert found.exit_code == 1


def test_all_figures_are_one_csv_file_in_the_jobs_folder_and_the_curve_one_with_the_stage(place):
    result = run(place, "nat", "data=mini_nat", "wandb.mode=disabled")
    with (place.root / "sweep" / "nat" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    for stage in result["stages"]:
        mine = [row for row in rows if row["stage"] == stage["stage"]]
        curve = [float(row["value"]) for row in mine if row["metric"] == "validation/w_f1"]
        assert curve == [point["w_f1"] for point in stage["curve"]]
        figures = {row["metric"]: float(row["value"]) for row in mine if not row["epoch"]}
        assert figures["test/org/w_f1"] == stage["test"]["org"]["w_f1"]
        assert list(place.root.glob(f"cache/stages/{stage['key']}/logs/version_0/metrics.csv"))
    assert not list(place.root.rglob("wandb"))


def test_weights_are_an_artifact_where_they_are_asked_for(place):
    run(place, "nat", "data=mini_org", "phase=original", "wandb.log_model=true")
    (found,) = read_all(place.root / "sweep" / "nat")
    (made,) = (each for each in found.artifacts if each.type == "model")
    assert made.name == "mini_org-compm-original-s0"
    metadata = json.loads(made.metadata)
    assert metadata["key"] == found.config["key"]
    assert metadata["hash.mini_org"] == found.config["hash.mini_org"]
    assert "model.safetensors" in {entry.path for entry in made.manifest.contents}
