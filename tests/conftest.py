import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ercsatz import signals
from ercsatz.reporting.terminal import show_log

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared() -> Callable[[str], Path]:
    """Real corpora, models and published tables, where the machine has them; the test is skipped where it has not."""
    folder = Path(os.environ.get("ERCSATZ_TEST_SHARED", REPOSITORY.parent / "shared"))

    def find(name: str) -> Path:
        if not (folder / name).exists():
            pytest.skip(f"no {folder / name}: set ERCSATZ_TEST_SHARED to a folder that has {name}")
        return folder / name

    return find


@pytest.fixture
def wait_for() -> Callable[[Path], None]:
    """Wait until a file is there."""

    def wait(file: Path) -> None:
        for _ in range(1200):
            if file.exists():
                return
            time.sleep(0.05)
        pytest.fail(f"no {file} after 60 seconds")

    return wait


@pytest.fixture
def damaged() -> Callable[[Path], Iterator[str]]:
    """Changes one byte in each file below a folder, one after the other; gives the name of each that was changed."""
    from ercsatz.artifacts import manifest

    def each(folder: Path) -> Iterator[str]:
        names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
        for name in names:
            content = bytearray((folder / name).read_bytes())
            content[len(content) // 2] ^= 1
            (folder / name).write_bytes(content)
            manifest._VERIFIED.clear()  # as another process would begin
            yield name
        assert names

    return each


@pytest.fixture(autouse=True)
def own_state() -> Iterator[None]:
    """What a command remembers for its process, a test must not leave to the next: config folders, signals."""
    registry = sys.modules.get("ercsatz.config.registry")
    given, path = list(registry._given) if registry else [], list(sys.path)
    remembered = {name: getattr(signals._State, name) for name in ("stage", "owner", "received", "said", "instead")}
    yield
    if registry := sys.modules.get("ercsatz.config.registry"):
        registry._given[:] = given
    sys.path[:] = path
    for name, value in remembered.items():
        setattr(signals._State, name, value)


@pytest.fixture(autouse=True, scope="session")
def log_shown() -> None:
    """As in every command."""
    show_log()


@pytest.fixture(scope="session")
def hostile() -> str:
    """A text that a terminal would obey: title, colours, overwriting, bell, turned direction, 8-bit codes."""
    return "\x1b]0;title\x07\x1b[31mred\rover\b \u202eback\u2066 \x9b2J\x9d0;t\x9c \x00\x7f [red]:smile:"


@pytest.fixture(scope="session")
def obeyed() -> Callable[[str], list[str]]:
    """What of an output a terminal would obey."""
    return re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]").findall


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
    import wandb

    from ercsatz.tracking import wandb_run

    monkeypatch.setattr(wandb_run, "learnt", wandb_run.Learnt())

    wandb.teardown()
    yield
    wandb.teardown()


@pytest.fixture(scope="session")
def inspect() -> Callable[..., list[dict[str, Any]]]:
    """The records of the one offline run (of an id) below a folder, by W&B's own reader; ``--summary``: one in all."""

    def read(folder: Path, *options: str, id: str = "*") -> list[dict[str, Any]]:
        (run,) = (folder / "wandb").glob(f"offline-run-*-{id}")
        command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", *options, str(run)]
        text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
        return [json.loads(text)] if options else [json.loads(line) for line in text.splitlines()]

    return read


class SmallDisk:
    """A file system of its own, of a size that can change."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder = folder
        folder.mkdir()
        done = self._mount("-t", "tmpfs", "-o", f"size={size},mode=755", "none", str(folder))
        if done.returncode:
            pytest.skip(f"no file system can be mounted here ({done.stderr.strip()}); as root, or in: unshare -rm")

    def resize(self, size: int) -> None:
        self._mount("-o", f"remount,rw,size={size}", str(self.folder)).check_returncode()

    def read_only(self) -> None:
        self._mount("-o", "remount,ro", str(self.folder)).check_returncode()

    def unmount(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.folder)], check=False)

    def _mount(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], SmallDisk]]:
    """Mounts file systems of so many bytes; the test is skipped where that is not permitted."""
    if sys.platform != "linux" or shutil.which("mount") is None:
        pytest.skip("no file system can be mounted here: only on Linux")
    mounted: list[SmallDisk] = []

    def mount(size: int) -> SmallDisk:
        mounted.append(SmallDisk(tmp_path / f"disk{len(mounted)}", size))
        return mounted[-1]

    yield mount
    for each in mounted:
        each.unmount()
