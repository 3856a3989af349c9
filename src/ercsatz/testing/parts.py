"""What every part that is chosen by name promises of its YAML and its options."""

from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from ercsatz import config
from ercsatz.config import TrainConfig, registry
from ercsatz.config.rules import enforce
from ercsatz.errors import UserError
from ercsatz.resources import resource

WRONG = ({"no": "such"}, ["no", "such"], "no such value")


class PartContract:
    """Tests of a part's YAML; what derives from it says which part it is.

    Attributes:
        group: its config group.
        name: its YAML there.
    """

    group: ClassVar[str]
    name: str

    def test_it_composes_and_its_values_make_sense(self) -> None:
        """``train.py GROUP=NAME`` is a configuration whose rules all hold."""
        cfg = composed(self.group, self.name)
        part = getattr(cfg, self.group)
        enforce(part.problems(cfg) if self.group == "classifier" else part.problems())

    def test_its_name_is_that_of_its_file(self) -> None:
        """Saved classifiers and result files find the YAML by the name."""
        file = registry.choices(self.group)[self.name]
        assert registry.read(file).get("name") == self.name, f"{file}: name must be {self.name}"

    def test_its_yaml_lists_every_option(self) -> None:
        """So that ``--cfg job`` shows it and ``GROUP.OPTION=VALUE`` is taken."""
        file = registry.choices(self.group)[self.name]
        assert registry.read(file).keys() - {"_target_", "defaults"} == set(self.options()), str(file)

    def test_an_option_that_it_has_not_is_refused_with_the_list_of_those_it_has(self) -> None:
        """``GROUP.OPTION=VALUE`` with a wrong option, before anything runs."""
        line = [f"{self.group}={self.name}", f"{self.group}.no_such_option=1"]
        with pytest.raises(UserError) as error:
            registry.check_overrides(line, "train")
        assert str(error.value).endswith(f"There are: {', '.join(self.options())}.")

    def test_every_option_has_a_type(self) -> None:
        """Of each there are values that are refused; an option of the type ``Any`` takes everything."""
        right = getattr(composed(self.group, self.name), self.group)
        loose = [option for option in self.options() if not any(_refuses(right, option, wrong) for wrong in WRONG)]
        assert not loose, f"options without a type: {', '.join(loose)}"

    def options(self) -> list[str]:
        """Its options, in order."""
        return [field.name for field in fields(registry.options_class(self.name, self.group))]


def composed(group: str, name: str) -> TrainConfig:
    """The typed configuration of ``train.py GROUP=NAME``, with the YAMLs of every folder that is looked through.

    Raises:
        UserError: there is no such YAML, or its options are wrong.
    """
    folders = registry.config_folders()
    if name not in registry.choices(group):
        searched = ", ".join(str(folder / group) for folder in folders)
        raise UserError(f"There is no {name}.yaml in {searched}. Give the folder that has {group}/{name}.yaml.")
    config.register(folders)
    own = ",".join(f"file://{folder}" for folder in folders[1:])
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(resource("conf")), version_base="1.3"):
        node = compose("train", [f"{group}={name}", f"hydra.searchpath=[{own}]"])
        made: TrainConfig = OmegaConf.to_object(node)  # type: ignore[assignment]
    return made


def open_folder(config_dir: str | Path | None) -> None:
    """Look for parts in a folder, too.

    Raises:
        UserError: there is no such folder.
    """
    if config_dir is None:
        return
    if not Path(config_dir).is_dir():
        raise UserError(f"config_dir={config_dir}: there is no such folder below {Path.cwd()}.")
    registry.open_folders([Path(config_dir)])


def _refuses(right: Any, option: str, wrong: Any) -> bool:
    try:
        registry.typed({**asdict(right), option: wrong}, type(right), option)
    except UserError:
        return True
    return False
