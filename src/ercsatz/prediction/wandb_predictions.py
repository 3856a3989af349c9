"""Predictions that were written to a file as a run in Weights & Biases."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ercsatz.config import WandbConfig
from ercsatz.data.dialogue import Dialogue, fingerprint
from ercsatz.data.text_files import read_json
from ercsatz.tracking.command_run import log_command, run_id
from ercsatz.tracking.lineage import artifact
from ercsatz.tracking.wandb_run import RunName, wandb_mode


def log_predictions(
    settings: WandbConfig,
    classifier: tuple[str, Path],
    dialogues: Sequence[Dialogue],
    output: Path,
    figures: Mapping[str, float],
) -> None:
    """Log how often each label was predicted, and scores; the file itself, which has texts, only with ``log_text``.

    Args:
        settings: where, and whether at all.
        classifier: its name and folder, which is named by the key of its stage.
        dialogues: that were read.
        output: what was written; the run is written beside it.
        figures: by name.
    """
    if wandb_mode(settings.mode) == "disabled":
        return
    name, folder = classifier
    content, stage = fingerprint(dialogues), folder / "stage.json"
    key = read_json(stage, "Copy the classifier again.")["key"] if stage.is_file() else folder.resolve().name
    config = {"classifier": name, "stage": "predict", "key": key, "hash.dialogues": content}

    def log(live: Any) -> None:
        live.summary.update(dict(figures))
        made = artifact(f"predictions-{output.stem}", "report", {output.name: output}, config, settings.log_text)
        live.log_artifact(made)

    run = RunName(run_id("predict", folder.resolve(), content), f"predict {output.stem}", name, "predict", (name,))
    log_command(settings, run, config, output.resolve().parent, log)
