"""``result.json``: what a job leaves behind. Ranking reads only these.

A result has ``schema`` (1), ``status`` (running, completed or failed), ``choices`` (classifier, data, benchmark,
variant, backbone, phase, loss), ``planned`` (the ranked stages that the job is to score), ``sweep``, ``overrides``,
``seed``, ``labels``, ``label_counts`` of the data (by name, split and label), ``stages`` (whether ranked, key, the key
of what was trained ``before``, cached, best epoch, validation W-F1, the curve of ``training.trainer.fit``, seconds,
accelerator, and per test set the scores of ``data.metrics``), ``hashes`` of the test sets, ``versions``, ``host``,
``started`` and ``seconds``. A failed one has ``error`` and ``traceback``. Older results lack ``planned``, ``ranked``,
``label_counts``, ``curve`` and ``confusion``, and may have a hash of the ``code``; readers do without.
"""

import json
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from ercsatz.data.text_files import atomic_write

SCHEMA = 1
_PACKAGES = ("ercsatz", "torch", "pytorch-lightning", "transformers", "tokenizers", "hydra-core", "scikit-learn")

# Overrides of these keys leave what is computed as it is.
NOT_A_SETTING = (
    *("sweep=", "hydra.", "paths.", "wandb.", "ranking.", "logger", "dry_run="),
    *(f"trainer.{key}=" for key in ("accelerator", "workers", "memory_tokens", "compile")),
)


def write_result(folder: Path, result: Mapping[str, Any]) -> None:
    """Write ``result.json`` into a job's folder, whole or not at all."""
    with atomic_write(folder / "result.json") as file:
        json.dump({"schema": SCHEMA, **result}, file, indent=2, ensure_ascii=False)


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide a number."""
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in _PACKAGES}}
