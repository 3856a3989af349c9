"""What every classifier promises, and what CoMPM adds. A new classifier joins by its line in ``CLASSIFIERS``."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ercsatz.classifiers import checkpoint
from ercsatz.classifiers.batching import segments, tokenise
from ercsatz.classifiers.checkpoint import CONFIGS, ErcClassifier
from ercsatz.config import Classifier, CoMPM, Pooling
from ercsatz.dialogue import Dialogue, Utterance, label_counts
from ercsatz.errors import UserError

CLASSIFIERS: dict[str, Classifier] = {"compm": CoMPM("compm", 48, 2, 0.0)}
LABELS = ("neutral", "joy", "anger", "fear")
EXACT = {"atol": 1e-5, "rtol": 0.0}

every_classifier = pytest.mark.parametrize("name", CLASSIFIERS)


@pytest.fixture
def built(tiny):
    """A new classifier by name, with random weights from a seed."""

    def build(name: str, seed: int = 0, labels=LABELS, **options) -> ErcClassifier:
        torch.manual_seed(seed)
        return checkpoint.build(replace(CLASSIFIERS[name], **options), tiny(), labels)

    return build


@pytest.fixture
def corpus(make_dialogues) -> list[Dialogue]:
    return make_dialogues(6, LABELS, seed=1, turns=(1, 7))


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for place, vector in expected.items():
        torch.testing.assert_close(found[place], vector, **EXACT)


def loss_of(module, batch):
    return nn.functional.cross_entropy(module(batch), batch.labels)


def descend(classifier: ErcClassifier, batch, steps: int) -> None:
    classifier.module.train()
    optimizer = torch.optim.AdamW(classifier.module.parameters(), lr=1e-2, weight_decay=0.0)
    for _ in range(steps):
        optimizer.zero_grad()
        loss_of(classifier.module, batch).backward()
        optimizer.step()


# What every classifier promises


def test_every_classifier_is_tested_here():
    assert CLASSIFIERS.keys() == CONFIGS.keys()


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
    assert len(small) > len(whole)
    one_by_one = logits(classifier, [[segment] for segment in whole])
    assert_same(logits(classifier, [whole]), one_by_one)
    assert_same(logits(classifier, [whole[::-1][:5], whole[:3]]), one_by_one)
    assert_same(logits(classifier, [small[::2], small[1::2]]), one_by_one)
    assert_same(logits(classifier, [[segment] for segment in small]), one_by_one)


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
            assert difference > 1e-4 if turn >= changed else difference < 1e-5


@every_classifier
def test_a_prediction_depends_on_who_spoke(name, built, cut, logits):
    classifier = built(name)
    texts = ("oh no", "really", "what did you")

    def predict(*speakers: str):
        turns = tuple(Utterance(speaker, text, "joy") for speaker, text in zip(speakers, texts, strict=True))
        return logits(classifier, [cut(classifier, [Dialogue("1", turns)])])

    assert_same(predict("Ann", "Bo", "Ann"), predict("Cy", "Ann", "Cy"))
    assert (predict("Ann", "Bo", "Ann")[0, 2] - predict("Ann", "Bo", "Bo")[0, 2]).abs().max() > 1e-4


@every_classifier
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
    others = make_dialogues(len(corpus), LABELS, seed=2, turns=(3, 8))
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
def test_a_saved_classifier_predicts_the_same(name, pooling, tiny, corpus, cut, logits, tmp_path):
    classifier = checkpoint.build(CLASSIFIERS[name], tiny(pooling=pooling), LABELS)
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
    assert {file.suffix for file in (tmp_path / "saved").iterdir()} <= {".json", ".safetensors", ".txt"}


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
    descend(classifier, batch, steps=60)
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


# CoMPM's own


def naive_logits(classifier: ErcClassifier, dialogue: Dialogue, target: int) -> torch.Tensor:
    """CoMPM as the paper tells it, for one turn: no batch, no padding, nothing shared."""
    module, tokenizer = classifier.module, classifier.pretrained.tokenizer
    turns = dialogue.utterances
    names = list(dict.fromkeys(turn.speaker for turn in turns))

    def encode(encoder, text: str) -> torch.Tensor:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"][-(module.max_tokens - 1) :]
        return encoder.model(input_ids=torch.tensor([[tokenizer.cls_token_id, *ids]])).last_hidden_state[0].mean(0)

    prefix = " ".join(f"<s{names.index(turn.speaker) + 1}> {turn.text}" for turn in turns[: target + 1])
    vector = encode(module.context, prefix)
    own = [turn.text for turn in turns[:target] if turn.speaker == turns[target].speaker]
    if own:
        outputs, _ = module.tracker(torch.stack([encode(module.memory, text) for text in own]))
        vector = vector + outputs[-1]
    return module.head(vector)


def targets_of(dialogue: Dialogue) -> list[int]:
    return [i for i, turn in enumerate(dialogue.utterances) if turn.emotion is not None]


@given(st.integers(0, 10_000))
@settings(max_examples=5, deadline=None)
def test_a_batch_is_the_naive_computation_turn_by_turn(make_dialogues, tiny, cut, logits, seed):
    torch.manual_seed(seed)
    classifier = checkpoint.build(CLASSIFIERS["compm"], tiny(), LABELS)
    corpus = make_dialogues(4, LABELS, seed=seed, turns=(1, 8))
    found = logits(classifier, [cut(classifier, corpus)])
    with torch.no_grad():
        naive = {(n, i): naive_logits(classifier, d, i) for n, d in enumerate(corpus) for i in targets_of(d)}
    assert_same(found, naive)


def gradients(module) -> dict[str, torch.Tensor]:
    found = {
        name: parameter.grad.clone() for name, parameter in module.named_parameters() if parameter.grad is not None
    }
    module.zero_grad()
    return found


def test_gradients_of_a_batch_are_the_sum_of_the_naive_ones(built, corpus, cut):
    classifier = built("compm")
    module = classifier.module.eval()
    batch = module.collate(cut(classifier, corpus))
    nn.functional.cross_entropy(module(batch), batch.labels, reduction="sum").backward()
    batched = gradients(module)
    for dialogue in corpus:
        for turn in targets_of(dialogue):
            label = torch.tensor(LABELS.index(dialogue.utterances[turn].emotion))
            nn.functional.cross_entropy(naive_logits(classifier, dialogue, turn), label).backward()
    naive = gradients(module)
    # The batch looks words up itself, so gradients reach the same tables by another way.
    assert naive.keys() == batched.keys()
    for name, gradient in naive.items():
        torch.testing.assert_close(batched[name], gradient, atol=1e-4, rtol=1e-4, msg=name)


def test_the_memory_of_a_first_turn_is_zero(built, cut, logits):
    classifier = built("compm")
    dialogue = Dialogue(
        "1", (Utterance("Ann", "oh", "joy"), Utterance("Bo", "no", "fear"), Utterance("Ann", "my", "joy"))
    )
    found = logits(classifier, [cut(classifier, [dialogue])])
    batch = classifier.module.collate(cut(classifier, [dialogue]))
    assert batch.memory_at.tolist()[:2] == [-1, -1]
    with torch.no_grad():
        context = classifier.module.head(classifier.module.context(batch.contexts))
    torch.testing.assert_close(found[0, 0], context[0], **EXACT)
    torch.testing.assert_close(found[0, 1], context[1], **EXACT)
    assert (found[0, 2] - context[2]).abs().max() > 1e-4


def test_each_remembered_turn_is_encoded_once_a_batch(built, corpus, cut):
    classifier = built("compm")
    batch = classifier.module.collate(cut(classifier, corpus))
    remembered = {
        (number, earlier)
        for number, dialogue in enumerate(corpus)
        for turn in targets_of(dialogue)
        for earlier in range(turn)
        if dialogue.utterances[earlier].speaker == dialogue.utterances[turn].speaker
    }
    assert len(batch.memories.order) == len(remembered)
    assert len(batch.contexts.order) == sum(len(targets_of(dialogue)) for dialogue in corpus)


def test_long_dialogues_lose_their_oldest_tokens(built, cut):
    classifier = built("compm", max_tokens=16)
    module, tokenizer = classifier.module, classifier.pretrained.tokenizer
    turns = tuple(Utterance("Ann", f"what did you {word} again and again and again", "joy") for word in ("a", "b", "c"))
    batch = module.collate(cut(classifier, [Dialogue("1", turns)]))
    text = " ".join(f"<s1> {turn.text}" for turn in turns)
    rows = [row for chunk in batch.contexts.ids for row in chunk.tolist()]
    last = rows[batch.contexts.order[2]]
    assert last == [tokenizer.cls_token_id, *tokenizer(text, add_special_tokens=False)["input_ids"][-15:]]
    memories = [row for chunk in batch.memories.ids for row in chunk.tolist()]
    own = tokenizer(turns[1].text, add_special_tokens=False)["input_ids"]
    assert len(own) > 15
    assert memories[batch.memories.order[1]] == [tokenizer.cls_token_id, *own[-15:]]


def test_the_longest_input_is_never_more_than_the_encoder_has_positions(built):
    assert built("compm", max_tokens=100_000).module.max_tokens == 512


def test_both_encoders_start_alike_from_a_checkpoint_and_train_apart(bert_folder, corpus):
    from ercsatz.classifiers.encoder import open_backbone
    from ercsatz.config import Backbone

    pretrained = open_backbone(Backbone("local", str(bert_folder()), Pooling.first, 1e-3), [])
    classifier = checkpoint.build(CoMPM("compm", 32, 1, 0.0), pretrained, LABELS)
    context, memory = classifier.module.context.state_dict(), classifier.module.memory.state_dict()
    assert all(torch.equal(tensor, memory[name]) for name, tensor in context.items())
    batch = classifier.module.collate(segments(tokenise(corpus, LABELS, pretrained.tokenizer), 32, 10**6))
    descend(classifier, batch, steps=1)
    name = "model.encoder.layer.0.output.dense.weight"
    assert not torch.equal(classifier.module.context.state_dict()[name], classifier.module.memory.state_dict()[name])
