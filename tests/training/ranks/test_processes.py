"""A stage in two processes that are really started: the same numbers, and the end of one is that of all."""

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from pytorch_lightning.loggers import Logger

from ercsatz.classifiers.encoder.pretrained import open_backbone
from ercsatz.config import BackboneConfig, Pooling, TinySizeConfig, TrainConfig
from ercsatz.data.dialogue import SPLITS, Corpus
from ercsatz.errors import UserError
from ercsatz.training.corpora import JobData
from ercsatz.training.graph import Stage, plan
from ercsatz.training.ranks.messages import Died, Done, Failed
from ercsatz.training.ranks.processes import outcome
from ercsatz.training.stage import Before, train_together
from tests.training.composed import LABELS, train_config


class Heard(Logger):
    """Keeps what it is told, and does something when it hears of the second epoch."""

    def __init__(self, then: Callable[[], object] = lambda: None) -> None:
        super().__init__()
        self.told: list[dict[str, float]] = []
        self._then = then

    name = version = "heard"

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.told.append(metrics)
        if sum("validation/w_f1" in each for each in self.told) == 2:
            self._then()
            self._then = lambda: None

    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        pass


@pytest.fixture
def job(make_dialogues, tmp_path) -> Callable[..., tuple[TrainConfig, Stage]]:
    """The stage of a small job on a backbone without dropout."""
    splits = {split: make_dialogues(12, seed=i) for i, split in enumerate(SPLITS)}
    texts = [turn.text for dialogue in splits["train"] for turn in dialogue.utterances]
    tiny = open_backbone(BackboneConfig("tiny", None, Pooling.mean, 1e-3, TinySizeConfig(16, 2, 2, 300)), texts)
    tiny.config.hidden_dropout_prob = 0.0
    tiny.scratch().model.save_pretrained(tmp_path / "encoder")
    tiny.tokenizer.save_pretrained(tmp_path / "encoder")

    def make(*overrides: str) -> tuple[TrainConfig, Stage]:
        backbone = ("backbone.size=null", f"backbone.checkpoint={tmp_path / 'encoder'}", "backbone.pooling=mean")
        cfg = train_config(
            "data=mini_org", "phase=original", f"paths.cache={tmp_path / 'cache'}", *overrides, *backbone
        )
        real = Corpus("mini_org", tuple(LABELS), splits)
        (stage,) = plan(cfg, JobData(real, None, {"org": real.split("test")}, {}))
        return cfg, stage

    return make


COMPM = ("classifier=compm", "classifier.memory_dropout=0", "trainer.memory_tokens=60")
TODKAT = ("classifier=todkat", "classifier.dropout=0", "classifier.topic=false")


@pytest.mark.parametrize(
    ("options", "of"),
    [
        (COMPM, 2),
        pytest.param(COMPM, 4, marks=pytest.mark.slow),
        pytest.param(TODKAT, 2, marks=pytest.mark.slow),
        pytest.param(TODKAT, 3, marks=pytest.mark.slow),
    ],
)
def test_several_processes_train_as_one(options, of, job, tmp_path):
    cfg, stage = job(*options)
    several = replace(cfg, trainer=replace(cfg.trainer, devices=of))
    assert plan(several, JobData(stage.corpus, None, {}, {}))[0].key == stage.key
    logger = Heard()
    alone = train_together(cfg, stage, Before(), tmp_path / "1", "alone")
    found = train_together(several, stage, Before(), tmp_path / "2", "several", [logger])
    assert found["processes"] == of
    assert "processes" not in alone
    assert found["steps"] == alone["steps"] > 4
    for one, other in zip(alone["curve"], found["curve"], strict=True):
        assert other["loss"] == pytest.approx(one["loss"], rel=1e-4)
        assert other["w_f1"] == one["w_f1"]
    assert [told["validation/w_f1"] for told in logger.told if "validation/w_f1" in told] == [
        point["w_f1"] for point in found["curve"]
    ]
    assert {file.name for file in (tmp_path / "2").iterdir()} == {file.name for file in (tmp_path / "1").iterdir()}


def test_a_process_that_dies_ends_the_others_and_the_next_run_goes_on(job, tmp_path, capfd):
    cfg, stage = job(*COMPM, "training.epochs=40", "trainer.devices=2")
    own = psutil.Process()

    def kill() -> None:
        os.kill(max(own.children(), key=lambda child: child.create_time()).pid, signal.SIGKILL)

    with pytest.raises(
        UserError, match=r"stage: process \d of 2 that trained it died \(SIGKILL; .* goes on from there"
    ):
        train_together(cfg, stage, Before(), tmp_path, "stage", [Heard(kill)])
    assert not own.children()
    assert (tmp_path / "work" / "last.ckpt").is_file()
    again = replace(cfg, trainer=replace(cfg.trainer, devices=1))
    assert train_together(again, stage, Before(), tmp_path, "stage")["epochs"] == 40
    assert capfd.readouterr().out.count("| epoch 1/40 |") == 1


def ends(*given):
    return outcome(lambda: dict(enumerate(given)), len(given), "title")


def test_the_first_one_says_what_became_of_the_stage():
    assert ends(Done({"steps": 3}), Done({})) == {"steps": 3}


def test_what_can_be_mended_is_told_first_and_then_who_died():
    lost, died = Failed("connection closed", False), Died(-9)
    with pytest.raises(UserError, match=r"^lower the rate$"):
        ends(lost, died, Failed("lower the rate", True))
    with pytest.raises(UserError, match=r"title: process 2 of 2 .* died \(SIGKILL"):
        ends(lost, died)
    with pytest.raises(RuntimeError, match=r"(?s)title: one of the 2 .*connection closed"):
        ends(Done({}), lost)


def test_several_machines_need_something_that_starts_them(job, tmp_path):
    cfg, stage = job(*COMPM, "trainer.nodes=2")
    with pytest.raises(UserError, match=r"trainer\.nodes=2: this is one machine.* srun --nodes=2"):
        train_together(cfg, stage, Before(), Path(tmp_path), "stage")
