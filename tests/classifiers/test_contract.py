"""What every classifier promises: the contract suite over the variants of ``variants.py``, and what only ours do."""

from dataclasses import replace

import pytest

from ercsatz.classifiers import checkpoint
from ercsatz.config.registry import choices
from ercsatz.data.dialogue import Dialogue, Utterance
from ercsatz.errors import UserError
from ercsatz.testing.classifiers import LABELS, ClassifierContract, assert_same, build, corpus
from ercsatz.testing.parts import PartContract
from tests.classifiers.variants import VARIANTS

every_variant = pytest.mark.parametrize("name", VARIANTS)


class TestVariants(ClassifierContract):
    @pytest.fixture(params=VARIANTS)
    def config(self, request):
        return VARIANTS[request.param].config


class TestParts(PartContract):
    group = "classifier"

    @pytest.fixture(autouse=True, params=sorted(choices("classifier")))
    def chosen(self, request):
        self.name = request.param


def test_every_classifier_is_tested_here():
    assert {promise.config.name for promise in VARIANTS.values()} == set(choices("classifier"))


@every_variant
def test_a_prediction_depends_on_the_earlier_turns_of_its_dialogue(name, cut, logits):
    turns = tuple(Utterance(speaker, f"{speaker} did what", "joy") for speaker in ("Ann", "Bo", "Ann", "Bo"))
    classifier = build(VARIANTS[name].config)
    before = logits(classifier, [cut(classifier, [Dialogue("1", turns)])])
    for changed in range(3):
        other = tuple(replace(turn, text="the train") if i == changed else turn for i, turn in enumerate(turns))
        after = logits(classifier, [cut(classifier, [Dialogue("1", other)])])
        for turn in range(4):
            difference = (before[0, turn] - after[0, turn]).abs().max()
            if turn >= changed or VARIANTS[name].config.reads_later_turns:
                assert difference > 1e-5 or turn < changed - 2
            else:
                assert difference < 1e-6


@pytest.mark.parametrize("name", [name for name, promise in VARIANTS.items() if promise.hears_speakers])
def test_a_prediction_depends_on_who_spoke(name, cut, logits):
    classifier = build(VARIANTS[name].config)
    texts = ("oh no", "really", "what did you")

    def predict(*speakers: str):
        turns = tuple(Utterance(speaker, text, "joy") for speaker, text in zip(speakers, texts, strict=True))
        return logits(classifier, [cut(classifier, [Dialogue("1", turns)])])

    assert_same(predict("Ann", "Bo", "Ann"), predict("Cy", "Ann", "Cy"))
    assert (predict("Ann", "Bo", "Ann")[0, 2] - predict("Ann", "Bo", "Bo")[0, 2]).abs().max() > 1e-4


@every_variant
@pytest.mark.parametrize("labels", [("joy", "neutral", "anger", "fear"), LABELS[:3], (*LABELS[:3], "sadness")])
def test_loading_for_other_labels_names_both(name, labels, tmp_path):
    checkpoint.save(build(VARIANTS[name].config), tmp_path)
    assert checkpoint.load(tmp_path, LABELS).labels == LABELS
    with pytest.raises(UserError) as error:
        checkpoint.load(tmp_path, labels)
    assert ", ".join(LABELS) in str(error.value)
    assert ", ".join(labels) in str(error.value)
    assert str(tmp_path) in str(error.value)


def test_a_folder_that_is_no_saved_classifier_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"is not a saved classifier: it has no classifier\.json"):
        checkpoint.load(tmp_path)


@pytest.mark.parametrize("name", [name for name in VARIANTS if not name.startswith("todkat")])
def test_a_budget_cuts_dialogues_of_what_does_not_read_them_whole(name, cut):
    classifier = build(VARIANTS[name].config)
    assert len(cut(classifier, corpus(), budget=30)) > len(cut(classifier, corpus()))
