from dataclasses import replace

import pytest

from ercsatz.classifiers.compm.config import CoMPMConfig
from ercsatz.classifiers.emoone.config import EmoOneConfig, Gray
from ercsatz.classifiers.todkat.config import KnowledgeSources, TODKATConfig
from ercsatz.config import BackboneConfig, Gives, Pooling

EMOONE = EmoOneConfig("emoone", 48, gray=Gray.self_adjust, w1=1.0, w2=1.0, future_turns=2)
WHOLE = TODKATConfig("todkat", 24, True, 8, 1.0, KnowledgeSources.both, None, 1, 2, 32, 0.1, True)


@pytest.mark.parametrize("gray", [Gray.self_teacher, Gray.self_adjust])
@pytest.mark.parametrize("changed", [{}, {"w2": 0.3}, {"w1": 2.0}, {"future_turns": 5}])
def test_the_teacher_is_the_classifier_with_hard_labels(gray, changed):
    first = replace(EMOONE, gray=gray, **changed).prerequisite()
    assert (first.stage, first.gives, first.always) == ("teacher", Gives.predictions, True)
    assert first.config == replace(EMOONE, gray=Gray.none, w1=7.0, word_vectors="file").essential()


def test_a_future_teacher_depends_on_how_far_it_looks():
    one, two = (replace(EMOONE, gray=Gray.future, future_turns=n).prerequisite().config for n in (1, 2))
    assert (one.role, one.gray, one.future_turns, two.future_turns) == ("future_teacher", Gray.none, 1, 2)
    assert one == replace(EMOONE, gray=Gray.future_adjust, future_turns=1, w2=0.1).prerequisite().config
    assert one.reads_later_turns
    assert not replace(EMOONE, gray=Gray.future).reads_later_turns


@pytest.mark.parametrize("gray", [Gray.none, Gray.category, Gray.word, Gray.word_softmax])
def test_other_labels_have_no_teacher(gray):
    assert replace(EMOONE, gray=gray).prerequisite() is None


@pytest.mark.parametrize(
    "changed", [{"layers": 3}, {"causal": False}, {"knowledge": KnowledgeSources.none}, {"heads": 4}]
)
def test_a_topic_layer_does_not_depend_on_what_is_above_it(changed):
    first = WHOLE.prerequisite()
    assert (first.stage, first.gives, first.always) == ("topic", Gives.weights, False)
    assert (first.config.role, first.config.predicts, first.config.knowledge_sources) == ("topic", False, frozenset())
    assert replace(WHOLE, **changed).prerequisite().config == first.config


@pytest.mark.parametrize("changed", [{"topic_width": 9}, {"kl_weight": 0.5}, {"max_tokens": 30}])
def test_a_topic_layer_depends_on_its_own_options(changed):
    assert replace(WHOLE, **changed).prerequisite().config != WHOLE.prerequisite().config


def test_without_a_topic_nothing_comes_first():
    assert replace(WHOLE, topic=False).prerequisite() is None
    assert CoMPMConfig("compm", 48, memory_layers=2, memory_dropout=0.0).prerequisite() is None


@pytest.mark.parametrize("sources", [frozenset(), {"retrieved"}, {"generated"}, {"retrieved", "generated"}])
def test_a_classifier_can_be_told_to_read_less(sources):
    assert WHOLE.with_sources(frozenset(sources)).knowledge_sources == sources


def test_where_another_memory_lies_is_not_what_it_is():
    config = CoMPMConfig("compm", 48, memory_layers=2, memory_dropout=0.0)
    here, there = (
        replace(config, memory_backbone=BackboneConfig(name, path, Pooling.first, lr))
        for name, path, lr in (("a", "/here", 1e-3), ("b", "/there", 1e-5))
    )
    assert here.essential() == there.essential() != config.essential()
    other = replace(here, memory_backbone=BackboneConfig("a", "/here", Pooling.mean, 1e-3))
    assert other.essential() != here.essential()
