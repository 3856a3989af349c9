"""YAMLs of somebody else in a folder that the user gave: what they may not say."""

import re
from pathlib import Path

import pytest
from hydra._internal.core_plugins import file_config_source
from hydra._internal.sources_registry import SourcesRegistry

from ercsatz import config
from ercsatz.config import outside, registry
from ercsatz.errors import UserError
from ercsatz.resources import resource

LINE = "Only the command line changes Hydra"
TARGET = "{_target_: os.system, command: touch harmed}"

REFUSED = {
    # code
    "target": ("benchmark", f"name: x\noptions: {TARGET}", "_target_: os.system. Only YAMLs of backbone, callbacks"),
    "target deep": ("mode", f"name: x\ntargets: [[{{a: {TARGET}}}]]", "may name code"),
    "target by merge": ("phase", f"x: &x {TARGET}\nname: x\nstages: {{<<: *x}}", "may name code"),
    "callback": ("experiment", f"# @package _global_\ncallbacks:\n  x: {TARGET}", "may name code"),
    "logger": ("recipe", f"# @package _global_\nlogger:\n  x: {TARGET}", "may name code"),
    "launcher with a target": ("hydra/launcher", f"x: {TARGET}", "may name code"),
    "logging class": ("experiment", "handlers: {x: {'()': os.system}}", "may name code"),
    "reader": ("experiment", "# @package _global_\nbenchmark: {reader: mine.read}", "Only a benchmark's own YAML"),
    # Hydra
    "hydra": ("experiment", "# @package _global_\nhydra: {searchpath: [pkg://x]}", LINE),
    "hydra in a part": ("logger", "hydra: {callbacks: {}}", LINE),
    "hydra dotted": ("experiment", "# @package _global_\nhydra.launcher.x: 1", LINE),
    "package": ("benchmark", "# @package hydra.job_logging\nx: 1", LINE),
    "package below global": ("experiment", "# @package _global_.hydra.callbacks\nx: 1", LINE),
    "keys": ("hydra", "x: 1", LINE),
    "logging": ("hydra/job_logging", "version: 1", LINE),
    "callbacks of Hydra": ("hydra/callbacks", "x: 1", LINE),
    "override launcher": ("experiment", "defaults: [{override /hydra/launcher: joblib}]", LINE.lower()),
    "launcher": ("benchmark", "defaults: [{/hydra/launcher: joblib}]", LINE.lower()),
    "relative launcher": ("experiment", "defaults: [{hydra/launcher@x: joblib}]", LINE.lower()),
    "launcher as text": ("experiment", "defaults: [/hydra/launcher/joblib]", LINE.lower()),
    "package of a default": ("classifier", "defaults: [{/benchmark@hydra.job_logging: x}]", LINE.lower()),
    "package of a text": ("classifier", "defaults: ['/benchmark/x@_global_.hydra.callbacks']", LINE.lower()),
    "optional": ("experiment", "defaults: [{optional override /hydra/sweeper: x}]", LINE.lower()),
    "computed default": ("experiment", "defaults: [{'/${x}/launcher': joblib}]", "as it is"),
    # beyond itself
    "benchmark is global": ("benchmark", "# @package _global_\nseed: 1", "speaks for benchmark alone"),
    "benchmark chooses": ("benchmark", "defaults: [{/callbacks@_global_.callbacks: x}]", "speaks for benchmark alone"),
    "benchmark overrides": ("benchmark", "defaults: [{override /logger: x}]", "speaks for benchmark alone"),
    "mode chooses": ("mode", "defaults: [/generator/x]", "speaks for mode alone"),
    "data chooses": ("data", "defaults: [{/benchmark@_global_.generator: x}]", "speaks for data alone"),
    "up": ("experiment", "defaults: [{/benchmark: ../../x}]", "without '..'"),
    # the environment
    "environment": ("benchmark", "downloads: {train: {url: 'http://x/${oc.env:SECRET}'}}", "only ${KEY}"),
    "resolver in a key": ("benchmark", "label_names: {'${oc.env:HOME}': a}", "only ${KEY}"),
    "resolver in a list": ("benchmark", "labels: ['${oc.env:HOME}']", "only ${KEY}"),
    "built name": ("benchmark", "title: '${oc.${name}:HOME}'", "only ${KEY}"),
    "nested": ("benchmark", "title: '${name${oc.env:HOME}}'", "only ${KEY}"),
    "decoded": ("experiment", "# @package _global_\nlogger: '${oc.decode:\"{a: 1}\"}'", "only ${KEY}"),
    "escaped backslash": ("benchmark", r"title: 'a\\${oc.env:HOME}'", "only ${KEY}"),
    # where it writes, and what it prints
    "name": ("benchmark", "name: ../../x", "letters, digits"),
    "data name": ("data", "name: /tmp/x", "letters, digits"),
    "classifier name": ("classifier", "_target_: x.X\nname: a/b", "letters, digits"),
    "data path": ("data", "path: /home/me/.ssh", "below ${paths.data}"),
    "data path up": ("data", "path: '${paths.data}/../../x'", "below ${paths.data}"),
    "escape sequence": ("benchmark", 'title: "a\\e[31mb"', "U+001B"),
    "escape sequence in a key": ("benchmark", '"a\\e[31mb": 1', "U+001B"),
    "direction": ("benchmark", 'title: "a\\u202eb"', "U+202E"),
}


