import json
from pathlib import Path
from typing import Any

import matplotlib.image
import pytest
from pytorch_lightning.loggers import Logger

from ercsatz.config import WandbConfig, WandbMode
from ercsatz.config.yaml_files import load_yaml
from ercsatz.data.metrics import scores
from ercsatz.errors import UserError
from ercsatz.resources import resource
from ercsatz.tracking.figures import Scored, score_metrics
from ercsatz.tracking.stage import Tracked, track
from ercsatz.tracking.wandb_run import RunName

LABELS = ["neutral", "joy", "anger"]
RECORD = {
    "key": "0123456789abcdef",
    "best_epoch": 2,
    "validation_w_f1": 0.5,
    "seconds": 3.5,
    "steps": 20,
    "epochs": 2,
    "curve": [{"epoch": 1, "loss": 1.5, "w_f1": 0.25}, {"epoch": 2, "loss": 1.25, "w_f1": 0.5}],
}
GOLD, PREDICTED = [0, 0, 1, 2], [0, 1, 1, 1]
ROWS = [
    {"dialogue": "d", "turn": n, "emotion": LABELS[g], "predicted": LABELS[p], "probabilities": [0.25, 0.5, 0.25]}
    for n, (g, p) in enumerate(zip(GOLD, PREDICTED, strict=True))
]
TESTS = {"org": Scored(scores(GOLD, PREDICTED, LABELS), ROWS, ())}
CONFIG = {"data": "mini_nat", "stage": "finetune", "variant": "nat", "labels": LABELS, "lr": 0.001, "classifier": "own"}


class Own(Logger):
    """Any logger: it knows figures and hyperparameters, no more."""

    def __init__(self, fails: bool = False) -> None:
        super().__init__()
        self.fails, self.figures, self.params, self.ended = fails, {}, {}, []
        made.append(self)

    name = version = "own"

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        if self.fails:
            raise OSError("disk full")
        self.figures |= {(key, step): value for key, value in metrics.items()}

    def log_hyperparams(self, params: dict[str, Any]) -> None:
        self.params |= params

    def finalize(self, status: str) -> None:
        self.ended.append(status)


made: list[Own] = []


@pytest.fixture(autouse=True)
def none_made() -> None:
    made.clear()


def tracked(folder: Path, **nodes: Any) -> Tracked:
    run = RunName("0123456789abcdef-00", "mini_nat-own-finetune-s0", "sweep", "finetune", ())
    return Tracked(WandbConfig(WandbMode.disabled, "p"), nodes, run, CONFIG, folder)


def shipped(name: str, folder: Path) -> dict[str, Any]:
    """A shipped logger's YAML, with what Hydra would fill in."""
    text = (resource("conf") / "logger" / f"{name}.yaml").read_text()
    file = folder / f"{name}.yaml"
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text(text.replace("${hydra:runtime.output_dir}", str(folder)).replace("${sweep}", "sweep"))
    return dict(load_yaml(file))


def replay(what: Tracked) -> None:
    """A stage from the cache, with its scores."""
    with track(what) as tracker:
        tracker.replay(RECORD)
        tracker.scored(RECORD, what.folder, TESTS)


def train(what: Tracked, error: Exception | None = None) -> None:
    """A stage whose training logs what the record has."""
    with track(what) as tracker:
        for logger in tracker.train():
            logger.log_metrics({"validation/w_f1": 0.25, "epoch": 0}, 9)
            logger.log_metrics({"validation/w_f1": 0.5, "epoch": 1}, 19)
            logger.finalize("success")  # as Lightning does when training ends
        if error is not None:
            raise error
        tracker.scored(RECORD, what.folder, TESTS)


@pytest.fixture
def own(monkeypatch) -> dict[str, Any]:
    """The node of the logger above, which pytest imports under a name of its own."""
    from ercsatz.tracking import loggers

    instantiate = loggers.instantiate
    monkeypatch.setattr(
        loggers,
        "instantiate",
        lambda node, key, base: Own(node["fails"]) if "fails" in node else instantiate(node, key, base),
    )
    return {"fails": False}


def test_any_logger_gets_hyperparameters_curve_and_scores(tmp_path, own):
    replay(tracked(tmp_path / "job", own=own))
    (logger,) = made
    assert logger.params == CONFIG
    assert (logger.figures["validation/w_f1", 9], logger.figures["train/loss", 19]) == (0.25, 1.25)
    assert {(name, 19): value for name, value in score_metrics(TESTS).items()}.items() <= logger.figures.items()
    assert logger.figures["best/epoch", 19] == 2
    assert logger.ended == ["success"]


def test_a_logger_of_a_stage_that_raises_has_failed(tmp_path, own):
    with pytest.raises(ValueError, match="diverged"):
        train(tracked(tmp_path / "job", own=own), ValueError("diverged"))
    assert made[0].ended == ["success", "failed"]


