"""What only a GPU can show; skipped without one."""

from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch

from ercsatz.classifiers import checkpoint
from ercsatz.classifiers.checkpoint import ErcClassifier
from ercsatz.classifiers.compm.config import CoMPMConfig
from ercsatz.classifiers.emoone.config import EmoOneConfig, Gray
from ercsatz.classifiers.encoder.pretrained import open_backbone
from ercsatz.classifiers.todkat.config import KnowledgeSources, TODKATConfig
from ercsatz.config import BackboneConfig, Pooling, Schedule, TinySizeConfig, TrainerConfig
from ercsatz.training.lightning_module import LightningClassifier
from ercsatz.training.optimisation import Optimisation
from ercsatz.training.trainer import Run, fit, predict

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")

LABELS = ("neutral", "joy", "anger")
SETTINGS = Optimisation(2, 5e-3, 0.2, Schedule.linear, 0.01, 1.0, 200)
CONFIGS = {
    "compm": CoMPMConfig("compm", 64, memory_layers=2, memory_dropout=0.3),
    "emoone": EmoOneConfig("emoone", 64, gray=Gray.none, w1=1.0, w2=1.0, future_turns=2),
    "todkat": TODKATConfig("todkat", 64, True, 8, 1.0, KnowledgeSources.none, None, 1, 2, 16, 0.1, True),
}
every_classifier = pytest.mark.parametrize("name", CONFIGS)


@pytest.fixture
def built(make_dialogues):
    def build(name: str) -> ErcClassifier:
        pl.seed_everything(0, verbose=False)
        texts = [turn.text for dialogue in make_dialogues(20) for turn in dialogue.utterances]
        backbone = BackboneConfig("tiny", None, Pooling.first, 1e-3, TinySizeConfig(64, 2, 2, 300))
        return checkpoint.build(CONFIGS[name], open_backbone(backbone, texts), LABELS)

    return build


@every_classifier
def test_a_classifier_trained_on_a_gpu_predicts_the_same_on_a_cpu(name, built, make_dialogues, tmp_path):
    classifier, dialogues = built(name), make_dialogues(10, seed=1)
    fit(classifier, dialogues, dialogues, Run(SETTINGS, TrainerConfig("gpu", "auto"), 0, tmp_path / "run", [], "test"))
    checkpoint.save(classifier, tmp_path / "saved")
    there = predict(classifier, dialogues, TrainerConfig("gpu", "32-true"))
    here = predict(checkpoint.load(tmp_path / "saved"), dialogues, TrainerConfig("cpu", "32-true"))
    for (*place, one), (*other_place, other) in zip(there, here, strict=True):
        assert place == other_place
        torch.testing.assert_close(one, other, atol=1e-3, rtol=0)  # TF32 and other orders of summation


@every_classifier
def test_nothing_in_a_step_waits_for_the_gpu(name, built, make_dialogues, tmp_path: Path, monkeypatch):
    steps = []
    original = LightningClassifier.training_step

    def watched(self: LightningClassifier, step, number: int) -> torch.Tensor:
        steps.append(number)
        if len(steps) < 3:  # kernels and the optimiser's state are loaded
            return original(self, step, number)
        torch.cuda.set_sync_debug_mode("error")
        try:
            return original(self, step, number)
        finally:
            torch.cuda.set_sync_debug_mode("default")

    monkeypatch.setattr(LightningClassifier, "training_step", watched)
    dialogues = make_dialogues(40, seed=1)
    fit(built(name), dialogues, dialogues, Run(SETTINGS, TrainerConfig("gpu", "auto"), 0, tmp_path, [], "test"))
    assert len(steps) > 6
