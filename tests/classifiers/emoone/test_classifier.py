"""EmoOne's own; what it shares with the others is in ``test_contract.py``, the gray functions in ``test_gray.py``."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from ercsatz.classifiers import checkpoint
from ercsatz.classifiers.checkpoint import ErcClassifier
from ercsatz.classifiers.emoone import soft_labels
from ercsatz.classifiers.emoone.classifier import gray_labels
from ercsatz.classifiers.emoone.config import FUTURE, TAUGHT, EmoOneConfig, FutureTeacherConfig, Gray
from ercsatz.config import Pooling, TrainerConfig
from ercsatz.data.dialogue import Dialogue, Utterance
from ercsatz.errors import UserError
from ercsatz.training.trainer import predict
from tests.classifiers import plain

LABELS = ("neutral", "joy", "anger", "fear")
SENTIMENTS = {"neutral": "neutral", "joy": "positive", "anger": "negative", "fear": "negative"}
EMOONE = EmoOneConfig("emoone", 64, gray=Gray.self_adjust, w1=1.0, w2=1.0, future_turns=2)
STUDENT = replace(EMOONE, gray=Gray.future)
TEACHER = STUDENT.prerequisite().config
EXACT = {"atol": 1e-5, "rtol": 0.0}


@pytest.fixture
def built(tiny):
    """A new tiny classifier with random weights from a seed."""

    def build(
        config: EmoOneConfig = EMOONE, labels=LABELS, seed: int = 0, pooling: Pooling = Pooling.first
    ) -> ErcClassifier:
        torch.manual_seed(seed)
        return checkpoint.build(config, tiny(pooling=pooling), labels)

    return build


@pytest.fixture
def corpus(make_dialogues) -> list[Dialogue]:
    return make_dialogues(5, LABELS, seed=1, turns=(1, 7))


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for place, vector in expected.items():
        torch.testing.assert_close(found[place], vector, **EXACT)


def rows_of(sequences) -> list[list[int]]:
    """Packed sequences, in the order they were given."""
    starts, lengths = sequences.starts[sequences.order], sequences.lengths[sequences.order]
    return [sequences.ids[a : a + n].tolist() for a, n in zip(starts.tolist(), lengths.tolist(), strict=True)]


def taught_by(*probabilities: list[float]) -> list[dict]:
    """A teacher's rows, of which only these are read."""
    return [{"probabilities": row} for row in probabilities]


# Logits


@given(st.integers(0, 10_000), st.sampled_from(Pooling))
@settings(max_examples=4, deadline=None)
def test_a_batch_is_the_plain_computation_turn_by_turn(make_dialogues, tiny, cut, logits, seed, pooling):
    torch.manual_seed(seed)
    classifier = checkpoint.build(replace(EMOONE, max_tokens=24), tiny(pooling=pooling), LABELS)
    corpus = make_dialogues(4, LABELS, seed=seed, turns=(1, 8))
    with torch.no_grad():
        alone = {(n, i): plain.emoone(classifier, corpus[n], i) for n, i in plain.targets_of(corpus)}
    assert_same(logits(classifier, [cut(classifier, corpus)]), alone)


@pytest.mark.parametrize(("config", "later"), [(STUDENT, 0), (TEACHER, 2), (replace(TEACHER, future_turns=1), 1)])
def test_the_vector_of_a_marked_layout_is_read_at_its_mark(config, later, built, corpus, cut, logits):
    classifier = built(replace(config, max_tokens=512))
    with torch.no_grad():
        alone = {(n, i): plain.emoone_marked(classifier, corpus[n], i, later) for n, i in plain.targets_of(corpus)}
    assert_same(logits(classifier, [cut(classifier, corpus)]), alone)


# The marked layout


def say(*texts: str) -> Dialogue:
    return Dialogue("1", tuple(Utterance(("Ann", "Bo", "Cy")[i % 3], text, "joy") for i, text in enumerate(texts)))


