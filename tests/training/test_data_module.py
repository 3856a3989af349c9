"""Steps of an epoch, and the parts of them that fit the memory."""

import os
import resource
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from ercsatz.classifiers import checkpoint
from ercsatz.classifiers.base import mean_loss
from ercsatz.classifiers.checkpoint import ErcClassifier
from ercsatz.classifiers.compm.config import CoMPMConfig, Memory
from ercsatz.classifiers.emoone.config import EmoOneConfig, Gray
from ercsatz.classifiers.encoder.pretrained import open_backbone
from ercsatz.classifiers.todkat import topic
from ercsatz.classifiers.todkat.config import KnowledgeSources, TODKATConfig, TopicConfig
from ercsatz.classifiers.todkat.topic import TopicModel
from ercsatz.config import BackboneConfig, Pooling, Schedule, TinySizeConfig, TrainerConfig
from ercsatz.data.dialogue import Dialogue, Utterance
from ercsatz.training.data_module import DialogueSplit, OptimizerStep, Size
from ercsatz.training.losses import ClassWeightsConfig, FocalConfig, LogitAdjustmentConfig
from ercsatz.training.optimisation import Optimisation
from ercsatz.training.ranks.share import ALONE, Place
from ercsatz.training.trainer import Run, fit

LABELS = ("neutral", "joy", "anger")
CPU = torch.device("cpu")
TRAINER = TrainerConfig("cpu", "32-true")
AMPLE = 10**6
ONE_STEP = Optimisation(
    epochs=2, lr=5e-3, warmup=0.2, schedule=Schedule.linear, weight_decay=0.01, clip=1.0, batch_tokens=AMPLE
)
CONFIGS = {
    "compm": CoMPMConfig("compm", 64, memory_layers=2, memory_dropout=0.0),
    "compm-frozen": CoMPMConfig("compm", 64, memory=Memory.frozen, memory_layers=2, memory_dropout=0.0),
    "emoone": EmoOneConfig("emoone", 64, gray=Gray.none, w1=1.0, w2=1.0, future_turns=2),
    "emoone-gray": EmoOneConfig("emoone", 64, gray=Gray.category, w1=1.0, w2=0.5, future_turns=2),
    "todkat": TODKATConfig("todkat", 64, False, 8, 1.0, KnowledgeSources.none, None, 1, 2, 16, 0.0, True),
    "topic": TopicConfig("todkat", 64, True, 8, 0.7, KnowledgeSources.none, None, 1, 2, 16, 0.0, True),
}


@pytest.fixture
def built(make_dialogues) -> Callable[..., ErcClassifier]:
    """A classifier without dropout, in double precision; the same each time."""

    def build(name: str, double: bool = True) -> ErcClassifier:
        pl.seed_everything(0, verbose=False)
        texts = [turn.text for dialogue in make_dialogues(20) for turn in dialogue.utterances]
        pretrained = open_backbone(
            BackboneConfig("tiny", None, Pooling.mean, 1e-3, TinySizeConfig(16, 2, 2, 300)), texts
        )
        pretrained.config.hidden_dropout_prob = 0.0
        classifier = checkpoint.build(CONFIGS[name], pretrained, LABELS)
        if double:
            classifier.module.double()
        return classifier

    return build


@pytest.fixture
def long(make_dialogues) -> list[Dialogue]:
    """A short dialogue, and one of many turns, some of them context only."""
    turns = [turn for dialogue in make_dialogues(12, seed=1) for turn in dialogue.utterances]
    turns = [replace(turn, emotion=None) if i % 5 == 3 else turn for i, turn in enumerate(turns)]
    return [*make_dialogues(1, seed=2), Dialogue("long", tuple(turns))]


@pytest.fixture
def doubled(monkeypatch) -> None:
    """Where the code takes single precision, it stays double."""
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)


def weights(classifier: ErcClassifier) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in classifier.module.state_dict().items()}


def grays(dialogues: list[Dialogue]) -> list[Any]:
    rng = np.random.default_rng(0)
    return [rng.dirichlet([1.0] * len(LABELS), len(d.utterances)).astype(np.float32) for d in dialogues]


@pytest.mark.parametrize("name", ["compm", "compm-frozen", "emoone", "todkat"])
def test_a_dialogue_is_cut_to_the_memory_where_its_classifier_can(name, built, long):
    classifier = built(name, double=False)
    trainer = replace(TRAINER, memory_tokens=700)
    split = DialogueSplit(classifier, long, Size(AMPLE), trainer, CPU, None)
    assert len(split.segments) == 2
    (step,) = split.loader(None)
    places = [place for batch in step.batches for place in batch.places]
    assert places == [(segment.dialogue, turn) for segment in split.segments for turn in segment.targets]
    assert step.size == len(places)
    parts = split.parts(split.segments[1])
    if name == "todkat":
        assert parts == [split.segments[1]]
        return
    assert len(parts) > 2
    assert all(part.held <= 700 for part in parts)
    assert len(step.batches) >= len(parts)
    for batch in step.batches:
        remembered = batch.said.ids if name == "compm" and batch.said is not None else ()
        assert len(batch.contexts.ids) + len(remembered) <= 700


