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


REBALANCING = ("class_weights", "effective_number", "logit_adjustment")


@pytest.mark.parametrize("loss", ["cross_entropy", "label_smoothing", "focal", *REBALANCING])
def test_rare_labels_are_made_up_for_once(loss):
    check(train_config("data=mini_nat", f"loss={loss}"))
    cfg = train_config("data=mini_nat", f"loss={loss}", "sampler=oversampling")
    if loss not in REBALANCING:
        check(cfg)
        return
    told = rf"sampler=oversampling: must be none, or take loss=cross_entropy: loss={loss} makes up for rare labels"
    with pytest.raises(UserError, match=told):
        check(cfg)


@pytest.mark.parametrize("gray", ["category", "self_adjust", "none"])
def test_emoone_refuses_a_loss_that_its_gray_labels_contradict(gray):
    emoone = ("data=mini_nat", "classifier=emoone", f"classifier.gray={gray}")
    benchmark = train_config("data=mini_nat").benchmark
    sentiments = dict.fromkeys(benchmark.labels, "neutral")

    def checked(*overrides):
        check(replace(train_config(*emoone, *overrides), benchmark=replace(benchmark, sentiments=sentiments)))

    for loss in ("focal", "class_weights", "label_smoothing"):
        checked(f"loss={loss}")
    checked("loss=logit_adjustment", "classifier.w2=0")
    if gray == "none":
        checked("loss=logit_adjustment")
        return
    with pytest.raises(UserError, match=r"loss=logit_adjustment: must be one that trains the plain logits.*gray=none"):
        checked("loss=logit_adjustment")


@pytest.mark.parametrize("classifier", ["compm", "todkat"])
def test_a_classifier_whose_only_loss_is_that_of_its_targets_takes_any(classifier):
    for loss in ("focal", *REBALANCING):
        check(train_config("data=mini_nat", f"classifier={classifier}", f"loss={loss}"))


def test_a_saved_classifier_stands_in_for_a_stage_that_is_not_scored():
    check(train_config("data=mini_nat", "phase=finetune", "training.checkpoint=saved"))
    with pytest.raises(UserError, match=r"phase=joint has none"):
        check(train_config("data=mini_nat", "phase=joint", "training.checkpoint=saved"))


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("training.layer_decay=0", "training.layer_decay=0.0: must be above 0, to 1"),
        ("training.layer_decay=1.1", "training.layer_decay=1.1: must be above 0, to 1"),
        ("training.layer_decay=nan", "training.layer_decay=nan: must be above 0, to 1"),
        ("training.patience=0", "training.patience=0: must be 1 or more"),
    ],
)
def test_how_a_stage_is_tuned_has_bounds(override, told):
    with pytest.raises(UserError) as error:
        check(train_config("data=mini_nat", override))
    assert told in str(error.value)


def test_several_callbacks_are_composed_as_one_group():
    cfg = train_config("callbacks=[none,learning_rate_monitor]")
    assert [*cfg.callbacks] == ["learning_rate_monitor"]
    check(train_config("data=mini_nat", "callbacks=[learning_rate_monitor]", "training.patience=1"))


@pytest.mark.parametrize("threads", ["auto", "1", "16"])
def test_threads_are_a_number_or_auto(threads):
    check(train_config("data=mini_nat", f"trainer.threads={threads}"))


@pytest.mark.parametrize("threads", ["0", "-1", "many", "1.5", "true", "null"])
def test_threads_that_cannot_be_are_refused(threads):
    with pytest.raises(UserError, match=r"trainer\.threads=.*: must be auto, or 1 or more"):
        check(train_config("data=mini_nat", f"trainer.threads={threads}"))
