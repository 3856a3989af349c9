"""docs/extend/generator.md as a reader types it: a generator of one's own in a folder outside the repository."""

import json
from pathlib import Path

import pytest

from ercsatz.data.files import read_jsonl
from tests.commands.pages import write_files


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder that has the page's files and nothing else."""
    files = write_files("generator", tmp_path / "conf")
    assert list(files) == ["generator/mine.yaml", "mine.py"]
    assert all(text.count("\n") <= 61 for text in files.values())  # the first line is not the file's own
    return tmp_path / "conf"


def test_it_writes_a_data_set(command, own, tmp_path):
    asked = ("--config-dir", own, "generator=mine", "generator.length=5", "data=mini_nat", "plan.n_dialogues=30")
    done = command(tmp_path, "generate.py", *asked)
    assert done.returncode == 0, done.stderr
    dialogues = read_jsonl(tmp_path / "data" / "mini_nat" / "train.jsonl")
    assert len(dialogues) == 24
    assert {(d.provenance["generator"], d.provenance["model"]) for d in dialogues} == {("mine", "words-1")}
    assert {len(turn.text.split()) for dialogue in dialogues for turn in dialogue.utterances} == {5}
    settings = json.loads((tmp_path / "data" / "mini_nat" / "config.json").read_text())["settings"]
    assert settings["generator"] == {"name": "mine", "length": 5}
    card = (tmp_path / "data" / "mini_nat" / "README.md").read_text()
    assert "license: cc0-1.0" in card
    assert "It means nothing." in card


def test_help_lists_it(command, own, tmp_path):
    text = command(tmp_path, "generate.py", "--config-dir", own, "--help").stdout
    assert "generator: mine, offline, openai, tgi, transformers" in text


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("generator.lenght=5", "generator.lenght: there is no such option. There are: name, window, length."),
        ("generator.length=long", "generator.length: Value 'long' of type 'str' could not be converted to Integer"),
        ("generator.length=2", "generator.length=2: must be 3 or more."),
    ],
)
def test_a_wrong_option_is_refused(command, own, tmp_path, override, message):
    done = command(tmp_path, "generate.py", "--config-dir", own, "generator=mine", "data=mini_nat", override)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {message}")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("command_name", ["assess", "knowledge"])
def test_other_commands_refuse_wrong_options_too(command, own, tmp_path, command_name):
    done = command(tmp_path, f"{command_name}.py", "generator=tgi", "generator.windo=5")
    assert done.returncode == 1
    assert done.stderr.startswith("error: generator.windo: there is no such option. There are: name, window, sampling")


def test_a_class_that_is_no_generators_is_refused(command, own, tmp_path):
    file = own / "generator" / "mine.yaml"
    file.write_text(file.read_text().replace("mine.MineConfig", "mine.Mine"))
    done = command(tmp_path, "generate.py", "--config-dir", own, "generator=mine", "data=mini_nat")
    assert done.returncode == 1
    assert done.stderr.startswith(
        "error: generator._target_=mine.Mine: must be a dataclass that derives from GeneratorConfig."
    )
