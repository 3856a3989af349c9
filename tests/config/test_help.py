"""The pages that --help prints, as composed here; tests/commands/test_help.py has the commands."""

import re
from collections.abc import Iterator

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from ercsatz import config
from ercsatz.config import SCHEMAS, help
from ercsatz.config.keys import Key
from ercsatz.config.registry import open_folders
from ercsatz.resources import resource

CONF = resource("conf")
DATA = {"data", "benchmark", "mode"}
GROUPS = {
    "train": {"classifier", "backbone", "phase", "loss", "callbacks", "logger", "ranking", "recipe", "paths", *DATA}
    | {"sampler", "experiment", "wandb", "cluster"},
    "generate": {"generator", "generator/sampling", "plan", "persona", "checks", "paths", "experiment", "wandb", *DATA},
    "assess": {"generator", "generator/sampling", "judge", "measure", "checks", "paths", "wandb", *DATA},
    "knowledge": {"generator", "generator/sampling", "paths", *DATA},
    "rank": {"ranking", "wandb"},
    "predict": {"paths", "benchmark", "wandb"},
}


@pytest.fixture(autouse=True, scope="module")
def hydra() -> Iterator[None]:
    GlobalHydra.instance().clear()
    config.register([CONF])
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield


def shown(command: str, *overrides: str, columns: int = 80, resolve: bool = False) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", str(columns))
        help.register(command, SCHEMAS[command], f"Does {command}.", lambda text: text.replace("hush", "***"), resolve)
        cfg = compose(command, [*overrides], return_hydra_config=True)
        return str(cfg.hydra.help.template).replace("$$", "$")


def leaves(node: object, name: str = "") -> Iterator[str]:
    if isinstance(node, dict) and node:
        for key, value in node.items():
            yield from leaves(value, f"{name}.{key}" if name else str(key))
    else:
        yield name


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("command", GROUPS)
def test_every_key_is_shown_and_no_line_is_too_long(command, columns):
    text = shown(command, columns=columns)
    assert [line for line in text.splitlines() if len(line) > columns] == []
    assert "_schema" not in text
    assert "_target_" not in text
    listed = set(re.findall(r"^  ([\w.]+)(?==|\s|$)", text, re.MULTILINE))
    node = OmegaConf.to_container(compose(command), resolve=False)
    free = {re.sub(r"(\.published|\.downloads|\.stages)\.\w+\.", r"\1.NAME.", leaf) for leaf in leaves(node)}
    for leaf in free:
        names = [leaf.rsplit(".", n)[0] for n in range(leaf.count(".") + 1)]  # a mapping of texts is one key
        assert any(name in listed for name in names) or leaf.endswith("_target_"), leaf


@pytest.mark.parametrize("command", GROUPS)
def test_only_groups_that_a_command_uses_are_listed(command):
    text = shown(command).partition("== Keys ==")[0]
    assert set(re.findall(r"^([\w/]+): ", text, re.MULTILINE)) == GROUPS[command]


def test_a_data_set_brings_its_groups_whichever_it_is():
    assert "mode: balanced, natural, persona" in shown("train", "data=mini_org")


def test_a_page_reads_like_this():
    text = shown("rank")
    assert text.startswith("Does rank.\n\n== Configuration groups ==\n")
    assert "\nranking: default, kaplan2025\n" in text
    assert "\nranking: what is ranked over what\n" in text
    assert (
        "  ranking.missing=drop        drop: a block with a gap is not ranked; refuse:\n"
        "                              nothing is\n"
    ) in text


def test_values_are_shown_as_they_are_typed():
    assert "  training.lr=${backbone.lr}" in shown("train")
    assert "  training.lr=0.001" in shown("train", resolve=True)
    assert "  training.lr=0.5" in shown("train", "training.lr=0.5")
    assert "  generator.url=???" in shown("generate", "generator=tgi")
    values = {None: "null", True: "true", 1e-5: "1e-05", "a b": "a b"}
    assert {value: help.shown(value) for value in values} == values
    assert help.shown({"a": [1, None], "b": {}}) == "{a: [1, null], b: {}}"


def test_choices_are_told_once():
    assert help.told(Key("a", None, "which ``one``", ("red", "blue"))) == "which one (red, blue)"
    assert help.told(Key("a", None, "red or blue", ("red", "blue"))) == "red or blue"


@pytest.mark.parametrize("width", [60, 80])
def test_a_secret_is_hidden_also_where_a_long_value_is_cut(width):
    long = f"paths.data={'x' * 30}hush{'x' * 200}"
    text = shown("rank", "scores=hush", columns=width)
    assert "  scores=***" in text
    text = shown("predict", long, columns=width)
    assert "hush" not in text


def test_the_arguments_of_callbacks_are_shown():
    text = shown("train", "callbacks=learning_rate_monitor")
    assert "  callbacks.learning_rate_monitor.logging_interval=step\n" in text
    assert "argument of pytorch_lightning.callbacks.LearningRateMonitor" in " ".join(text.split())


def test_an_experiment_is_listed_for_its_command(tmp_path, monkeypatch):
    monkeypatch.setattr("ercsatz.config.registry._given", [])
    (tmp_path / "experiment").mkdir()
    for name, command in (("ours", "train"), ("others", "generate")):
        text = f"# @package _global_\nexperiment: {{name: {name}, command: {command}}}\n"
        (tmp_path / "experiment" / f"{name}.yaml").write_text(text)
    open_folders([tmp_path])
    loader = GlobalHydra.instance().config_loader()
    monkeypatch.setattr(loader, "get_group_options", lambda group: ["others", "ours"] if group == "experiment" else [])
    assert help.groups_of("train", ["experiment"])["experiment"] == ["ours"]
    assert help.groups_of("generate", ["experiment"])["experiment"] == ["others"]
