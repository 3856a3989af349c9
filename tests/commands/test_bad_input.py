import json
import re
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from ercsatz import config
from ercsatz.cli import CONF
from ercsatz.config.compose import to_object
from ercsatz.errors import UserError
from ercsatz.generation.check_config import validate
from ercsatz.generation.run import run
from ercsatz.training.check_config import check

MINI = "data=mini_org"


def refused(done, *told):
    """The command failed with a message that has these parts, and without a traceback."""
    text = done.stdout + done.stderr
    assert done.returncode == 1, text
    assert "Traceback" not in text
    for part in told:
        assert part in text
    return text


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["data=nope"], ["Could not find 'data/nope'", "mini_nat"]),
        (["backbone=nope"], ["Could not find 'backbone/nope'", "roberta-base"]),
        (["traning.lr=1"], ["Could not override 'traning.lr'", "Key 'traning' not in 'TrainConfig'"]),
        (["training.rate=1"], ["Could not override 'training.rate'", "Key 'rate' not in 'TrainingConfig'"]),
        (["+typo=1"], ["+typo=1 adds a key that does not exist", "train.py --cfg job"]),
        (["++typo=1"], ["++typo=1 adds a key that does not exist"]),
        (["+training.typo=1"], ["+training.typo=1 adds a key that does not exist"]),
        (["+hydratypo=1"], ["+hydratypo=1 adds a key that does not exist"]),
        (["seed=abc"], ["seed=abc", "could not be converted to Integer"]),
        (["phase=nope"], ["Could not find 'phase/nope'", "low_resource", "tstr"]),
        (["-m", "data=mini_nat,nope"], ["Could not find 'data/nope'"]),
        (["-m", MINI, "seed=0,abc"], ["seed=abc", "could not be converted to Integer"]),
        (["--config-dir", "nowhere"], ["nowhere", "not found"]),
    ],
    ids=lambda value: " ".join(value) if value[0][0] in "dbtps+-" else "",
)
def test_train_refuses_what_is_no_configuration_before_any_job(command, tmp_path, arguments, told):
    text = refused(command(tmp_path, "train.py", *arguments), *told)
    assert "(ranking)" not in text
    assert not list(tmp_path.rglob("result.json"))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([MINI, "benchmark.path=/nonexistent"], ["no file train.jsonl in /nonexistent", "benchmark.path=FOLDER"]),
        (["data=meld_org"], ["no file train_sent_emo.csv in", "data/meld", "ercsatz fetch meld"]),
        (["data=mini_nat"], ["There is no data set mini_nat in data/mini_nat", "python generate.py data=mini_nat"]),
        ([MINI, "test_sets=[per]"], ["There is no data set mini_per", "python generate.py data=mini_per"]),
        ([MINI, "phase=pretrain"], ["phase=pretrain needs synthetic data", "phase=original"]),
        ([MINI, "backbone=local"], ["backbone.checkpoint=None: must be", "backbone.checkpoint=FOLDER"]),
        ([MINI, "training.batch_tokens=0"], ["training.batch_tokens=0: must be 1 or more"]),
        ([MINI, "ranking.treatment=[]"], ["ranking.treatment=[]: must be a list of one name at least"]),
    ],
    ids=lambda value: value[-1] if "=" in value[-1] and value[0] in {MINI, "data=meld_org", "data=mini_nat"} else "",
)
def test_train_refuses_what_it_cannot_run_and_records_it(command, tmp_path, arguments, told, result):
    refused(command(tmp_path, "train.py", "phase=original", *arguments), *told)
    (folder,) = (tmp_path / "outputs").iterdir()
    found = result(folder)
    assert found["status"] == "failed"
    assert told[0] in found["error"]
    assert {path.name for path in tmp_path.iterdir()} == {"outputs"}


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("seed=-1", "seed=-1: must be from 0 to"),
        ("training.epochs=0", "training.epochs=0: must be 1 or more"),
        ("training.lr=-1", "training.lr=-1.0: must be above 0"),
        ("test_sets=[]", "test_sets=[]"),
        ("training.finetune.epochs=0", "training.finetune.epochs=0: must be 1 or more"),
        ("training.pretrain.lr=0", "training.pretrain.lr=0.0: must be above 0"),
        ("training.warmup=3", "training.warmup=3.0: must be from 0 to 1"),
        ("training.weight_decay=-1", "training.weight_decay=-1.0: must be 0 or more"),
        ("training.clip=-1", "training.clip=-1.0: must be 0 (off) or more"),
        ("classifier.max_tokens=0", "classifier.max_tokens=0: must be 2 or more"),
        ("trainer.accelerator=nope", "trainer.accelerator=nope: must be one of auto, cpu"),
        ("trainer.precision=nope", "trainer.precision=nope: must be one of auto, 32-true"),
        ("training.checkpoint=x", "training.checkpoint is where phase=finetune starts from"),
        ("classifier.memory_layers=0", "classifier.memory_layers=0: must be 1 or more"),
        ("classifier.memory_dropout=1", "classifier.memory_dropout=1.0: must be from 0 to below 1"),
        ("backbone.size.layers=0", "backbone.size.layers=0: must be 1 or more"),
        ("backbone.size.heads=3", "backbone.size.hidden=64: must be a multiple of the 3 heads"),
        ("ranking.stages=[nope]", "ranking.stages: phase=tstr has no stage nope. It has: original, pretrain"),
    ],
)
def test_values_that_make_no_sense_are_refused(override, told):
    config.register([Path(CONF)])
    with initialize_config_dir(CONF, version_base="1.3"):
        settings = to_object(compose("train", [override]))
    with pytest.raises(UserError, match=re.escape(told)):
        check(settings)


