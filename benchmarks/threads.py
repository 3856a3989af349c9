"""How long a small stage takes by its number of threads and by how they wait, alone and beside busy processes.

    python benchmarks/threads.py --backbone tiny --rounds 3 --output benchmarks/results/threads.json

Each measurement is one ``train.py`` of the stage ``original`` on mini in a process of its own with an empty cache; the
time is what the result says that the stage took, without starting Python. Busy processes are endless loops in Python.
In each round every way is measured once in each company, in an order of its own; ratios are taken inside a round, to
the fastest of the fixed ways, so that what else the machine does meanwhile weighs less. The load before each is kept.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from models import machine

ROOT = Path(__file__).parent.parent
OWN = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
DEFAULT_SPINS = "300000"  # of libgomp where nothing is set


def ways(cores: int, spins: list[int]) -> dict[str, dict[str, str]]:
    """By name, the environment of each."""
    several = {"OMP_NUM_THREADS": str(cores)}
    return {
        "one thread": {"OMP_NUM_THREADS": "1"},
        f"{cores} threads, libgomp's spin": {**several, "GOMP_SPINCOUNT": DEFAULT_SPINS},
        f"{cores} threads, no spin": {**several, "GOMP_SPINCOUNT": "0"},
        **{f"{cores} threads, {n} spins": {**several, "GOMP_SPINCOUNT": str(n)} for n in spins},
        "auto": {},
    }


def stage_seconds(backbone: str, epochs: int, environment: dict[str, str]) -> float:
    """Seconds that the stage took."""
    name = "tiny" if backbone == "tiny" else "local"
    folder = [] if backbone == "tiny" else [f"backbone.checkpoint={Path(backbone).absolute()}"]
    with tempfile.TemporaryDirectory() as place:
        line = [
            sys.executable, str(ROOT / "train.py"), "classifier=compm", "data=mini_org", "phase=original",
            f"backbone={name}", *folder, f"training.epochs={epochs}", "training.batch_tokens=1024",
            f"paths.cache={place}/cache", f"hydra.run.dir={place}/job",
        ]  # fmt: skip
        kept = {key: value for key, value in os.environ.items() if key not in OWN}
        given = {**kept, "PYTHONPATH": str(ROOT / "src"), "WANDB_MODE": "disabled", **environment}
        done = subprocess.run(line, cwd=place, env=given, capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stdout + done.stderr)
        result = json.loads(Path(place, "job", "result.json").read_text(encoding="utf-8"))
    return float(result["stages"][0]["seconds"])


@contextmanager
def busy(number: int) -> Iterator[None]:
    """So many processes that compute, meanwhile."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(number)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def main() -> None:
    """Measure, and write after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="tiny", help="tiny, or a folder")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--busy", type=int, nargs="*", default=[0, 2], help="busy processes")
    parser.add_argument("--spins", type=int, nargs="*", default=[], help="more ways: so many turns of a waiting thread")
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    compared = ways(len(os.sched_getaffinity(0)), given.spins)
    rows: list[dict[str, Any]] = []
    for number in range(given.rounds):
        for company in given.busy:
            for way in random.Random(number).sample([*compared], len(compared)):
                load = os.getloadavg()[0]
                with busy(company):
                    seconds = stage_seconds(given.backbone, given.epochs, compared[way])
                rows.append({"round": number, "busy": company, "way": way, "seconds": seconds, "load": round(load, 1)})
                print(json.dumps(rows[-1]), flush=True)
                if given.output:
                    about = {**machine(), "backbone": Path(given.backbone).name, "epochs": given.epochs}
                    text = json.dumps({**about, "summary": summary(rows), "rows": rows}, indent=1)
                    given.output.write_text(f"{text}\n", encoding="utf-8")
    print(json.dumps(summary(rows), indent=1))


def summary(rows: list[dict[str, Any]]) -> dict[str, dict[str, dict[str, float]]]:
    """By company and way: median seconds, and the median of the ratios to the fastest fixed way of its round."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for company in dict.fromkeys(row["busy"] for row in rows):
        there = [row for row in rows if row["busy"] == company]
        best = {
            number: min((row["seconds"] for row in there if row["round"] == number and row["way"] != "auto"), default=0)
            for number in {row["round"] for row in there}
        }
        for way in dict.fromkeys(row["way"] for row in there):
            mine = [row for row in there if row["way"] == way]
            ratios = [row["seconds"] / best[row["round"]] for row in mine if best[row["round"]]]
            found.setdefault(f"beside {company} busy", {})[way] = {
                "seconds": round(statistics.median(row["seconds"] for row in mine), 1),
                "ratio": round(statistics.median(ratios), 2) if ratios else 0.0,
            }
    return found


if __name__ == "__main__":
    main()
