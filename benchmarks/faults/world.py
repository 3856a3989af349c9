"""A small working directory in which faults are put, and commands are run as users type them."""

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
RESULTS = REPOSITORY / "benchmarks" / "results"
OWN = ("--config-dir", "own")
MICRO = (
    *(
        f"backbone.size.{key}={value}"
        for key, value in {"hidden": 16, "layers": 1, "heads": 2, "vocabulary": 400}.items()
    ),
    *("training.epochs=1", "training.lr=0.01", "training.batch_tokens=1024", "training.pretrain.epochs=3"),
    *("training.finetune.lr=1e-6", "classifier.memory_dropout=0"),
)
TRAIN = ("train.py", *OWN, "-m", "classifier=compm", "data=small_nat,small_bal", *MICRO)
_SIZES = {"train": 10, "validation": 6, "test": 8}


def environment(**more: str) -> dict[str, str]:
    """One thread, no Weights & Biases, none of the caller's own folders."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("ERCSATZ_", "HYDRA_"))}
    return {**kept, "OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled", "PYTHONPATH": str(REPOSITORY / "src"), **more}


def line(name: str, *arguments: str) -> list[str]:
    """``python NAME ARGUMENTS``."""
    return [sys.executable, str(REPOSITORY / name), *arguments]


def run(
    folder: Path, name: str, *arguments: str, timeout: float = 300, **variables: str
) -> "subprocess.CompletedProcess[str]":
    """Run a command in a folder, to its end."""
    return subprocess.run(
        line(name, *arguments),
        cwd=folder,
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def benchmark(folder: Path) -> None:
    """A benchmark ``small``, cut from ``mini``."""
    mini = REPOSITORY / "src" / "ercsatz" / "data" / "benchmarks" / "mini"
    yaml = (REPOSITORY / "conf" / "benchmark" / "mini.yaml").read_text(encoding="utf-8").partition("\npublished:")[0]
    yaml = yaml.replace("name: mini", "name: small").replace("title: mini", "title: small")
    yaml = yaml.replace("path: ${ercsatz_package:}/data/benchmarks/mini", "path: small")
    (folder / "own" / "benchmark").mkdir(parents=True)
    (folder / "own" / "benchmark" / "small.yaml").write_text(f"{yaml}\n", encoding="utf-8")
    (folder / "small").mkdir()
    for split, number in _SIZES.items():
        lines = (mini / f"{split}.jsonl").read_text(encoding="utf-8").split("\n")[:number]
        (folder / "small" / f"{split}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def make(folder: Path) -> Path:
    """The benchmark, and two data sets written for it."""
    benchmark(folder)
    plan = ("data=small_nat,small_bal", "plan.n_dialogues=40", "plan.max_turns=6")
    made = run(folder, "generate.py", *OWN, "-m", *plan)
    assert made.returncode == 0, made.stdout + made.stderr
    return folder


def copied(folder: Path, target: Path, *without: str) -> Path:
    """A copy that may be spoilt."""
    return Path(shutil.copytree(folder, target, ignore=shutil.ignore_patterns(*without), symlinks=True))


def files(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file below a folder, by its path."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as a Markdown table."""
    heads = list(rows[0])
    lines = [heads, ["---"] * len(heads), *([str(row[head]) for head in heads] for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def keep(name: str, measured: Mapping[str, Any]) -> None:
    """Write a result file, with the machine it is from."""
    machine = {"python": platform.python_version(), "system": platform.platform(), "cores": os.cpu_count()}
    (RESULTS / name).write_text(json.dumps({**measured, "machine": machine}, indent=1) + "\n", encoding="utf-8")
