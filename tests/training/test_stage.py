from dataclasses import replace

import pytest

from ercsatz.data.dialogue import SPLITS, Corpus
from ercsatz.errors import UserError
from ercsatz.training.corpora import JobData
from ercsatz.training.graph import plan
from ercsatz.training.stage import Before, train_stage
from tests.training.composed import LABELS, train_config


@pytest.mark.parametrize(
    ("name", "options"), [("StochasticWeightAveraging", {"swa_lrs": 0.1}), ("EMAWeightAveraging", {})]
)
def test_averaging_that_would_be_lost_is_refused_with_ours(name, options, make_dialogues, tmp_path):
    real = Corpus("mini_org", tuple(LABELS), {split: make_dialogues(4, seed=i) for i, split in enumerate(SPLITS)})
    target = f"pytorch_lightning.callbacks.{name}"
    cfg = train_config("data=mini_org", "phase=original")
    cfg = replace(cfg, callbacks={"average": {"_target_": target, **options}})
    (stage,) = plan(cfg, JobData(real, None, {"org": real.split("test")}, {}))
    with pytest.raises(UserError, match=rf"callbacks\.average: the average of {target} would not .*=weight_averaging"):
        train_stage(cfg, stage, Before(), tmp_path, "test")
