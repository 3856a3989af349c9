import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {
    *("torch", "pytorch_lightning", "lightning", "transformers", "wandb"),
    *("pandas", "scipy", "sklearn", "matplotlib", "numpy"),
}
CONSOLE = Path(sys.executable).with_name("ercsatz")
console = pytest.mark.skipif(not CONSOLE.exists(), reason="ercsatz is not installed in this environment")


def imported(importtime):
    """Top-level packages in what ``-X importtime`` writes to stderr."""
    lines = [line for line in importtime.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}


@pytest.mark.parametrize("asked", [("--help",), ("--cfg", "job")])
@pytest.mark.parametrize("name", ["train", "generate", "assess", "rank"])
def test_answers_at_once_and_imports_nothing_heavy(command, tmp_path, name, asked):
    done = command(tmp_path, f"{name}.py", *asked, PYTHONPROFILEIMPORTTIME="1")
    assert done.returncode == 0, done.stderr
    assert "hydra" in imported(done.stderr)
    assert not imported(done.stderr) & HEAVY
    assert "treatment:" in done.stdout or name in {"generate", "assess"}
    assert not list(tmp_path.iterdir())


def test_help_lists_the_options_of_every_group(command, tmp_path):
    text = command(tmp_path, "train.py", "--help").stdout
    for group in (
        "classifier: compm",
        "backbone: local, roberta-base, roberta-large, tiny",
    ):
        assert group in text


def run_console(folder, environment, *arguments):
    return subprocess.run([CONSOLE, *arguments], cwd=folder, env=dict(environment), capture_output=True, text=True)


@console
def test_console_command_without_a_name_says_how_it_is_used(tmp_path, environment):
    for arguments, status in (((), 2), (("nope",), 2), (("--help",), 0)):
        done = run_console(tmp_path, environment, *arguments)
        assert done.returncode == status
        assert done.stderr.startswith("usage: ercsatz {train,generate,rank,assess,knowledge,predict,fetch,show,cache}")


@console
@pytest.mark.parametrize("name", ["train", "generate", "rank", "knowledge", "predict", "fetch", "show", "cache"])
def test_console_command_answers_help_from_any_folder(tmp_path, environment, name):
    done = run_console(tmp_path, environment, name, "--help")
    assert done.returncode == 0, done.stderr
    assert name in done.stdout
    assert not list(tmp_path.iterdir())
