import os

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from ercsatz.config import SCHEMAS
from ercsatz.config.command_line import quoted, readable, refuse_blocked, unset_empty
from ercsatz.errors import UserError

ODD = ["2024_11", "1e5", "010", "+5", "true", "a=b.csv", "täble.csv", "数据.csv", "a#b.csv", "a[1].csv", "[x].csv"]
ODD += [
    "a{b}.csv",
    "a(1).csv",
    "it's.csv",
    "~/a.csv",
    "a%|;.csv",
    'say "a".csv',
    "a\\b.csv",
    "plain.csv",
    "a b.csv",
    "12",
]


def read(argument):
    (override,) = OverridesParser.create().parse_overrides([argument])
    return override.value()


@pytest.mark.parametrize("name", ODD)
def test_a_name_of_a_file_is_read_as_it_is_typed(name):
    for command, key in (("rank", "scores"), ("predict", "checkpoint"), ("train", "sweep"), ("generate", "data.path")):
        (argument,) = readable([f"{key}={name}"], SCHEMAS[command])
        assert str(read(argument)) == name


@pytest.mark.parametrize("name", ["a,b.csv", "a${b}.csv", "a, b.csv"])
def test_what_could_mean_more_is_a_name_where_there_is_such_a_file(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    if "$" in name:
        with pytest.raises(UserError, match=r"\$\{b\} is no other key.s value\. Where .* write \\\$\{"):
            readable([f"scores={name}"], SCHEMAS["rank"])
    else:
        assert readable([f"scores={name}"], SCHEMAS["rank"]) == [f"scores={name}"]
    (tmp_path / name).touch()
    (argument,) = readable([f"scores={name}"], SCHEMAS["rank"])
    assert read(argument).replace("\\${", "${") == name


UNTOUCHED = ["-m", "--config-dir", "a=b", "data=mini_nat,mini_bal", "seed=1e5", "training.lr=1e-5", "scores='a=b'"]
UNTOUCHED += ["~wandb.entity", "test_sets=[org,nat]", "test_sets=null", "wandb.project=${sweep}", "seed=range(1,3)"]
UNTOUCHED += ["hydra/launcher=joblib", "+wandb.entity=mine", "hydra.searchpath=[file://mine]", "paths.data=/data/x"]


def test_everything_else_stays_as_it_is():
    assert readable(UNTOUCHED, SCHEMAS["train"]) == UNTOUCHED


@pytest.mark.parametrize(
    ("given", "read_as"),
    [
        ("sweeps=[2024_11, b]", ["2024_11", "b"]),
        ("sweeps=[multirun/täst,a=b]", ["multirun/täst", "a=b"]),
        ("sweeps=['a,b',c]", ["a,b", "c"]),
        ("sweeps=[]", []),
        ("ranking.treatment=[model]", ["model"]),
    ],
)
def test_names_in_a_list_are_read_as_they_are_typed(given, read_as):
    assert read(*readable([given], SCHEMAS["rank"])) == read_as


@pytest.mark.parametrize(
    ("given", "read_as"),
    [
        ("paths.data=2024_11,2024_12", ["2024_11", "2024_12"]),
        ("paths.data=täst,b", ["täst", "b"]),
        ("paths.data=a,b", ["a", "b"]),
        ("training.lr=1e-5,2e-5", [1e-5, 2e-5]),
        ("seed=range(1,3)", [1, 2]),
    ],
)
def test_a_sweep_over_names_stays_one(given, read_as):
    flag, argument = readable(["-m", given], SCHEMAS["train"])
    (override,) = OverridesParser.create().parse_overrides([argument])
    assert flag == "-m"
    assert [str(getattr(value, "text", value)) for value in override.sweep_iterator()] == [
        str(value) for value in read_as
    ]


def test_an_empty_text_in_quotes_is_one_but_no_file():
    assert readable(["wandb.entity=''"], SCHEMAS["train"]) == ["wandb.entity=''"]
    for key in ("scores", "output"):
        with pytest.raises(UserError, match="the value is empty"):
            readable([f"{key}=' '"], SCHEMAS["rank"])


@pytest.mark.parametrize("key", ["scores", "output", "paths.data", "+wandb.entity", "data"])
def test_an_empty_value_is_refused(key):
    with pytest.raises(UserError, match=rf"{key[1:]}=: the value is empty\. Leave it out .* or write .*=null"):
        readable([f"{key}="], SCHEMAS["rank"])


@pytest.mark.parametrize(
    ("argument", "told"),
    [
        ("ranking.comparisons=[a=b]", "Hydra cannot read it"),
        ("training.lr=a#b", "Put odd values in quotes: "),
        ("scores='a", "Hydra cannot read it"),
    ],
)
def test_what_cannot_be_read_is_told_with_how_to_write_it(argument, told):
    with pytest.raises(UserError) as caught:
        readable([argument], SCHEMAS["rank"])
    assert told in str(caught.value)


@pytest.mark.parametrize("text", ["a", "it's", "a\\'b", "back\\", "a\\\\", "${x}", "'", ""])
def test_quoted_texts_are_read_back(text):
    if text:
        assert read(f"scores={quoted(text)}").replace("\\${", "${") == text


def test_variables_without_a_value_are_unset(monkeypatch):
    for name in ("ERCSATZ_DATA", "ERCSATZ_CACHE", "HF_HOME", "HF_TOKEN", "WANDB_DIR", "OPENAI_API_KEY"):
        monkeypatch.setenv(name, "" if name.endswith("A") else " ")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("OTHER", "")
    unset_empty()
    assert not {"ERCSATZ_DATA", "ERCSATZ_CACHE", "HF_HOME", "HF_TOKEN", "WANDB_DIR", "OPENAI_API_KEY"} & set(os.environ)
    assert os.environ["WANDB_MODE"] == "offline"
    assert os.environ["OTHER"] == ""


def test_a_file_where_a_folder_is_to_be_made_is_told(tmp_path):
    (tmp_path / "outputs").touch()
    refuse_blocked([tmp_path, tmp_path / "other" / "one"])
    with pytest.raises(UserError, match=r"outputs is a file where a folder is to be made\. Move it away, or give"):
        refuse_blocked([tmp_path / "outputs" / "x"])


@pytest.mark.parametrize("given", [["--config-dir", ""], ["--config-dir="], ["-cd", " ", "seed=1"]])
def test_an_option_without_a_value_is_refused(given):
    with pytest.raises(UserError, match="has an empty value"):
        readable(given, SCHEMAS["train"])
