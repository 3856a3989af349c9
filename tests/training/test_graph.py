"""A job's stages as a graph, and what does and does not change their keys."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ercsatz.artifacts import manifest
from ercsatz.artifacts.cache import Artifact, Artifacts, Kind
from ercsatz.classifiers import checkpoint
from ercsatz.classifiers.compm.config import CoMPMConfig
from ercsatz.classifiers.encoder.pretrained import open_backbone
from ercsatz.classifiers.todkat.config import TODKATConfig
from ercsatz.config import BackboneConfig, Gives, StageConfig, TinySizeConfig, TrainOn
from ercsatz.data.dialogue import SPLITS, Corpus
from ercsatz.errors import UserError
from ercsatz.resources import resource
from ercsatz.training import graph
from ercsatz.training.corpora import JobData
from ercsatz.training.graph import Stage, optimisation, plan, stages_of, variants_of, walk
from ercsatz.training.losses import CrossEntropyConfig
from tests.training.composed import LABELS, train_config

REPOSITORY = Path(__file__).resolve().parents[2]
NAT = "data=mini_nat"


@pytest.fixture(scope="module")
def data(make_dialogues) -> JobData:
    real, synthetic = (
        Corpus(name, tuple(LABELS), {split: make_dialogues(10, seed=10 * n + i) for i, split in enumerate(SPLITS)})
        for n, name in enumerate(("mini_org", "mini_nat"))
    )
    return JobData(real, synthetic, {"org": real.split("test")}, {})


@pytest.fixture(scope="module")
def planned(data) -> Callable[..., dict[str, Stage]]:
    """The stages of a job on natural data by name, without those of prerequisites."""

    def make(*overrides: str) -> dict[str, Stage]:
        return {stage.name: stage for stage in plan(train_config(NAT, *overrides), data)}

    return make


@pytest.fixture(scope="module")
def keys(planned) -> Callable[..., dict[str, str]]:
    """Their keys."""
    return lambda *overrides: {name: stage.key for name, stage in planned(*overrides).items()}


# The graph


def test_the_stages_of_tstr_hang_together(planned, data):
    original, pretrain, finetune = planned().values()
    assert [stage.name for stage in (original, pretrain, finetune)] == ["original", "pretrain", "finetune"]
    assert (original.start, pretrain.start, finetune.start) == (None, None, pretrain)
    assert [stage.variant for stage in (original, pretrain, finetune)] == ["org", "nat", "nat"]
    assert (original.corpus, pretrain.corpus, finetune.corpus) == (data.real, data.synthetic, data.real)
    assert [stage.ranked for stage in (original, pretrain, finetune)] == [True, False, True]
    assert all(stage.scored for stage in (original, pretrain, finetune))
    assert finetune.needs == [pretrain]


def test_large_files_are_read_once_for_all_stages(planned, monkeypatch, tmp_path):
    read, identity = [], graph.checkpoint_identity
    monkeypatch.setattr(graph, "checkpoint_identity", lambda name: (read.append(name), identity(name))[1])
    planned("classifier=todkat", "backbone=local", f"backbone.checkpoint={tmp_path}", "~backbone.size")
    assert read == [str(tmp_path)]


def test_a_teacher_is_trained_once_for_all_that_it_teaches(planned):
    stages = planned("classifier=emoone")
    assert [stage.name for stage in walk(list(stages.values()))] == [
        *("teacher", "original", "teacher", "pretrain", "finetune")
    ]
    assert stages["finetune"].before is stages["original"].before is not stages["pretrain"].before
    assert stages["finetune"].needs == [stages["original"].before, stages["pretrain"]]
    assert {stage.gives for stage in stages.values()} == {Gives.predictions}


def test_a_topic_layer_comes_before_what_starts_anew(planned):
    stages = planned("classifier=todkat")
    assert [stage.name for stage in walk(list(stages.values()))] == [
        *("topic", "original", "topic", "pretrain", "finetune")
    ]
    assert stages["finetune"].before is None
    assert stages["original"].gives == stages["pretrain"].gives == Gives.weights


def test_what_is_trained_before_is_trained_as_its_own_settings_say(planned):
    line = ("training.topic.lr=0.5", "training.original.lr=0.25", "training.pretrain.lr=0.125")
    topic = planned("classifier=todkat", *line)["pretrain"].before
    teachers = {name: stage.before for name, stage in planned("classifier=emoone", *line).items()}
    assert topic.settings["optimisation"]["lr"] == 0.5
    assert {name: stage.settings["optimisation"]["lr"] for name, stage in teachers.items()} == {
        "original": 0.25,
        "pretrain": 0.125,
        "finetune": 0.25,
    }


def test_every_stage_comes_once_and_after_what_it_needs():
    corpus, config = Corpus("mini_org", tuple(LABELS), {}), CoMPMConfig("compm", 48)
    first = Stage("first", "org", corpus, config, {})
    second = Stage("second", "org", corpus, config, {}, start=first)
    third = Stage("third", "org", corpus, config, {}, start=second, before=first)
    assert list(walk([third, second, first])) == list(walk([first, second, third])) == [first, second, third]


@pytest.mark.parametrize(
    ("line", "variants"),
    [
        (["phase=tstr"], {"original": "org", "pretrain": "nat", "finetune": "nat"}),
        (["phase=low_resource"], {"original": "org", "pretrain": "nat", "finetune": "nat"}),
        (["phase=joint"], {"original": "org", "joint": "nat"}),
        (["phase=finetune"], {"pretrain": "nat", "finetune": "nat"}),
        (["phase=pretrain"], {"pretrain": "nat"}),
        (["phase=original"], {"original": "org"}),
        (["data=mini_org", "phase=tstr"], {"original": "org"}),
        (["data=mini_org", "phase=joint"], {"original": "org"}),
        (["phase=finetune", "training.checkpoint=saved"], {"finetune": "nat"}),
    ],
)
def test_the_stages_are_those_that_the_data_allow(line, variants):
    cfg = train_config(NAT, *line)
    assert variants_of(cfg) == variants
    assert list(stages_of(cfg)) == list(variants)


def test_a_stage_that_starts_from_a_real_one_needs_no_synthetic_data():
    cfg = train_config("data=mini_org", "phase=joint")
    more = {"more": StageConfig(TrainOn.real, start="original"), "other": StageConfig(TrainOn.real, start="joint")}
    cfg = replace(cfg, phase=replace(cfg.phase, stages=cfg.phase.stages | more))
    assert variants_of(cfg) == {"original": "org", "more": "org"}


@pytest.mark.parametrize("phase", ["pretrain", "finetune"])
def test_a_phase_of_which_nothing_is_left_is_refused(phase):
    with pytest.raises(UserError, match=rf"phase={phase} needs synthetic data, but data=mini_org is the benchmark"):
        stages_of(train_config("data=mini_org", f"phase={phase}"))


def test_the_training_of_a_stage_has_the_last_word_then_its_phase():
    line = ("phase.stages.finetune.lr=0.5", "phase.stages.finetune.epochs=7", "training.finetune.lr=0.25")
    cfg = train_config(NAT, "training.lr=0.125", *line)
    assert [optimisation(cfg, name)["lr"] for name in ("original", "finetune")] == [0.125, 0.25]
    assert [optimisation(cfg, name)["epochs"] for name in ("original", "finetune")] == [2, 7]


def test_a_saved_classifier_is_started_from_and_told_by_its_content(data, keys, planned, tmp_path):
    def saved(name: str, layers: int) -> Path:
        backbone = BackboneConfig("tiny", None, size=TinySizeConfig(16, layers, 2, 300))
        built = checkpoint.build(planned()["original"].classifier, open_backbone(backbone, ["the train"]), LABELS)
        checkpoint.save(built, tmp_path / name)
        return tmp_path / name

    one, same, other = saved("one", 1), tmp_path / "same", saved("other", 2)
    shutil.copytree(one, same)
    start = {path: planned("phase=finetune", f"training.checkpoint={path}") for path in (one, same, other)}
    assert all(stages.keys() == {"finetune"} for stages in start.values())
    assert start[one]["finetune"].start == one
    assert start[one]["finetune"].needs == []
    assert start[one]["finetune"].key == start[same]["finetune"].key != start[other]["finetune"].key
    (one / "stage.json").write_text(json.dumps({"description": {"backbone": {"checkpoint": "roberta-base"}}}))
    with pytest.raises(UserError, match=r"one has another backbone, .*roberta-base.*Give the same: backbone="):
        planned("phase=finetune", f"training.checkpoint={one}")
    (one / "stage.json").write_text("[]")
    with pytest.raises(UserError, match=r"one/stage\.json is not what training wrote"):
        planned("phase=finetune", f"training.checkpoint={one}")
    (one / "stage.json").write_text("{")
    with pytest.raises(UserError, match=r"one/stage\.json, line 1: not JSON"):
        planned("phase=finetune", f"training.checkpoint={one}")


def test_a_saved_classifier_that_was_damaged_is_refused_before_anything_is_trained(planned, tmp_path):
    def save(folder: Path) -> None:
        backbone = BackboneConfig("tiny", None, size=TinySizeConfig(16, 1, 2, 300))
        classifier = planned()["original"].classifier
        checkpoint.save(checkpoint.build(classifier, open_backbone(backbone, ["the train"]), LABELS), folder)

    made = Artifacts(tmp_path / "cache").get(Artifact(Kind.stages, {"a": 1}, "a stage"), save).path
    copy = Path(shutil.copytree(made, tmp_path / "copy"))
    assert planned("phase=finetune", f"training.checkpoint={copy}")["finetune"].start == copy
    content = bytearray((copy / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (copy / "model.safetensors").write_bytes(content)
    manifest._VERIFIED.clear()  # as another process would begin
    with pytest.raises(UserError, match=r"copy is damaged: model\.safetensors was changed\. Copy that folder again"):
        planned("phase=finetune", f"training.checkpoint={copy}")


# The keys: what changes them

ALL = {"original", "pretrain", "finetune"}


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    assert before.keys() == after.keys()
    return {name for name in before if before[name] != after[name]}


@pytest.mark.parametrize(
    ("override", "stages"),
    [
        ("seed=1", ALL),
        ("classifier.memory_dropout=0.5", ALL),
        ("backbone.size.hidden=32", ALL),
        ("training.lr=0.5", ALL),
        ("training.weight_decay=0.5", ALL),
        ("loss.label_smoothing=0.1", ALL),
        ("loss=class_weights", ALL),
        ("sampler=oversampling", ALL),
        ("callbacks=learning_rate_monitor", ALL),
        ("training.schedule=cosine", ALL),
        ("training.layer_decay=0.9", ALL),
        ("training.patience=2", ALL),
        ("trainer.precision=bf16-mixed", ALL),
        ("training.finetune.lr=0.5", {"finetune"}),
        ("training.original.epochs=9", {"original"}),
        ("training.pretrain.epochs=9", {"pretrain", "finetune"}),
        ("phase.real_share=0.5", {"original", "finetune"}),
        ("phase.stages.original.real_share=0.5", {"original"}),
        ("phase.synthetic_share=0.5", {"pretrain", "finetune"}),
        ("phase.stages.finetune.start=original", {"finetune"}),
        ("phase.stages.finetune.start=null", {"finetune"}),
    ],
)
def test_a_key_changes_with_what_determines_the_weights(keys, override, stages):
    assert changed(keys(), keys(override)) == stages


@pytest.mark.parametrize(
    "override",
    [
        "sweep=other",
        "wandb.mode=offline",
        "paths.cache=elsewhere",
        "test_sets=[org]",
        "ranking.baseline=nat",
        "trainer.memory_tokens=99",
        "trainer.workers=2",
        "phase.ranked=[finetune]",
        "training.topic.lr=0.5",
        "backbone.name=small",
    ],
)
def test_a_key_does_not_change_with_anything_else(keys, override):
    assert keys(override) == keys()


def test_neutral_settings_are_told_as_by_versions_that_had_none(planned):
    """Stages and results of these are found, and averaged with, as long as nothing of this is used."""
    known = planned()["original"]
    told = known.description["optimisation"]
    names = ("epochs", "lr", "warmup", "schedule", "weight_decay", "clip", "batch_tokens", "batch_targets")
    assert tuple(told) == names
    assert told["schedule"] == known.recipe["training.schedule"] == "steps"
    changed = planned("training.schedule=cosine", "training.layer_decay=0.9", "training.patience=2")["original"].recipe
    there = {key: value for key, value in changed.items() if known.recipe.get(key) != value}
    assert there == {"training.schedule": "cosine", "training.layer_decay": 0.9, "training.patience": 2}


def test_patience_does_not_concern_a_topic_layer(planned):
    def topics(*overrides: str) -> tuple[str, str]:
        stage = planned("classifier=todkat", *overrides)["original"]
        return stage.key, stage.before.key

    (one, topic), (other, same) = topics(), topics("training.patience=2")
    assert (one != other, topic) == (True, same)
    assert topics("training.layer_decay=0.9")[1] != topic


def test_a_shared_stage_has_one_key_in_every_phase(keys):
    (joint, original), tstr = keys("phase=joint").values(), keys()
    assert keys("phase=original")["original"] == tstr["original"]
    assert tstr["original"] in {joint, original}
    assert keys("phase=finetune")["finetune"] == tstr["finetune"]


@pytest.mark.parametrize(
    ("owner", "name", "classifier", "stages"),
    [
        (CoMPMConfig, "VERSION", "compm", ALL),
        (CoMPMConfig, "VERSION", "emoone", set()),
        (CrossEntropyConfig, "VERSION", "compm", ALL),
        (TODKATConfig, "VERSION", "todkat", ALL),
        (graph, "VERSION", "emoone", ALL),
    ],
)
def test_a_key_changes_with_the_versions(keys, monkeypatch, owner, name, classifier, stages):
    before = keys(f"classifier={classifier}")
    monkeypatch.setattr(owner, name, 99)
    assert changed(before, keys(f"classifier={classifier}")) == stages


def test_a_key_changes_with_the_dialogues(data, planned):
    fewer = Corpus("mini_nat", tuple(LABELS), {**data.synthetic.splits, "train": data.synthetic.split("train")[1:]})
    cfg = train_config(NAT)
    after = {stage.name: stage.key for stage in plan(cfg, replace(data, synthetic=fewer))}
    assert changed({name: stage.key for name, stage in planned().items()}, after) == {"pretrain", "finetune"}


# The keys: what does not change them

DRY_RUN = "import sys; from ercsatz.cli import train; sys.argv[0] = 'train.py'; train()"


@pytest.fixture(scope="module")
def keys_of_copy(tmp_path_factory, data) -> Callable[..., list[str]]:
    """What ``train.py dry_run=true`` shows, by a copy of the package that was edited."""

    def run(edit: Callable[[Path], None], classifier: str) -> list[str]:
        folder = tmp_path_factory.mktemp("copy")
        shutil.copytree(REPOSITORY / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(resource("conf"), folder / "conf")
        edit(folder / "src" / "ercsatz")
        line = [f"classifier={classifier}", "data=mini_org", "dry_run=true", "hydra.run.dir=job", "wandb.mode=disabled"]
        command = [sys.executable, "-c", DRY_RUN, *line, f"paths.cache={folder}/cache"]
        variables = {**os.environ, "PYTHONPATH": str(folder / "src")}
        done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        return re.findall(r"(\w+) \(([0-9a-f]{16})\)", done.stdout)

    return run


def substitute(package: Path, pattern: str, by: str) -> None:
    """In every file; at least one must have it."""
    files = {file: file.read_text(encoding="utf-8") for file in package.rglob("*.py")}
    found = [file for file, text in files.items() if re.search(pattern, text)]
    assert found, pattern
    for file in found:
        file.write_text(re.sub(pattern, by, files[file]), encoding="utf-8")


def tidied(package: Path) -> None:
    """A docstring edited, a comment added, a helper renamed, a file moved: of training and of the classifier."""
    substitute(package, r'"""The stages of a job as a graph', '# A comment.\n"""What a job trains')
    substitute(package, r'"""TODKAT', '"""The classifier TODKAT')
    substitute(package, r"\b_settings\b", "_all_settings")
    (package / "training" / "corpora.py").rename(package / "training" / "dialogues_of_a_job.py")
    substitute(package, r"ercsatz\.training\.corpora", "ercsatz.training.dialogues_of_a_job")
    (package / "classifiers" / "todkat" / "topic.py").rename(package / "classifiers" / "todkat" / "topic_layer.py")
    substitute(package, r"ercsatz\.classifiers\.todkat\.topic\b", "ercsatz.classifiers.todkat.topic_layer")


def test_tidying_the_code_changes_no_key(keys_of_copy):
    before = keys_of_copy(lambda package: None, "todkat")
    assert [name for name, _ in before] == ["topic", "original"]
    assert keys_of_copy(tidied, "todkat") == before

    def raised(package: Path) -> None:
        substitute(package / "training", r"(?m)^VERSION = \d+", "VERSION = 99")

    after = keys_of_copy(raised, "todkat")
    assert [one[1] == other[1] for one, other in zip(before, after, strict=True)] == [False, False]


def test_the_settings_of_a_stage_are_plain_json(planned):
    for stage in planned("callbacks=learning_rate_monitor", "classifier=emoone", "classifier.gray=future").values():
        assert json.loads(json.dumps(stage.description)) == stage.description
