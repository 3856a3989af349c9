import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, cohen_kappa_score, confusion_matrix, f1_score

from ercsatz.data.benchmarks import load
from ercsatz.data.benchmarks.fetch import settings
from ercsatz.data.dialogue import Dialogue, Utterance
from ercsatz.quality.embedder import lexical
from ercsatz.quality.labels import _kappa, agreement, as_many, confusion, everything, labelled, learn, trts, tstr
from ercsatz.quality.probes import embedding_probe, words_probe
from ercsatz.resources import resource

pytestmark = pytest.mark.filterwarnings("error")

LABELS = ("neutral", "joy", "anger")
MEANS = {"neutral": ["table", "train", "seven"], "joy": ["lovely", "happy", "great"], "anger": ["damn", "hate", "out"]}
FILLERS = ["the", "a", "you", "we", "is", "it", "so", "and"]


def turn(emotion, draw):
    return Utterance("A", " ".join([*draw.choices(FILLERS, k=3), draw.choice(MEANS[emotion])]), emotion)


def dialogues(n, seed, weights=(6, 3, 1)):
    draw = random.Random(seed)
    return [
        Dialogue(f"{seed}-{number}", tuple(turn(draw.choices(LABELS, weights)[0], draw) for _ in range(5)))
        for number in range(n)
    ]


SPLITS = ("train", "test")


def corpus(seed):
    return {"train": dialogues(60, seed), "test": dialogues(40, seed + 1)}


def relabelled(each, emotions):
    turns = tuple(replace(turn, emotion=next(emotions)) for turn in each.utterances)
    return replace(each, utterances=turns)


def shuffled(splits, seed=0):
    draw, result = random.Random(seed), {}
    for split, each in splits.items():
        emotions = [turn.emotion for dialogue in each for turn in dialogue.utterances]
        draw.shuffle(emotions)
        left = iter(emotions)
        result[split] = [relabelled(dialogue, left) for dialogue in each]
    return result


PROBES = [words_probe()]


def values(measures):
    return {measure.name: measure.value for measure in measures if measure.emotion is None}


def quality(real, synthetic, labels=LABELS, probes=PROBES):
    """All figures of a data set beside a real one."""
    train, own, test, own_test = (labelled(each[split], 20_000) for split in SPLITS for each in (real, synthetic))
    learnt = learn(train, probes)
    found = [*agreement(learnt, own, labels), *trts(learnt, own_test, labels), *tstr(own, test, labels, probes)]
    return [*found, *everything(train, own, test, labels, probes)]


def test_identical_data_give_the_same_either_way():
    found = values(quality(corpus(0), corpus(0)))
    assert found["tstr_w_f1_words"] == found["trts_w_f1_words"] == found["tstr_all_w_f1_words"] > 0.9
    assert found["tstr_all_w_f1_words"] == found["real_all_w_f1_words"]
    assert found["agreement_w_f1_words"] > 0.9
    assert found["majority_w_f1"] < 0.6


def test_labels_that_are_easy_to_tell_agree_and_shuffled_ones_do_so_by_chance():
    real, own = corpus(0), corpus(10)
    good, bad = values(quality(real, own)), values(quality(real, shuffled(own)))
    assert good["agreement_accuracy_words"] == good["agreement_kappa_words"] == 1
    counts = [sum(t.emotion == label for d in own["train"] for t in d.utterances) / 300 for label in LABELS]
    assert bad["agreement_accuracy_words"] == pytest.approx(sum(share**2 for share in counts), abs=0.06)
    assert abs(bad["agreement_kappa_words"]) < 0.1
    for name in ("tstr_w_f1_words", "tstr_all_w_f1_words", "trts_w_f1_words"):
        assert bad[name] < 0.6 < good[name]
    assert bad["real_all_w_f1_words"] == good["real_all_w_f1_words"]