def test_the_tokens_of_a_memory_that_is_trained_are_counted(built, long):
    trained, frozen = (
        DialogueSplit(built(n, False), long, Size(AMPLE), TRAINER, CPU, None) for n in CONFIGS if "compm" in n
    )
    batch = built("compm", False).module.collate(trained.segments[1:])
    assert trained.segments[1].beside == len(batch.said.ids) > 100
    assert [segment.beside for segment in frozen.segments] == [0, 0]
    assert [segment.cost for segment in frozen.segments] == [segment.cost for segment in trained.segments]


@pytest.mark.parametrize("name", ["compm", "emoone", "emoone-gray"])
@pytest.mark.usefixtures("doubled")
def test_a_dialogue_in_parts_trains_as_a_whole_one(name, built, long, make_dialogues, tmp_path):
    found = []
    gray = grays(long) if name == "emoone-gray" else None
    for memory in (AMPLE, 700):
        classifier, trainer = built(name), replace(TRAINER, memory_tokens=memory)
        run = Run(ONE_STEP, trainer, 0, tmp_path / str(memory), [], "test")
        found.append((fit(classifier, long, make_dialogues(4, seed=3), run, gray), weights(classifier)))
        (step,) = DialogueSplit(classifier, long, Size(AMPLE), trainer, CPU, None, gray).loader(0)
        assert (len(step.batches) > 2) == (memory == 700)
    (result, whole), (other, parts) = found
    assert [point["loss"] for point in other["curve"]] == pytest.approx([point["loss"] for point in result["curve"]])
    for key, tensor in whole.items():
        torch.testing.assert_close(parts[key], tensor, atol=1e-9, rtol=0, msg=key)


@pytest.mark.parametrize("loss", [ClassWeightsConfig(), FocalConfig(), LogitAdjustmentConfig()])
@pytest.mark.parametrize("name", ["compm", "emoone-gray"])
@pytest.mark.usefixtures("doubled")
def test_a_weighted_step_in_parts_has_the_gradient_of_the_whole(name, loss, built, long):
    """As it is divided by targets: parts that were divided by their own weights would not add up."""
    found = []
    for memory in (AMPLE, 700):
        classifier, trainer = built(name), replace(TRAINER, memory_tokens=memory)
        module = classifier.module
        module.target_loss = loss.prepared([90, 9, 1])
        gray = grays(long) if name == "emoone-gray" else None
        (step,) = DialogueSplit(classifier, long, Size(AMPLE), trainer, CPU, None, gray).loader(0)
        assert (len(step.batches) > 2) == (memory == 700)
        for batch in step.batches:
            mean_loss(module.sums(module(batch), batch), step.counts).backward()
        found.append({key: weight.grad for key, weight in module.named_parameters() if weight.grad is not None})
    whole, parts = found
    assert whole
    for key, gradient in whole.items():
        torch.testing.assert_close(parts[key], gradient, atol=1e-9, rtol=1e-6, msg=key)


@pytest.mark.parametrize("of", [2, 4])
@pytest.mark.parametrize("name", ["compm", "emoone-gray", "todkat"])
@pytest.mark.usefixtures("doubled")
def test_a_step_shared_out_among_processes_has_the_gradient_of_the_whole(name, of, built, long):
    classifier, gray = built(name), grays(long) if name == "emoone-gray" else None
    module = classifier.module

    def steps(trainer: TrainerConfig, *places: Place) -> list[OptimizerStep]:
        splits = [DialogueSplit(classifier, long, Size(AMPLE), trainer, CPU, None, gray, place=p) for p in places]
        return [step for split in splits for step in split.loader(0)]

    def gradient(steps: list[OptimizerStep]) -> dict[str, torch.Tensor]:
        module.zero_grad()
        counts = torch.stack([step.counts for step in steps]).sum(0)
        for step in steps:
            for batch in step.batches:
                ((0 if step.idle else 1) * mean_loss(module.sums(module(batch), batch), counts)).backward()
        return {key: weight.grad.clone() for key, weight in module.named_parameters() if weight.grad is not None}

    (alone,) = steps(TRAINER, ALONE)
    own = steps(replace(TRAINER, memory_tokens=700), *(Place(rank, of) for rank in range(of)))
    assert sorted(place for step in own if not step.idle for batch in step.batches for place in batch.places) == sorted(
        place for batch in alone.batches for place in batch.places
    )
    assert {step.size for step in own} == {alone.size}
    whole, parts = gradient([alone]), gradient(own)
    assert whole
    for key, expected in whole.items():
        torch.testing.assert_close(parts[key], expected, atol=1e-9, rtol=1e-6, msg=key)


