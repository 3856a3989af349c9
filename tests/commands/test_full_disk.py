"""Commands on a small file system of their own that fills up, or is read-only, while they write.

To have another command tried, add it to ``COMMANDS``: what is typed, and the files that must come out the same.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

OWN = ("--config-dir", "own")
ATOMIC = 'event,xIntent,xReact,oReact\nPersonX is late,[],"[""sorry""]","[""annoyed""]"\n'
ROOM = 200_000_000
BLOCK = os.sysconf("SC_PAGE_SIZE")  # what a file takes at least of such a file system
SCORES = "benchmark,test_set,compm_org,compm_nat\n" + "".join(f"b{n},org,{60 + n}.5,{61 + n}.2\n" for n in range(6))


@dataclass(frozen=True)
class Line:
    """A command.

    Attributes:
        typed: the script and its arguments; ``MICRO`` stands for the settings that train in a moment.
        made: patterns of the files that it makes.
        trained: whether it needs a trained classifier.
    """

    typed: tuple[str, ...]
    made: tuple[str, ...]
    trained: bool = False


SWEEP = ("train.py", *OWN, "-m", "data=small_nat", "sweep=one", "MICRO")
COMMANDS = {
    "train": Line(SWEEP, ("multirun/one/scores.csv", "multirun/one/*/predictions/*.jsonl")),
    "train from the cache": Line(SWEEP, ("multirun/one/scores.csv", "multirun/one/*/predictions/*.jsonl"), True),
    "generate": Line(
        ("generate.py", *OWN, "data=small_per", "plan.n_dialogues=60", "plan.max_turns=6"), ("data/small_per/*",)
    ),
    "assess": Line(
        ("assess.py", *OWN, "data=small_nat", "assess.halves=3", "assess.sample=100", "hydra.run.dir=out"),
        ("out/quality.csv", "out/offenders.csv"),
    ),
    "rank": Line(("rank.py", "scores=table.csv", "output=out"), ("out/ranking.csv", "out/scores.csv", "out/*.svg")),
    "knowledge": Line(
        ("knowledge.py", *OWN, "data=small_nat", "retrieve.atomic=atomic.csv"), ("data/knowledge/small_nat.jsonl",)
    ),
    "predict": Line(
        ("predict.py", *OWN, "checkpoint=STAGE", "dialogues=small/test.jsonl", "output=out/labels.csv"),
        ("out/labels.csv",),
        True,
    ),
}


@pytest.fixture(scope="module")
def plain(world, tmp_path_factory) -> Path:
    """A world in which nothing is trained, with what all commands read."""
    folder = tmp_path_factory.mktemp("plain") / "world"
    shutil.copytree(world, folder, ignore=shutil.ignore_patterns("cache", "multirun", "outputs"))
    (folder / "atomic.csv").write_text(ATOMIC, encoding="utf-8")
    (folder / "table.csv").write_text(SCORES, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def type_in(command, micro) -> Callable:
    """Run a line in a folder."""

    def run(line: Line, folder: Path):
        stages = sorted(folder.glob("cache/stages/*/classifier.json"))
        stage = str(stages[0].parent.relative_to(folder)) if stages else ""
        words = [word.replace("STAGE", stage) for word in line.typed]
        name, *arguments = [each for word in words for each in (micro if word == "MICRO" else (word,))]
        return command(folder, name, *arguments)

    return run


@pytest.fixture(scope="module")
def finished(plain, type_in, tmp_path_factory) -> Callable[[str], Path]:
    """The world after a command that had room."""
    made: dict[str, Path] = {}

    def end(name: str) -> Path:
        if name not in made:
            line = COMMANDS[name]
            begun = end("train") if line.trained else plain
            folder = Path(shutil.copytree(begun, tmp_path_factory.mktemp("finished") / "world"))
            if line.trained:
                shutil.rmtree(folder / "multirun")
            done = type_in(line, folder)
            assert done.returncode == 0, done.stdout + done.stderr
            made[name] = folder
        return made[name]

    return end


@pytest.fixture
def begun(plain, finished, small_disk) -> Callable:
    """A file system of its own with what a command begins from."""

    def copy(line: Line):
        small = small_disk(ROOM)
        source = finished("train") if line.trained else plain
        ignored = shutil.ignore_patterns("multirun") if line.trained else None
        shutil.copytree(source, small.folder, dirs_exist_ok=True, ignore=ignored)
        return small

    return copy


# The last is what SQLite says, now and then, of a full disk.
TROUBLE = "No space left on device|disk is full|Read-only file system|that can be made and written|disk I/O error"


def used(folder: Path) -> int:
    """Bytes of a folder on such a file system."""
    return sum(max(BLOCK, -(-path.lstat().st_size // BLOCK) * BLOCK) for path in folder.rglob("*"))


def content(folder: Path, line: Line) -> dict[str, bytes]:
    found = {str(path.relative_to(folder)): path for pattern in line.made for path in folder.glob(pattern)}
    assert found
    return {name: path.read_bytes() for name, path in found.items() if path.is_file()}


def half(folder: Path) -> list[str]:
    """What was left half written: hidden neighbours of files and folders, locks."""
    hidden = (path for path in folder.rglob(".*") if path.name != ".hydra" and "in-use" not in path.parts)
    return [str(path.relative_to(folder)) for path in (*hidden, *folder.glob("cache/**/*.lock"))]


def refused(done) -> None:
    """It was told once in a sentence, and no handler failed on its part."""
    told = done.stdout + done.stderr
    assert done.returncode == 1, told
    for word in ("Traceback", "Logging error", "Exception ignored", "During handling"):
        assert word not in told, told
    assert re.search(TROUBLE, told), told


# Of what the command writes, the share for which there is room; all of them: make test-all.
SHARES = [0.0, 0.05, 0.12, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
SAMPLED = {"train": (0.3,), "generate": (0.05,), "assess": (0.4,), "rank": (0.5,), "knowledge": (0.5,)}


CASES = [
    pytest.param(
        name,
        share,
        marks=() if share in SAMPLED.get(name, (0.0,)) else pytest.mark.slow,
        id=f"{name} {share:.0%}",
    )
    for name in COMMANDS
    for share in SHARES
]


@pytest.mark.parametrize(("name", "share"), CASES)
def test_a_command_says_that_the_disk_is_full_and_goes_on_when_there_is_room(name, share, begun, finished, type_in):
    line = COMMANDS[name]
    small, expected = begun(line), finished(name)
    before = used(small.folder)
    small.resize(before + int(share * (used(expected) - before)) // BLOCK * BLOCK)
    done = type_in(line, small.folder)
    if done.returncode:
        refused(done)
    assert half(small.folder) == []
    small.resize(ROOM)
    again = type_in(line, small.folder)
    assert again.returncode == 0, again.stdout + again.stderr
    assert content(small.folder, line) == content(expected, line)
    assert half(small.folder) == []


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_says_that_the_disk_is_read_only(name, begun, type_in):
    line = COMMANDS[name]
    small = begun(line)
    small.read_only()
    refused(type_in(line, small.folder))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("line", ["rank.py scores=table.csv", "-m ercsatz show data/small_nat"])
def test_what_is_printed_to_a_full_disk_is_missed_and_said(line, plain, environment, script):
    name, *words = line.split()
    started = [sys.executable, *([str(script(name))] if name != "-m" else [name]), *words]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(started, cwd=plain, env=environment, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1, done.stderr
    assert re.fullmatch(r"error: Cannot write .*: No space left on device\..*\n", done.stderr), done.stderr


def test_a_finished_sweep_is_read_from_a_cache_that_is_read_only(finished, small_disk, tmp_path, command, micro):
    small, source, line = small_disk(ROOM), finished("train"), COMMANDS["train"]
    shutil.copytree(source / "cache", small.folder / "cache")
    small.read_only()
    folder = tmp_path / "world"
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("cache", "multirun"))
    words = [each for word in line.typed for each in (micro if word == "MICRO" else (word,))]
    cache = f"paths.cache={small.folder / 'cache'}"
    done = command(folder, *words, cache)
    assert done.returncode == 0, done.stdout + done.stderr
    assert content(folder, line) == content(source, line)
    stage = next((small.folder / "cache").glob("stages/*/classifier.json")).parent
    done = command(folder, "predict.py", *OWN, f"checkpoint={stage}", "dialogues=small/test.jsonl", "output=out.csv")
    assert done.returncode == 0, done.stderr