def test_a_fifth_of_the_labels_shuffled_costs_a_fifth_of_the_kappa():
    own, draw = dialogues(200, 10), random.Random(3)
    pool = [turn.emotion for each in own for turn in each.utterances]
    noisy = [
        relabelled(each, (draw.choice(pool) if draw.random() < 0.2 else turn.emotion for turn in each.utterances))
        for each in own
    ]
    found = values(agreement(learn(labelled(dialogues(60, 0), 999), PROBES), labelled(noisy, 9999), LABELS))
    assert found["agreement_kappa_words"] == pytest.approx(0.8, abs=0.05)


def test_scores_and_confusion_are_those_of_scikit_learn():
    learnt = learn(labelled(dialogues(60, 0), 999), PROBES)
    own = labelled(shuffled({"train": dialogues(60, 10)})["train"], 999)
    found, gold, guess = agreement(learnt, own, LABELS), own.emotions, learnt["words"](own.texts)
    got = values(found)
    assert got["agreement_accuracy_words"] == pytest.approx(accuracy_score(gold, guess))
    assert got["agreement_kappa_words"] == pytest.approx(cohen_kappa_score(gold, guess))
    assert got["agreement_w_f1_words"] == pytest.approx(f1_score(gold, guess, average="weighted"))
    assert got["agreement_macro_f1_words"] == pytest.approx(f1_score(gold, guess, average="macro"))
    matrix = confusion(learnt, own, LABELS)["words"]
    assert (matrix.to_numpy() == confusion_matrix(gold, guess, labels=LABELS)).all()
    assert [*matrix.index] == [*matrix.columns] == [*LABELS]
    per_class = dict(zip(LABELS, f1_score(gold, guess, labels=LABELS, average=None), strict=True))
    of_emotions = [each for each in found if each.name == "agreement_f1_words"]
    assert {each.emotion: each.value for each in of_emotions} == pytest.approx(per_class)
    assert {each.emotion: each.n for each in of_emotions} == {label: gold.count(label) for label in LABELS}


@given(st.lists(st.lists(st.integers(0, 4), min_size=3, max_size=3), min_size=3, max_size=3))
def test_kappa_is_that_of_scikit_learn(confusion):
    pairs = [(g, p) for g in range(3) for p in range(3) for _ in range(confusion[g][p])]
    if not pairs:
        return
    gold, guess = zip(*pairs, strict=True)
    if len({*gold, *guess}) == 1:
        assert _kappa(confusion) is None
    else:
        assert _kappa(confusion) == pytest.approx(cohen_kappa_score(gold, guess))


def test_draws_are_seeded_and_without_what_has_no_label():
    own = [*dialogues(60, 10), *(Dialogue(f"u{n}", (Utterance("A", f"nothing {n}"),)) for n in range(300))]
    drawn = labelled(own, 100)
    assert (len(drawn.texts), len(drawn.emotions), drawn.of) == (100, 100, 300)
    assert not any("nothing" in text for text in drawn.texts)
    assert labelled(own[::-1], 100) == drawn
    assert labelled(own, 100, seed=1) != drawn
    assert len(labelled(own, 999).texts) == 300


def test_sets_are_cut_to_the_turns_of_the_smallest():
    sets = [dialogues(60, 0), dialogues(7, 1), dialogues(20, 2)]
    assert [(len(each.texts), len(each.emotions), each.of) for each in as_many(sets, 999)] == [
        *((35, 35, 300), (35, 35, 35), (35, 35, 100))
    ]
    assert {len(each.texts) for each in as_many(sets, 20)} == {20}
    assert [each.texts for each in as_many([[], dialogues(7, 1)], 20)] == [[], []]