@pytest.mark.parametrize("config", [STUDENT, TEACHER])
def test_the_class_token_stands_before_the_targets_tag_and_nowhere_else(config, built, cut):
    classifier = built(replace(config, max_tokens=512))
    tokenizer = classifier.pretrained.tokenizer
    batch = classifier.module.collate(cut(classifier, [say("oh no", "really?", "what did", "you left", "my tea")]))
    written = ["<s1> oh no", " <s2> really?", " <s3> what did", " <s1> you left", " <s2> my tea"]
    for turn, (row, mark) in enumerate(zip(rows_of(batch.contexts), batch.marks.tolist(), strict=True)):
        assert [i for i, token in enumerate(row) if token == tokenizer.cls_token_id] == [mark]
        assert tokenizer.decode(row[:mark]) == "".join(written[:turn])
        last = turn + 3 if config.later_turns else turn + 1
        assert tokenizer.decode(row[mark + 1 :]) == "".join(written[turn:last])


def test_other_methods_start_with_the_class_token(built, cut):
    for method in set(Gray) - FUTURE:
        classifier = built(replace(EMOONE, gray=method))
        batch = classifier.module.collate(cut(classifier, [say("oh no", "really?")]))
        assert batch.marks is None
        assert {row[0] for row in rows_of(batch.contexts)} == {classifier.pretrained.tokenizer.cls_token_id}


def test_only_the_teacher_hears_later_turns_and_only_two(built, cut, logits):
    texts = ["oh no", "really?", "what did", "you left", "my tea"]
    seen = {}
    for config in (STUDENT, TEACHER):
        classifier = built(replace(config, max_tokens=512))
        before = logits(classifier, [cut(classifier, [say(*texts)])])[0, 1]
        changed = [say(*texts[:i], "again and again", *texts[i + 1 :]) for i in range(5)]
        after = [logits(classifier, [cut(classifier, [dialogue])])[0, 1] for dialogue in changed]
        seen[config.role] = [bool((vector - before).abs().max() > 1e-5) for vector in after]
    assert seen == {"classifier": [True, True, False, False, False], "future_teacher": [True, True, True, True, False]}


@given(
    st.lists(st.integers(1, 12), min_size=1, max_size=6),
    st.integers(4, 30),
    st.sampled_from([STUDENT, TEACHER]),
)
@settings(max_examples=25, deadline=None)
def test_a_long_dialogue_loses_its_oldest_tokens_then_its_latest_and_never_the_mark(tiny, cut, words, longest, config):
    classifier = checkpoint.build(replace(config, max_tokens=longest), tiny(), LABELS)
    tokenizer = classifier.pretrained.tokenizer
    dialogue = say(*(" ".join(["again"] * n) for n in words))
    (segment,) = cut(classifier, [dialogue])
    bounds, ids = segment.tokens.tagged.bounds, segment.tokens.tagged.ids.tolist()
    batch = classifier.module.collate([segment])
    for turn, (row, mark) in enumerate(zip(rows_of(batch.contexts), batch.marks.tolist(), strict=True)):
        last = min(turn + 3 if config.later_turns else turn + 1, len(words))
        past, rest = ids[: bounds[turn]], ids[bounds[turn] : bounds[last]]
        assert len(row) == min(longest, len(past) + 1 + len(rest))
        assert row[mark] == tokenizer.cls_token_id
        assert row[mark + 1 :] == rest[: longest - 1]
        assert row[:mark] == past[len(past) - mark :]


# Gray labels


TALK = [
    Dialogue("1", (Utterance("Ann", "oh", "anger"), Utterance("Bo", "no"), Utterance("Ann", "my", "joy"))),
    Dialogue("2", (Utterance("Ann", "tea"),)),
    Dialogue("3", (Utterance("Cy", "fine", "neutral"),)),
]


@pytest.fixture
def word_vectors(tmp_path):
    file = tmp_path / "vectors.txt"
    file.write_text("neutral 1 0\njoy 0 2\nanger 3 3\nfear -1 0\n")
    return str(file)


def graded(config: EmoOneConfig, taught=()) -> list[np.ndarray]:
    return gray_labels(config, LABELS, SENTIMENTS, TALK, taught)


