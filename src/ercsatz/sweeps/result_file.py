"""``result.json``: what a job leaves behind. Ranking reads only these.

A result has ``schema`` (2), ``sha256`` of all else in it, ``status`` (running, completed or failed), ``choices``
(classifier, data, benchmark, variant, backbone, phase, loss, sampler), ``planned`` (the ranked stages that the job is
to score), ``sweep`` and the ``sweep_id`` of its ``sweep.json``, ``overrides``, ``seed``, ``labels``, ``label_counts``
of the data (by name, split and label), ``stages`` (whether ranked, key, the ``recipe``, which is all but the seed that
determines the weights, the key of what was trained ``before``, cached, best epoch, validation W-F1, the curve of
``training.trainer.fit``, seconds, accelerator, and per test set the scores of ``data.metrics``), ``hashes`` of the test
sets, and of the ``corpora`` as a whole, the ``objective`` by its names, ``versions``, ``host``, ``started`` and
``seconds``. A failed one has ``error`` and ``traceback``. One that is no completed one says when its job has ``begun``,
and has in ``progress`` how far its stages are (see ``training.progress``).

Older results lack ``objective``, ``planned``, ``sweep_id``, ``ranked``, ``recipe``, ``corpora``, ``label_counts``,
``curve`` and ``confusion``, and may have a hash of the ``code``; those of schema 1 lack ``sha256``. Readers do without.
"""

import hashlib
import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from ercsatz.data.text_files import atomic_write, read_json
from ercsatz.errors import UserError

NAME, SCHEMA = "result.json", 2
SCORES = ("w_f1", "macro_f1", "accuracy")
_PACKAGES = ("ercsatz", "torch", "pytorch-lightning", "transformers", "tokenizers", "hydra-core", "scikit-learn")

# Overrides of these keys leave what is computed as it is.
NOT_A_SETTING = (
    *("sweep=", "hydra.", "paths.", "wandb.", "ranking", "logger", "dry_run=", "experiment", "objective=", "cluster"),
    *(f"trainer.{key}=" for key in ("accelerator", "devices", "nodes", "strategy", "threads")),
    *(f"trainer.{key}=" for key in ("workers", "memory_tokens", "compile")),
)
# What names a treatment or tells its runs apart already.
_NAMED = ("classifier", "data", "seed")
_DEFAULT = "default"  # that of ranking.scores, whose import takes a second


def settings_of(overrides: Iterable[str]) -> dict[str, str]:
    """What a job's overrides set that can change a score, by key.

    Example:
        >>> settings_of(["data=mini_nat", "training.lr=0.1", "paths.cache=c"])
        {'data': 'mini_nat', 'training.lr': '0.1'}
    """
    given = [text.partition("=") for text in overrides if not text.startswith(NOT_A_SETTING)]
    return {key: value for key, _, value in given}


def swept_keys(cells: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """The settings with several values in a sweep that neither name a treatment yet nor tell its runs apart.

    Where some cells have a setting and others leave it as it is, ``default`` is one of its values.

    Example:
        >>> swept_keys([{"overrides": ["data=a", "training.lr=0.1"]}, {"overrides": ["data=a", "training.lr=0.2"]}])
        {'training.lr': ['0.1', '0.2']}
    """
    known = values_of(cell["overrides"] for cell in cells)
    for key, values in known.items():
        if any(key not in settings_of(cell["overrides"]) for cell in cells):
            known[key] = {_DEFAULT: None, **values}
    free = (key for key in known if key not in _NAMED and not f"{key}=".startswith(NOT_A_SETTING))
    return {key: list(known[key]) for key in free if len(known[key]) > 1}


def values_of(jobs: Iterable[Iterable[str]]) -> dict[str, dict[str, None]]:
    """The values of each overridden key over some jobs, in the order of their first appearance."""
    found: dict[str, dict[str, None]] = {}
    for overrides in jobs:
        for key, _, value in (text.partition("=") for text in overrides):
            found.setdefault(key, {})[value] = None
    return found


def write_result(folder: Path, result: Mapping[str, Any]) -> None:
    """Write ``result.json`` into a job's folder, whole or not at all."""
    told = _told(json.loads(json.dumps(result)))
    with atomic_write(folder / NAME) as file:
        json.dump({"schema": SCHEMA, **told, "sha256": _digest(told)}, file, indent=2, ensure_ascii=False)


def read_result(file: Path) -> dict[str, Any]:
    """A ``result.json``, of this or an earlier version.

    Raises:
        UserError: it is no result, of a later version, or has been changed since it was written.
    """
    mended = "Delete it and run the job again: what is trained is in the cache."
    result = read_json(file, mended)
    if not isinstance(result, dict) or result.get("schema") not in (1, SCHEMA):
        raise UserError(f"{file}: not a result of schema {SCHEMA}. {mended}")
    if result["schema"] == SCHEMA and result.get("sha256") != _digest(_told(result)):
        raise UserError(f"{file} has been changed since it was written (its SHA-256 is another). {mended}")
    return result


def refuse_unreadable(result: Mapping[str, Any], file: Path) -> None:
    """Refuse a result that lacks what is ranked, as others' files of this name and format number may.

    Raises:
        UserError: names the file.
    """
    match result:
        case {"status": "running"} | {"status": "failed", "error": str()}:
            return
        case {
            "status": "completed",
            "choices": {"classifier": str(), "benchmark": str()},
            "overrides": [*_],
            "hashes": dict() as hashes,
            "stages": [_, *_] as stages,
        } if all(_is_scored(stage, hashes) for stage in stages):
            return
    raise UserError(f"{file} is no result that train.py wrote: it lacks what is ranked. Move it away.")


def _is_scored(stage: Any, test_sets: Mapping[str, Any]) -> bool:
    match stage:
        case {"stage": str(), "variant": str(), "key": str(), "test": dict() as tests} if {*tests} <= {*test_sets}:
            numbers = (each.get(name) for each in tests.values() for name in SCORES)
            return all(isinstance(number, float | int) for number in numbers)
    return False


def _told(result: Mapping[str, Any]) -> dict[str, Any]:
    """All but what is about the file."""
    return {key: value for key, value in result.items() if key not in {"schema", "sha256"}}


def _digest(result: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(result, sort_keys=True).encode()).hexdigest()


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide a number."""
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in _PACKAGES}}