def test_processes_have_the_same_steps_and_about_as_many_tokens_in_each(built, make_dialogues):
    dialogues, of = make_dialogues(60, seed=4), 4
    splits = [
        DialogueSplit(built("emoone", False), dialogues, Size(400), TRAINER, CPU, None, place=Place(rank, of))
        for rank in range(of)
    ]
    steps = list(zip(*(split.loader(0) for split in splits), strict=True))
    assert len(steps) > 5
    tokens = [[sum(len(batch.contexts.ids) for batch in own.batches) for own in step] for step in steps]
    assert not [own for step in steps for own in step if own.idle]
    assert sum(map(max, tokens)) < 1.15 * sum(map(sum, tokens)) / of
    every = [place for step in steps for own in step for batch in own.batches for place in batch.places]
    assert len(every) == len(set(every)) == sum(len(dialogue.utterances) for dialogue in dialogues)


def test_a_process_without_a_target_takes_part_with_what_counts_for_nothing(built, make_dialogues):
    dialogues, of = make_dialogues(1, seed=4), 40
    splits = [
        DialogueSplit(built("todkat", False), dialogues, Size(AMPLE), TRAINER, CPU, None, place=Place(rank, of))
        for rank in range(of)
    ]
    steps = [step for split in splits for step in split.loader(0)]
    assert len(steps) == of
    assert [step.idle for step in steps] == [False] + [True] * (of - 1)
    assert [step.counts.sum() > 0 for step in steps] == [True] + [False] * (of - 1)
    assert {step.size for step in steps} == {len(dialogues[0].utterances)}


@pytest.mark.usefixtures("doubled")
def test_a_topic_layer_is_fitted_by_parts_as_by_whole_steps(built, long, make_dialogues, tmp_path, monkeypatch):
    """With masks and topics that do not depend on the batch."""

    def masked(self: TopicModel, tokens: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        ids = tokens.ids
        places = (~self._special[ids]).nonzero().squeeze(1)
        chosen = places[ids[places] % 3 == 0]
        return places, torch.ones_like(places, dtype=torch.bool), ids.index_fill(0, chosen, self._mask)

    monkeypatch.setattr(TopicModel, "_masked", masked)
    monkeypatch.setattr(topic, "_to_mask", lambda tokens: len(tokens.ids))
    monkeypatch.setattr(torch, "randn_like", torch.zeros_like)
    train = [*long, *make_dialogues(6, seed=5)]
    found = []
    for memory in (AMPLE, 40):
        classifier, trainer = built("topic"), replace(TRAINER, memory_tokens=memory)
        run = Run(ONE_STEP, trainer, 0, tmp_path / str(memory), [], "test")
        found.append((fit(classifier, train, make_dialogues(4, seed=3), run), weights(classifier)))
        (step,) = DialogueSplit(classifier, train, Size(AMPLE), trainer, CPU, None).loader(0)
        assert (len(step.batches) > 3) == (memory == 40)
        # Else any weights would do.
        shares = {tuple((batch.counts / step.counts).tolist()) for batch in step.batches}
        assert memory == AMPLE or max(abs(one - other) for one, other in shares) > 0.01
    (result, whole), (other, parts) = found
    assert other["validation_loss"] == pytest.approx(result["validation_loss"], rel=1e-12)
    for key, tensor in whole.items():
        torch.testing.assert_close(parts[key], tensor, atol=1e-9, rtol=0, msg=key)


@pytest.mark.parametrize(("name", "long_enough"), [("todkat", True), ("emoone", False)])
def test_what_has_to_be_read_at_once_and_does_not_fit_is_said(
    name, long_enough, built, long, make_dialogues, tmp_path, capsys
):
    classifier, trainer = built(name, double=False), replace(TRAINER, memory_tokens=200)
    fit(classifier, long, make_dialogues(4, seed=3), Run(ONE_STEP, trainer, 0, tmp_path, [], "title"))
    said = "title | dialogue 'long' has" in capsys.readouterr().out
    assert said == long_enough


def test_workers_open_few_files(built, make_dialogues):
    dialogues = make_dialogues(80, seed=4)
    split = DialogueSplit(built("compm", False), dialogues, Size(300), replace(TRAINER, workers=4), CPU, None)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    batches = iter(split.loader(0))
    next(batches)
    free = os.dup(0)  # the lowest number that no open file has
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + 50, hard))
    try:
        rest = list(batches)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(rest) > 20


def test_a_turn_alone_may_exceed_the_memory(built):
    turns = tuple(Utterance("Ann", "the train on monday " * 9, "joy") for _ in range(4))
    trainer = replace(TRAINER, memory_tokens=10)
    (step,) = DialogueSplit(built("emoone", False), [Dialogue("1", turns)], Size(AMPLE), trainer, CPU, None).loader(
        None
    )
    assert [batch.places for batch in step.batches] == [((0, i),) for i in range(4)]
