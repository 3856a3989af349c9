"""The rules of phases, and of what ``train.py`` is given beside the parts' own rules."""

from dataclasses import replace

import pytest

from ercsatz.config import StageConfig, TrainConfig, TrainOn
from ercsatz.errors import UserError
from ercsatz.training.check_config import check
from tests.training.composed import train_config

REAL, SYNTHETIC = StageConfig(TrainOn.real), StageConfig(TrainOn.synthetic)


def phase(**changes) -> TrainConfig:
    """A job of ``tstr`` with another value of some of the phase's keys."""
    cfg = train_config("data=mini_nat")
    return replace(cfg, phase=replace(cfg.phase, **changes))


@pytest.mark.parametrize("name", ["tstr", "original", "pretrain", "finetune", "joint", "low_resource"])
def test_a_shipped_phase_is_accepted(name):
    check(train_config("data=mini_nat", f"phase={name}"))


@pytest.mark.parametrize("share", [1.0, 1e-6])
def test_a_share_is_above_0_to_1(share):
    check(phase(real_share=share, stages={"original": replace(REAL, synthetic_share=share)}, ranked=["original"]))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"real_share": 0.0}, "phase.real_share=0.0: must be above 0, to 1"),
        ({"synthetic_share": 1.5}, "phase.synthetic_share=1.5: must be above 0, to 1"),
        ({"real_share": float("nan")}, "phase.real_share=nan: must be above 0, to 1"),
        ({"stages": {"a": replace(REAL, real_share=-0.1)}}, "phase.stages.a.real_share=-0.1: must be above 0, to 1"),
        ({"stages": {"a": replace(REAL, start="a")}}, "phase.stages.a.start=a: must be a stage before it: none"),
        (
            {"stages": {"a": REAL, "b": replace(REAL, start="c"), "c": REAL}},
            "phase.stages.b.start=c: must be a stage before it: a",
        ),
        ({"stages": {"a": replace(REAL, epochs=0)}}, "phase.stages.a.epochs=0: must be 1 or more"),
        ({"stages": {"a": replace(REAL, lr=0.0)}}, "phase.stages.a.lr=0.0: must be above 0"),
        ({"stages": {}}, "phase.stages=[]: must be one that is scored at least"),
        ({"stages": {"a": replace(REAL, scored=False)}}, "phase.stages=['a']: must be one that is scored at least"),
        ({"ranked": ["other"]}, "phase.ranked=['other']: must be among the scored stages"),
        (
            {"stages": {"a": replace(SYNTHETIC, scored=False), "b": REAL}, "ranked": ["a"]},
            "phase.ranked=['a']: must be among the scored stages: b",
        ),
    ],
)
def test_a_phase_that_cannot_be_is_refused_by_its_key(changes, told):
    with pytest.raises(UserError) as error:
        check(phase(**changes))
    assert told in str(error.value)


def test_stages_to_rank_are_stages_of_the_phase():
    check(train_config("data=mini_nat", "ranking.stages=[pretrain]"))
    with pytest.raises(UserError, match=r"phase=tstr has no stage joint\. It has: original, pretrain, finetune\."):
        check(train_config("data=mini_nat", "ranking.stages=[joint]"))


def test_a_saved_classifier_stands_in_for_a_stage_that_is_not_scored():
    check(train_config("data=mini_nat", "phase=finetune", "training.checkpoint=saved"))
    with pytest.raises(UserError, match=r"phase=joint has none"):
        check(train_config("data=mini_nat", "phase=joint", "training.checkpoint=saved"))
