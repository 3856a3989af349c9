import math
import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from ercsatz.data.benchmarks import load
from ercsatz.data.benchmarks.fetch import settings as settings_of
from ercsatz.data.dialogue import Dialogue, Utterance
from ercsatz.quality.distances import has_mauve
from ercsatz.quality.embedder import lexical
from ercsatz.quality.measure import shuffled
from ercsatz.quality.realism import (
    SampleSize,
    dialogue_lengths,
    jensen_shannon,
    labels,
    realism,
    speakers,
    transitions,
    turn_lengths,
)
from ercsatz.resources import resource

JS = ["js_labels", "js_turn_lengths", "js_dialogue_lengths", "js_speakers", "js_transitions"]
NAMES = [*JS, "frechet", "precision", "recall", "density", "coverage", "c2st_auc", "mauve"]
EMOTIONS = ["joy", "fear", "anger"]


def spoken(n, seed=0, vocabulary=60, stay=0.8, turns=(2, 9), prefix="w"):
    """Dialogues whose words depend on the emotion, which mostly stays from turn to turn."""
    draw, result = random.Random(seed), []
    for number in range(n):
        emotion, utterances = draw.choice(EMOTIONS), []
        for _ in range(draw.randint(*turns)):
            emotion = emotion if draw.random() < stay else draw.choice(EMOTIONS)
            text = [f"{prefix}{emotion[0]}{draw.randrange(vocabulary)}" for _ in range(draw.randint(1, 9))]
            utterances.append(Utterance(draw.choice("ABC"), " ".join(text), emotion))
        result.append(Dialogue(f"{prefix}{seed}.{number}", tuple(utterances)))
    return result


def changed(dialogues, change):
    return [replace(dialogue, utterances=tuple(map(change, dialogue.utterances))) for dialogue in dialogues]


REAL = spoken(200)
EMBEDDER = lexical([turn.text for dialogue in REAL for turn in dialogue.utterances])


def values(measures):
    return {measure.name: measure.value for measure in measures}


def half_and_half(n=100):
    """One half of the real dialogues against the other."""
    return realism(REAL[:100], REAL[100:], EMBEDDER, SampleSize(n, 500))


def compare(synthetic, seed=0):
    n = min(100, len(synthetic))
    turns = sum(len(dialogue.utterances) for dialogue in shuffled(synthetic, seed)[:n])
    return values(realism(REAL, synthetic, EMBEDDER, SampleSize(n, min(500, turns)), seed))


counts = st.dictionaries(st.integers(0, 6), st.integers(0, 9), max_size=7)


@given(counts, counts)
def test_jensen_shannon_against_scipy(a, b):
    value = jensen_shannon(a, b)
    if not any(a.values()) or not any(b.values()):
        assert value is None
        return
    p, q = ([each.get(key, 0) for key in range(7)] for each in (a, b))
    expected = jensenshannon(p, q, base=2)
    assert value == pytest.approx(0 if math.isnan(expected) else expected, abs=1e-7)
    assert value == jensen_shannon(b, a)
    assert 0 <= value <= 1


def test_jensen_shannon_closed_cases():
    assert jensen_shannon({"a": 2, "b": 4}, {"a": 1, "b": 2, "c": 0}) == 0
    assert jensen_shannon({"a": 2}, {"b": 3}) == 1


def test_what_is_counted():
    turns = [("A", "No, no!", "joy"), ("B", "Tea?", None), ("A", "\u96e8\u3067\u3059", "joy"), ("A", "No.", "fear")]
    dialogues = [
        Dialogue("1", tuple(Utterance(*turn) for turn in turns)),
        Dialogue("2", (Utterance("C", "Oh", "joy"),)),
    ]
    assert labels(dialogues) == {"joy": 3, "fear": 1}
    assert turn_lengths(dialogues) == {1: 3, 2: 1, 3: 1}
    assert dialogue_lengths(dialogues) == {4: 1, 1: 1}
    assert speakers(dialogues) == {2: 1, 1: 1}
    assert transitions(dialogues) == {("joy", "fear"): 1}


