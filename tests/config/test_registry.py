"""Parts from outside the repository: where they are found, and what is said of wrong ones."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from ercsatz.config import ClassifierConfig, registry
from ercsatz.errors import UserError
from tests.conftest import REPOSITORY


@dataclass
class MineConfig(ClassifierConfig):
    """Options of a classifier of one's own."""

    width: int = 8
    module: ClassVar[str] = "nowhere.Mine"


HERE = f"{__name__}.MineConfig"
YAML = "_target_: mine.MineConfig\nname: {0}\nmax_tokens: 32\nwidth: 8\n"
PYTHON = """
from dataclasses import dataclass
from ercsatz.config import ClassifierConfig

@dataclass
class MineConfig(ClassifierConfig):
    width: int = 8
"""


def write(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def composed(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(REPOSITORY / "train.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env={**os.environ, **environment})


@pytest.fixture
def folder(tmp_path) -> Path:
    """A config folder with a classifier ``mine``."""
    write(tmp_path, "conf/classifier/mine.yaml", YAML.format("mine"))
    write(tmp_path, "conf/mine.py", PYTHON)
    return tmp_path / "conf"


@pytest.mark.parametrize("given", ["--config-dir {0}", "--config-dir={0}", "-cd {0}", "hydra.searchpath=[file://{0}]"])
def test_a_folder_on_the_command_line_is_listed_and_its_options_are_checked(given, folder):
    line = given.format(folder).split(" ")
    if "searchpath" not in given:  # which Hydra's help does not look at
        assert "classifier: compm, emoone, mine, todkat" in composed(*line, "--help").stdout
    wrong = composed(*line, "classifier=mine", "classifier.widht=3")
    assert wrong.returncode == 1
    told = "classifier.widht: there is no such option. There are: name, max_tokens, width."
    assert told in wrong.stderr
    right = composed(*line, "classifier=mine", "classifier.width=3", "--cfg", "job")
    assert (right.returncode, "width: 3" in right.stdout) == (0, True)


def test_an_installed_package_brings_parts(folder, tmp_path):
    site = tmp_path / "site"
    (site / "erc_more").mkdir(parents=True)
    folder.rename(site / "erc_more" / "conf")
    (site / "erc_more" / "conf" / "mine.py").rename(site / "mine.py")
    write(site, "erc_more/__init__.py", "")
    write(site, "erc_more-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: erc-more\nVersion: 1\n")
    write(site, "erc_more-1.dist-info/entry_points.txt", "[ercsatz.conf]\nmore = erc_more.conf\n")
    assert "classifier: compm, emoone, mine, todkat" in composed("--help", PYTHONPATH=str(site)).stdout
    right = composed("classifier=mine", "classifier.width=3", "--cfg", "job", PYTHONPATH=str(site))
    assert (right.returncode, "width: 3" in right.stdout) == (0, True), right.stderr


def test_a_part_becomes_an_object_of_its_class():
    made = registry.part({"_target_": HERE, "name": "mine", "max_tokens": "32"}, ClassifierConfig, "classifier")
    assert made == MineConfig("mine", 32, 8)
    assert registry.part(made, ClassifierConfig, "classifier") is made


@pytest.mark.parametrize(
    ("node", "told"),
    [
        ({"name": "mine"}, r"classifier: its YAML has no _target_\. .*a ClassifierConfig"),
        ({"_target_": "nowhere.Mine"}, r"classifier\._target_=nowhere\.Mine: cannot be imported .*--config-dir"),
        ({"_target_": "json.Mine"}, r"classifier\._target_=json\.Mine: cannot be imported"),
        ({"_target_": "collections.Counter"}, r"must be a dataclass that derives from ClassifierConfig"),
        (
            {"_target_": HERE, "widht": 3},
            r"classifier\.widht: there is no such option\. There are: name, max_tokens, wi",
        ),
        ({"_target_": HERE, "name": "mine"}, r"classifier: .*max_tokens.*classifier\.max_tokens=VALUE"),
        ({"_target_": HERE, "width": "broad"}, r"classifier\.width: .*broad"),
    ],
)
def test_a_wrong_part_is_refused_with_what_mends_it(node, told):
    with pytest.raises(UserError, match=told):
        registry.part(node, ClassifierConfig, "classifier")


@pytest.mark.parametrize(
    ("node", "told"),
    [
        ({"monitor": "loss"}, r"callbacks\.own: must have a _target_"),
        (
            {"_target_": "fractions.Fraction", "top": 1},
            r"callbacks\.own\.top: .*takes no such argument\. There are: num",
        ),
        ({"_target_": "fractions.Fraction", "numerator": "x"}, r"callbacks\.own: .*could not be made \(ValueError"),
    ],
)
def test_a_wrong_object_is_refused_with_what_mends_it(node, told):
    with pytest.raises(UserError, match=told):
        registry.instantiate(node, "callbacks.own")


def test_a_file_of_ones_own_hides_no_library(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(registry, "_given", [])
    write(tmp_path, "json.py", "raise RuntimeError")
    registry.open_folders([tmp_path])
    assert sys.path[-1] == str(tmp_path)
    assert registry.config_folders()[1] == tmp_path


def test_a_yaml_that_hydra_would_not_take_is_refused(folder):
    write(folder, "classifier/compm.yaml", YAML.format("compm"))
    hidden = composed("--config-dir", str(folder), "--help")
    assert hidden.returncode == 1
    assert "compm.yaml: Hydra takes the shipped classifier/compm.yaml in its place. Give yours another" in hidden.stderr
