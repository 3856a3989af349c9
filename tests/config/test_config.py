import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import ConfigCompositionException
from omegaconf import DictConfig, OmegaConf

from ercsatz import cli, config
from ercsatz.config import Phase, Schedule, modes, variants
from ercsatz.resources import resource

CONF = resource("conf")


def options(group: str) -> list[str]:
    return sorted(file.stem for file in (CONF / group).glob("*.yaml"))


BENCHMARKS, CLASSIFIERS, BACKBONES = options("benchmark"), options("classifier"), options("backbone")
# The command and the key that each group fills in.
GROUPS = {
    "backbone": "train",
    "benchmark": "train",
    "classifier": "train",
    "paths": "train",
    "ranking": "train",
    "generator": "generate",
    "plan": "generate",
    "mode": "generate",
    "persona": "generate",
    "checks": "generate",
    "judge": "assess",
}


@pytest.fixture(autouse=True, scope="module")
def hydra() -> Iterator[None]:
    GlobalHydra.instance().clear()
    config.register([CONF])
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield


def check_typed(node: DictConfig, where: str) -> None:
    """Every mapping is a dataclass or one that a dataclass declares as ``dict``."""
    kind = OmegaConf.get_type(node)
    assert dataclasses.is_dataclass(kind), f"{where} is an untyped {kind.__name__}"
    declared = {field.name: field.type for field in dataclasses.fields(kind)}
    for key in node:
        if OmegaConf.is_missing(node, key) or not OmegaConf.is_dict(node[key]):
            continue
        if not str(declared[str(key)]).startswith("dict["):
            check_typed(node[key], f"{where}.{key}")


@pytest.mark.parametrize("classifier", CLASSIFIERS)
@pytest.mark.parametrize("data", [f"{b}_{v}" for b in BENCHMARKS for v in variants()])
def test_every_data_set_composes_with_every_classifier(data, classifier):
    cfg = compose("train", [f"data={data}", f"classifier={classifier}"])
    benchmark, _, variant = data.rpartition("_")
    assert (cfg.data.name, cfg.data.variant, cfg.benchmark.name) == (data, variant, benchmark)
    assert cfg.data.path == f"{cfg.paths.data}/{data}"
    assert len(set(cfg.benchmark.labels)) == len(cfg.benchmark.labels) > 1


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_every_classifier_composes_with_every_backbone_and_phase(classifier, backbone, phase):
    cfg = compose("train", [f"classifier={classifier}", f"backbone={backbone}", f"phase={phase}"])
    assert (cfg.classifier.name, cfg.backbone.name, cfg.phase) == (classifier, backbone, phase)
    assert cfg.training.lr == cfg.backbone.lr


def test_every_group_is_tested_here():
    assert {folder.name for folder in CONF.iterdir() if folder.is_dir()} == {*GROUPS, "recipe"}


@pytest.mark.parametrize(("group", "option"), [(group, option) for group in GROUPS for option in options(group)])
def test_every_option_is_typed(group, option):
    shorts = {name: short for short, name in modes().items()}
    own = {"benchmark": f"data={option}_org", "mode": f"data=mini_{shorts.get(option)}"}
    choice = own.get(group, f"{group}={option}")
    check_typed(compose(GROUPS[group], [choice])[group], group)


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_the_original_recipe_has_the_settings_of_the_released_code(classifier):
    cfg = compose("train", [f"classifier={classifier}", "recipe=original", "training.epochs=3"])
    check_typed(cfg, "train")
    assert (cfg.trainer.precision, cfg.training.epochs) == ("32-true", 3)
    if classifier == "todkat":
        assert (cfg.training.lr, cfg.training.warmup, cfg.training.batch_targets) == (2e-5, 0.5, None)
    else:
        settings = (cfg.training.lr, cfg.training.schedule, cfg.training.clip, cfg.training.batch_targets)
        assert settings == (1e-6, Schedule.examples, 10.0, 1)
    assert cfg.classifier.get("padded_memory") == (True if classifier == "compm" else None)


def test_the_memory_of_compm_can_have_another_backbone():
    cfg = compose("train", ["classifier=compm", "backbone@classifier.memory_backbone=roberta-base"])
    check_typed(cfg, "train")
    assert cfg.classifier.memory_backbone.checkpoint == "FacebookAI/roberta-base"
    assert compose("train", ["classifier=compm"]).classifier.memory_backbone is None


