import json

import pytest

from ercsatz.errors import UserError
from ercsatz.prediction.find import find_classifier


@pytest.fixture
def job(tmp_path):
    """Write the result of a job whose stages, with the keys 0, 1, ..., are in the cache."""

    def write(*stages, status="completed", folder="multirun/a/cell", **more):
        result = {"schema": 1, "status": status, "overrides": ["data=mini_nat", "sweep=my own"], **more}
        result["stages"] = [{"stage": stage, "key": str(number)} for number, stage in enumerate(stages)]
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "result.json").write_text(json.dumps(result))
        for number, _ in enumerate(stages):
            saved = tmp_path / "cache" / "stages" / str(number)
            saved.mkdir(parents=True, exist_ok=True)
            (saved / "classifier.json").write_text("{}")
        return tmp_path / folder

    return write


def refused(checkpoint, cache):
    with pytest.raises(UserError) as error:
        find_classifier(checkpoint, cache)
    return str(error.value)


def test_a_saved_classifier_is_itself(job, tmp_path):
    job("original")
    folder = tmp_path / "cache" / "stages" / "0"
    assert find_classifier(folder, tmp_path / "elsewhere") == (folder, "")


@pytest.mark.parametrize(
    ("stages", "last"),
    [
        (("original", "pretrain", "finetune"), 2),
        (("finetune",), 0),
        (("pretrain", "original"), 1),
        (("pretrain",), 0),
    ],
)
def test_the_last_stage_of_a_job_is_taken(stages, last, job, tmp_path):
    folder = job(*stages)
    expected = (tmp_path / "cache" / "stages" / str(last), f"stage {stages[last]} of {folder}")
    assert find_classifier(folder, tmp_path / "cache") == expected
    assert find_classifier(folder / "result.json", tmp_path / "cache") == expected


def test_a_job_whose_classifier_is_gone_says_how_to_make_it_again(job, tmp_path):
    told = refused(job("original"), tmp_path / "other")
    assert f"{tmp_path / 'other' / 'stages' / '0'}, is not there any more" in told
    assert "paths.cache=FOLDER" in told
    assert told.endswith("python train.py data=mini_nat 'sweep=my own'")


@pytest.mark.parametrize("status", ["running", "failed"])
def test_a_job_that_did_not_complete_is_refused(status, job, tmp_path):
    told = refused(job(status=status, error="broken"), tmp_path / "cache")
    assert f"did not complete (it is {status})" in told
    assert "python train.py data=mini_nat" in told


def test_of_a_sweep_one_job_is_asked_for(job, tmp_path):
    cells = [job("original", folder=f"multirun/a/{name}") for name in ("y", "x")]
    told = refused(cells[0].parent, tmp_path / "cache")
    assert told.endswith(f"holds 2 jobs. Give one of them, for one checkpoint={cells[1]}")


def test_what_is_neither_is_refused(job, tmp_path):
    assert refused(tmp_path / "nowhere", tmp_path).startswith(f"There is no {tmp_path / 'nowhere'}. checkpoint= takes")
    assert "neither a classifier.json nor a result.json" in refused(tmp_path, tmp_path)
    (tmp_path / "model.bin").write_bytes(b"")
    assert "neither a classifier.json nor a result.json" in refused(tmp_path / "model.bin", tmp_path)


def test_a_broken_result_is_named(job, tmp_path):
    folder = job("original")
    (folder / "result.json").write_text('{"schema": 1')
    assert "result.json, line 1: not JSON" in refused(folder, tmp_path / "cache")