def test_a_logger_that_raises_costs_a_line_and_not_the_others_figures(tmp_path, own, capsys):
    train(tracked(tmp_path / "job", bad={"fails": True}, good=own))
    assert made[1].figures["test/org/w_f1", 19] == TESTS["org"].scores["w_f1"]
    (line,) = capsys.readouterr().out.splitlines()
    assert "The log of Own is lost" in line
    assert "disk full" in line


def test_words_in_braces_are_those_of_the_stage(tmp_path):
    from ercsatz.tracking.loggers import own_loggers

    node = {
        "_target_": "pytorch_lightning.loggers.CSVLogger",
        "save_dir": str(tmp_path),
        "version": "{stage}-{variant}",
    }
    (logger,) = own_loggers({"csv": node}, {"stage": "finetune", "variant": "nat"})
    assert logger.version == "finetune-nat"


def test_a_package_that_is_missing_is_told_with_the_command_that_installs_it(tmp_path, monkeypatch):
    monkeypatch.setattr("pytorch_lightning.loggers.mlflow._MLFLOW_AVAILABLE", False)
    with pytest.raises(UserError, match=r"logger=mlflow needs a package: pip install 'ercsatz\[mlflow\]'"):
        train(tracked(tmp_path / "job", **shipped("mlflow", tmp_path / "job")))


@pytest.mark.parametrize("log", [replay, train])
def test_tensorboard_reads_the_same_figures_and_a_picture(tmp_path, log):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log(tracked(tmp_path / "job", **shipped("tensorboard", tmp_path / "job")))
    found = EventAccumulator(str(tmp_path / "job" / "tensorboard" / "finetune-nat"))
    found.Reload()
    assert [(event.step, event.value) for event in found.Scalars("validation/w_f1")] == [(9, 0.25), (19, 0.5)]
    for name, value in score_metrics(TESTS).items():
        assert found.Scalars(name)[-1].value == pytest.approx(value, abs=1e-7), "TensorBoard has 32 bits"
    (picture,) = found.Images("test/org/confusion")
    assert min(picture.width, picture.height) > 100
    assert "_hparams_/session_start_info" in found.summary_metadata


def test_a_job_that_is_run_again_has_its_curve_in_tensorboard_once(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    what = tracked(tmp_path / "job", **shipped("tensorboard", tmp_path / "job"))
    train(what)
    replay(what)
    found = EventAccumulator(str(tmp_path / "job" / "tensorboard" / "finetune-nat"))
    found.Reload()
    assert [event.step for event in found.Scalars("validation/w_f1")] == [9, 19]


def mlflow_runs(folder: Path) -> tuple[Any, list[Any]]:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    (experiment,) = (each for each in client.search_experiments() if each.name != "Default")
    assert experiment.name == "sweep"
    return client, client.search_runs([experiment.experiment_id])


def test_mlflow_has_one_run_a_stage_with_the_same_figures_pictures_and_predictions(tmp_path):
    for job, log in (
        ("one", train),
        ("two", replay),
        ("one", replay),
    ):  # another job shares the stage; one is run again
        log(tracked(tmp_path / job, **shipped("mlflow", tmp_path / job)))
    client, (run,) = mlflow_runs(tmp_path)
    assert (run.info.run_name, run.info.status) == ("mini_nat-own-finetune-s0", "FINISHED")
    assert score_metrics(TESTS).items() <= run.data.metrics.items()
    curve = client.get_metric_history(run.info.run_id, "validation/w_f1")
    assert [(point.step, point.value) for point in curve] == [(9, 0.25), (19, 0.5)]
    assert run.data.params["classifier"] == "own"
    assert run.data.params["lr"] == "0.001"
    folder = Path(client.download_artifacts(run.info.run_id, "test/org"))
    assert min(matplotlib.image.imread(folder / "confusion.png").shape[:2]) > 100
    assert [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()] == ROWS


def test_a_stage_from_the_cache_that_no_job_has_logged_is_in_mlflow(tmp_path):
    replay(tracked(tmp_path / "job", **shipped("mlflow", tmp_path / "job")))
    _, (run,) = mlflow_runs(tmp_path)
    assert run.data.tags["cached"] == "true"
    assert run.data.metrics["validation/w_f1"] == 0.5


def test_a_stage_that_is_trained_after_it_failed_takes_the_place_of_the_failed_run_in_mlflow(tmp_path):
    what = tracked(tmp_path / "job", **shipped("mlflow", tmp_path / "job"))
    with pytest.raises(ValueError, match="stopped"):
        train(what, ValueError("stopped"))
    _, (run,) = mlflow_runs(tmp_path)
    assert run.info.status == "FAILED"
    train(what)
    _, (run,) = mlflow_runs(tmp_path)
    assert run.info.status == "FINISHED"
