from dataclasses import replace

import pytest

from ercsatz.classifiers.prerequisites import FUTURE_TEACHER, TOPIC, essential, prior
from ercsatz.config import TODKAT, Backbone, CoMPM, EmoOne, Gray, KnowledgeSources, Pooling

EMOONE = EmoOne("emoone", 48, gray=Gray.self_adjust, w1=1.0, w2=1.0, future_turns=2)
WHOLE = TODKAT("todkat", 24, True, 8, 1.0, KnowledgeSources.both, None, 1, 2, 32, 0.1, True)


@pytest.mark.parametrize("gray", [Gray.self_teacher, Gray.self_adjust])
@pytest.mark.parametrize("changed", [{}, {"w2": 0.3}, {"w1": 2.0}, {"future_turns": 5}])
def test_the_teacher_is_the_classifier_with_hard_labels(gray, changed):
    first = prior(replace(EMOONE, gray=gray, **changed))
    assert (first.title, first.always) == ("teacher", True)
    assert first.config == essential(replace(EMOONE, gray=Gray.none, w1=7.0, word_vectors="file"))


def test_a_future_teacher_depends_on_how_far_it_looks():
    one, two = (prior(replace(EMOONE, gray=Gray.future, future_turns=n)).config for n in (1, 2))
    assert (one.name, one.gray, one.future_turns, two.future_turns) == (FUTURE_TEACHER, Gray.none, 1, 2)
    assert one == prior(replace(EMOONE, gray=Gray.future_adjust, future_turns=1, w2=0.1)).config


@pytest.mark.parametrize("gray", [Gray.none, Gray.category, Gray.word, Gray.word_softmax])
def test_other_labels_have_no_teacher(gray):
    assert prior(replace(EMOONE, gray=gray)) is None


@pytest.mark.parametrize(
    "changed", [{"layers": 3}, {"causal": False}, {"knowledge": KnowledgeSources.none}, {"heads": 4}]
)
def test_a_topic_layer_does_not_depend_on_what_is_above_it(changed):
    first = prior(WHOLE)
    assert (first.title, first.always, first.config.name) == ("topic", False, TOPIC)
    assert prior(replace(WHOLE, **changed)).config == first.config


@pytest.mark.parametrize("changed", [{"topic_width": 9}, {"kl_weight": 0.5}, {"max_tokens": 30}])
def test_a_topic_layer_depends_on_its_own_options(changed):
    assert prior(replace(WHOLE, **changed)).config != prior(WHOLE).config


def test_without_a_topic_nothing_comes_first():
    assert prior(replace(WHOLE, topic=False)) is None
    assert prior(CoMPM("compm", 48, memory_layers=2, memory_dropout=0.0)) is None


def test_where_another_memory_lies_is_not_what_it_is():
    config = CoMPM("compm", 48, memory_layers=2, memory_dropout=0.0)
    here, there = (
        replace(config, memory_backbone=Backbone(name, path, Pooling.first, lr))
        for name, path, lr in (("a", "/here", 1e-3), ("b", "/there", 1e-5))
    )
    assert essential(here) == essential(there) != essential(config)
    assert essential(replace(here, memory_backbone=Backbone("a", "/here", Pooling.mean, 1e-3))) != essential(here)
