"""What every classifier promises. A new classifier joins by its lines in ``variants.py``."""

import random
from dataclasses import replace

import pytest
import torch

from ercsatz.classifiers import checkpoint
from ercsatz.classifiers.checkpoint import ErcClassifier
from ercsatz.config import Pooling
from ercsatz.config.registry import choices
from ercsatz.data.dialogue import Dialogue, Knowledge, Utterance, label_counts
from ercsatz.errors import UserError
from tests.classifiers.variants import VARIANTS

LABELS = ("neutral", "joy", "anger", "fear")
EXACT = {"atol": 1e-5, "rtol": 0.0}


every_classifier = pytest.mark.parametrize("name", VARIANTS)


@pytest.fixture
def built(tiny):
    """A new classifier by the name of its variant, with random weights from a seed."""

    def build(name: str, seed: int = 0, labels=LABELS, pooling=Pooling.mean) -> ErcClassifier:
        torch.manual_seed(seed)
        encoders = {"memory": tiny(pooling=pooling, hidden=24)} if VARIANTS[name].other_memory else {}
        return checkpoint.build(VARIANTS[name].config, tiny(pooling=pooling), labels, encoders)

    return build


def knowing(dialogues: list[Dialogue], seed: int = 0) -> list[Dialogue]:
    """The same with statements about two of three turns."""
    draw = random.Random(seed)
    texts = ["ann did again", "bo feels fine", "my sister left", "you want tea"]

    def know(turn: Utterance) -> Utterance:
        kinds = [tuple(draw.sample(texts, draw.randint(0, 3))) for _ in range(2)]
        return turn if draw.random() < 1 / 3 else replace(turn, knowledge=Knowledge(*kinds))

    return [replace(d, utterances=tuple(map(know, d.utterances))) for d in dialogues]


@pytest.fixture
def corpus(make_dialogues) -> list[Dialogue]:
    return knowing(make_dialogues(6, LABELS, seed=1, turns=(1, 7)))


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for place, vector in expected.items():
        torch.testing.assert_close(found[place], vector, **EXACT)


def descend(classifier: ErcClassifier, batch, steps: int) -> None:
    classifier.module.train()
    trained = [parameter for parameter in classifier.module.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-2, weight_decay=0.0)
    for _ in range(steps):
        optimizer.zero_grad()
        classifier.module.loss(classifier.module(batch), batch).backward()
        optimizer.step()


# What every classifier promises


def test_every_classifier_is_tested_here():
    assert {promise.config.name for promise in VARIANTS.values()} == set(choices("classifier"))


@every_classifier
def test_it_predicts_each_labelled_turn_and_no_other(name, built, corpus, cut, logits):
    classifier = built(name)
    found = logits(classifier, [cut(classifier, corpus)])
    expected = {(n, i) for n, d in enumerate(corpus) for i, turn in enumerate(d.utterances) if turn.emotion is not None}
    assert found.keys() == expected
    assert {tuple(vector.shape) for vector in found.values()} == {(len(LABELS),)}


@every_classifier
def test_a_batch_has_the_labels_of_its_places(name, built, corpus, cut):
    classifier = built(name)
    batch = classifier.module.collate(cut(classifier, corpus))
    emotions = [corpus[number].utterances[turn].emotion for number, turn in batch.places]
    assert [LABELS[i] for i in batch.labels.tolist()] == emotions
    assert len(emotions) == label_counts(corpus).total()


@every_classifier
def test_padding_and_batch_composition_do_not_change_a_prediction(name, built, corpus, cut, logits):
    classifier = built(name)
    whole = cut(classifier, corpus)
    small = cut(classifier, corpus, budget=30)
    assert len(small) > len(whole) or name.startswith("todkat")  # which reads whole dialogues
    one_by_one = logits(classifier, [[segment] for segment in whole])
    assert_same(logits(classifier, [whole]), one_by_one)
    assert_same(logits(classifier, [whole[::-1][:5], whole[:3]]), one_by_one)
    assert_same(logits(classifier, [small[::2], small[1::2]]), one_by_one)
    assert_same(logits(classifier, [[segment] for segment in small]), one_by_one)


