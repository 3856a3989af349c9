"""Kill, stop and interrupt every command at random times, finish it, and compare with an undisturbed run.

    python benchmarks/faults/kills.py [--kills 210] [--seed 0] [--commands "train;rank"] [--output FILE.json]

A command gets up to four signals, SIGKILL, SIGTERM or SIGINT, alone or with all its processes as Ctrl-C does, each at a
time drawn from its own duration; it is started anew after each, and once more to its end. What it leaves must be what
an undisturbed run leaves, byte for byte, but for time stamps: what differs between two undisturbed runs as well.
SIGTERM must give the status 143 and SIGINT 130, with "Stopped." and no traceback, and no process may be left. The time
counts from the moment that Python has the command's signal handlers, some hundredths of a second after its start.
"""

import argparse
import hashlib
import json
import os
import platform
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil
import world

from ercsatz.data.text_files import atomic_write

RESULTS = world.RESULTS / "faults-kills.json"
KINDS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
PER_RUN = 4  # signals before a command may end
PATIENCE = 120.0  # seconds
AT_ITS_END = 0.5  # seconds in which a process that was ending anyway has ended
SWEEP = world.TRAIN
TIMES = re.compile(rb"\d{4}-\d\d-\d\d[T _]\d\d[:-]\d\d(:\d\d|-\d\d)?|\b\d+(\.\d+)? s\b")
PASSING = {"seconds", "started", "cached", "sweep_id", "id", "tried", "made"}  # keys whose values are times and marks


@dataclass(frozen=True)
class Command:
    """What is typed, what was there before, and where its results are."""

    line: tuple[str, ...]
    results: tuple[str, ...]
    fresh: tuple[str, ...] = ()  # not there before


COMMANDS = {
    "train": Command((*SWEEP, "sweep=kills"), ("multirun/kills", "cache/stages"), ("cache", "multirun")),
    "train, joblib": Command(
        (*SWEEP, "sweep=kills", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"),
        ("multirun/kills", "cache/stages"),
        ("cache", "multirun"),
    ),
    "train, submitit": Command(
        (*SWEEP, "sweep=kills", "hydra/launcher=submitit_local"),
        ("multirun/kills", "cache/stages"),
        ("cache", "multirun"),
    ),
    "generate": Command(
        ("generate.py", "--config-dir", "own", "data=small_nat", "plan.n_dialogues=300", "plan.max_turns=6"),
        ("data/small_nat",),
        ("data/small_nat", "data/small_nat.journal.sqlite"),
    ),
    "assess": Command(
        ("assess.py", "--config-dir", "own", "data=small_nat", "hydra.run.dir=assessed"),
        ("assessed",),
        ("assessed", "cache"),
    ),
    "knowledge": Command(
        ("knowledge.py", "--config-dir", "own", "data=small_nat", "retrieve.atomic=atomic.csv"), ("data/small_nat",)
    ),
    "predict": Command(
        ("predict.py", "checkpoint=trained", "dialogues=small/test.jsonl", "output=predicted.jsonl"),
        ("predicted.jsonl",),
    ),
    "rank": Command(("rank.py", "sweeps=[multirun/done]", "output=ranked"), ("ranked",)),
}


@dataclass
class Kill:
    """One signal and what came out."""

    command: str
    signal: str
    group: bool
    at: float
    after: str  # the last line that the command had written
    problems: list[str] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=210)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--commands", default=";".join(COMMANDS), help="names, with ; between")
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    names, draw = arguments.commands.split(";"), random.Random(arguments.seed)
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        bench = Bench(Path(folder), draw)
        undisturbed = {name: bench.undisturbed(name) for name in names}
        kills: list[Kill] = []
        runs: dict[str, dict[str, int]] = defaultdict(lambda: {"finished": 0, "differ": 0})
        while len(kills) < arguments.kills:
            name = min(names, key=lambda each: sum(kill.command == each for kill in kills))
            done, differing = bench.disturbed(name, *undisturbed[name])
            kills += done
            runs[name]["finished"] += 1
            runs[name]["differ"] += bool(differing)
            if differing:
                print(f"{name}: DIFFERENT after its end: {', '.join(differing)}", flush=True)
            print(f"{len(kills)} of {arguments.kills}, {name}", flush=True)
    table(kills, runs)
    result = {
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
        "python": platform.python_version(),
        "seed": arguments.seed,
        "runs": runs,
        "kills": [asdict(kill) for kill in kills],
    }
    with atomic_write(arguments.output) as file:
        json.dump(result, file, indent=1)
    sys.exit(any(kill.problems for kill in kills) or any(run["differ"] for run in runs.values()))


