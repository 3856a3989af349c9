import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from ercsatz.config import register
from ercsatz.errors import UserError
from ercsatz.knowledge.run import load_splits, run
from ercsatz.resources import resource


@pytest.fixture
def config(tmp_path):
    def config(*overrides):
        register([resource("conf")])
        with initialize_config_dir(str(resource("conf")), version_base="1.3"):
            return OmegaConf.to_object(compose("knowledge", [f"paths.data={tmp_path}", *overrides]))

    return config


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ([], r"retrieve\.atomic=FILE"),
        (["retrieve.atomic=gone.csv"], r"There is no file gone\.csv"),
        (["retrieve.atomic=x", "retrieve.top=0"], r"retrieve\.top=0: must be 1 or more"),
        (["source=generate"], "generator=tgi, generator=openai or generator=transformers"),
        (["source=text"], r"text\.train=FILE"),
        (["source=cosmic"], r"cosmic\.file=FILE"),
        (["source=cosmic", "cosmic.splits=[dev]"], r"cosmic\.splits=\['dev'\]"),
        (["source=cosmic", "cosmic.splits=[test,test]"], "must be different ones of"),
        (["data=mini_per", "retrieve.atomic=x"], r"python generate\.py data=mini_per"),
    ],
)
def test_mistakes_are_told_with_the_key_that_mends_them(config, tmp_path, overrides, words):
    with pytest.raises(UserError, match=words):
        run(config(*overrides))
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_place_that_cannot_be_written_is_told(config, tmp_path):
    (tmp_path / "knowledge").write_text("in the way")
    with pytest.raises(UserError, match=r"Cannot write .*mini_org\.jsonl.*paths\.data"):
        run(config("retrieve.atomic=x"))


def test_a_benchmark_is_read_from_its_own_files(config):
    assert {split: len(dialogues) for split, dialogues in load_splits(config()).items()} == {
        "train": 116,
        "validation": 18,
        "test": 34,
    }
