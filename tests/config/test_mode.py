import sys
from pathlib import Path

import pytest

from ercsatz import config
from ercsatz.config import ModeConfig, registry
from ercsatz.config.mode import modes, prompts_folder, synthetic_data, variant_order, variants
from ercsatz.errors import UserError
from ercsatz.resources import resource

CONF = resource("conf")


@pytest.fixture
def given(monkeypatch, tmp_path):
    """A config folder of the user's own, which is looked through from now on."""
    monkeypatch.setattr(registry, "_given", [])
    monkeypatch.setattr(sys, "path", [*sys.path])
    registry.open_folders([tmp_path])
    (tmp_path / "mode").mkdir()
    return tmp_path


def write(folder: Path, name: str, text: str) -> Path:
    file = folder / "mode" / f"{name}.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_variants_stand_in_the_order_of_the_papers_tables():
    assert modes() == {"nat": "natural", "bal": "balanced", "per": "persona"}
    assert variants() == ["org", "nat", "bal", "per"]
    assert list(modes()) == ["nat", "bal", "per"]
    assert synthetic_data("mini") == "data=mini_nat, data=mini_bal or data=mini_per"


def test_own_modes_follow_by_name_and_what_no_yaml_says_comes_after(given):
    write(given, "zebra", "name: zebra\nshort: a1\n")
    write(given, "ape", "name: ape\nshort: z-2\n")
    assert variants() == ["org", "nat", "bal", "per", "a1", "z-2"]
    assert sorted([None, "gone", "per", "org"], key=variant_order) == ["org", "per", "gone", None]


def test_an_own_mode_of_a_shipped_ones_name_is_not_taken_as_hydra_would_not(given):
    write(given, "balanced", "name: balanced\nshort: fair\n")
    assert modes() == {"nat": "natural", "bal": "balanced", "per": "persona"}
    with pytest.raises(UserError, match=r"balanced\.yaml: Hydra takes the shipped mode/balanced\.yaml in its place"):
        registry.refuse_hidden()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name: mine\n", "short: null must be letters, digits and dashes"),
        ("name: mine\nshort: mi_ne\n", "short: mi_ne must be letters, digits and dashes, without an underscore"),
        ("name: mine\nshort: org\n", "short: org must be .* not org, which is the benchmark itself"),
        ("name: mine\nshort: 'a b'\n", "short: a b must be"),
        ("name: mine\nshort: bal\n", r"short: bal is that of .*balanced\.yaml too. Give one of them another"),
        ("name: other\nshort: mine\n", "name: other must be the file's own. Write name: mine"),
        ("short: mine\n", "name: null must be the file's own. Write name: mine"),
        ("", "name: null must be"),
        ("name: mine\nshort: mine\npersona: true\n", "mode.persona: there is no such option. There are: name, short, "),
        ("name: mine\nshort: mine\npersonas: some\n", "mode.personas: .*Give it another value"),
    ],
)
def test_a_wrong_yaml_is_refused_by_file_with_what_to_do(given, text, told):
    file = write(given, "mine", text)
    with pytest.raises(UserError, match=told) as error:
        config.register([given, CONF])
    assert str(file) in str(error.value)


def test_prompts_are_looked_for_beside_the_yamls_folder_and_then_among_the_shipped(given, tmp_path_factory):
    write(given, "mine", "name: mine\nshort: mine\n")
    mine = ModeConfig("mine", "mine", "prompts/mine")
    with pytest.raises(UserError, match=rf"prompts/mine: there is no folder {given}/prompts/mine. Make it"):
        prompts_folder(mine)
    (given / "prompts" / "mine").mkdir(parents=True)
    assert prompts_folder(mine) == given / "prompts" / "mine"
    assert prompts_folder(ModeConfig("mine", "mine", "prompts/balanced")) == resource("prompts") / "balanced"
    assert prompts_folder(ModeConfig("balanced", "bal", "prompts/balanced")) == resource("prompts") / "balanced"
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    assert prompts_folder(ModeConfig("mine", "mine", str(elsewhere))) == elsewhere