HALF = np.sqrt(0.5)
HANDMADE = {  # of anger, joy and neutral, by the rules of the paper's released code
    Gray.category: [[0, 0, 2 / 3, 1 / 3], [0, 1, 0, 0], [1, 0, 0, 0]],
    Gray.word: [
        [HALF / (1 + 2 * HALF), HALF / (1 + 2 * HALF), 1 / (1 + 2 * HALF), 0],
        [0, 1 / (1 + HALF), HALF / (1 + HALF), 0],
        [1 / (1 + HALF), 0, HALF / (1 + HALF), 0],
    ],
    Gray.word_softmax: [
        np.exp(row) / np.exp(row).sum() for row in ([HALF, HALF, 1, -HALF], [0, 1, HALF, 0], [1, 0, HALF, -1])
    ],
    Gray.self_teacher: [[0.1, 0.6, 0.2, 0.1], [0.2, 0.7, 0.1, 0.0], [0.25, 0.25, 0.25, 0.25]],
    Gray.self_adjust: [[0.0625, 0.375, 0.5, 0.0625], [0.2, 0.7, 0.1, 0.0], [0.5, 1 / 6, 1 / 6, 1 / 6]],
}
HANDMADE |= {Gray.future: HANDMADE[Gray.self_teacher], Gray.future_adjust: HANDMADE[Gray.self_adjust]}


@pytest.mark.parametrize("method", HANDMADE)
def test_gray_labels_by_hand(method, word_vectors):
    config = replace(EMOONE, gray=method, word_vectors=word_vectors)
    found = graded(config, taught_by(*HANDMADE[Gray.self_teacher]))
    assert [rows.shape for rows in found] == [(3, 4), (1, 4), (1, 4)]
    labelled = np.stack([found[0][0], found[0][2], found[2][0]])
    np.testing.assert_allclose(labelled, HANDMADE[method], atol=1e-6)
    assert not found[0][1].any()  # turns without a label
    assert not found[1].any()


def test_every_method_but_none_has_figures_here():
    assert set(HANDMADE) == set(Gray) - {Gray.none}
    assert graded(replace(EMOONE, gray=Gray.none)) is None


@given(st.data())
@settings(max_examples=20, deadline=None)
def test_gray_labels_are_those_of_the_gray_functions_turn_by_turn(make_dialogues, tmp_path_factory, data):
    corpus = make_dialogues(4, LABELS, seed=data.draw(st.integers(0, 1000)))
    method = data.draw(st.sampled_from([*HANDMADE]))
    vectors = {label: np.random.default_rng(i).normal(size=3) for i, label in enumerate(LABELS)}
    file = tmp_path_factory.mktemp("vectors") / "words.txt"
    file.write_text("".join(f"{label} {' '.join(map(repr, row.tolist()))}\n" for label, row in vectors.items()))
    places = plain.targets_of(corpus)
    taught = np.random.default_rng(0).dirichlet(np.ones(4), len(places))
    config = replace(EMOONE, gray=method, word_vectors=str(file))
    found = gray_labels(config, LABELS, SENTIMENTS, corpus, taught_by(*taught.tolist()))
    for place, probabilities in zip(places, taught, strict=True):
        emotion = corpus[place[0]].utterances[place[1]].emotion
        gold = LABELS.index(emotion)
        expected = {
            Gray.category: lambda emotion=emotion: soft_labels.category(LABELS, [emotion], [None], SENTIMENTS)[0],
            Gray.word: lambda gold=gold: soft_labels.word(LABELS, vectors)[gold],
            Gray.word_softmax: lambda gold=gold: soft_labels.word_softmax(LABELS, vectors)[gold],
            Gray.self_teacher: lambda p=probabilities: p,
            Gray.future: lambda p=probabilities: p,
        }.get(method, lambda p=probabilities, gold=gold: soft_labels.adjust(p[None], np.array([gold]))[0])()
        np.testing.assert_allclose(found[place[0]][place[1]], expected, atol=1e-6)


# The loss


@pytest.mark.parametrize(("w1", "w2"), [(1.0, 1.0), (0.3, 2.0), (1.0, 0.0)])
def test_the_loss_is_the_mean_of_the_plain_loops(w1, w2, built, corpus, cut):
    classifier = built(replace(EMOONE, gray=Gray.category, w1=w1, w2=w2))
    module = classifier.module.eval()
    grays = gray_labels(classifier.config, LABELS, SENTIMENTS, corpus, ())
    batch = module.collate([with_gray(segment, grays) for segment in cut(classifier, corpus)])
    found = module.loss(module(batch), batch)
    places = plain.targets_of(corpus)
    losses = [
        plain.emoone_loss(plain.emoone(classifier, corpus[n], i), gold_of(corpus, n, i), grays[n][i], w1, w2)
        for n, i in places
    ]
    torch.testing.assert_close(found, sum(losses) / len(places), **EXACT)


