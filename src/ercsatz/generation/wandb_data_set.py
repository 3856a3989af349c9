"""A generated data set as a run in Weights & Biases, and as an artifact that training reads."""

import json
from pathlib import Path
from typing import Any

from ercsatz.artifacts.keys import flat
from ercsatz.config import GenerateConfig
from ercsatz.data.dialogue import SPLITS
from ercsatz.data.files import read_jsonl
from ercsatz.generation.dataset.folder import CONFIG_FILE
from ercsatz.tracking.command_run import log_command, run_id
from ercsatz.tracking.figures import flat_config
from ercsatz.tracking.lineage import data_artifact, data_hash
from ercsatz.tracking.wandb_run import RunName, wandb_mode


def log_data_set(config: GenerateConfig, folder: Path) -> None:
    """Log a data set: its settings, what became of the requests, its labels, and the artifact.

    Args:
        config: that it was made with.
        folder: its own; runs are written beside it.
    """
    if wandb_mode(config.wandb.mode) == "disabled":
        return
    name = config.data.name
    splits = {split: read_jsonl(folder / f"{split}.jsonl") for split in SPLITS}
    content, made = data_hash(splits), json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    known = {
        "data": name,
        "benchmark": config.benchmark.name,
        "variant": str(config.data.variant),
        "stage": "generate",
        "seed": config.seed,
        "model": made["model"],
        f"hash.{name}": content,
    }
    sizes = {f"dialogues/{split}": len(dialogues) for split, dialogues in splits.items()}
    labels = {f"labels/{label}": count for label, count in made["labels"]["data"].items()}
    funnel = {f"funnel/{key}": count for key, count in flat(made["funnel"])}

    def log(live: Any) -> None:
        import wandb

        live.summary.update({**sizes, **labels, **funnel})
        live.log({"labels": wandb.Image(str(folder / "labels.png"))})
        live.log_artifact(data_artifact(name, folder, content, {**known, **sizes}, config.wandb.log_data))

    tags = (config.benchmark.name, str(config.data.variant), config.generator.name)
    run = RunName(run_id("generate", name, content), f"generate {name}", name, "generate", tags)
    log_command(config.wandb, run, {**flat_config(config), **known}, folder.resolve().parent, log)
