"""Which classifier ``checkpoint=`` means: a saved one, or the last one of a finished job."""

import shlex
from pathlib import Path
from typing import Any

from ercsatz.errors import UserError

_LAST_FIRST = ("finetune", "original", "pretrain")
_ASKED = "checkpoint= takes a saved classifier (cache/stages/KEY) or a finished job (outputs/JOB, multirun/SWEEP/CELL)."


def find_classifier(checkpoint: Path, cache: Path) -> tuple[Path, str]:
    """The folder of the saved classifier that is meant.

    Args:
        checkpoint: a saved classifier, or a job's folder or ``result.json``.
        cache: where the job's stages are (``paths.cache``).

    Returns:
        The folder, and which stage of what job it is; empty for a classifier that was named itself.

    Raises:
        UserError: there is none, or the job did not complete, or its classifier is no longer in the cache.
    """
    if (checkpoint / "classifier.json").is_file():
        return checkpoint, ""
    folder = checkpoint.parent if checkpoint.name == "result.json" else checkpoint
    if (folder / "result.json").is_file():
        return _last_stage(folder, cache)
    if not checkpoint.exists():
        raise UserError(f"There is no {checkpoint}. {_ASKED}")
    if cells := sorted(file.parent for file in folder.glob("*/result.json")):
        raise UserError(f"{checkpoint} holds {len(cells)} jobs. Give one of them, for one checkpoint={cells[0]}")
    raise UserError(f"{checkpoint} has neither a classifier.json nor a result.json. {_ASKED}")


def _last_stage(folder: Path, cache: Path) -> tuple[Path, str]:
    from ercsatz.sweeps.results import collect

    (result, *_) = collect([folder])
    again = shlex.join(["python", "train.py", *result.get("overrides", ())])
    if result["status"] != "completed":
        raise UserError(f"The job in {folder} did not complete (it is {result['status']}). Run it again: {again}")
    stages: dict[str, Any] = {stage["stage"]: stage for stage in result["stages"]}
    name = next(name for name in _LAST_FIRST if name in stages)
    saved = cache / "stages" / stages[name]["key"]
    if not (saved / "classifier.json").is_file():
        raise UserError(
            f"The classifier of {folder}, {saved}, is not there any more. If the cache is elsewhere: "
            f"paths.cache=FOLDER. To train it again: {again}"
        )
    return saved, f"stage {name} of {folder}"
