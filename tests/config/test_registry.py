"""Parts from outside the repository: where they are found, and what is said of wrong ones."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from ercsatz.config import ClassifierConfig, register, registry
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
        registry.instantiate(node, "callbacks.own", object)


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


@pytest.mark.parametrize("group", ["benchmark/mini", "mode/natural", "phase/tstr", "generator/sampling/{}"])
def test_a_yaml_of_a_shipped_ones_name_is_refused_in_every_group(tmp_path, group):
    shipped = next((REPOSITORY / "conf/generator/sampling").glob("*.yaml")).stem
    file = write(tmp_path, f"own/{group.format(shipped)}.yaml", "")
    with pytest.raises(UserError, match=r"Hydra takes the shipped .*\.yaml in its place\. Give yours another name"):
        registry.refuse_hidden([REPOSITORY / "conf", tmp_path / "own"])
    assert file.is_file()


def test_a_yaml_in_two_own_folders_is_refused(tmp_path):
    for folder in ("one", "two"):
        write(tmp_path, f"{folder}/benchmark/mine.yaml", "")
    with pytest.raises(UserError, match=r"two/benchmark/mine\.yaml: Hydra takes .*one's benchmark/mine\.yaml"):
        registry.refuse_hidden([REPOSITORY / "conf", tmp_path / "one", tmp_path / "two"])


def test_an_own_data_option_of_a_benchmark_and_a_mode_is_refused(tmp_path):
    write(tmp_path, "data/mini_nat.yaml", "name: mini_nat")
    with pytest.raises(UserError, match=r"mini_nat\.yaml: data=mini_nat is there already, from benchmark mini and var"):
        register([REPOSITORY / "conf", tmp_path])


def test_a_text_of_a_part_is_not_read_as_a_number():
    with pytest.raises(UserError, match=r"checkpoint=2024_11 would be read as 202411\. Put it in quotes"):
        registry.check_overrides(["backbone=local", "backbone.checkpoint=2024_11"], "train")
    registry.check_overrides(["backbone=local", "backbone.checkpoint='2024_11'"], "train")
    registry.check_overrides(["backbone=local", "backbone.checkpoint=2024", "backbone.lr=1e-5"], "train")