@every_classifier
def test_turns_without_a_label_are_predicted_if_asked(name, built, corpus, cut, logits):
    classifier = built(name)
    asked = cut(classifier, corpus, every_turn=True)
    found = logits(classifier, [asked])
    assert found.keys() == {(n, i) for n, d in enumerate(corpus) for i in range(len(d.utterances))}
    labelled = logits(classifier, [cut(classifier, corpus)])
    assert_same({place: found[place] for place in labelled}, labelled)
    batch = classifier.module.collate(asked)
    known = [corpus[n].utterances[i].emotion is not None for n, i in batch.places]
    assert (batch.labels >= 0).tolist() == known


@every_classifier
def test_a_prediction_depends_on_the_earlier_turns_of_its_dialogue(name, built, cut, logits):
    turns = tuple(Utterance(speaker, f"{speaker} did what", "joy") for speaker in ("Ann", "Bo", "Ann", "Bo"))
    classifier = built(name)
    before = logits(classifier, [cut(classifier, [Dialogue("1", turns)])])
    for changed in range(3):
        other = tuple(replace(turn, text="the train") if i == changed else turn for i, turn in enumerate(turns))
        after = logits(classifier, [cut(classifier, [Dialogue("1", other)])])
        for turn in range(4):
            difference = (before[0, turn] - after[0, turn]).abs().max()
            if turn >= changed or VARIANTS[name].future:
                assert difference > 1e-5 or turn < changed - 2
            else:
                assert difference < 1e-6


@pytest.mark.parametrize("name", [name for name, promise in VARIANTS.items() if promise.hears_speakers])
def test_a_prediction_depends_on_who_spoke(name, built, cut, logits):
    classifier = built(name)
    texts = ("oh no", "really", "what did you")

    def predict(*speakers: str):
        turns = tuple(Utterance(speaker, text, "joy") for speaker, text in zip(speakers, texts, strict=True))
        return logits(classifier, [cut(classifier, [Dialogue("1", turns)])])

    assert_same(predict("Ann", "Bo", "Ann"), predict("Cy", "Ann", "Cy"))
    assert (predict("Ann", "Bo", "Ann")[0, 2] - predict("Ann", "Bo", "Bo")[0, 2]).abs().max() > 1e-4