def table(kills: Sequence[Kill], runs: Mapping[str, Mapping[str, int]]) -> None:
    """A line a command: how often each signal, how many went wrong, how many finished runs are as undisturbed."""
    print(f"\n{'command':16} {'SIGKILL':>8} {'SIGTERM':>8} {'SIGINT':>8} {'wrong':>6} {'runs':>5} {'different':>10}")
    for name, run in runs.items():
        own = [kill for kill in kills if kill.command == name]
        counts = [sum(kill.signal == kind.name for kill in own) for kind in KINDS]
        wrong = sum(bool(kill.problems) for kill in own)
        print(f"{name:16} {counts[0]:8} {counts[1]:8} {counts[2]:8} {wrong:6} {run['finished']:5} {run['differ']:10}")
    for kill in kills:
        if kill.problems:
            print(f"{kill.command}, {kill.signal} at {kill.at:.2f} s ({kill.after}): {'; '.join(kill.problems)}")


class Bench:
    """A world to run commands in, always at the same place, since its path may be in results."""

    def __init__(self, folder: Path, draw: random.Random) -> None:
        self._template, self._world, self._draw = folder / "template", folder / "world", draw
        self._log = folder / "log"
        make_world(self._template)
        shutil.copytree(self._template, self._world)
        for line in (
            ("generate.py", "--config-dir", "own", "-m", "data=small_nat,small_bal", "plan.n_dialogues=40"),
            (*SWEEP, "sweep=done"),
        ):
            self._finish(line)
        (job,) = (self._world / "multirun" / "done").glob("compm-small_bal-*")
        shutil.copytree(job, self._world / "trained")
        shutil.rmtree(self._template)
        self._world.rename(self._template)

    def undisturbed(self, name: str) -> tuple[float, dict[str, str]]:
        """How long a command takes, and its results that are the same in two runs."""
        found = []
        for _ in range(2):
            self._renew(name)
            began = time.monotonic()
            self._finish(COMMANDS[name].line)
            seconds = time.monotonic() - began
            found.append(self._contents(name))
        same = {file: digest for file, digest in found[0].items() if found[1].get(file) == digest}
        print(f"{name}: {seconds:.1f} s, {len(same)} of {len(found[0])} files the same in two runs", flush=True)
        passing = sorted(found[0].keys() ^ found[1].keys() | {f for f in found[0] if f not in same})
        print(f"  not compared: {', '.join(passing) or 'none'}", flush=True)
        return seconds, same

    def disturbed(self, name: str, seconds: float, expected: Mapping[str, str]) -> tuple[list[Kill], list[str]]:
        """Signals to one command, and the results that are others in the end."""
        self._renew(name)
        kills: list[Kill] = []
        while len(kills) < PER_RUN and (kill := self._kill(name, seconds)):
            kills.append(kill)
        self._finish(COMMANDS[name].line)
        found = self._contents(name)
        return kills, sorted(file for file, digest in expected.items() if found.get(file) != digest)

    def _renew(self, name: str) -> None:
        shutil.rmtree(self._world, ignore_errors=True)
        shutil.copytree(self._template, self._world)
        for each in COMMANDS[name].fresh:
            path = self._world / each
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def _start(self, line: Sequence[str]) -> "subprocess.Popen[bytes]":
        settings = {"OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled", "PYTHONPATH": str(world.REPOSITORY / "src")}
        with self._log.open("wb") as log, Path(f"{self._log}.err").open("wb") as errors:
            return subprocess.Popen(
                [sys.executable, str(world.REPOSITORY / line[0]), *line[1:]],
                cwd=self._world,
                env={**os.environ, **settings},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=errors,
                start_new_session=True,
            )

    def _finish(self, line: Sequence[str]) -> None:
        process = self._start(line)
        if process.wait(600):
            raise SystemExit(f"{' '.join(line)}: status {process.returncode}\n{self._written()}")

    def _written(self) -> str:
        return self._log.read_text(errors="replace") + Path(f"{self._log}.err").read_text(errors="replace")

    def _kill(self, name: str, seconds: float) -> Kill | None:
        """One signal; None where the command was done before."""
        number, group = self._draw.choice(KINDS), self._draw.random() < 0.5
        at = self._draw.uniform(0, seconds)
        process = self._start(COMMANDS[name].line)
        while process.poll() is None and not handles(process.pid, signal.SIGTERM):
            time.sleep(0.002)
        try:
            process.wait(at)
            return None
        except subprocess.TimeoutExpired:
            pass
        last = self._log.read_text(errors="replace").strip().splitlines()[-1:]
        (os.killpg if group else os.kill)(process.pid, number)
        sent = time.monotonic()
        kill = Kill(name, number.name, group, round(at, 3), last[0].strip()[:100] if last else "")
        try:
            status = process.wait(PATIENCE)
            if status == 0 and time.monotonic() - sent < AT_ITS_END:
                return None
            kill.problems = self._checked(number, status)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            kill.problems = [f"it did not end in {PATIENCE:.0f} s"]
        if left := wait_for_none(process.pid):
            kill.problems.append(f"left behind: {left}")
        return kill

    def _checked(self, number: signal.Signals, status: int) -> list[str]:
        expected = -number if number == signal.SIGKILL else 128 + number
        errors = Path(f"{self._log}.err").read_text(errors="replace")
        problems = [] if status == expected else [f"status {status}"]
        if number != signal.SIGKILL and "Stopped." not in errors:
            problems.append("no word")
        return problems + (["a traceback"] if "Traceback" in errors else [])

    def _contents(self, name: str) -> dict[str, str]:
        """A digest of every file of a command's results, time stamps left out."""
        roots = [self._world / each for each in COMMANDS[name].results]
        files = [file for root in roots for file in ([root] if root.is_file() else sorted(root.rglob("*")))]
        hidden = (".hydra", ".submitit", "logs", "multirun.yaml")
        return {
            str(file.relative_to(self._world)): digest(file)
            for file in files
            if file.is_file() and not set(file.relative_to(self._world).parts) & set(hidden)
        }


