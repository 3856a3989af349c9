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
    assert "treatment" in done.stdout or name in {"generate", "assess"}
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
        assert done.stderr.startswith(
            "usage: ercsatz {train,generate,rank,assess,knowledge,predict,fetch,show,cache,export,status,figure,merge}"
        )


@console
@pytest.mark.parametrize(
    "name",
    ["train", "generate", "rank", "knowledge", "predict", "fetch", "show", "cache", "export", "status", "figure"],
)
def test_console_command_answers_help_from_any_folder(tmp_path, environment, name):
    done = run_console(tmp_path, environment, name, "--help")
    assert done.returncode == 0, done.stderr
    assert name in done.stdout
    assert not list(tmp_path.iterdir())


def test_help_is_as_wide_as_the_terminal_and_says_what_a_key_means(command, tmp_path):
    for columns in (80, 120):
        text = command(tmp_path, "train.py", "--help", COLUMNS=str(columns)).stdout
        assert 0.8 * columns < max(map(len, text.splitlines())) <= columns
        assert "training.patience=null early stopping: a stage ends after so many epochs" in " ".join(text.split())


def test_help_of_a_users_own_part_says_what_its_options_mean_and_hides_keys(command, tmp_path):
    own = tmp_path / "own"
    (own / "loss").mkdir(parents=True)
    (own / "loss" / "mine.yaml").write_text("_target_: mine.MineConfig\nname: mine\nurl: http://me:hush@host/\n")
    lines = [
        "from dataclasses import dataclass",
        "from ercsatz.training.losses import CrossEntropyConfig",
        "@dataclass",
        "class MineConfig(CrossEntropyConfig):",
        '    """Mine.\n\n    Attributes:\n        url: where it asks.\n    """',
        "    url: str = ''",
    ]
    (own / "mine.py").write_text("\n".join(lines))
    text = command(tmp_path, "train.py", "--config-dir", own, "--help", "loss=mine").stdout
    assert "label_smoothing, logit_adjustment, mine" in " ".join(text.split())
    assert "  loss.url=http://***@host/" in text
    assert "where it asks" in text
    assert "hush" not in text


def test_help_of_a_class_that_cannot_be_imported_says_so(command, tmp_path):
    (tmp_path / "own" / "loss").mkdir(parents=True)
    (tmp_path / "own" / "loss" / "mine.yaml").write_text("_target_: nowhere.MineConfig\nname: mine\n")
    done = command(tmp_path, "train.py", "--config-dir", "own", "--help", "loss=mine")
    assert done.returncode == 1
    assert "nowhere.MineConfig: cannot be imported" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("asked", [("--hydra-help",), ("--info", "searchpath"), ("--cfg", "all"), ("--cfg", "hydra")])
def test_what_hydra_shows_of_itself_is_still_shown(command, tmp_path, asked):
    done = command(tmp_path, "train.py", *asked)
    assert done.returncode == 0, done.stderr
    assert "Pretrain, fine-tune" not in done.stdout
    assert done.stdout.strip()