def test_shipped_configuration_makes_sense():
    config.register([Path(CONF)])
    with initialize_config_dir(CONF, version_base="1.3"):
        check(to_object(compose("train", ["training.clip=0", "training.finetune.lr=1e-5"])))


def test_checkpoint_that_is_none_is_refused(command, tmp_path):
    (tmp_path / "empty").mkdir()
    done = command(tmp_path, "train.py", MINI, "phase=original", "backbone=local", "backbone.checkpoint=empty")
    refused(done, "Backbone empty: cannot be opened", "config.json, tokenizer.json and model.safetensors")
    assert not list((tmp_path / "cache").rglob("stage.json"))


def test_checkpoint_for_other_labels_is_refused(command, new_world):
    saved = new_world / "saved"
    saved.mkdir()
    (saved / "classifier.json").write_text(json.dumps({"format": 2, "labels": ["happy", "sad"]}))
    start = ("phase=finetune", "training.checkpoint=saved")
    done = command(new_world, "train.py", "--config-dir", "own", "data=small_nat", *start)
    refused(done, "saved was trained for the labels happy, sad", "Take a classifier trained on the same benchmark")
    assert not list((new_world / "cache").rglob("stage.json"))


@pytest.mark.parametrize(
    ("file", "text", "arguments", "told"),
    [
        ("benchmark/mine.yaml", "name: mine\nlabls: [a]\n", ["data=mine_org"], ["'benchmark/mine'", "Key 'labls'"]),
        ("benchmark/mine.yaml", "name: mine\nstyle: duo\n", ["data=mine_org"], ["'benchmark/mine'", "style", "duo"]),
        (
            "backbone/mine.yaml",
            "name: mine\nlr: 1e-3\nfoo: 1\n",
            ["backbone=mine"],
            ["backbone.foo", "There are: name"],
        ),
        ("benchmark/mine.yaml", "name: mine\n", ["data=mine_org"], ["incomplete", "benchmark.title=VALUE"]),
    ],
)
def test_yaml_of_the_users_own_is_checked(command, tmp_path, file, text, arguments, told):
    yaml = tmp_path / "own" / file
    yaml.parent.mkdir(parents=True)
    yaml.write_text(text)
    refused(command(tmp_path, "train.py", "--config-dir", "own", *arguments), *told)