def digest(file: Path) -> str:
    """Of a file without its time stamps."""
    content = file.read_bytes()
    if file.suffix == ".json":
        content = json.dumps(lasting(json.loads(content)), sort_keys=True).encode()
    return hashlib.sha256(TIMES.sub(b"", content)).hexdigest()


def lasting(value: object) -> object:
    if isinstance(value, dict):
        return {key: lasting(each) for key, each in value.items() if key not in PASSING}
    return [lasting(each) for each in value] if isinstance(value, list) else value


def handles(pid: int, number: int) -> bool:
    """Whether a process has a handler for a signal."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    found = re.search(r"SigCgt:\s*(\w+)", status)
    return bool(found and int(found[1], 16) >> (number - 1) & 1)


def wait_for_none(session: int) -> str:
    """The processes of a session that are there after 20 seconds; they are killed."""
    until = time.monotonic() + 20
    while (left := members(session)) and time.monotonic() < until:
        time.sleep(0.05)
    named = "; ".join(" ".join(process.cmdline())[:80] for process in left)
    for process in left:
        process.kill()
    return named


def members(session: int) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (OSError, psutil.Error):
            continue
    return found


def make_world(folder: Path) -> None:
    """A benchmark cut from mini, and three events of an ATOMIC table."""
    world.benchmark(folder)
    columns = ("oEffect", "oReact", "oWant", "xAttr", "xEffect", "xIntent", "xNeed", "xReact", "xWant")
    events = ("PersonX is late", "PersonX thanks PersonY", "PersonX wants to know what happened")
    rows = [",".join(["event", *columns, "prefix", "split"])]
    rows += [",".join([event, *(['"[""calm""]"'] * len(columns)), '"[]"', "trn"]) for event in events]
    (folder / "atomic.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