def gold_of(corpus, n: int, i: int) -> int:
    return LABELS.index(corpus[n].utterances[i].emotion)


def with_gray(segment, grays):
    return replace(segment, tokens=replace(segment.tokens, soft=grays[segment.dialogue]))


def test_a_kept_teacher_teaches_as_one_that_is_asked_every_step(built, corpus, cut):
    student, teacher = built(seed=1), built(replace(EMOONE, gray=Gray.none), seed=2)
    with torch.no_grad():
        teacher.module.head.weight *= 20  # so that some gold labels have a half, others not
    rows = predict(teacher, corpus, TrainerConfig("cpu", "32-true"))
    assert {bool(p[gold_of(corpus, n, i)] < 0.5) for n, i, p in rows} == {True, False}
    grays = gray_labels(EMOONE, LABELS, {}, corpus, taught_by(*(p.tolist() for *_, p in rows)))
    module = student.module.eval()
    batch = module.collate([with_gray(segment, grays) for segment in cut(student, corpus)])
    loss = module.loss(module(batch), batch)
    loss.backward()
    kept = {name: weight.grad.clone() for name, weight in module.named_parameters()}
    module.zero_grad()
    asked = torch.stack([plain.emoone_taught(student, teacher, corpus[n], i) for n, i, _ in rows]).mean()
    asked.backward()
    torch.testing.assert_close(loss, asked, **EXACT)
    for name, weight in module.named_parameters():
        torch.testing.assert_close(kept[name], weight.grad, atol=1e-5, rtol=1e-3, msg=name)


def test_without_gray_labels_the_loss_is_cross_entropy_that_leaves_unlabelled_turns_out(built, corpus, cut):
    classifier = built(replace(EMOONE, gray=Gray.none))
    module = classifier.module.eval()
    batch = module.collate(cut(classifier, corpus))
    labelled = module.loss(module(batch), batch)
    torch.testing.assert_close(labelled, functional.cross_entropy(module(batch), batch.labels))
    every = module.collate(cut(classifier, corpus, every_turn=True))
    assert len(every.labels) > len(batch.labels)
    torch.testing.assert_close(module.loss(module(every), every), labelled, **EXACT)


def test_predicting_needs_no_teacher(built, corpus):
    classifier = built()
    assert len(predict(classifier, corpus, TrainerConfig("cpu", "32-true"))) == len(plain.targets_of(corpus))


# Teacher and student


@pytest.mark.parametrize("method", Gray)
def test_a_teacher_is_trained_first_where_a_method_has_one_and_on_hard_labels(method):
    first = replace(EMOONE, gray=method).prerequisite()
    assert (first is not None) == (method in TAUGHT)
    if first:
        assert first.config.gray == Gray.none
        assert isinstance(first.config, FutureTeacherConfig) == (method in FUTURE)


def test_teacher_and_student_share_one_label_order(built, tmp_path):
    order = ("neutral", "peaceful", "powerful", "joy")
    permuted = ("joy", "neutral", "peaceful", "powerful")  # sorted, as the released teacher has them
    teacher = built(replace(EMOONE, gray=Gray.none), permuted)
    checkpoint.save(teacher, tmp_path / "teacher")
    with pytest.raises(UserError, match=r"trained for the labels joy, neutral, peaceful, powerful; .* in this order"):
        checkpoint.load(tmp_path / "teacher", order)
    assert checkpoint.load(tmp_path / "teacher", permuted).labels == permuted


def test_a_teachers_column_is_the_students_label(built, corpus, cut):
    """A teacher that always says joy makes joy the gray label, whatever the order is."""
    for order in (LABELS, LABELS[::-1]):
        teacher = built(replace(EMOONE, gray=Gray.none), order)
        with torch.no_grad():
            teacher.module.head.weight.zero_()
            teacher.module.head.bias.copy_(torch.tensor([30.0 * (label == "joy") for label in order]))
        rows = predict(teacher, corpus, TrainerConfig("cpu", "32-true"))
        config = replace(EMOONE, gray=Gray.self_teacher)
        grays = gray_labels(config, order, {}, corpus, taught_by(*(p.tolist() for *_, p in rows)))
        student = built(config, order)
        batch = student.module.collate([with_gray(segment, grays) for segment in cut(student, corpus)])
        assert {order[i] for i in batch.soft.argmax(dim=1).tolist()} == {"joy"}
