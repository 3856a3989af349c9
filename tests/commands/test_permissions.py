"""The umask decides who may read and write what the commands leave: ``umask 002`` lets a group share all of it."""

import os
import shutil
import stat
from pathlib import Path

import pytest

OWN = ("--config-dir", "own")
LINES = (
    ("generate.py", *OWN, "data=small_per", "plan.n_dialogues=40", "plan.max_turns=6"),
    ("knowledge.py", *OWN, "data=small_nat", "retrieve.atomic=atomic.csv"),
    ("train.py", *OWN, "-m", "data=small_nat", "phase=pretrain", "sweep=one", "MICRO"),
    ("assess.py", *OWN, "data=small_nat", "assess.halves=3", "assess.sample=100", "hydra.run.dir=out"),
)


@pytest.mark.parametrize(
    "umask",
    [pytest.param(mask, id=f"{mask:03o}", marks=marks) for mask, marks in {0o002: (), 0o077: pytest.mark.slow}.items()],
)
def test_everything_is_as_the_umask_has_it(umask, world, tmp_path, command, micro):
    folder = tmp_path / "world"
    shutil.copytree(world, folder, ignore=shutil.ignore_patterns("cache", "multirun", "outputs"))
    (folder / "atomic.csv").write_text('event,xIntent,xReact,oReact\nPersonX is late,[],"[""sorry""]",[]\n')
    there = set(folder.rglob("*"))
    before = os.umask(umask)
    try:
        for name, *arguments in LINES:
            words = [each for word in arguments for each in (micro if word == "MICRO" else (word,))]
            done = command(folder, name, *words)
            assert done.returncode == 0, done.stdout + done.stderr
    finally:
        os.umask(before)
    made = set(folder.rglob("*")) - there
    suffixes = {path.suffix for path in made}
    assert suffixes >= {".safetensors", ".sqlite", ".jsonl", ".json", ".png", ".html", ".csv", ".npy", ".parquet"}
    other = {str(path.relative_to(folder)): oct(mode) for path in made if (mode := _mode(path)) != _wanted(path, umask)}
    assert other == {}


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _wanted(path: Path, umask: int) -> int:
    return (0o777 if path.is_dir() else 0o666) & ~umask
