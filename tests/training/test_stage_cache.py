import math
from dataclasses import replace
from pathlib import Path

import pytest

from ercsatz.artifacts.cache import State
from ercsatz.artifacts.inventory import items
from ercsatz.classifiers.compm.config import CoMPMConfig
from ercsatz.data.dialogue import Corpus, Dialogue, Utterance
from ercsatz.errors import UserError
from ercsatz.training.graph import Stage
from ercsatz.training.stage_cache import StageCache

TRAIN = (
    Dialogue("1", (Utterance("Ann", "Hi.", "joy"), Utterance("Bo", "Oh.", "neutral")), {"prompt": 1}),
    Dialogue("2", (Utterance("Ann", "Hm.", "neutral"),)),
)
VALIDATION = (Dialogue("1", (Utterance("Bo", "Yes!", "joy"),)),)
LABELS = ("neutral", "joy")
SETTINGS = {"optimisation": {"lr": 1e-3, "epochs": 2, "schedule": "linear"}, "seed": 0, "classifier": {"name": "compm"}}


CLASSIFIER = CoMPMConfig("compm", 48, memory_layers=2, memory_dropout=0.0)


def stage(train=TRAIN, validation=VALIDATION, labels=LABELS, name="original", **settings) -> Stage:
    corpus = Corpus("mini_org", labels, {"train": train, "validation": validation})
    hung = {key: settings.pop(key) for key in ("start", "before") if key in settings}
    return Stage(name, "org", corpus, CLASSIFIER, {**SETTINGS, **settings}, **hung)


# The key

RELABELLED = replace(TRAIN[1], utterances=(Utterance("Ann", "Hm.", "joy"),))


@pytest.mark.parametrize(
    "changed",
    [
        stage(train=TRAIN[::-1]),
        stage(train=TRAIN[:1]),
        stage(train=(TRAIN[0], RELABELLED)),
        stage(validation=TRAIN),
        stage(labels=LABELS[::-1]),
        stage(labels=(*LABELS, "fear")),
        stage(start=stage(seed=1)),
        stage(before=stage(seed=1)),
        stage(seed=1),
        stage(optimisation={"lr": 2e-3, "epochs": 2, "schedule": "linear"}),
        stage(classifier={"name": "compm", "max_tokens": 64}),
    ],
)
def test_the_key_changes_with_what_determines_the_weights(changed):
    assert changed.key != stage().key


def test_the_key_does_not_change_with_provenance_or_the_names_of_things():
    train = tuple(replace(dialogue, provenance={"prompt": 2, "server": "b"}) for dialogue in TRAIN)
    same = replace(stage(train=train), corpus=Corpus("renamed", LABELS, {"validation": VALIDATION, "train": train}))
    assert same.key == stage().key
    assert stage(train=train, seed=0).key == stage().key
    assert stage(name="teacher").key == stage().key  # so a teacher is the original stage of the plain classifier


# The cache


def test_a_stage_is_trained_once(tmp_path):
    folders = []

    def train(partial: Path) -> dict[str, float]:
        folders.append(partial)
        (partial / "weights").write_text("learnt")
        return {"validation_w_f1": 0.5}

    first, record = StageCache(tmp_path).resolve(stage(), train)
    assert (record["cached"], record["key"], record["validation_w_f1"]) == (False, stage().key, 0.5)
    assert record["seconds"] >= 0
    assert record["description"]["labels"] == list(LABELS)
    again, cached = StageCache(tmp_path).resolve(stage(), train)
    assert again == first
    assert cached == {**record, "cached": True}
    assert (first / "weights").read_text() == "learnt"
    StageCache(tmp_path).resolve(stage(seed=1), train)
    assert len(folders) == 2
    assert not list(tmp_path.glob("stages/*.partial"))


@pytest.mark.parametrize("interruption", [RuntimeError, KeyboardInterrupt])
def test_an_interrupted_stage_is_not_done_and_its_folder_is_handed_back(tmp_path, interruption):
    def interrupted(partial: Path) -> dict[str, float]:
        (partial / "last.ckpt").write_text("epoch 2")
        raise interruption

    with pytest.raises(interruption):
        StageCache(tmp_path).resolve(stage(), interrupted)
    assert not (tmp_path / "stages" / stage().key).exists()

    def resumed(partial: Path) -> dict[str, str]:
        return {"from": (partial / "last.ckpt").read_text()}

    folder, record = StageCache(tmp_path).resolve(stage(), resumed)
    assert (record["from"], record["cached"]) == ("epoch 2", False)
    assert (folder / "stage.json").is_file()


def test_predictions_that_are_no_numbers_are_refused_where_an_earlier_version_kept_them(tmp_path):
    cache, dialogues = StageCache(tmp_path), VALIDATION
    rows = [{"dialogue": "1", "turn": 0, "probabilities": [0.5, 0.5]}]
    assert cache.predictions(stage(), dialogues, lambda: rows) == rows
    broken = [{**rows[0], "probabilities": [math.nan, math.nan]}]
    with pytest.raises(UserError, match=rf"not finite .* Remove that folder and {tmp_path}/stages/{stage(seed=1).key}"):
        cache.predictions(stage(seed=1), dialogues, lambda: broken)


def test_the_state_is_told_and_who_it_belongs_to(tmp_path):
    cache = StageCache(tmp_path)
    assert cache.state(stage()) == State.missing
    cache.resolve(stage(), lambda partial: {"half_done": cache.state(stage())})
    assert cache.state(stage()) == State.cached
    assert cache.resolve(stage(), lambda _: pytest.fail("trained again"))[1]["half_done"] == "running elsewhere"
    assert [item.owner for item in items(tmp_path)] == ["mini_org compm original seed 0"]


def test_a_damaged_stage_is_trained_again_and_its_logs_may_change(tmp_path, damaged):
    def train(partial: Path) -> dict[str, float]:
        for name in ("classifier.json", "weights", "logs/version_0/metrics.csv", "wandb/run/a.log"):
            (partial / name).parent.mkdir(parents=True, exist_ok=True)
            (partial / name).write_text(f"content of {name}")
        return {"validation_w_f1": 0.5}

    cache = StageCache(tmp_path)
    folder, record = cache.resolve(stage(), train)
    for name in damaged(folder):
        again, same = cache.resolve(stage(), train)
        assert same["cached"] == name.startswith(("logs", "wandb"))
        assert {**same, "cached": False, "seconds": 0} == {**record, "seconds": 0}
        assert (again / "weights").read_text() == "content of weights"


# Predictions


def test_predictions_are_computed_once_a_test_split(tmp_path):
    calls = []
    cache = StageCache(tmp_path)

    def predict(answer: str):
        return lambda: calls.append(answer) or [{"predicted": answer, "text": "a\u2028b", "probabilities": [1.0]}]

    assert cache.predictions(stage(), TRAIN, predict("joy"))[0]["predicted"] == "joy"
    assert cache.predictions(stage(), TRAIN, predict("other")) == [
        {"predicted": "joy", "text": "a\u2028b", "probabilities": [1.0]}
    ]
    assert cache.predictions(stage(), VALIDATION, predict("fear"))[0]["predicted"] == "fear"
    assert calls == ["joy", "fear"]


def test_damaged_predictions_are_computed_again(tmp_path, damaged):
    rows = [{"predicted": "joy", "probabilities": [0.25, 0.75]}]
    cache = StageCache(tmp_path)
    cache.predictions(stage(), TRAIN, lambda: rows)
    for _ in damaged(tmp_path / "predictions"):
        assert cache.predictions(stage(), TRAIN, lambda: rows) == rows