def test_measures_come_in_order_with_their_sizes():
    synthetic = spoken(150, 1, turns=(3, 3))
    measures = realism(REAL, synthetic, EMBEDDER, SampleSize(80, 200))
    assert [measure.name for measure in measures] == NAMES
    assert {measure.family for measure in measures} == {"realism"}
    sizes = {measure.name: (measure.n, measure.of) for measure in measures}
    assert sizes["js_dialogue_lengths"] == (80, 150)
    assert sizes["js_labels"] == (240, 450)
    assert sizes["js_transitions"] == (160, 300)
    assert sizes["frechet"] == sizes["c2st_auc"] == (200, 450)


def test_halves_of_the_real_dialogues_are_alike():
    found = values(half_and_half())
    assert found["js_labels"] < 0.1
    assert found["js_speakers"] < 0.2
    assert found["js_transitions"] < 0.15
    assert found["c2st_auc"] == pytest.approx(0.5, abs=0.06)
    assert found["density"] == pytest.approx(1, abs=0.15)
    assert min(found["precision"], found["recall"], found["coverage"]) > 0.85


def test_identical_corpora_are_alike_in_everything():
    same = values(realism(REAL, REAL, EMBEDDER, SampleSize(100, 500)))
    for name in JS:
        assert same[name] == 0
    assert same["frechet"] == pytest.approx(0, abs=1e-6)
    assert same["precision"] == same["recall"] == same["coverage"] == 1
    assert same["c2st_auc"] == pytest.approx(0.5, abs=0.02)


def test_disjoint_corpora_are_as_far_apart_as_can_be():
    turns = tuple(Utterance(speaker, "you and me " * 4, "calm") for speaker in "ABCDEFGHIJKL")
    other = [Dialogue(f"x{i}", turns) for i in range(100)]
    found = compare(other)
    for name in JS:
        assert found[name] == 1
    assert found["precision"] == found["recall"] == found["density"] == found["coverage"] == 0
    assert found["c2st_auc"] == 1
    assert found["frechet"] > 5 * values(half_and_half())["frechet"]


def test_each_flaw_moves_its_own_measures():
    draw = random.Random(0)
    good = spoken(200, 7)
    base = compare(good)
    permuted = iter(draw.sample(pool := [turn.emotion for d in good for turn in d.utterances], len(pool)))
    shuffled_labels = compare(changed(good, lambda turn: replace(turn, emotion=next(permuted))))
    assert shuffled_labels["js_labels"] == pytest.approx(base["js_labels"], abs=0.05)
    assert shuffled_labels["js_transitions"] > base["js_transitions"] + 0.1
    one_label = compare(changed(good, lambda turn: replace(turn, emotion="joy")))
    assert one_label["js_labels"] > 0.5
    terse = compare(changed(good, lambda turn: replace(turn, text=turn.text.split()[0])))
    assert terse["js_turn_lengths"] > 0.5
    alone = compare(changed(good, lambda turn: replace(turn, speaker="A")))
    assert alone["js_speakers"] > 0.5
    long = compare(spoken(200, 7, turns=(12, 15)))
    assert long["js_dialogue_lengths"] == 1
    foreign = compare(spoken(200, 7, prefix="v"))
    assert foreign["c2st_auc"] > 0.95
    assert foreign["frechet"] > 3 * base["frechet"]


def test_a_few_dialogues_again_and_again_are_found_out():
    few = [replace(dialogue, id=f"x{i}") for i in range(20) for dialogue in spoken(5, 9)]
    found, base = compare(few), compare(spoken(100, 9))
    assert found["recall"] < base["recall"] / 2
    assert found["coverage"] < base["coverage"] / 2
    assert found["c2st_auc"] > 0.8
    assert found["frechet"] > 3 * base["frechet"]


