"""Experiments as YAMLs: what is refused, and with which words."""

import re
from typing import Any

import pytest

from ercsatz.config import ExperimentConfig, experiment, registry
from ercsatz.errors import UserError
from ercsatz.resources import resource


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Write an experiment of one's own."""
    monkeypatch.setattr(registry, "_given", [tmp_path])

    def write(name: str, text: str) -> None:
        (tmp_path / "experiment").mkdir(exist_ok=True)
        (tmp_path / "experiment" / f"{name}.yaml").write_text(f"# @package _global_\n{text}")

    return write


def made(**keys: Any) -> ExperimentConfig:
    given = {"name": "mine", "command": "train", "about": "a try", "sweep": [{"seed": [0, 1]}]}
    return ExperimentConfig(**{**given, **keys})


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"name": "other"}, "experiment.name: other: must be mine, the name of the YAML."),
        ({"command": "rank"}, "experiment.command: rank: must be generate or train."),
        ({"sweep": []}, "experiment.sweep: is empty."),
        ({"sweep": [{}]}, "experiment.sweep[0]: {}: must be a mapping of keys to lists"),
        ({"sweep": [{"seed": [0]}, "seed"]}, "experiment.sweep[1]: seed: must be a mapping"),
        ({"sweep": [{"seed": 0}]}, "experiment.sweep[0].seed: 0: must be a list of values, of one at least: [0]."),
        ({"sweep": [{"seed": []}]}, "experiment.sweep[0].seed: []: must be a list"),
        ({"sweep": [{"seed": [0, 1, 0]}]}, "experiment.sweep[0].seed: 0: is there twice."),
        ({"sweep": [{"loss": [{"_target_": "os.system"}]}]}, "a value must be a word, a number"),
        ({"sweep": [{"loss._target_": ["os.system"]}]}, "experiment.sweep[0].loss._target_: names code"),
        ({"sweep": [{"benchmark.reader": ["mine.read"]}]}, "names code"),
        ({"sweep": [{"hydra.sweep.dir": ["/"]}]}, "only the command line says hydra.KEY=VALUE."),
        ({"sweep": [{"hydra/launcher": ["joblib"]}]}, "only the command line says hydra.KEY=VALUE."),
        ({"sweep": [{"experiment": ["other"]}]}, "only the command line says experiment.KEY=VALUE."),
        ({"sweep": [{"+seed": [0]}]}, "is no key. Keys are written as on the command line"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_key(keys, told):
    with pytest.raises(UserError, match=re.escape(told)):
        experiment.check(made(**keys), "mine")


def test_what_makes_sense_is_not_refused():
    experiment.check(
        made(sweep=[{"seed": [0, 1], "test_sets": [["org"], None]}, {"data": ["a"], "x.y": [0.1]}]), "mine"
    )


@pytest.mark.parametrize("name", sorted(registry.choices("experiment", [resource("conf")])))
def test_the_shipped_ones_say_what_they_are(name):
    node = experiment.described(name)
    experiment.check(ExperimentConfig(**node), name)
    assert node["about"]
    by = node.get("written_by")
    assert by is None or experiment.described(by)["command"] == "generate"


def test_one_for_another_command_is_refused_with_that_command():
    with pytest.raises(UserError, match=r"is for generate: python generate\.py -m experiment=kaplan2025$"):
        experiment.refuse_wrong(["-m", "experiment=kaplan2025"], "train")
    with pytest.raises(UserError, match="rank has no experiments; generate and train have"):
        experiment.refuse_wrong(["experiment=kaplan2025"], "rank")


def test_without_m_it_is_refused_with_the_whole_command():
    given = ["experiment=seeds", "training.epochs=1"]
    with pytest.raises(UserError, match=r"needs -m: python train\.py -m experiment=seeds training\.epochs=1$"):
        experiment.refuse_wrong(given, "train")
    for flags in (["-m"], ["--multirun"], ["hydra.mode=MULTIRUN"], ["--help"], ["--cfg", "job"]):
        experiment.refuse_wrong([*given, *flags], "train")


def test_a_plus_means_the_same():
    assert experiment.plain(["+experiment=seeds", "++experiment=a", "+x=1"]) == [
        "experiment=seeds",
        "experiment=a",
        "+x=1",
    ]


def test_several_and_unknown_ones_are_refused():
    with pytest.raises(UserError, match="one at a time"):
        experiment.refuse_wrong(["-m", "experiment=seeds,persona"], "train")
    with pytest.raises(UserError, match=r"there is no such experiment\. Those of train are: .*seeds"):
        experiment.refuse_wrong(["-m", "experiment=nope"], "train")


def test_one_without_a_command_is_refused(own):
    own("mine", "training: {epochs: 1}\n")
    with pytest.raises(UserError, match=r"mine\.yaml: experiment\.command: must be generate or train"):
        experiment.refuse_wrong(["-m", "experiment=mine"], "train")


def test_one_takes_over_from_another(own):
    own("base", "experiment: {name: base, command: train, about: first, sweep: [{seed: [0]}]}\n")
    own("mine", "defaults: [base, _self_]\nexperiment: {name: mine, about: second}\n")
    found = experiment.described("mine")
    assert found == {"name": "mine", "command": "train", "about": "second", "sweep": [{"seed": [0]}]}
    assert experiment.listed("train")["mine"] == "second"
    assert "mine" not in experiment.listed("generate")


def test_parts_are_those_of_the_defaults_and_of_the_sweep(own):
    own(
        "mine",
        "defaults: [{override /backbone: roberta-base}]\n"
        "experiment: {name: mine, command: train, about: a, sweep: [{loss: [a]}, {loss: [b], seed: [1]}]}\n",
    )
    assert experiment.parts(["experiment=mine"]) == {"backbone": ["roberta-base"], "loss": ["a", "b"], "seed": ["1"]}
    assert experiment.parts(["data=x"]) == {}
