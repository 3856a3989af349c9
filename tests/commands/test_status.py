"""The page of a sweep while it runs, and ``ercsatz status``, as users type it."""

import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SWEEP = (
    "--config-dir", "own", "-m", "classifier=compm", "data=small_nat,small_bal", "seed=0", "sweep=watched",
    "callbacks=held",
)  # fmt: skip
HELD = """
import time
from pathlib import Path

from pytorch_lightning import Callback

stages = 0


class Held(Callback):
    def on_train_start(self, trainer, pl_module):
        global stages
        stages += 1

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        while stages == 2 and trainer.global_step and Path("hold").exists():
            time.sleep(0.05)
"""  # the second stage of a process waits after a step while the file is there


@pytest.fixture
def status(environment):
    def run(folder: Path, name: str) -> "subprocess.CompletedProcess[str]":
        line = [sys.executable, "-m", "ercsatz", "status", name]
        return subprocess.run(line, cwd=folder, env=dict(environment), capture_output=True, text=True, timeout=120)

    return run


def test_sweep_is_watched_from_its_start_to_its_end(world, tmp_path, environment, script, micro, status, command):
    folder = tmp_path / "world"
    shutil.copytree(world, folder, ignore=shutil.ignore_patterns("cache", "multirun", "outputs"))
    (folder / "own" / "callbacks").mkdir()
    (folder / "own" / "callbacks" / "held.yaml").write_text("held: {_target_: held.Held}\n")
    (folder / "own" / "held.py").write_text(HELD)
    (folder / "hold").touch()
    line = [sys.executable, str(script("train.py")), *SWEEP, *micro]
    running = subprocess.Popen(
        line,
        cwd=folder,
        env=dict(environment),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    file, seen = folder / "multirun" / "watched" / "index.html", {""}
    try:
        while running.poll() is None and not any("pretrain running epoch 1 of" in text for text in seen):
            if file.exists():
                seen.add(text_of(file))
            time.sleep(0.02)
        os.killpg(running.pid, signal.SIGSTOP)
        done = status(folder, "multirun/watched")
        assert done.returncode == 3, done.stdout + done.stderr
        assert f"Process {running.pid} of " in done.stdout
        assert re.search(rf"pretrain running \(epoch 1 of \d+\), finetune queued +{platform.node()}, CPU", done.stdout)
        assert "\x1b" not in done.stdout
    finally:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
    (folder / "hold").unlink()
    assert any("0 of 2 cells are done" in text for text in seen)
    assert any("original running" in text for text in seen)
    done = status(folder, "multirun/watched")
    assert done.returncode == 1
    assert "The sweep was stopped before its end: 0 of 2 cells are done; 2 have no result." in done.stdout
    assert re.search(
        r"data=small_nat +stopped +original done, pretrain stopped \(epoch 1 of \d+, step 1 of \d+\), finetune queued",
        done.stdout,
    )
    again = command(folder, "train.py", *SWEEP, *micro)
    assert again.returncode == 0, again.stdout + again.stderr
    text = text_of(file)
    assert "2 of 2 cells are done." in text
    assert "original cached" in text
    assert "http-equiv" not in file.read_text().partition("<title>")[2]
    assert {"ranking.html", "ranking.csv"} <= {*re.findall(r'href="\./([\w.]+)"', file.read_text())}
    done = status(folder, "multirun/watched")
    assert done.returncode == 0
    assert not [path for path in file.parent.iterdir() if path.name.startswith(".")]


def text_of(file: Path) -> str:
    return " ".join(re.sub("<[^>]*>", "", file.read_text(encoding="utf-8").partition("<body>")[2]).split())