def test_more_noise_in_the_labels_moves_the_transitions_more():
    found = []
    for share in (0, 0.2, 0.5, 1):
        draw = random.Random(1)
        noisy = changed(
            spoken(200, 3), lambda t, s=share, r=draw: replace(t, emotion=r.choice(EMOTIONS)) if r.random() < s else t
        )
        found.append(compare(noisy)["js_transitions"])
    assert found == sorted(found)
    assert found[1] > found[0]


@settings(max_examples=10, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(0, 3))
def test_order_does_not_matter_and_all_is_in_bounds(draw, seed):
    synthetic, real = spoken(30, seed), list(REAL)
    size = SampleSize(25, 60)
    found = values(realism(REAL, synthetic, EMBEDDER, size, seed))
    draw.shuffle(synthetic)
    draw.shuffle(real)
    assert values(realism(real, synthetic, EMBEDDER, size, seed)) == found
    for name in (*JS, "precision", "recall", "coverage", "c2st_auc"):
        assert 0 <= found[name] <= 1
    assert found["frechet"] >= 0


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "synthetic",
    [
        [],
        spoken(1, 1),
        changed(spoken(30, 1), lambda turn: replace(turn, emotion=None)),
        changed(spoken(30, 1), lambda turn: replace(turn, emotion="joy", text="Tea?")),
        changed(spoken(30, 1), lambda turn: replace(turn, text="\U0001f642 \u4eca\u65e5\u306f", speaker="A")),
        changed(spoken(30, 1), lambda turn: replace(turn, text="...")),
    ],
)
def test_what_has_no_value_says_why(synthetic):
    for measure in realism(REAL, synthetic, EMBEDDER, SampleSize(len(synthetic), len(synthetic))):
        if measure.value is None:
            assert measure.undefined.startswith("undefined because ")
        else:
            assert math.isfinite(measure.value)
        if not synthetic:
            assert measure.value is None, measure


def test_nothing_has_no_likeness():
    for measure in realism(REAL, REAL, EMBEDDER, SampleSize(0, 0)):
        assert measure.value is None


def test_mauve_is_there_or_says_how_to_get_it():
    (measure,) = (m for m in half_and_half() if m.name == "mauve")
    if has_mauve():
        assert 0.5 < measure.value <= 1
    else:
        assert measure.value is None
        assert "pip install" in measure.undefined


def test_on_meld_words_in_any_order_are_told_from_real_turns_and_halves_are_not(shared):
    benchmark = settings_of("meld", [resource("conf")], shared("data/meld"))
    real = load(benchmark).split("train")[:400]
    pool = [word for dialogue in real[200:] for turn in dialogue.utterances for word in turn.text.split()]
    random.Random(0).shuffle(pool)
    words = iter(pool)
    bags = changed(real[200:], lambda turn: replace(turn, text=" ".join(next(words) for _ in turn.text.split())))
    embedder, size = lexical([turn.text for dialogue in real for turn in dialogue.utterances]), SampleSize(200, 1500)
    mark, found = (values(realism(real[:200], each, embedder, size)) for each in (real[200:], bags))
    assert mark["c2st_auc"] == pytest.approx(0.5, abs=0.05)
    assert found["c2st_auc"] > mark["c2st_auc"] + 0.04
    assert found["frechet"] > 1.5 * mark["frechet"]
    for name in ("precision", "density", "coverage"):
        assert found[name] < mark[name] - 0.05


def test_vectors_of_any_embedder_are_taken():
    def encode(texts):
        rows = np.array([[len(text), text.count("j"), 1] for text in texts], np.float32).reshape(-1, 3)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    measures = realism(REAL, spoken(50, 4), replace(EMBEDDER, name="own", encode=encode), SampleSize(50, 150))
    assert all(math.isfinite(m.value) for m in measures if m.name != "mauve")
