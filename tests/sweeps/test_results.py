"""Score records of jobs of several phases in one sweep."""

from typing import Any

import pytest

from ercsatz.config import RankingConfig
from ercsatz.errors import UserError
from ercsatz.sweeps.results import is_ranked, records, told_apart

PHASES = {
    "tstr": [("original", "org", True), ("pretrain", "nat", False), ("finetune", "nat", True)],
    "joint": [("original", "org", True), ("joint", "nat", True)],
    "low_resource": [("original", "org", True), ("pretrain", "nat", False), ("finetune", "nat", True)],
}


def job(phase: str, classifier: str = "compm", **keys: str) -> dict[str, Any]:
    """The result of a job; ``keys`` are those of stages that are not named after their phase."""
    scores = dict.fromkeys(("w_f1", "macro_f1", "accuracy"), 0.5)
    stages = [
        {"stage": stage, "variant": variant, "ranked": ranked, "key": keys.get(stage, f"{phase}-{stage}")}
        for stage, variant, ranked in PHASES[phase]
    ]
    return {
        "status": "completed",
        "source": f"{phase}-{classifier}",
        "choices": {"classifier": classifier, "backbone": "tiny", "benchmark": "mini", "phase": phase},
        "overrides": [f"phase={phase}"],
        "seed": 0,
        "hashes": {"org": "1"},
        "stages": [stage | {"test": {"org": scores}} for stage in stages],
    }


def ranking(*treatment: str, stages: list[str] | None = None) -> RankingConfig:
    return RankingConfig(list(treatment), ["benchmark", "test_set"], stages, baseline="org")


def phases(*jobs: dict[str, Any]) -> dict[tuple[str, str], str]:
    """The phase of each record by source and stage."""
    long = records(jobs)
    return dict(zip(zip(long.source, long.stage, strict=True), long.phase, strict=True))


@pytest.mark.parametrize("order", [1, -1])
def test_a_stage_that_phases_share_counts_as_one_of_tstr(order):
    found = phases(*[job("tstr", original="same"), job("joint", original="same")][::order])
    assert found == {
        ("tstr-compm", "original"): "tstr",
        ("tstr-compm", "pretrain"): "tstr",
        ("tstr-compm", "finetune"): "tstr",
        ("joint-compm", "original"): "tstr",
        ("joint-compm", "joint"): "joint",
    }


def test_a_stage_of_the_same_name_with_another_key_is_of_its_own_phase():
    found = phases(job("tstr"), job("low_resource"))
    assert {stage: found["low_resource-compm", stage] for stage in ("original", "finetune")} == {
        "original": "low_resource",
        "finetune": "low_resource",
    }


def test_without_tstr_a_shared_stage_is_of_the_first_phase():
    found = phases(job("joint", original="same"), job("low_resource", original="same"))
    assert found["joint-compm", "original"] == found["low_resource-compm", "original"] == "joint"


def test_treatments_of_several_phases_have_the_phase_in_their_name():
    long = records([job("tstr", original="same"), job("joint", original="same")])
    assert told_apart(long, ranking("classifier", "variant")).treatment == ["classifier", "variant", "phase"]
    assert told_apart(long, ranking("classifier", "phase")).treatment == ["classifier", "phase"]
    # No treatment has two: the stages that are ranked tell the phases apart already.
    assert told_apart(long, ranking("classifier", "stage")).treatment == ["classifier", "stage"]
    assert told_apart(long, ranking("classifier", "variant", stages=["original"])).treatment == [
        *("classifier", "variant")
    ]


def test_one_phase_is_not_named():
    for jobs in ([job("joint")], [job("tstr"), job("tstr", "emoone")], [job("tstr"), job("joint", "emoone")]):
        assert told_apart(records(jobs), ranking("classifier", "variant")).treatment == ["classifier", "variant"]


def test_what_is_ranked_is_what_the_phases_say_or_the_stages_that_are_named():
    long = records([job("tstr"), job("joint")])
    assert set(long[is_ranked(long, ranking("classifier"))].stage) == {"original", "finetune", "joint"}
    assert set(long[is_ranked(long, ranking("classifier", stages=["pretrain"]))].stage) == {"pretrain"}
    with pytest.raises(UserError, match=r"no job ran the stage other\. There are: "):
        is_ranked(long, ranking("classifier", stages=["other"]))