def test_what_a_figure_is_counted_on_is_said():
    learnt, own, test = learn(labelled(dialogues(9, 0), 999), PROBES), labelled(dialogues(60, 1), 100), dialogues(8, 2)
    exam = labelled(test, 999)
    for found in (agreement(learnt, own, LABELS), trts(learnt, own, LABELS), tstr(own, exam, LABELS, PROBES)):
        assert {(each.n, each.of) for each in found if each.emotion is None} == {(100, 300)}
    sizes = {each.name: each.n for each in everything(labelled(dialogues(9, 0), 999), own, exam, LABELS, PROBES)}
    assert sizes == {"tstr_all_w_f1_words": 100, "real_all_w_f1_words": 45, "majority_w_f1": 40}


def test_each_probe_has_its_own_figures():
    real = corpus(0)
    probes = [words_probe(), embedding_probe(lexical([t.text for d in real["train"] for t in d.utterances], 8))]
    found = quality(real, corpus(10), probes=probes)
    names = [(measure.name, measure.emotion) for measure in found]
    assert len(set(names)) == len(names) == 2 * (4 + 3 + 4) + 1
    assert {measure.family for measure in found} == {"labels"}


def test_the_floor_is_that_of_the_real_majority():
    gold = [turn.emotion for each in corpus(0)["test"] for turn in each.utterances]
    floor = f1_score(gold, ["neutral"] * len(gold), average="weighted", zero_division=0.0)
    assert values(quality(corpus(0), corpus(10)))["majority_w_f1"] == pytest.approx(floor)


def test_what_is_missing_is_said():
    real = corpus(0)
    unlabelled = [Dialogue("u", (Utterance("A", "Hello."),))]
    for nothing in ([], unlabelled):
        empty = quality(real, {"train": nothing, "test": nothing})
        because = {each.name: each.undefined for each in empty if each.value is None}
        for name in ("tstr_w_f1_words", "tstr_all_w_f1_words"):
            assert because[name] == "undefined because there are no labelled turns to learn from"
        assert because["trts_w_f1_words"] == because["agreement_kappa_words"]
        assert because["trts_w_f1_words"] == "undefined because there are no labelled turns to test on"
        assert values(empty)["real_all_w_f1_words"] > 0.9
        assert confusion({"words": None}, labelled(nothing, 9), LABELS)["words"].to_numpy().sum() == 0
    no_real = quality({"train": [], "test": real["test"]}, real)
    defined = {each.name for each in no_real if each.value is not None}
    assert defined == {"tstr_w_f1_words", "tstr_all_w_f1_words"}


def test_one_class_one_dialogue_and_no_words():
    joy = {split: [Dialogue("d", (Utterance("A", "\U0001f602", "joy"),))] for split in ("train", "test")}
    found = quality(joy, joy)
    assert values(found)["agreement_accuracy_words"] == 1
    undefined = {(each.name, each.emotion): each.undefined for each in found if each.value is None}
    assert undefined["agreement_kappa_words", None] == "undefined because all turns have one label and are given it"
    assert undefined["agreement_f1_words", "anger"] == "undefined because no turn has this label"
    quiet = {split: [Dialogue("d", (Utterance("A", "...", "joy"), Utterance("B", "?", "anger")))] for split in joy}
    assert values(quality(quiet, quiet))["tstr_w_f1_words"] is not None


def test_meld_with_shuffled_labels_teaches_nothing(shared):
    meld = load(settings("meld", [resource("conf")], shared("data/meld")))
    draw = random.Random(0)
    mixed = draw.sample(meld.split("train"), 600)
    real = {"train": mixed[:300], "test": meld.split("test")[:100]}
    half = {"train": mixed[300:], "test": meld.split("validation")}
    good, bad = (values(quality(real, own, meld.labels)) for own in (half, shuffled(half)))
    assert good["agreement_kappa_words"] > 0.25
    assert abs(bad["agreement_kappa_words"]) < 0.05
    assert bad["tstr_w_f1_words"] < bad["majority_w_f1"] + 0.05 < good["tstr_w_f1_words"]
    assert abs(good["tstr_all_w_f1_words"] - good["real_all_w_f1_words"]) < 0.08
