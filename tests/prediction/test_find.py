import json

import pytest

from ercsatz.errors import UserError
from ercsatz.prediction.find import Found, Keys, find_classifier

KEYS = Keys("checkpoint=", "stage=NAME", "paths.cache=FOLDER")


@pytest.fixture
def job(tmp_path):
    """Write the result of a job, whose stages are in the cache under the keys CELL-STAGE."""

    def write(*stages, status="completed", folder="multirun/a/cell", validation=(), **more):
        result = {"schema": 1, "status": status, "overrides": ["data=mini_nat", "sweep=my own"], **more}
        result |= {"choices": {"classifier": "compm", "benchmark": "mini"}, "hashes": {"org": "1"}}
        scores = {"org": dict.fromkeys(("w_f1", "macro_f1", "accuracy"), 0.5)}
        name = folder.rpartition("/")[2]
        result["stages"] = [
            {"stage": stage, "key": f"{name}-{stage}", "variant": "nat", "test": more.get("test", scores)}
            for stage in stages
        ]
        for stage, (score, dialogues) in zip(result["stages"], validation, strict=False):
            stage |= {"validation_w_f1": score, "recipe": {"validation": dialogues}}
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "result.json").write_text(json.dumps(result))
        for stage in result["stages"]:
            saved = tmp_path / "cache" / "stages" / stage["key"]
            saved.mkdir(parents=True, exist_ok=True)
            (saved / "classifier.json").write_text("{}")
        return tmp_path / folder

    return write


@pytest.fixture
def find(tmp_path):
    def call(run, stage=None, cache=None):
        return find_classifier(run, cache or tmp_path / "cache", KEYS, stage)

    return call


@pytest.fixture
def refused(find):
    def call(*arguments, **more):
        with pytest.raises(UserError) as error:
            find(*arguments, **more)
        return str(error.value)

    return call


def test_a_saved_classifier_is_itself(job, find, refused, tmp_path):
    job("original")
    folder = tmp_path / "cache" / "stages" / "cell-original"
    assert find(folder, cache=tmp_path / "elsewhere") == Found(folder)
    assert refused(folder, stage="original").endswith("is one saved classifier. Leave stage=NAME out.")


@pytest.mark.parametrize(
    ("stages", "last"),
    [
        (("original", "pretrain", "finetune"), "finetune"),
        (("original", "joint"), "joint"),
        (("finetune",), "finetune"),
        (("pretrain",), "pretrain"),
        (("mine", "of_my_own"), "of_my_own"),
    ],
)
def test_the_last_stage_of_a_job_is_taken(stages, last, job, find, tmp_path):
    folder = job(*stages)
    found = find(folder)
    assert found.folder == tmp_path / "cache" / "stages" / f"cell-{last}"
    assert found.chosen == f"stage {last} of {folder}"
    assert found.result["overrides"] == ["data=mini_nat", "sweep=my own"]
    assert [found.stage["stage"], len(found.others), found.sweep] == [last, 1, None]
    assert find(folder / "result.json") == found


def test_another_stage_is_taken_by_its_name(job, find, refused, tmp_path):
    folder = job("original", "pretrain", "finetune")
    assert find(folder, "original").folder.name == "cell-original"
    assert refused(folder, "joint").endswith("no stage joint; it has original, pretrain, finetune: stage=NAME")


def test_a_job_whose_classifier_is_gone_says_how_to_make_it_again(job, refused, tmp_path):
    told = refused(job("original"), cache=tmp_path / "other")
    assert f"{tmp_path / 'other' / 'stages' / 'cell-original'}, is not there any more" in told
    assert "paths.cache=FOLDER" in told
    assert told.endswith("python train.py data=mini_nat 'sweep=my own'")


@pytest.mark.parametrize("status", ["running", "failed"])
def test_a_job_that_did_not_complete_is_refused(status, job, refused):
    told = refused(job(status=status, error="broken"))
    assert f"did not complete (it is {status})" in told
    assert "python train.py data=mini_nat" in told


def test_of_a_sweep_the_best_by_validation_is_taken_whatever_the_test_says(job, find, tmp_path):
    good = {"org": dict.fromkeys(("w_f1", "macro_f1", "accuracy"), 0.9)}
    job("original", "finetune", folder="multirun/a/x", validation=[(0.9, "v"), (0.4, "v")], test=good)
    job("original", "finetune", folder="multirun/a/y", validation=[(0.1, "v"), (0.6, "v")])
    job("original", "finetune", folder="multirun/a/z", validation=[(0.1, "v"), (0.6, "v")])
    job(status="failed", error="broken", folder="multirun/a/w")
    found = find(tmp_path / "multirun" / "a")
    assert found.folder == tmp_path / "cache" / "stages" / "y-finetune"
    assert found.chosen == (
        f"stage finetune of {tmp_path / 'multirun/a/y'}, the best of 3 jobs by validation W-F1 (60.00); 1 job of the "
        "sweep did not complete"
    )
    assert len(found.others) == 3
    assert find(tmp_path / "multirun" / "a", "original").folder.name == "x-original"


def test_classifiers_that_were_validated_on_other_dialogues_are_not_compared(job, refused, tmp_path):
    for name, score, dialogues in (("x", 0.4, "v"), ("y", 0.6, "other"), ("z", 0.5, "v")):
        job("original", folder=f"multirun/a/{name}", validation=[(score, dialogues)])
    told = refused(tmp_path / "multirun" / "a")
    assert "were validated on different dialogues" in told
    assert told.endswith(
        f"the best on each: {tmp_path / 'multirun/a/z'} (mini, original); {tmp_path / 'multirun/a/y'} (mini, original)"
    )


def test_a_sweep_that_says_nothing_of_validation_is_refused(job, refused, tmp_path):
    job("original")
    assert "has no validation score. Give one job" in refused(tmp_path / "multirun" / "a")
    assert refused(tmp_path / "multirun", "finetune").endswith("has a stage finetune; there are original: stage=NAME")


def test_a_sweep_of_which_nothing_has_completed_is_refused(job, refused, tmp_path):
    job(status="running")
    assert refused(tmp_path / "multirun").startswith(f"No job of {tmp_path / 'multirun'} has completed.")


def test_what_is_neither_is_refused(refused, tmp_path):
    assert refused(tmp_path / "nowhere").startswith(f"There is no {tmp_path / 'nowhere'}. checkpoint= takes a saved")
    assert "neither a classifier.json nor a result.json" in refused(tmp_path)
    (tmp_path / "model.bin").write_bytes(b"")
    assert "neither a classifier.json nor a result.json" in refused(tmp_path / "model.bin")


def test_a_broken_result_is_named(job, refused):
    folder = job("original")
    (folder / "result.json").write_text('{"schema": 1')
    assert "result.json, line 1: not JSON" in refused(folder)
