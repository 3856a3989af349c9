"""What a job would miss, looked for before anything is read."""

from pathlib import Path

import pytest

from ercsatz.training.missing import missing
from tests.training.composed import train_config


@pytest.fixture
def offline(monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


def job(folder: Path, *overrides: str):
    return missing(train_config(f"paths.data={folder}/data", *overrides))


def test_a_job_that_has_all_misses_nothing(tmp_path):
    found = job(tmp_path, "data=mini_org", "classifier=compm")
    assert (found.sentences, found.data_sets) == ((), {})


def test_data_sets_files_and_knowledge_are_told_apart(tmp_path):
    (tmp_path / "data" / "mini_bal").mkdir(parents=True)
    given = ("data=mini_nat", "classifier=todkat", "test_sets=[org,bal]", f"benchmark.path={tmp_path}/none")
    found = job(tmp_path, *given)
    assert list(found.data_sets) == ["mini_nat"]
    assert found.data_sets["mini_nat"].startswith(f"There is no data set mini_nat in {tmp_path}/data/mini_nat.")
    assert any("mini: no file train.jsonl" in sentence for sentence in found.others)
    assert any("mini_bal/test.jsonl. Make it again with: " in sentence for sentence in found.others)
    assert len(found.knowledge) == 2
    assert set(found.sentences) == {*found.data_sets.values(), *found.others, *found.knowledge}


def test_folders_of_weights_are_looked_for(tmp_path):
    weights = ("backbone=local", "backbone.size=null", f"backbone.checkpoint={tmp_path}/none")
    assert job(tmp_path, "data=mini_org", *weights).others == (
        f"There is no folder {tmp_path}/none (backbone.checkpoint).",
    )


def test_weights_of_the_hub_are_missed_where_it_may_not_be_asked(tmp_path, offline):
    (told,) = job(
        tmp_path, "data=mini_org", "backbone=local", "backbone.size=null", "backbone.checkpoint=nobody/has-these"
    ).others
    assert told.startswith("backbone: nobody/has-these is not in the cache of the hub")
    assert "hf download nobody/has-these" in told
    assert job(tmp_path, "data=mini_org", "backbone=tiny").others == ()


def test_weights_of_the_hub_are_not_missed_where_it_may_be_asked(tmp_path):
    assert (
        job(
            tmp_path, "data=mini_org", "backbone=local", "backbone.size=null", "backbone.checkpoint=nobody/has-these"
        ).others
        == ()
    )
