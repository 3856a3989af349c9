import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from ercsatz.data.metrics import scores
from ercsatz.sweeps import sweep_file
from ercsatz.sweeps.result_file import write_result

LABELS = ("neutral", "joy", "anger")
GOLD = [0, 0, 0, 1, 1, 2]


class FakeSweep:
    """A sweep's folder as train.py leaves it, made without training."""

    def __init__(self, folder: Path, overrides: Sequence[Sequence[str]], labels: Sequence[str] = LABELS) -> None:
        self.folder, self.labels = folder, list(labels)
        folder.mkdir(parents=True, exist_ok=True)
        self.overrides = [list(each) for each in overrides]
        self.file = sweep_file.start(folder, folder.name, [self.identity(each) for each in self.overrides])

    def identity(self, overrides: Sequence[str]) -> dict[str, Any]:
        given = dict(text.split("=", 1) for text in overrides)
        variant = given["data"].partition("_")[2]
        choices = {"classifier": given["classifier"], "data": given["data"], "benchmark": "mini", "variant": variant}
        planned = [{"stage": "original", "variant": "org"}, {"stage": "finetune", "variant": variant}]
        return {
            "choices": choices, "planned": planned, "sweep": self.folder.name, "overrides": list(overrides),
            "seed": int(given["seed"]), "settings": {"seed": int(given["seed"]), "lr": given.get("training.lr", "0.1")},
        }  # fmt: skip

    def record(
        self, name: str, variant: str, key: str, predicted: Sequence[int] = (0, 0, 1, 1, 0, 2)
    ) -> dict[str, Any]:
        curve = [{"epoch": epoch, "loss": 1.0 / epoch, "w_f1": 0.1 * epoch} for epoch in (1, 2, 3)]
        found = scores(GOLD, predicted, self.labels)
        return {
            "stage": name, "variant": variant, "ranked": True, "key": key, "cached": False, "seconds": 61.0,
            "curve": curve, "accelerator": "cpu", "precision": "32-true", "test": {"org": found, variant: found},
        }  # fmt: skip

    def place(self, number: int) -> Path:
        folder = self.folder / f"cell{number}"
        folder.mkdir(exist_ok=True)
        return folder

    def write(self, number: int, status: str, **more: Any) -> None:
        identity = self.identity(self.overrides[number])
        identity.pop("settings")
        write_result(self.place(number), {"status": status, "sweep_id": self.file.id, **identity, **more})

    def complete(self, number: int) -> None:
        variant, seed = self.identity(self.overrides[number])["choices"]["variant"], self.overrides[number]
        stages = [
            self.record("original", "org", f"original {seed[0]} {seed[2]}"),
            self.record("finetune", variant, f"{seed}", (0, 0, 0, 1, 1, 0)),
        ]
        self.write(
            number, "completed", stages=stages, labels=self.labels,
            hashes=dict.fromkeys(("org", variant), "a" * 64), versions={"torch": "2"},
            host="Linux-x", started="2026-01-01T00:00:00+00:00", seconds=3661.0,
        )  # fmt: skip

    def run(self, number: int) -> None:
        done = {"stage": "original", "variant": "org", "key": "k", "scored": True, "state": "done", "seconds": 5.0}
        now = {"stage": "finetune", "variant": "nat", "key": "l", "scored": True, "state": "running"}
        record = copy.deepcopy(self.record("original", "org", f"running {number}"))
        self.write(
            number, "running", begun="9999-01-01T00:00:00+00:00", progress=[{**done, "record": record}, now]
        )  # fmt: skip


@pytest.fixture
def fake_sweep(tmp_path: Path) -> Callable[..., FakeSweep]:
    def make(cells: int = 4, name: str = "sweep", **options: Any) -> FakeSweep:
        jobs = [
            [f"classifier={c}", f"data=mini_{v}", f"seed={s}"]
            for s in range(-(-cells // 4))
            for c in ("compm", "emoone")
            for v in ("nat", "bal")
        ]
        return FakeSweep(tmp_path / name, jobs[:cells], **options)

    return make