def written(tmp_path: Path, group: str, text: str) -> Path:
    file = tmp_path / group / "evil.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


@pytest.mark.parametrize(("group", "text", "told"), REFUSED.values(), ids=REFUSED)
def test_what_a_yaml_of_somebody_else_may_not_say(tmp_path, group, text, told):
    file = written(tmp_path, group, text)
    with pytest.raises(UserError, match=re.escape(told) if told != LINE.lower() else "(?i)" + told) as refused:
        outside.check(tmp_path, f"{group}/evil")
    assert str(file) in str(refused.value)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    ("group", "text"),
    [
        ("benchmark", "defaults: [meld, _self_]\nname: x\nreader: mine.read\npath: ${paths.data}/x"),
        ("benchmark", r"files: {train: 'a\${b}.csv'}"),
        ("data", "defaults: [{/benchmark@_global_.benchmark: x}, {/mode@_global_.mode: y}, _self_]"),
        ("experiment", "# @package _global_\ndefaults: [{override /classifier: mine}]\ntraining: {lr: 1e-5}"),
        ("logger", "x: {_target_: mine.X, file: '${hydra:runtime.output_dir}/x'}"),
        ("generator", "_target_: mine.X\nname: x\nkey: ${oc.env:KEY}"),
        ("paths", "data: ${oc.env:HOME}/corpora"),
        ("hydra/launcher", "defaults: [submitit_slurm]\npartition: gpu"),
    ],
)
def test_what_a_yaml_of_ones_own_may_say(tmp_path, group, text):
    written(tmp_path, group, text)
    outside.check(tmp_path, f"{group}/evil")


@pytest.mark.parametrize("name", ["launcher/basic", "sweeper/basic"])
def test_what_hydra_takes_by_itself_is_not_replaced(tmp_path, name):
    file = tmp_path / "hydra" / f"{name}.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("defaults: [submitit_slurm]\nsetup: [touch harmed]")
    with pytest.raises(UserError, match=r"basic\.yaml: Hydra would take it for its own basic"):
        outside.check(tmp_path, f"hydra/{name}")


def test_settings_of_no_recipe_are_refused(tmp_path):
    written(tmp_path, "recipe/released", "# @package _global_\nseed: 77").rename(
        tmp_path / "recipe/released/null_compm.yaml"
    )
    with pytest.raises(UserError, match=r"null_compm\.yaml: would count where no recipe was chosen"):
        outside.check(tmp_path, "recipe/released/null_compm")


@pytest.mark.parametrize("name", ["train_schema.yaml", "benchmark/a\x1b[31mb.yaml"])
def test_names_of_files_are_looked_at(tmp_path, monkeypatch, name):
    (tmp_path / "benchmark").mkdir()
    (tmp_path / name).write_text("x: 1")
    monkeypatch.setattr(registry, "_given", [tmp_path])
    with pytest.raises(UserError, match="Give it another name") as refused:
        registry.refuse_hidden()
    assert str(refused.value).isprintable()


def test_groups_that_name_code_are_those_of_the_registry():
    naming = {file.parent.name for file in resource("conf").glob("*/*.yaml") if "_target_:" in file.read_text()}
    assert naming <= outside.CODE
    assert {"logger", "measure", *naming} == outside.CODE


def test_a_worker_process_registers_hydras_own_source_again():
    config.register([])
    sources = SourcesRegistry.instance()
    sources.register(file_config_source.FileConfigSource)
    assert sources.resolve("file") is outside.FileConfigSource
