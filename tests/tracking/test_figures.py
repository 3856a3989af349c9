from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from ercsatz.data.metrics import scores
from ercsatz.tracking.figures import Scored, best_metrics, curve_metrics, flat_config, score_metrics

LABELS = ["neutral", "joy"]


class Word(StrEnum):
    one = "one"


@dataclass
class Part:
    name: str = "tiny"
    word: Word = Word.one
    nested: dict[str, Any] = field(default_factory=lambda: {"url": "http://me:secret@host", "sizes": [1, 2]})


@dataclass
class Config:
    backbone: Part = field(default_factory=Part)
    callbacks: dict[str, Any] = field(default_factory=lambda: {"early": {"patience": 2}})
    test_sets: list[str] | None = None
    paths: dict[str, str] = field(default_factory=lambda: {"data": "/home/me/data"})
    wandb: dict[str, str] = field(default_factory=lambda: {"mode": "auto"})
    seed: int = 3


def test_a_configuration_is_flat_with_parts_by_their_name_and_secrets_hidden():
    assert flat_config(Config()) == {
        "backbone": "tiny",
        "backbone.word": "one",
        "backbone.nested.url": "http://***@host",
        "backbone.nested.sizes": [1, 2],
        "callbacks.early.patience": 2,
        "test_sets": None,
    }


def test_scores_are_those_of_the_result_under_one_name_each():
    result = scores([0, 0, 1], [0, 1, 1], LABELS)
    assert score_metrics({"org": Scored(result, (), ())}) == {
        "test/org/w_f1": result["w_f1"],
        "test/org/macro_f1": result["macro_f1"],
        "test/org/accuracy": result["accuracy"],
        "test/org/f1/neutral": result["per_class"]["neutral"]["f1"],
        "test/org/f1/joy": result["per_class"]["joy"]["f1"],
    }


def test_records_of_what_is_not_scored_and_of_earlier_versions_have_what_they_have():
    topic = {"best_epoch": 1, "validation_loss": 0.5, "seconds": 1.0, "steps": 4, "epochs": 1}
    topic["curve"] = [{"epoch": 1, "loss": None, "validation_loss": 0.5}]
    assert list(curve_metrics(topic)) == [(0, 3, {"validation/loss": 0.5})]
    assert best_metrics(topic) == {"best/epoch": 1, "best/loss": 0.5, "seconds": 1.0}
    assert list(curve_metrics({"best_epoch": 1})) == []
