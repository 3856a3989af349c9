"""What assessing a large data set costs: 10,000 dialogues with at least 100,000 utterances, without the judge.

    python benchmarks/assess.py [--meld FOLDER] [--embedder FOLDER] [--dialogues N] [--output FILE.json]

The offline generator writes them for MELD (where ``ercsatz fetch`` puts it, or FOLDER), as a balanced data set, and
``assess.py`` runs once in a process of its own, with an empty cache and two threads. CPU time stands beside wall time,
as other work on the machine adds to the latter only. Memory is the highest that the process ever held.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ercsatz.data.dialogue import SPLITS
from ercsatz.data.text_files import atomic_write

ROOT = Path(__file__).resolve().parents[1]
THREADS = 2
QUIET = ("wandb.mode=disabled", "hydra.run.dir=out")
TURNS = ("plan.min_turns=6", "plan.max_turns=15")  # some more than ten on the mean


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--meld", type=Path, help="MELD's folder; where ercsatz fetch puts it by default")
    parser.add_argument("--embedder", default="lexical", help="lexical, or an encoder's folder")
    parser.add_argument("--dialogues", type=int, default=10_000)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    data = ["data=meld_bal", f"benchmark.path={(given.meld or Path('data/meld')).absolute()}"]
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        run(folder, "generate.py", *data, *TURNS, f"plan.n_dialogues={given.dialogues}")
        sizes = [count(folder / "data" / "meld_bal" / f"{split}.jsonl") for split in SPLITS]
        cost = run(folder, "assess.py", *data, f"assess.embedder={given.embedder}", *QUIET)
    result = {
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
        "python": platform.python_version(),
        "threads": THREADS,
        "embedder": Path(given.embedder).name,
        "dialogues": sum(dialogues for dialogues, _ in sizes),
        "utterances": sum(utterances for _, utterances in sizes),
        **cost,
    }
    text = json.dumps(result, indent=2)
    print(text)
    if given.output:
        with atomic_write(given.output) as file:
            file.write(text + "\n")


def run(folder: Path, name: str, *arguments: str) -> dict[str, float]:
    """Run a command and measure it."""
    threads = {f"{library}_NUM_THREADS": str(THREADS) for library in ("OMP", "OPENBLAS", "MKL")}
    begin = time.monotonic()
    process = subprocess.Popen([sys.executable, str(ROOT / name), *arguments], cwd=folder, env=os.environ | threads)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{name} failed.")
    return {
        "seconds": round(time.monotonic() - begin, 1),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_mb": round(usage.ru_maxrss / 1024),  # Linux counts in kilobytes
    }


def count(file: Path) -> tuple[int, int]:
    """Dialogues and utterances."""
    turns = [len(json.loads(line)["utterances"]) for line in file.read_text(encoding="utf-8").split("\n") if line]
    return len(turns), sum(turns)


if __name__ == "__main__":
    main()
