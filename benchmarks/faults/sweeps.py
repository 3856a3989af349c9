"""Two sweeps that could be taken for each other: of one name, of one second, and with clocks that lie.

    python benchmarks/faults/sweeps.py [--times N]

- one name: two processes start a sweep of the same name at once. One runs; the other is refused and says who has it,
  or, where the first was done already, goes on. Both tables, if there are two, are the same.
- one second: three sweeps without a name start at once, and each has a folder of its own.
- clocks: the results of a finished sweep, and those of a stranger in its folder, get file times from 1970 to 2106, and
  the sweep is ranked: the table is the same each time.

Writes benchmarks/results/faults-sweeps.json.
"""

import argparse
import json
import os
import random
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

import world

LATEST = 2**32 - 1  # seconds since 1970, in 2106


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=10)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = world.make(Path(place) / "world")
        done = world.run(folder, *world.TRAIN, "sweep=whole")
        assert done.returncode == 0, done.stdout + done.stderr
        tried = {"one name": _one_name, "one second": _one_second, "clocks": _clocks}
        found = {what: Counter(trial(folder, n) for n in range(given.times)) for what, trial in tried.items()}
    rows = [{"what": what, "out": out, "times": times} for what, outs in found.items() for out, times in outs.items()]
    print(world.table(rows))
    world.keep("faults-sweeps.json", {"rows": rows})


def _table(sweep: Path) -> bytes:
    return (sweep / "ranking.csv").read_bytes()


def _together(folder: Path, *lines: tuple[str, ...]) -> list[tuple[int, str]]:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    started = [
        subprocess.Popen(world.line(*world.TRAIN, *line), cwd=folder, env=world.environment(), **pipes)
        for line in lines
    ]
    printed = [process.communicate()[0] for process in started]
    return [(process.returncode, text) for process, text in zip(started, printed, strict=True)]


def _one_name(folder: Path, number: int) -> str:
    name = f"name{number}"
    ended = _together(folder, (f"sweep={name}",), (f"sweep={name}",))
    same = _table(folder / "multirun" / name) == _table(folder / "multirun" / "whole")
    refused = sum(status == 1 and "is being run by" in text for status, text in ended)
    ran = sum(status == 0 for status, _ in ended)
    return f"{ran} ran, {refused} refused, the table {'as it should be' if same else 'ANOTHER'}"


def _one_second(folder: Path, number: int) -> str:
    before = {*(folder / "multirun").iterdir()}
    ended = _together(folder, (), (), ())
    new = {*(folder / "multirun").iterdir()} - before
    right = sum(_table(sweep) == _table(folder / "multirun" / "whole") for sweep in new)
    return f"{sum(not status for status, _ in ended)} ran, {len(new)} folders, {right} tables as they should be"


def _clocks(folder: Path, number: int) -> str:
    draw, sweep = random.Random(number), folder / "multirun" / "whole"
    stranger = sweep / "compm-small_nat-seed9-ffffff"
    if not stranger.is_dir():
        result = json.loads(next(sweep.glob("*/result.json")).read_text(encoding="utf-8"))
        stranger.mkdir()
        (stranger / "result.json").write_text(json.dumps({**result, "schema": 1, "sweep_id": "another"}))
    for file in sweep.glob("*/result.json"):
        moment = draw.randrange(LATEST)
        os.utime(file, (moment, moment))
    done = world.run(folder, "rank.py", "sweeps=[multirun/whole]", f"output=ranked{number}")
    same = done.returncode == 0 and _table(folder / f"ranked{number}") == _table(sweep)
    return f"the table {'as it should be' if same else 'ANOTHER'}"


if __name__ == "__main__":
    main()
