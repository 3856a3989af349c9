"""What a sweep's ranking will compare, said before anything is trained."""

from typing import Any

import pytest

from ercsatz.config import RankingConfig
from ercsatz.errors import UserError
from ercsatz.sweeps.plan import foretell


def cell(*overrides: str, classifier: str = "compm", phase: str = "tstr", seed: int = 0) -> dict[str, Any]:
    data = next((text[5:] for text in overrides if text.startswith("data=")), "mini_nat")
    choices = {"data": data, "classifier": classifier, "backbone": "tiny", "benchmark": "mini", "phase": phase}
    planned = [{"stage": "original", "variant": "org"}, {"stage": "finetune", "variant": "nat"}]
    return {"overrides": list(overrides), "choices": choices, "planned": planned, "seed": seed}


def ranking(*treatment: str, **more: Any) -> RankingConfig:
    return RankingConfig(
        list(treatment) or ["classifier", "variant"], ["benchmark", "test_set"], baseline="org", **more
    )


def test_treatments_are_named():
    assert foretell([cell(), cell("classifier=emoone", classifier="emoone")], ranking()) == (
        "Ranked at the end: compm_org, compm_nat, emoone_org, emoone_nat."
    )


def test_seeds_are_averaged():
    told = foretell([cell(f"seed={seed}", seed=seed) for seed in (0, 1, 2)], ranking())
    assert told == "Ranked at the end: compm_org, compm_nat; scores are means over the seeds 0, 1, 2."


def test_each_value_of_another_key_is_a_treatment():
    told = foretell([cell(f"training.lr={lr}") for lr in ("1e-5", "2e-5")], ranking())
    assert "each value of training.lr (1e-5, 2e-5) is a treatment of its own" in told
    told = foretell([cell(f"training.lr={lr}") for lr in ("1e-5", "2e-5")], ranking(seed="training.lr"))
    assert "treatment of its own" not in told


def test_cells_that_cannot_be_composed_say_nothing():
    assert foretell([{"overrides": []}], ranking()) is None
    assert foretell([cell()], ranking(stages=["pretrain"])) is None


@pytest.mark.parametrize(
    ("cells", "settings", "message"),
    [
        ([cell()], ranking("classifer"), r"ranking\.treatment: results will have no column 'classifer'; .* classifier"),
        ([cell()], ranking(metric="nope"), r"ranking\.metric: .* There are: w_f1, macro_f1, accuracy"),
        (
            [cell()],
            ranking("classifier"),
            r"The treatment compm would have two scores .* variant, stage",
        ),
        (
            [cell(), cell("classifier=emoone", classifier="emoone")],
            ranking("variant"),
            r"The treatment org would have two scores .* differ in: classifier",
        ),
    ],
)
def test_a_ranking_that_could_not_be_made_is_refused_before_anything_is_trained(cells, settings, message):
    with pytest.raises(UserError, match=message):
        foretell(cells, settings)


def test_parts_of_one_name_are_refused():
    cells = [cell("backbone=tiny"), cell("backbone=mine")]
    with pytest.raises(UserError, match="backbone=tiny and backbone=mine are both named tiny"):
        foretell(cells, ranking())


def test_one_saved_classifier_for_several_data_sets_is_refused():
    cells = [cell(f"data=mini_{variant}", "training.checkpoint=saved") for variant in ("nat", "bal")]
    with pytest.raises(UserError, match=r"training\.checkpoint=saved would stand .* on mini_nat and on mini_bal: one"):
        foretell(cells, ranking())
    assert foretell([cell("data=mini_nat", "training.checkpoint=saved")], ranking())