@pytest.mark.parametrize("name", [name for name, promise in VARIANTS.items() if not promise.future])
def test_later_turns_do_not_matter(name, built, corpus, cut, logits):
    classifier = built(name)
    full = logits(classifier, [cut(classifier, corpus)])
    heads = [replace(d, utterances=d.utterances[: max(1, len(d.utterances) // 2)]) for d in corpus]
    cut_short = logits(classifier, [cut(classifier, heads)])
    assert len(cut_short) < len(full)
    assert_same(cut_short, {place: full[place] for place in cut_short})


@every_classifier
def test_other_dialogues_do_not_matter(name, built, corpus, make_dialogues, cut, logits):
    classifier = built(name)
    expected = logits(classifier, [cut(classifier, corpus)])
    others = knowing(make_dialogues(len(corpus), LABELS, seed=2, turns=(3, 8)), seed=1)
    for kept, dialogue in enumerate(corpus):
        mixed = [dialogue if i == kept else other for i, other in enumerate(others)]
        found = logits(classifier, [cut(classifier, mixed)])
        mine = {place: vector for place, vector in expected.items() if place[0] == kept}
        assert_same({place: found[place] for place in mine}, mine)


@every_classifier
def test_a_dialogue_without_earlier_turns_of_anyone_can_be_a_batch(name, built, cut, logits):
    classifier = built(name)
    first = logits(classifier, [cut(classifier, [Dialogue("1", (Utterance("Ann", "oh", "fear"),))])])
    assert first[0, 0].isfinite().all()


@every_classifier
@pytest.mark.parametrize("pooling", Pooling)
def test_a_saved_classifier_predicts_the_same(name, pooling, built, corpus, cut, logits, tmp_path):
    classifier = built(name, pooling=pooling)
    descend(classifier, classifier.module.collate(cut(classifier, corpus)), steps=1)
    checkpoint.save(classifier, tmp_path / "saved")
    loaded = checkpoint.load(tmp_path / "saved")
    assert (loaded.config, loaded.labels, loaded.pretrained.pooling) == (classifier.config, LABELS, pooling)
    expected = logits(classifier, [cut(classifier, corpus)])
    found = logits(loaded, [cut(loaded, corpus)])
    assert all(torch.equal(found[place], vector) for place, vector in expected.items())


@every_classifier
def test_nothing_that_is_saved_is_pickled(name, built, tmp_path):
    checkpoint.save(built(name), tmp_path / "saved")
    files = [file for file in (tmp_path / "saved").rglob("*") if file.is_file()]
    assert {file.suffix for file in files} <= {".json", ".safetensors", ".txt"}


@every_classifier
@pytest.mark.parametrize("labels", [("joy", "neutral", "anger", "fear"), LABELS[:3], (*LABELS[:3], "sadness")])
def test_loading_for_other_labels_names_both(name, labels, built, tmp_path):
    checkpoint.save(built(name), tmp_path)
    assert checkpoint.load(tmp_path, LABELS).labels == LABELS
    with pytest.raises(UserError) as error:
        checkpoint.load(tmp_path, labels)
    assert ", ".join(LABELS) in str(error.value)
    assert ", ".join(labels) in str(error.value)
    assert str(tmp_path) in str(error.value)


def test_a_folder_that_is_no_saved_classifier_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"is not a saved classifier: it has no classifier\.json"):
        checkpoint.load(tmp_path)


@every_classifier
def test_it_learns_eight_dialogues_by_heart(name, built, make_dialogues, cut, logits):
    classifier = built(name)
    corpus = make_dialogues(8, LABELS, seed=3, turns=(1, 4))
    batch = classifier.module.collate(cut(classifier, corpus))
    descend(classifier, batch, steps=150)
    predicted = logits(classifier, [cut(classifier, corpus)])
    assert [int(predicted[place].argmax()) for place in batch.places] == batch.labels.tolist()


@every_classifier
def test_a_seed_decides_weights_and_training(name, built, corpus, cut):
    def weights(seed: int) -> list[torch.Tensor]:
        classifier = built(name, seed)
        descend(classifier, classifier.module.collate(cut(classifier, corpus)), steps=2)
        return list(classifier.module.state_dict().values())

    assert all(map(torch.equal, weights(4), weights(4)))
    assert not all(map(torch.equal, weights(4), weights(5)))


@every_classifier
def test_what_is_frozen_stays_as_it_was_pretrained(name, built, corpus, cut):
    classifier = built(name)
    module = classifier.module
    fixed = {id(parameter) for parameter in module.parameters() if not parameter.requires_grad}
    frozen = module.frozen()
    assert fixed == ({id(parameter) for parameter in frozen.parameters()} if frozen else set())
    if frozen:
        before = [parameter.clone() for parameter in frozen.parameters()]
        descend(classifier, module.collate(cut(classifier, corpus)), steps=1)
        assert all(map(torch.equal, before, frozen.parameters()))
        assert not frozen.training


@every_classifier
def test_half_precision_predicts_much_the_same(name, built, corpus, cut, logits):
    classifier = built(name)
    expected = logits(classifier, [cut(classifier, corpus)])
    with torch.autocast("cpu", torch.bfloat16):
        found = logits(classifier, [cut(classifier, corpus)])
    for place, vector in expected.items():
        torch.testing.assert_close(found[place].float(), vector, atol=0.1, rtol=0.1)


@every_classifier
def test_all_tensors_of_a_batch_move_with_it(name, built, corpus, cut):
    batch = built(name).module.collate(cut(built(name), corpus)).to(torch.device("meta"))
    found = []
    batch.each(lambda tensor: (found.append(tensor.device.type), tensor)[1])
    assert set(found) == {"meta"}
    assert not [value for value in vars(batch).values() if isinstance(value, torch.Tensor) and not value.is_meta]
