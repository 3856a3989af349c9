"""Every file of a finished sweep and of its cache damaged in turn: is a number ever another without a word?

    python benchmarks/faults/damage.py [--every N] [--processes N]

Each file is cut in half, gets one byte flipped in its middle, and is removed, one at a time. Then what reads it is run
again: for a file of the sweep's folder ``rank.py``, for one of the cache or of the data sets the sweep itself. What
came out is one of

- same: the same tables, whether or not a line said that something was made again;
- told: the command ended with status 1 and named the file, or the table names the cell that is missing;
- SILENT: other tables with status 0. This must not be.

Writes benchmarks/results/faults-damage.json.
"""

import argparse
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import world

SWEEP = "sweep=faults"
KINDS = ("cut", "flipped", "removed")
TABLES = ("ranking.csv", "scores.csv")
# What nothing reads again: logs of training, and where processes say what they use.
_ABOUT = ("in-use",)


@dataclass(frozen=True)
class Trial:
    """One damaged file, and what came of it."""

    file: str
    kind: str
    status: int
    outcome: str
    words: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--every", type=int, default=1, help="damage each Nth file only")
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        whole = world.make(Path(place) / "whole")
        done = world.run(whole, *world.TRAIN, SWEEP)
        assert done.returncode == 0, done.stdout + done.stderr
        targets = [*_targets(whole)][:: given.every]
        started = time.monotonic()
        with ThreadPoolExecutor(given.processes) as pool:
            jobs = [(whole, Path(place) / str(n), file, kind) for n, file in enumerate(targets) for kind in KINDS]
            trials = list(pool.map(lambda job: _trial(*job), jobs))
    rows = [_row(area, [trial for trial in trials if trial.file.startswith(area)]) for area in _areas(trials)]
    print(world.table(rows))
    for trial in trials:
        if trial.outcome == "SILENT":
            print(f"SILENT: {trial.file} {trial.kind}: {trial.words}")
    seconds = round(time.monotonic() - started)
    world.keep("faults-damage.json", {"rows": rows, "seconds": seconds, "trials": [asdict(trial) for trial in trials]})


def _targets(folder: Path) -> Iterator[str]:
    for area in ("multirun/faults", "cache", "data"):
        for file in sorted((folder / area).rglob("*")):
            if file.is_file() and not {*file.relative_to(folder).parts} & {*_ABOUT}:
                yield str(file.relative_to(folder))


def _trial(whole: Path, place: Path, file: str, kind: str) -> Trial:
    folder = world.copied(whole, place.with_name(f"{place.name}-{kind}"))
    target = folder / file
    content = target.read_bytes()
    middle = len(content) // 2
    if kind == "removed":
        target.unlink()
    else:
        flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :] if content else b"\n"
        target.write_bytes(content[:middle] if kind == "cut" else flipped)
    output = folder / "multirun" / "faults"
    if file.startswith("multirun"):
        output = folder / "again"
        done = world.run(folder, "rank.py", "sweeps=[multirun/faults]", "output=again")
    else:
        done = world.run(folder, *world.TRAIN, SWEEP)
    words = f"{done.stdout}\n{done.stderr}"
    same = all((output / name).is_file() and (output / name).read_bytes() == _before(whole, name) for name in TABLES)
    named = done.returncode == 1 and "Traceback" not in words and Path(file).name in words
    changed = "told" if named or "has no result of" in words else "unclear" if done.returncode else "SILENT"
    outcome = "same" if same and done.returncode == 0 else changed
    said = next((text for text in words.splitlines() if "damaged" in text or "error" in text or "changed" in text), "")
    shutil.rmtree(folder)
    return Trial(file, kind, done.returncode, outcome, said.replace(str(folder), "")[:300])


def _before(whole: Path, name: str) -> bytes:
    return (whole / "multirun" / "faults" / name).read_bytes()


def _areas(trials: list[Trial]) -> list[str]:
    return list(dict.fromkeys("/".join(trial.file.split("/")[:2]) for trial in trials))


def _row(area: str, trials: list[Trial]) -> dict[str, object]:
    outcomes, names = Counter(trial.outcome for trial in trials), ("same", "told", "unclear", "SILENT")
    return {"what": area, "trials": len(trials), **{name: outcomes[name] for name in names}}


if __name__ == "__main__":
    main()
