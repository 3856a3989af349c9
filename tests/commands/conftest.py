import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
FROM_OUTSIDE = ("HYDRA_FULL_ERROR", "ERCSATZ_DATA", "ERCSATZ_CACHE")
Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def environment() -> Mapping[str, str]:
    """What every command runs in: one thread, no Weights & Biases, and nothing of the developer's own settings."""
    kept = {key: value for key, value in os.environ.items() if key not in FROM_OUTSIDE}
    return kept | {"OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled"}


@pytest.fixture(scope="session")
def script() -> Callable[[str], Path]:
    return lambda name: REPOSITORY / name


@pytest.fixture(scope="session")
def command(environment: Mapping[str, str], script: Callable[[str], Path]) -> Command:
    """Run ``python NAME.py ARGUMENTS`` in a folder, as users type it."""

    def run(folder: Path, name: str, *arguments: object, **variables: str) -> "subprocess.CompletedProcess[str]":
        line = [sys.executable, str(script(name)), *map(str, arguments)]
        return subprocess.run(
            line,
            cwd=folder,
            env={**environment, **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run


@pytest.fixture(scope="session")
def micro() -> tuple[str, ...]:
    """Settings that train in a moment, and fine-tune so little that nat and bal keep different scores."""
    size = {"hidden": 16, "layers": 1, "heads": 2, "vocabulary": 400}
    training = {"epochs": 1, "lr": 0.01, "batch_tokens": 1024, "pretrain.epochs": 8, "finetune.lr": 1e-6}
    return (
        *(f"backbone.size.{key}={value}" for key, value in size.items()),
        *(f"training.{key}={value}" for key, value in training.items()),
        "classifier.memory_dropout=0",
    )


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory, command: Command) -> Path:
    """A working directory with a benchmark of the user's own, ``small``, cut from mini, and its two data sets."""
    folder = tmp_path_factory.mktemp("world")
    yaml = (REPOSITORY / "conf" / "benchmark" / "mini.yaml").read_text(encoding="utf-8")
    yaml = yaml.partition("\npublished:")[0].replace("name: mini", "name: small").replace("title: mini", "title: small")
    yaml = yaml.replace("path: ${ercsatz_package:}/data/benchmarks/mini", "path: small")
    (folder / "own" / "benchmark").mkdir(parents=True)
    (folder / "own" / "benchmark" / "small.yaml").write_text(yaml + "\n", encoding="utf-8")
    (folder / "small").mkdir()
    for split, number in {"train": 10, "validation": 6, "test": 8}.items():
        lines = (
            (REPOSITORY / "src/ercsatz/data/benchmarks/mini" / f"{split}.jsonl").read_text(encoding="utf-8").split("\n")
        )
        (folder / "small" / f"{split}.jsonl").write_text("\n".join(lines[:number]) + "\n", encoding="utf-8")
    made = command(
        folder,
        "generate.py",
        "--config-dir",
        "own",
        "-m",
        "data=small_nat,small_bal",
        "plan.n_dialogues=40",
        "plan.max_turns=6",
    )
    assert made.returncode == 0, made.stdout + made.stderr
    return folder


@pytest.fixture
def new_world(world: Path, tmp_path: Path) -> Path:
    """A copy of ``world`` that a test may spoil; nothing is trained in it."""
    ignored = shutil.ignore_patterns("cache", "multirun", "outputs")
    return Path(shutil.copytree(world, tmp_path / "world", ignore=ignored))


@pytest.fixture(scope="session")
def result() -> Callable[[Path], dict]:
    """The ``result.json`` of a job's folder."""
    return lambda folder: json.loads((folder / "result.json").read_text(encoding="utf-8"))
