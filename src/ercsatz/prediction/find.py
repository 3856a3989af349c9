"""Which classifier is meant: a saved one, a stage of a finished job, or the best of a sweep by validation."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ercsatz.errors import UserError

_FORMS = (
    "takes a saved classifier (cache/stages/KEY, or what ercsatz export wrote), a finished job (outputs/JOB, "
    "multirun/SWEEP/CELL) or a sweep (multirun/SWEEP)."
)


class Keys(NamedTuple):
    """What a command calls its choices, for messages: the classifier, the stage, the cache."""

    run: str
    stage: str
    cache: str


@dataclass(frozen=True)
class Found:
    """A saved classifier, and where it comes from.

    Attributes:
        folder: of the classifier.
        stage: its record in the job's result; None where the classifier was named itself.
        result: of its job, or None.
        others: results of the completed jobs of its sweep, its own among them.
        sweep: the folder of that, if any.
        chosen: why this one: which stage of what job, and of a sweep that it is the best by validation; may be empty.
    """

    folder: Path
    stage: Mapping[str, Any] | None = None
    result: Mapping[str, Any] | None = None
    others: Sequence[Mapping[str, Any]] = ()
    sweep: Path | None = None
    chosen: str = ""


def find_classifier(run: Path, cache: Path, keys: Keys, stage: str | None = None) -> Found:
    """The saved classifier that is meant.

    Args:
        run: a saved classifier, a job's folder or ``result.json``, or a sweep's folder.
        cache: where the job's stages are (``paths.cache``).
        keys: what the command calls these.
        stage: which stage of a job; None: the last one of its phase.

    Raises:
        UserError: there is none, a job did not complete, the classifiers of a sweep were validated on different
            dialogues, or the classifier is no longer in the cache.
    """
    if (run / "classifier.json").is_file():
        if stage is not None:
            raise UserError(f"{run} is one saved classifier. Leave {keys.stage} out.")
        return Found(run)
    folder = run.parent if run.name == "result.json" else run
    if (folder / "result.json").is_file():
        return _of_job(folder, cache, keys, stage)
    if not run.exists():
        raise UserError(f"There is no {run}. {keys.run} {_FORMS}")
    if not run.is_dir() or not any(folder.rglob("result.json")):
        raise UserError(f"{run} has neither a classifier.json nor a result.json. {keys.run} {_FORMS}")
    return _of_sweep(folder, cache, keys, stage)


def _of_job(folder: Path, cache: Path, keys: Keys, name: str | None) -> Found:
    from ercsatz.sweeps.results import collect

    (result, *_) = collect([folder])
    if result["status"] != "completed":
        raise UserError(
            f"The job in {folder} did not complete (it is {result['status']}). Run it again: {_again(result)}"
        )
    stage = _stage(result, name)
    if stage is None:
        raise UserError(f"The job in {folder} has no stage {name}; it has {', '.join(_names([result]))}: {keys.stage}")
    sweep = _sweep_of(result)
    others = [each for each in collect([sweep]) if each["status"] == "completed"] if sweep else [result]
    chosen = f"stage {stage['stage']} of {folder}"
    return Found(_saved(result, stage, cache, keys), stage, result, others, sweep, chosen)


def _of_sweep(folder: Path, cache: Path, keys: Keys, name: str | None) -> Found:
    from ercsatz.sweeps.results import collect

    results = collect([folder])
    done = [result for result in results if result["status"] == "completed"]
    if not done:
        raise UserError(f"No job of {folder} has completed. Wait for it, or run the sweep again.")
    pairs = [(result, stage) for result in done if (stage := _stage(result, name)) is not None]
    if not pairs:
        raise UserError(f"No job of {folder} has a stage {name}; there are {', '.join(_names(done))}: {keys.stage}")
    if unknown := [result["source"] for result, stage in pairs if stage.get("validation_w_f1") is None]:
        raise UserError(f"{unknown[0]} has no validation score. Give one job of {folder}.")
    result, stage = _comparable_best(folder, pairs)
    missing = len(results) - len(done)
    told = (
        f"stage {stage['stage']} of {result['source']}, the best of {_counted(len(pairs))} by validation W-F1 "
        f"({100 * stage['validation_w_f1']:.2f})"
    )
    told += f"; {_counted(missing)} of the sweep did not complete" if missing else ""
    return Found(_saved(result, stage, cache, keys), stage, result, done, _sweep_of(result), told)


_Pair = tuple[Mapping[str, Any], Mapping[str, Any]]


def _comparable_best(folder: Path, pairs: Sequence[_Pair]) -> _Pair:
    """The job and stage of the best validation W-F1, the first of equal ones; test scores are not looked at."""
    groups: dict[Any, list[_Pair]] = {}
    for result, stage in pairs:
        dialogues = stage.get("recipe", {}).get("validation", result["choices"]["benchmark"])
        groups.setdefault((tuple(result.get("labels", ())), dialogues), []).append((result, stage))
    bests = [max(group, key=lambda pair: float(pair[1]["validation_w_f1"])) for group in groups.values()]
    if len(bests) > 1:
        listed = "; ".join(
            f"{result['source']} ({result['choices']['benchmark']}, {stage['stage']})" for result, stage in bests
        )
        raise UserError(
            f"The classifiers of {folder} were validated on different dialogues, so none of them is the best. Give one "
            f"job; the best on each: {listed}"
        )
    return bests[0]


def _saved(result: Mapping[str, Any], stage: Mapping[str, Any], cache: Path, keys: Keys) -> Path:
    folder = cache / "stages" / str(stage["key"])
    if not (folder / "classifier.json").is_file():
        raise UserError(
            f"The classifier of {result['source']}, {folder}, is not there any more. If the cache is elsewhere: "
            f"{keys.cache}. To train it again: {_again(result)}"
        )
    return folder


def _sweep_of(result: Mapping[str, Any]) -> Path | None:
    """The folder of the sweep that a job is of."""
    from ercsatz.sweeps import sweep_file

    own, folders = result.get("sweep_id"), Path(result["source"]).absolute().parents
    return next((folder for folder in folders if own and sweep_file.id_of(folder) == own), None)


def _stage(result: Mapping[str, Any], name: str | None) -> Mapping[str, Any] | None:
    """The record of a job's stage; without a name that of its last one, None where it has none of this name."""
    stages: Sequence[Mapping[str, Any]] = result["stages"]
    return stages[-1] if name is None else next((stage for stage in stages if stage["stage"] == name), None)


def _names(results: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(stage["stage"] for result in results for stage in result["stages"]))


def _counted(jobs: int) -> str:
    return "1 job" if jobs == 1 else f"{jobs:,} jobs"


def _again(result: Mapping[str, Any]) -> str:
    return shlex.join(["python", "train.py", *result.get("overrides", ())])
