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
from ercsatz.config import Schedule, TrainConfig, modes, registry, variants
from ercsatz.errors import UserError
from ercsatz.resources import resource

CONF = resource("conf")


def options(group: str) -> list[str]:
    return sorted(registry.choices(group, [CONF]))


BENCHMARKS, CLASSIFIERS, BACKBONES = options("benchmark"), options("classifier"), options("backbone")
PHASES = options("phase")
PARTS = ("classifier", "backbone", "loss", "sampler")  # whose options are typed by a class that their YAML names
# The command and the key that each group fills in.
GROUPS = {
    "backbone": "train",
    "benchmark": "train",
    "classifier": "train",
    "paths": "train",
    "ranking": "train",
    "phase": "train",
    "loss": "train",
    "sampler": "train",
    "callbacks": "train",
    "logger": "train",
    "wandb": "train",
    "generator": "generate",
    "plan": "generate",
    "mode": "generate",
    "persona": "generate",
    "checks": "generate",
    "judge": "assess",
    "measure": "assess",
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
        if not str(declared[str(key)]).startswith(("dict[", "typing.Any")):
            check_typed(node[key], f"{where}.{key}")


@pytest.mark.parametrize("classifier", CLASSIFIERS)
@pytest.mark.parametrize("data", [f"{b}_{v}" for b in BENCHMARKS for v in variants()])
def test_every_data_set_composes_with_every_classifier(data, classifier):
    cfg = compose("train", [f"data={data}", f"classifier={classifier}"])
    benchmark, _, variant = data.rpartition("_")
    assert (cfg.data.name, cfg.data.variant, cfg.benchmark.name) == (data, variant, benchmark)
    assert cfg.data.path == f"{cfg.paths.data}/{data}"
    assert len(set(cfg.benchmark.labels)) == len(cfg.benchmark.labels) > 1


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_every_classifier_composes_with_every_backbone_and_phase(classifier, backbone, phase):
    cfg = compose("train", [f"classifier={classifier}", f"backbone={backbone}", f"phase={phase}"])
    assert (cfg.classifier.name, cfg.backbone.name, cfg.phase.name) == (classifier, backbone, phase)
    assert cfg.training.lr == cfg.backbone.lr


def test_every_group_is_tested_here():
    assert {folder.name for folder in CONF.iterdir() if folder.is_dir()} == {
        *GROUPS,
        "recipe",
        "hydra",
        "experiment",
        "cluster",
    }


@pytest.mark.parametrize(("group", "option"), [(group, option) for group in GROUPS for option in options(group)])
def test_every_option_is_typed(group, option):
    shorts = {name: short for short, name in modes().items()}
    own = {"benchmark": f"data={option}_org", "mode": f"data=mini_{shorts.get(option)}"}
    choice = own.get(group, f"{group}={option}")
    node = compose(GROUPS[group], [choice])[group]
    if group == "generator":
        given: dict[str, Any] = dict(OmegaConf.to_container(node))
        schema = registry.load(given.pop("_target_"), group)
        assert registry.merge(schema, given, group).keys() == given.keys()  # each can be overridden
    elif group in PARTS:
        assert dataclasses.is_dataclass(vars(typed(choice))[group])
    elif group in ("callbacks", "logger", "measure"):
        assert all(registry.instantiate(part, group, object) for part in OmegaConf.to_container(node).values())
    else:
        check_typed(node, group)


def typed(*overrides: str) -> TrainConfig:
    cfg = OmegaConf.to_object(compose("train", ["backbone.checkpoint=here", *overrides]))
    assert isinstance(cfg, TrainConfig)
    return cfg


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
    cfg = typed("classifier=compm", "backbone@classifier.memory_backbone=roberta-base")
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
        ("seed=abc", "seed"),
        ("phase=pretraining", "phase"),
        ("wandb.mode=maybe", "wandb.mode"),
        ("training.batch_tokens=1.5", "training.batch_tokens"),
    ],
)
def test_a_wrong_override_is_refused_by_its_key(override, key):
    assert key in refusal("train", override)


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("classifier.layers=2", r"classifier\.layers: there is no such option\. There are: name, max_tokens"),
        ("classifier.memory=lost", r"classifier\.memory: .*lost.*trained"),
        ("backbone.lr=fast", r"backbone\.lr: .*fast"),
        ("backbone.pooling=last", r"backbone\.pooling: .*last.*first"),
        ("loss.gamma=2", r"loss\.gamma: there is no such option\. There are: name, label_smoothing"),
        ("loss.label_smoothing=0.1,much", r"loss\.label_smoothing: .*much"),
    ],
)
def test_a_wrong_option_of_a_part_is_refused_before_hydra_starts(override, told):
    with pytest.raises(UserError, match=told):
        registry.check_overrides([override], "train")


def test_right_options_of_a_part_are_not_refused():
    registry.check_overrides(["classifier=compm,emoone", "classifier.max_tokens=64,128", "backbone.lr=1e-4"], "train")
    with pytest.raises(UserError, match=r"classifier\.memory: there is no such option"):
        registry.check_overrides(["classifier=compm,emoone", "classifier.memory=frozen"], "train")


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
        ("name: own\nlr: 1e-3\npooling: last\n", "backbone.pooling"),
        ("name: own\nlr: 1e-3\nsize: {hidden: 8, depth: 2}\n", "backbone.size.depth"),
    ],
)
def test_a_yaml_with_a_wrong_key_is_refused_by_file_and_key(tmp_path, text, key):
    with pytest.raises(UserError, match=rf"^{key}: .*"):
        OmegaConf.to_object(compose("train", ["backbone=own", write_option(tmp_path, "backbone/own", text)]))


def test_a_classifier_with_a_wrong_key_is_refused_with_the_list_of_right_ones(tmp_path):
    text = "_target_: ercsatz.classifiers.compm.config.CoMPMConfig\nname: compm\nmemory_size: 3\n"
    told = r"classifier\.memory_size: there is no such option\. There are: name, max_tokens, .*memory_layers"
    with pytest.raises(UserError, match=told):
        OmegaConf.to_object(compose("train", ["classifier=own", write_option(tmp_path, "classifier/own", text)]))


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

    cli._refuse_undeclared([override])
    with pytest.raises(UserError, match=r"adds a key that does not exist"):
        cli._refuse_undeclared(["+benchmark.sentiment.glad=positive"])
    assert compose("train", ["data=mini_org", override]).benchmark.sentiments.glad == "positive"


def test_data_and_cache_folders_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("ERCSATZ_DATA", "/elsewhere/data")
    monkeypatch.setenv("ERCSATZ_CACHE", "/elsewhere/cache")
    cfg = compose("train", ["data=mini_bal"])
    assert (cfg.data.path, cfg.paths.cache) == ("/elsewhere/data/mini_bal", "/elsewhere/cache")


def test_mini_is_found_inside_the_package():
    assert (Path(compose("train").benchmark.path) / "train.jsonl").is_file()