def test_traceback_is_printed_where_it_is_asked_for(command, tmp_path):
    done = command(tmp_path, "train.py", "data=mini_nat", HYDRA_FULL_ERROR="1")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "There is no data set mini_nat" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "Give either scores=FILE.csv or sweeps=[multirun/a,multirun/b]."),
        (["scores=good.csv", "sweeps=[full]"], "Give either scores=FILE.csv or sweeps=[multirun/a,multirun/b]."),
        (["scores=nowhere.csv"], "There is no file nowhere.csv."),
        (["scores=broken.csv"], "broken.csv, line 2, column compm_nat: 'high' is not a number"),
        (["sweeps=[nowhere]"], "There is no folder nowhere."),
        (["sweeps=[empty]"], "No result.json below empty"),
        (["sweeps=[garbled]"], str(Path("garbled", "job", "result.json, line 1: not JSON"))),
        (["sweeps=empty"], "Error merging override sweeps=empty"),
        (["scores=good.csv", "ranking.block=[]"], "ranking.block=[]: must be a list of one name at least"),
        (["scores=good.csv", "ranking.metric=nope"], "Is a higher 'nope' better, or a lower one?"),
    ],
)
def test_rank_refuses_what_it_cannot_rank(command, tmp_path, arguments, told):
    (tmp_path / "good.csv").write_text("benchmark,test_set,compm_org,compm_nat\nmeld,org,65.4,65.5\n")
    (tmp_path / "broken.csv").write_text("benchmark,test_set,compm_org,compm_nat\nmeld,org,65.4,high\n")
    (tmp_path / "empty").mkdir()
    (tmp_path / "garbled" / "job").mkdir(parents=True)
    (tmp_path / "garbled" / "job" / "result.json").write_text('{"status": ')
    refused(command(tmp_path, "rank.py", *arguments, "output=out"), told)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["data=nope"], "Could not find 'data/nope'"),
        (["+typo=1"], "+typo=1 adds a key that does not exist"),
        (["data=mini_org"], "nothing to generate"),
        (["data=mini_nat", "plan.n_dialogues=0"], "plan.n_dialogues=0"),
        (["generator=nope"], "Could not find 'generator/nope'"),
    ],
)
def test_generate_refuses_what_it_cannot_write(command, tmp_path, arguments, told):
    refused(command(tmp_path, "generate.py", *arguments), told)
    assert not list(tmp_path.rglob("*.jsonl"))


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("split.test=nan", "split.test=nan: must be above 0 and below 1"),
        ("plan.n_dialogues=5", "plan.n_dialogues=5: must be 8 or more"),
        ("benchmark.labels=[]", "benchmark.labels=[]: must be a list of one label at least"),
        ("benchmark.speakers=['Bob:','Ann']", "benchmark.speakers[0]='Bob:': must be a name that an answer can carry"),
        ("generator.window=0", "generator.window=0: must be 1 or more"),
        ("journal=data/mini_bal/j.sqlite", "journal=data/mini_bal/j.sqlite: must be a file outside data/mini_bal"),
    ],
)
def test_generate_refuses_values_that_make_no_sense_before_it_writes(tmp_path, monkeypatch, override, told):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ERCSATZ_DATA", raising=False)
    config.register([Path(CONF)])
    with initialize_config_dir(CONF, version_base="1.3"):
        settings = to_object(compose("generate", [override]))
    with pytest.raises(UserError, match=re.escape(told)):
        run(settings)
    assert not list(tmp_path.iterdir())


def test_generate_says_which_value_makes_no_sense(command, tmp_path):
    done = command(tmp_path, "generate.py", "checks.near_duplicate=0.1")
    refused(done, "checks.near_duplicate=0.1: must be from 0.5 to 1.")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("benchmark", sorted(file.stem for file in (Path(CONF) / "benchmark").glob("*.yaml")))
def test_shipped_benchmarks_can_be_generated_for(benchmark):
    config.register([Path(CONF)])
    with initialize_config_dir(CONF, version_base="1.3"):
        validate(to_object(compose("generate", [f"data={benchmark}_per", "push_to_hub=me/data"])))
