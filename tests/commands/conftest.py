import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil
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


class Run:
    """A command in a session of its own; what it writes is read as it comes."""

    def __init__(self, line: list[str], folder: Path, environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            line,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.lines: dict[str, list[str]] = {"stdout": [], "stderr": []}
        self._readers = [threading.Thread(target=self._read, args=(name,)) for name in self.lines]
        for reader in self._readers:
            reader.start()

    def _read(self, name: str) -> None:
        for line in getattr(self.process, name):
            self.lines[name].append(line)

    def seen(self, pattern: str) -> bool:
        return any(re.search(pattern, line) for lines in self.lines.values() for line in lines)

    def until(self, condition: str | Callable[[], object]) -> None:
        """Wait for a line, or for something else to hold."""
        end = time.monotonic() + 120
        while not (self.seen(condition) if isinstance(condition, str) else condition()):
            assert self.process.poll() is None, f"it ended before: {[lines[-9:] for lines in self.lines.values()]}"
            assert time.monotonic() < end, "it did not come about"
            time.sleep(0.002)

    def send(self, number: int, group: bool = False) -> None:
        """To the command alone, or to all its processes as a terminal does."""
        (os.killpg if group else os.kill)(self.process.pid, number)

    def end(self, seconds: float = 60) -> tuple[int, str, str]:
        """Wait for its end; status, standard output, standard error. Nothing of it may be left."""
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            pytest.fail("it did not end")
        wait_for(lambda: not self.others())
        for reader in self._readers:
            reader.join(10)
        return status, "".join(self.lines["stdout"]), "".join(self.lines["stderr"])

    def others(self) -> list[int]:
        """The other processes of the session."""
        found = []
        for pid in psutil.pids():
            try:
                if pid != self.process.pid and os.getsid(pid) == self.process.pid:
                    found += [pid] if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE else []
            except (ProcessLookupError, psutil.NoSuchProcess):
                continue
        return found


def wait_for(condition: Callable[[], object], seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.02)


@pytest.fixture
def start(environment, script):
    """Start a command; ``imports=True`` has every import on standard error, to hit one."""
    running: list[Run] = []

    def begin(folder: Path, name: str, *arguments: object, imports: bool = False, **variables: str) -> Run:
        profile = {"PYTHONPROFILEIMPORTTIME": "1"} if imports else {}
        line = [sys.executable, str(script(name)), *map(str, arguments)]
        running.append(Run(line, folder, {**environment, **variables, **profile}))
        return running[-1]

    yield begin
    for run in running:
        if run.process.poll() is None:
            os.killpg(run.process.pid, signal.SIGKILL)


@pytest.fixture(scope="session")
def check_stopped():
    """Check how a command ended that got a signal: status, one line, nothing else."""

    def check(run: Run, number: signal.Signals) -> tuple[str, str]:
        status, output, errors = run.end()
        told = [line for line in errors.splitlines() if not line.startswith("import time:")]
        assert status == 128 + number, output + "\n".join(told)
        assert sum(line.startswith("Stopped.") for line in told) == 1, told
        assert "Traceback" not in errors
        assert not [line for line in told if "Exception ignored" in line or "leaked" in line], told
        return output, errors

    return check
