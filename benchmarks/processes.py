"""Train three classifiers on a part of MELD in 1, 2 and 4 processes, and say by how much their numbers differ.

    python benchmarks/processes.py MELD CHECKPOINT [--processes 1 2 4] [--dialogues 12 6 6] [--output FILE.json]

MELD is the folder of its three CSV files, CHECKPOINT that of a pretrained encoder. Dropout is off, in the encoder too:
a copy of the checkpoint says so. TODKAT's topic layer is fitted in one process and taken from the cache by the others,
as its masks are drawn anew in each process. Every run is ``python train.py -m ...`` in a folder of its own. Times are
those of processes that share the cores of one machine, and say nothing of a machine with a GPU for each.
"""

import argparse
import csv
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ercsatz.data.text_files import atomic_write

REPOSITORY = Path(__file__).resolve().parents[1]
CLASSIFIERS = {
    "compm": ["classifier.memory_dropout=0"],
    "emoone": [],
    "todkat": ["classifier.dropout=0"],
}
SPLITS = {"train": "train_sent_emo.csv", "validation": "dev_sent_emo.csv", "test": "test_sent_emo.csv"}


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("meld", type=Path)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--dialogues", type=int, nargs=3, default=[12, 6, 6], help="of train, validation and test")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--classifiers", nargs="+", default=list(CLASSIFIERS))
    parser.add_argument("--output", type=Path, default=REPOSITORY / "benchmarks/results/processes-2-cores.json")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        world = Path(place)
        _cut(given.meld, dict(zip(SPLITS, given.dialogues, strict=True)), world / "meld")
        _without_dropout(given.checkpoint, world / "encoder")
        runs = [run for name in given.classifiers for run in _runs(world, name, given.processes, given.epochs)]
    found = {
        "machine": platform.platform(),
        "cores": os.cpu_count(),
        "checkpoint": given.checkpoint.name,
        "dialogues": dict(zip(SPLITS, given.dialogues, strict=True)),
        "epochs": given.epochs,
        "runs": runs,
        "largest_differences": {name: _differences(runs, name) for name in given.classifiers},
    }
    with atomic_write(given.output) as file:
        json.dump(found, file, indent=2)
    print(json.dumps(found["largest_differences"], indent=2))


def _cut(meld: Path, dialogues: dict[str, int], folder: Path) -> None:
    """The first dialogues of each split."""
    folder.mkdir()
    for split, name in SPLITS.items():
        with (meld / name).open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        kept = list(dict.fromkeys(row["Dialogue_ID"] for row in rows))[: dialogues[split]]
        with (folder / name).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(row for row in rows if row["Dialogue_ID"] in kept)


def _without_dropout(checkpoint: Path, folder: Path) -> None:
    shutil.copytree(checkpoint, folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")


def _runs(world: Path, classifier: str, processes: list[int], epochs: int) -> list[dict[str, Any]]:
    """A run for each number of processes; the first one's topic layer is that of all."""
    runs: list[dict[str, Any]] = []
    for number in processes:
        folder = world / f"{classifier}-{number}"
        folder.mkdir()
        if runs and classifier == "todkat":
            topic = Path("cache", "stages", runs[0]["before"])
            shutil.copytree(world / f"{classifier}-{processes[0]}" / topic, folder / topic)
        runs.append(_run(folder, classifier, number, epochs))
        print(json.dumps(runs[-1]), flush=True)
    return runs


def _run(folder: Path, classifier: str, number: int, epochs: int) -> dict[str, Any]:
    line = [sys.executable, str(REPOSITORY / "train.py"), "-m", f"classifier={classifier}", *CLASSIFIERS[classifier]]
    line += ["data=meld_org", "benchmark.path=../meld", "benchmark.published=null", "phase=original", "sweep=one"]
    line += ["backbone=roberta-base", "backbone.checkpoint=../encoder", "backbone.pooling=mean", "training.lr=3e-4"]
    line += [
        "classifier.max_tokens=64",
        "training.batch_tokens=1024",
        f"training.epochs={epochs}",
        "trainer.accelerator=cpu",
    ]
    line += [f"trainer.devices={number}", "wandb.mode=disabled"]
    started = time.time()
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    (result,) = folder.glob("multirun/one/*/result.json")
    (stage,) = json.loads(result.read_text(encoding="utf-8"))["stages"]
    return {
        "classifier": classifier,
        "processes": number,
        "seconds": round(time.time() - started, 1),
        "curve": stage["curve"],
        "test_w_f1": stage["test"]["org"]["w_f1"],
        "confusion": stage["test"]["org"]["confusion"],
        "before": stage["before"],
    }


def _differences(runs: list[dict[str, Any]], classifier: str) -> dict[str, float]:
    """From the first run, over all numbers of processes and epochs."""
    first, *others = [run for run in runs if run["classifier"] == classifier]
    pairs = [(a, b) for other in others for a, b in zip(first["curve"], other["curve"], strict=True)]
    return {
        "loss": max(abs(a["loss"] - b["loss"]) for a, b in pairs),
        "validation_w_f1": max(abs(a["w_f1"] - b["w_f1"]) for a, b in pairs),
        "test_w_f1": max(abs(first["test_w_f1"] - other["test_w_f1"]) for other in others),
    }


if __name__ == "__main__":
    main()
