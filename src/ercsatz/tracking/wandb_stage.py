"""A stage's run in Weights & Biases: its scores as the summary, confusion matrices, predictions, data sets, weights."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ercsatz.config import WandbConfig
from ercsatz.tracking import lineage
from ercsatz.tracking.figures import Scored, curve_metrics, score_metrics

_MATRIX = {"Actual": "Actual", "Predicted": "Predicted", "nPredictions": "nPredictions"}  # as the preset has them


def define(live: Any) -> None:
    """What stands for a curve in a table of runs: the best, not the last."""
    live.define_metric("validation/w_f1", summary="max")
    live.define_metric("validation/loss", summary="min")


def replay(live: Any, record: Mapping[str, Any]) -> None:
    """Log the curve of a stage that was trained before; not to a run that has it already."""
    if live.resumed:
        return
    for epoch, step, figures in curve_metrics(record):
        live.log({**figures, "epoch": epoch, "trainer/global_step": step})


def log_scores(
    live: Any, best: Mapping[str, float], tests: Mapping[str, Scored], labels: Sequence[str], text: bool
) -> None:
    """Scores to the summary; for each test set a confusion matrix and a table of predictions."""
    import wandb

    live.summary.update({**best, **score_metrics(tests)})
    logged: dict[str, Any] = {}
    for name, tested in tests.items():
        cells: list[Iterable[Any]] = [
            [gold, predicted, count]
            for gold, row in zip(labels, tested.scores["confusion"], strict=True)
            for predicted, count in zip(labels, row, strict=True)
        ]
        table = wandb.Table(columns=list(_MATRIX), data=cells)
        logged[f"test/{name}/confusion"] = wandb.plot_table(
            "wandb/confusion_matrix/v1", table, _MATRIX, {"title": f"test/{name}"}
        )
        logged[f"test/{name}/predictions"] = _predictions(tested, text)
    if logged:
        live.log(logged)


def _predictions(tested: Scored, text: bool) -> Any:
    import wandb

    said = {dialogue.id: dialogue.utterances for dialogue in tested.dialogues} if text else {}
    columns: list[str | int] = ["dialogue", "turn", "gold", "predicted", "probability", *(["text"] if text else [])]
    rows: list[Iterable[Any]] = []
    for row in tested.rows:
        found = [row["dialogue"], row["turn"], row["emotion"], row["predicted"], max(row["probabilities"])]
        rows.append([*found, said[row["dialogue"]][row["turn"]].text] if text else found)
    return wandb.Table(columns=columns, data=rows)


def log_data(live: Any, settings: WandbConfig, data: Mapping[str, tuple[Path, str]]) -> None:
    """Tell which generated data sets a run reads.

    Args:
        live: the run.
        settings: whether their files go to the server.
        data: by name, a data set's folder and content hash.
    """
    for name, (folder, content) in data.items():
        lineage.use(live, lineage.data_artifact(name, folder, content, {}, settings.log_data))


def log_model(live: Any, name: str, folder: Path, metadata: Mapping[str, Any]) -> None:
    """Log a stage's classifier, with its weights."""
    files = {file.name: file for file in sorted(folder.iterdir())}
    live.log_artifact(lineage.artifact(name, "model", files, metadata, upload=True))
