import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, cohen_kappa_score, confusion_matrix, f1_score

from ercsatz.benchmarks import load
from ercsatz.benchmarks.fetch import settings
from ercsatz.dialogue import Dialogue, Utterance
from ercsatz.quality.embed import lexical
from ercsatz.quality.labels import _kappa, label_quality, standard_errors
from ercsatz.quality.probes import embedding_probe, words_probe
from ercsatz.resources import resource
from ercsatz.scores import scores

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


def quality(real, synthetic, **changes):
    return label_quality(real, synthetic, LABELS, [words_probe()], **changes)


def values(found):
    return {measure.name: measure.value for measure in found.measures if measure.emotion is None}


def test_identical_data_give_the_same_either_way():
    real = corpus(0)
    found = values(quality(real, real))
    assert found["tstr_w_f1_words"] == found["trts_w_f1_words"] == found["real_w_f1_words"] > 0.9
    assert found["agreement_w_f1_words"] > 0.9
    assert found["majority_w_f1"] < 0.6


def test_labels_that_are_easy_to_tell_agree_and_shuffled_ones_do_so_by_chance():
    real, own = corpus(0), corpus(10)
    good, bad = values(quality(real, own)), values(quality(real, shuffled(own)))
    assert good["agreement_accuracy_words"] == good["agreement_kappa_words"] == 1
    counts = [sum(t.emotion == label for d in own["train"] for t in d.utterances) / 300 for label in LABELS]
    assert bad["agreement_accuracy_words"] == pytest.approx(sum(share**2 for share in counts), abs=0.06)
    assert abs(bad["agreement_kappa_words"]) < 0.1
    assert bad["tstr_w_f1_words"] < 0.6 < good["tstr_w_f1_words"]
    assert bad["trts_w_f1_words"] < 0.6 < good["trts_w_f1_words"]
    assert bad["real_w_f1_words"] == good["real_w_f1_words"]


def test_a_fifth_of_the_labels_shuffled_costs_a_fifth_of_the_kappa():
    real, own, draw = corpus(0), {"train": dialogues(200, 10), "test": dialogues(40, 11)}, random.Random(3)
    pool = [turn.emotion for each in own["train"] for turn in each.utterances]
    noisy = own | {
        "train": [
            relabelled(each, (draw.choice(pool) if draw.random() < 0.2 else turn.emotion for turn in each.utterances))
            for each in own["train"]
        ]
    }
    assert values(quality(real, noisy))["agreement_kappa_words"] == pytest.approx(0.8, abs=0.05)


def test_scores_and_confusion_are_those_of_scikit_learn():
    real, own = corpus(0), shuffled(corpus(10))
    found = quality(real, own)
    texts = [turn.text for each in real["train"] for turn in each.utterances]
    predict = words_probe().fit(texts, [turn.emotion for each in real["train"] for turn in each.utterances])
    for split, what, confusion in (("train", "agreement", found.confusion), ("test", "real", found.real_confusion)):
        turns = [turn for each in (own if what == "agreement" else real)[split] for turn in each.utterances]
        gold, guess = [turn.emotion for turn in turns], predict([turn.text for turn in turns])
        got = values(found)
        assert got[f"{what}_accuracy_words"] == pytest.approx(accuracy_score(gold, guess))
        assert got[f"{what}_kappa_words"] == pytest.approx(cohen_kappa_score(gold, guess))
        assert got[f"{what}_w_f1_words"] == pytest.approx(f1_score(gold, guess, average="weighted"))
        assert got[f"{what}_macro_f1_words"] == pytest.approx(f1_score(gold, guess, average="macro"))
        matrix = confusion["words"]
        assert (matrix.to_numpy() == confusion_matrix(gold, guess, labels=LABELS)).all()
        assert [*matrix.index] == [*matrix.columns] == [*LABELS]
        per_class = dict(zip(LABELS, f1_score(gold, guess, labels=LABELS, average=None), strict=True))
        got = {each.emotion: each.value for each in found.measures if each.name == f"{what}_f1_words"}
        assert got == pytest.approx(per_class)
        supports = {each.emotion: each.n for each in found.measures if each.name == f"{what}_f1_words"}
        assert supports == {label: gold.count(label) for label in LABELS}


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


