"""The shipped samplers: their weights, and stages that are trained with them."""

from collections import Counter
from dataclasses import dataclass, replace

import pytest
import pytorch_lightning as pl
import torch
from hypothesis import given
from hypothesis import strategies as st

from ercsatz.classifiers import checkpoint
from ercsatz.classifiers.compm.config import CoMPMConfig
from ercsatz.classifiers.encoder.pretrained import open_backbone
from ercsatz.config import BackboneConfig, Pooling, SamplerConfig, Schedule, TinySizeConfig, TrainerConfig
from ercsatz.config.sampler import EachOnceConfig
from ercsatz.errors import UserError
from ercsatz.testing import sampler_contract
from ercsatz.training.data_module import DialogueSplit, Size
from ercsatz.training.lightning_module import LightningClassifier, Optimisation
from ercsatz.training.samplers import OversamplingConfig
from ercsatz.training.trainer import Run, fit

TestNone = sampler_contract("none")
TestOversampling = sampler_contract("oversampling")

LABELS = ("neutral", "joy", "anger")
TRAINER = TrainerConfig("cpu", "32-true")
THREE = Optimisation(
    epochs=3, lr=5e-3, warmup=0.2, schedule=Schedule.linear, weight_decay=0.01, clip=1.0, batch_tokens=60
)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60))
def test_where_each_target_is_a_segment_every_label_is_drawn_equally_often(labels):
    drawn: Counter[int] = Counter()
    for label, weight in zip(labels, OversamplingConfig().weights([[label] for label in labels]), strict=True):
        drawn[label] += weight
    assert list(drawn.values()) == pytest.approx([1.0] * len(set(labels)))


def test_a_weight_is_the_mean_over_the_targets_of_a_segment_of_one_by_how_often_their_label_occurs():
    weights = OversamplingConfig().weights([[0, 0, 1], [], [0, 2], [0]])
    assert weights == pytest.approx([(1 / 4 + 1 / 4 + 1) / 3, 0, (1 / 4 + 1) / 2, 1 / 4])


@pytest.fixture
def rare(make_dialogues):
    """Of thirty dialogues four have anger."""
    calm = [
        replace(d, utterances=tuple(replace(t, emotion="joy" if i % 4 == 3 else "neutral") for t in d.utterances))
        for i, d in enumerate(make_dialogues(30, seed=6))
    ]
    return [replace(d, utterances=(replace(d.utterances[0], emotion="anger"),)) for d in calm[:4]] + calm[4:]


@pytest.fixture
def built(make_dialogues):
    def build():
        pl.seed_everything(0, verbose=False)
        texts = [turn.text for dialogue in make_dialogues(20) for turn in dialogue.utterances]
        backbone = BackboneConfig("tiny", None, Pooling.mean, 1e-3, TinySizeConfig(16, 1, 2, 300))
        config = CoMPMConfig("compm", 64, memory_layers=2, memory_dropout=0.3)
        return checkpoint.build(config, open_backbone(backbone, texts), LABELS)

    return build


@pytest.mark.parametrize("size", [Size(60), Size(60, targets=3)])
def test_rare_labels_come_more_often_in_steps_of_about_the_same_size(built, rare, size):
    split = DialogueSplit(built(), rare, size, TRAINER, torch.device("cpu"), None)
    shares = []
    for sampler in (None, EachOnceConfig("none"), OversamplingConfig("oversampling")):
        loader, seen, sizes = split.loader(0, sampler), Counter(), []
        for epoch in range(20):
            loader.sampler.set_epoch(epoch)
            for step in loader:
                seen.update(label for batch in step.batches for label in batch.labels.tolist())
                sizes.append(step.size if size.targets else sum(len(b.contexts.ids) for b in step.batches))
        shares.append([seen[label] / seen.total() for label in range(3)])
        assert len(sizes) == 20 * len(loader)
        assert sum(sizes) / len(sizes) == pytest.approx(size.targets or size.tokens, rel=0.35)
    assert shares[0] == shares[1]
    assert shares[2][2] > 3 * shares[0][2]
    if size.targets:
        assert shares[2] == pytest.approx([1 / 3] * 3, abs=0.05)


def test_a_resumed_run_draws_what_it_would_have_drawn(built, rare, make_dialogues, tmp_path, monkeypatch):
    def fitted(folder):
        classifier = built()
        run = Run(THREE, TRAINER, 0, tmp_path / folder, [], "test", sampler=OversamplingConfig("oversampling"))
        return fit(classifier, rare, make_dialogues(6, seed=2), run), classifier.module.state_dict()

    result, whole = fitted("whole")
    step = LightningClassifier.training_step

    def broken(self, batch, number):
        if (self.current_epoch, number) == (1, 1):
            raise RuntimeError("broken off")
        return step(self, batch, number)

    with monkeypatch.context() as patch:
        patch.setattr(LightningClassifier, "training_step", broken)
        with pytest.raises(RuntimeError, match="broken off"):
            fitted("parts")
    again, parts = fitted("parts")
    assert again == result
    assert all(torch.equal(tensor, whole[name]) for name, tensor in parts.items())


@dataclass
class Wrong(SamplerConfig):
    given: tuple[float, ...] = ()

    def weights(self, labels):
        return self.given or [0.0] * len(labels)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ((), "0 of 30 are not 0"),
        ((1.0, 1.0), "2 of 2 are not 0"),
        ((*[1.0] * 29, -1.0), "one is -1.0"),
        ((*[1.0] * 29, float("nan")), "one is nan"),
    ],
)
def test_weights_that_nothing_can_be_drawn_by_are_refused(built, rare, given, told):
    split = DialogueSplit(built(), rare, Size(10**6), TRAINER, torch.device("cpu"), None)
    with pytest.raises(UserError, match=rf"sampler=mine: its weights must be .* 30 segments .*; {told}\."):
        split.loader(0, Wrong("mine", given))
