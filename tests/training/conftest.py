import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import wandb

from ercsatz.dialogue import Dialogue, Utterance

LABELS = ("neutral", "joy", "anger")
WORDS = {"neutral": ["the train", "on monday"], "joy": ["how lovely", "great news"], "anger": ["stop that", "get out"]}


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Threads only get into each other's way with tensors this small."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def make_dialogues() -> Callable[..., tuple[Dialogue, ...]]:
    """Dialogues of two speakers whose words tell the emotion, most of the time."""

    def make(n: int, seed: int = 0) -> tuple[Dialogue, ...]:
        draw = random.Random(seed)

        def turn(speaker: str) -> Utterance:
            emotion = draw.choice(LABELS)
            words = [draw.choice(WORDS[draw.choice([emotion, emotion, "neutral"])]) for _ in range(draw.randint(1, 3))]
            return Utterance(speaker, f"{' '.join(words)}.", emotion)

        return tuple(
            Dialogue(f"{seed}-{i}", tuple(turn(draw.choice(["Ann", "Bo"])) for _ in range(draw.randint(2, 5))))
            for i in range(n)
        )

    return make


@pytest.fixture
def wait_for() -> Callable[[Path], None]:
    """Wait until a file is there."""

    def wait(file: Path) -> None:
        for _ in range(400):
            if file.exists():
                return
            time.sleep(0.05)
        pytest.fail(f"no {file} after 20 seconds")

    return wait


class Terminal:
    """A standard input that says it is a terminal, and that nobody may read."""

    def isatty(self) -> bool:
        return True

    def readline(self, *_: Any) -> str:
        pytest.fail("something was asked for")

    read = fileno = readline


@pytest.fixture
def logged_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No key for Weights & Biases anywhere, no settings, and a terminal where a prompt could be answered."""
    for name in [name for name in os.environ if name.startswith("WANDB_") and name != "WANDB_ERROR_REPORTING"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NETRC", str(tmp_path / "home" / "netrc"))
    monkeypatch.setattr("sys.stdin", Terminal())
    wandb.teardown()
    yield
    wandb.teardown()


@pytest.fixture(scope="session")
def inspect() -> Callable[..., list[dict[str, Any]]]:
    """The records of the one offline run below a folder, by W&B's own reader; ``--summary`` gives one in all."""

    def read(folder: Path, *options: str) -> list[dict[str, Any]]:
        (run,) = (folder / "wandb").glob("offline-run-*")
        command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", *options, str(run)]
        text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
        return [json.loads(text)] if options else [json.loads(line) for line in text.splitlines()]

    return read