def test_samples_are_seeded_and_said():
    real, own = corpus(0), corpus(10)
    found = quality(real, own, turns=100)
    by_name = {measure.name: measure for measure in found.measures if measure.emotion is None}
    assert (by_name["agreement_w_f1_words"].n, by_name["agreement_w_f1_words"].of) == (100, 300)
    assert (by_name["tstr_w_f1_words"].n, by_name["tstr_w_f1_words"].of) == (100, 300)
    assert (by_name["trts_w_f1_words"].n, by_name["trts_w_f1_words"].of) == (100, 200)
    assert (by_name["real_w_f1_words"].n, by_name["real_w_f1_words"].of) == (100, 200)
    backwards = {split: each[::-1] for split, each in own.items()}
    assert quality(real, backwards, turns=100).measures == found.measures
    assert quality(real, own, turns=100, seed=1).measures != found.measures


def test_each_probe_has_its_own_figures():
    real = corpus(0)
    probes = [words_probe(), embedding_probe(lexical([t.text for d in real["train"] for t in d.utterances], 8))]
    found = label_quality(real, corpus(10), LABELS, probes)
    assert {*found.confusion} == {*found.real_confusion} == {"words", "embedding"}
    names = [(measure.name, measure.emotion) for measure in found.measures]
    assert len(set(names)) == len(names) == 2 * (2 * (4 + 3) + 2) + 1
    assert {measure.family for measure in found.measures} == {"labels"}


def test_the_floor_is_that_of_the_real_majority():
    gold = [turn.emotion for each in corpus(0)["test"] for turn in each.utterances]
    floor = f1_score(gold, ["neutral"] * len(gold), average="weighted", zero_division=0.0)
    assert values(quality(corpus(0), corpus(10)))["majority_w_f1"] == pytest.approx(floor)


def test_what_is_missing_is_said():
    real = corpus(0)
    unlabelled = [Dialogue("u", (Utterance("A", "Hello."),))]
    for nothing in ([], unlabelled):
        empty = quality(real, {"train": nothing, "test": nothing})
        because = {each.name: each.undefined for each in empty.measures if each.value is None}
        assert because["tstr_w_f1_words"] == "undefined because there are no labelled turns to learn from"
        assert because["trts_w_f1_words"] == because["agreement_kappa_words"]
        assert because["trts_w_f1_words"] == "undefined because there are no labelled turns to test on"
        assert values(empty)["real_w_f1_words"] > 0.9
        assert empty.confusion["words"].to_numpy().sum() == 0
    no_real = quality({"train": [], "test": real["test"]}, real)
    assert {each.name for each in no_real.measures if each.value is not None} == {"tstr_w_f1_words"}


def test_one_class_one_dialogue_and_no_words():
    joy = {split: [Dialogue("d", (Utterance("A", "\U0001f602", "joy"),))] for split in ("train", "test")}
    found = quality(joy, joy)
    assert values(found)["agreement_accuracy_words"] == 1
    undefined = {(each.name, each.emotion): each.undefined for each in found.measures if each.value is None}
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
    good, bad = (values(label_quality(real, own, meld.labels, [words_probe()])) for own in (half, shuffled(half)))
    assert good["agreement_kappa_words"] > 0.25
    assert abs(bad["agreement_kappa_words"]) < 0.05
    assert bad["tstr_w_f1_words"] < bad["majority_w_f1"] + 0.05 < good["tstr_w_f1_words"]
    assert abs(good["agreement_w_f1_words"] - good["real_w_f1_words"]) < 0.08


def test_standard_errors_are_those_of_drawing_the_turns_again():
    rng = np.random.default_rng(0)
    gold = rng.choice(3, 300, p=[0.7, 0.2, 0.1])
    said = np.where(rng.random(300) < 0.6, gold, rng.choice(3, 300))
    drawn = []
    for _ in range(400):
        places = rng.integers(300, size=300)
        found = scores(gold[places].tolist(), said[places].tolist(), LABELS)
        drawn.append([found["accuracy"], found["w_f1"], found["macro_f1"], found["per_class"]["joy"]["f1"]])
    errors = standard_errors(scores(gold.tolist(), said.tolist(), LABELS)["confusion"], LABELS)
    own = [errors[name] for name in ("accuracy", "w_f1", "macro_f1", "f1 joy")]
    assert own == pytest.approx(np.std(drawn, axis=0).tolist(), rel=0.15)
    accuracy = (gold == said).mean()
    assert errors["accuracy"] == pytest.approx((accuracy * (1 - accuracy) / 300) ** 0.5, rel=0.1)
    assert standard_errors([[5, 0], [0, 0]], ("a", "b")) == dict.fromkeys(
        ("accuracy", "kappa", "w_f1", "macro_f1", "f1 a", "f1 b"), 0.0
    )