@pytest.mark.parametrize("command", ["train", "generate", "rank", "knowledge"])
def test_every_command_is_typed(command):
    check_typed(compose(command), command)


def refusal(command: str, *overrides: str) -> str:
    with pytest.raises(ConfigCompositionException) as error:
        compose(command, list(overrides))
    return f"{error.value}\n{error.value.__cause__}"


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("training.epocs=3", "training.epocs"),
        ("training.finetune.warmup=0", "training.finetune.warmup"),
        ("classifier.layers=2", "classifier.layers"),
        ("seed=abc", "seed"),
        ("phase=pretraining", "phase"),
        ("backbone.lr=fast", "backbone.lr"),
        ("backbone.pooling=last", "backbone.pooling"),
        ("wandb.mode=maybe", "wandb.mode"),
        ("training.batch_tokens=1.5", "training.batch_tokens"),
    ],
)
def test_a_wrong_override_is_refused_by_its_key(override, key):
    assert key in refusal("train", override)


def write_option(folder: Path, name: str, text: str) -> str:
    """A YAML in a user's configuration folder; the override that adds the folder."""
    file = folder / f"{name}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return f"hydra.searchpath=[file://{folder}]"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("name: own\nlr: 1e-3\nlayerz: 3\n", "backbone.layerz"),
        ("name: own\nlr: fast\n", "backbone.lr"),
        ("name: own\nsize: {hidden: 8, depth: 2}\n", "backbone.size.depth"),
    ],
)
def test_a_yaml_with_a_wrong_key_is_refused_by_file_and_key(tmp_path, text, key):
    message = refusal("train", "backbone=own", write_option(tmp_path, "backbone/own", text))
    assert "'backbone/own'" in message
    assert key in message


def test_a_classifier_with_a_wrong_key_is_refused_by_file_and_key(tmp_path):
    text = "defaults:\n  - compm_schema\n  - _self_\nname: compm\nmemory_size: 3\n"
    message = refusal("train", "classifier=own", write_option(tmp_path, "classifier/own", text))
    assert "'classifier/own'" in message
    assert "memory_size" in message


def own_benchmark(**changes: Any) -> str:
    return OmegaConf.to_yaml(OmegaConf.merge(OmegaConf.load(CONF / "benchmark" / "mini.yaml"), changes))


def test_a_benchmark_of_the_users_own_gets_its_data_sets(tmp_path):
    search = write_option(tmp_path, "benchmark/own", own_benchmark(name="own", labels=["calm", "cross"]))
    config.register([CONF, tmp_path])
    for variant in variants():
        cfg = compose("train", [f"data=own_{variant}", search])
        assert (cfg.benchmark.name, cfg.data.name, cfg.data.variant) == ("own", f"own_{variant}", variant)
        assert cfg.benchmark.labels == ["calm", "cross"]


def test_a_benchmark_with_an_unknown_key_is_refused_by_file_and_key(tmp_path):
    search = write_option(tmp_path, "benchmark/odd", own_benchmark(name="odd", lables=["calm"]))
    config.register([CONF, tmp_path])
    message = refusal("train", "data=odd_org", search)
    assert "'benchmark/odd'" in message
    assert "lables" in message


def test_a_label_gets_its_sentiment_on_the_command_line():
    override = "+benchmark.sentiments.glad=positive"

    assert cli._undeclared([override], [CONF]) is None
    assert cli._undeclared(["+benchmark.sentiment.glad=positive"], [CONF]) is not None
    assert compose("train", ["data=mini_org", override]).benchmark.sentiments.glad == "positive"


def test_data_and_cache_folders_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("ERCSATZ_DATA", "/elsewhere/data")
    monkeypatch.setenv("ERCSATZ_CACHE", "/elsewhere/cache")
    cfg = compose("train", ["data=mini_bal"])
    assert (cfg.data.path, cfg.paths.cache) == ("/elsewhere/data/mini_bal", "/elsewhere/cache")


def test_mini_is_found_inside_the_package():
    assert (Path(compose("train").benchmark.path) / "train.jsonl").is_file()
