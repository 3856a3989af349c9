import itertools
import random
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chi2_contingency, kstest

from ercsatz.data.dialogue import Dialogue, Utterance
from ercsatz.quality.embedder import Embedder
from ercsatz.quality.splits import _features, same_distribution
from ercsatz.ranking.p_adjustment import holm

pytestmark = pytest.mark.filterwarnings("error")

NAMES = ["labels", "turn_lengths", "dialogue_lengths", "transitions", "embeddings"]
EMOTIONS = ["neutral", "joy", "anger", "fear"]
SPLITS = ("train", "validation", "test")


def counts_of_words(texts):
    vectors = np.array([[len(text), text.count("a"), text.count("b"), 1] for text in texts], np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(1) if len(texts) else vectors.reshape(0, 4)


EMBEDDER = Embedder("letters", True, counts_of_words)


def make(n, draw, mood=0.5, mean=4, letters="ab"):
    """Dialogues of which each has a main emotion: turns are not independent."""
    made = []
    for _ in range(n):
        main = draw.choice(EMOTIONS)
        turns = []
        for _ in range(draw.randint(2, 2 * mean)):
            emotion = main if draw.random() < mood else draw.choice(EMOTIONS)
            text = " ".join(draw.choice(letters) for _ in range(draw.randint(1, 8)))
            turns.append(Utterance("A", text, emotion))
        made.append(Dialogue(str(len(made)), tuple(turns)))
    return made


def divided(dialogues):
    n = len(dialogues)
    cuts = [0, n * 3 // 5, n * 4 // 5, n]
    return {split: dialogues[a:b] for split, (a, b) in zip(SPLITS, itertools.pairwise(cuts), strict=True)}


def table(splits, **changes):
    return same_distribution(splits, EMBEDDER, **changes).table.set_index("name")


def test_p_values_are_uniform_if_the_splits_are_random_unlike_those_that_take_turns_for_independent():
    draw = random.Random(1)
    runs = [table(divided(make(40, draw, mood=0.8)), permutations=59, seed=run) for run in range(150)]
    for name in NAMES:
        values = np.array([run.loc[name, "p"] for run in runs])
        jitter = np.random.default_rng(0).random(len(values)) / 60  # p-values are multiples of 1 / 60
        assert kstest(values - jitter, "uniform").pvalue > 0.01
    independent = np.array([run.loc["labels", "p_independent"] for run in runs], float)
    assert (independent < 0.05).mean() > 0.2
    corrected = np.array([run["p_holm"].min() for run in runs])
    assert (corrected <= 0.05).mean() < 0.1


def each_turn(change):
    return lambda dialogue: replace(dialogue, utterances=tuple(map(change, dialogue.utterances)))


CHANGES = {
    "labels": each_turn(lambda turn: replace(turn, emotion="joy")),
    "turn_lengths": each_turn(lambda turn: replace(turn, text=turn.text + " a b")),
    "dialogue_lengths": lambda dialogue: replace(dialogue, utterances=dialogue.utterances[:2]),
    "transitions": lambda dialogue: replace(
        dialogue, utterances=tuple(sorted(dialogue.utterances, key=lambda turn: turn.emotion))
    ),
    "embeddings": each_turn(lambda turn: replace(turn, text=turn.text.replace("b", "a"))),
}
# What else each of them changes, or may.
ALSO = {
    "labels": {"transitions"},
    "turn_lengths": {"embeddings"},
    "dialogue_lengths": {"transitions"},
    "transitions": set(),
    "embeddings": set(),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_split_that_differs_is_found_and_by_the_right_test(name):
    splits = divided(make(150, random.Random(0), mood=0.0))
    splits["test"] = list(map(CHANGES[name], splits["test"]))
    found = table(splits, permutations=199)
    assert found.loc[name, "p"] == 1 / 200
    assert found.loc[name, "p_holm"] <= 0.05
    assert all(found.loc[other, "p"] > 0.02 for other in NAMES if other not in {name, *ALSO[name]})


def test_chi_square_is_that_of_scipy():
    draw = random.Random(2)
    splits = divided(make(60, draw))
    found = table(splits, permutations=9)
    counts = [[sum(t.emotion == e for d in splits[s] for t in d.utterances) for e in EMOTIONS] for s in SPLITS]
    lengths = sorted({len(d.utterances) for s in SPLITS for d in splits[s]})
    assert len(lengths) <= 7  # so every length is a class of its own
    turns = [[sum(len(d.utterances) == n for d in splits[s]) for n in lengths] for s in SPLITS]
    for name, observed in (("labels", counts), ("dialogue_lengths", turns)):
        expected = chi2_contingency(observed, correction=False)
        assert found.loc[name, "statistic"] == pytest.approx(expected.statistic)
        assert found.loc[name, "p_independent"] == pytest.approx(expected.pvalue)


def test_the_effect_is_cramers_v_less_what_chance_makes_of_it():
    dialogues = sorted(make(7, random.Random(2), mood=0.9), key=lambda d: d.utterances[0].emotion)
    splits = {"train": dialogues[:4], "test": dialogues[4:]}
    counts = np.array([[sum(t.emotion == e for t in d.utterances) for e in EMOTIONS] for d in dialogues])
    counts = counts[:, counts.any(axis=0)]

    def statistic(chosen):
        inside = np.isin(range(7), chosen)
        return chi2_contingency([counts[~inside].sum(axis=0), counts[inside].sum(axis=0)], correction=False).statistic

    mean = np.mean([statistic(chosen) for chosen in itertools.combinations(range(7), 3)])
    squared = max(0, statistic((4, 5, 6)) - mean) / counts.sum()
    assert squared > 0
    assert table(splits, permutations=4000).loc["labels", "effect"] ** 2 == pytest.approx(squared, rel=0.1)


@pytest.mark.parametrize("n", [25, 250])
def test_effects_of_equal_distributions_are_as_small_in_small_sets(n):
    draw = random.Random(6)
    runs = [table(divided(make(n, draw, mood=0.8)), permutations=59, seed=run)["effect"] for run in range(20)]
    for name in NAMES:
        assert np.median([run[name] for run in runs]) < 0.06


def test_permutation_p_is_near_that_of_all_divisions():
    draw = random.Random(5)
    dialogues = make(9, draw, mood=0.9)
    splits = {"train": dialogues[:6], "test": dialogues[6:]}

    def statistic(chosen):
        rows = [[d for i, d in enumerate(dialogues) if (i in chosen) == inside] for inside in (False, True)]
        counts = np.array([[sum(t.emotion == e for d in row for t in d.utterances) for e in EMOTIONS] for row in rows])
        counts = counts[:, counts.any(axis=0)]
        return chi2_contingency(counts, correction=False).statistic

    every = [statistic(chosen) for chosen in itertools.combinations(range(9), 3)]
    exact = np.mean(np.array(every) >= statistic((6, 7, 8)) - 1e-9)
    assert table(splits, permutations=4000).loc["labels", "p"] == pytest.approx(exact, abs=0.03)


def test_the_feature_map_is_a_gaussian_kernel():
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((30, 5)).astype(np.float32)
    apart = np.linalg.norm(vectors[:, None] - vectors[None], axis=2)
    width = np.median(apart[apart > 0])
    kernels = [rows @ rows.T for rows in (_features(vectors, np.random.default_rng(seed)) for seed in range(20))]
    assert np.mean(kernels, axis=0) == pytest.approx(np.exp(-(apart**2) / (2 * width**2)), abs=0.06)
    assert np.diag(kernels[0]) == pytest.approx(1)


def test_discrepancy_is_the_variance_between_splits_less_what_chance_makes_of_it():
    splits = divided(make(30, random.Random(3)))
    # Two kinds of text: the kernel has only two values, and its map only two points.
    embedder = Embedder("two", True, lambda texts: np.array([[float(len(t) > 7)] for t in texts], np.float32))
    found = same_distribution(splits, embedder, permutations=2000).table.set_index("name").loc["embeddings"]
    everyone = [dialogue for split in SPLITS for dialogue in splits[split]]
    rows = np.array([[sum(len(t.text) > 7 for t in d.utterances), len(d.utterances)] for d in everyone])
    cuts = np.cumsum([len(splits[split]) for split in SPLITS])[:-1]
    long, total = rows.sum(axis=0)

    def between(order):
        sums = np.array([part.sum(axis=0) for part in np.split(rows[order], cuts)])
        return (sums[:, 1] * (sums[:, 0] / sums[:, 1] - long / total) ** 2).sum() / (long * (1 - long / total))

    rng = np.random.default_rng(0)
    by_chance = np.mean([between(rng.permutation(len(rows))) for _ in range(2000)])
    expected = between(np.arange(len(rows))) - by_chance
    assert found["effect"] == pytest.approx(max(0, expected), abs=0.05 * by_chance)
    assert by_chance > 0.005


def test_measures_are_the_table_corrected():
    tests = same_distribution(divided(make(60, random.Random(7))), EMBEDDER, permutations=99)
    assert [measure.name for measure in tests.measures] == [*tests.table["name"]] == NAMES
    assert [measure.p for measure in tests.measures] == pytest.approx(holm(tests.table["p"]))
    assert [measure.value for measure in tests.measures] == [*tests.table["effect"]]
    assert all(0 <= measure.value < 0.5 for measure in tests.measures)
    assert all("99 permutations of whole dialogues, Holm-corrected" in measure.test for measure in tests.measures)
    assert tests.table["p_independent"].isna().tolist() == [False] * 4 + [True]


def test_does_not_depend_on_the_order_of_dialogues_and_samples_say_so():
    splits = divided(make(60, random.Random(7)))
    backwards = {split: each[::-1] for split, each in splits.items()}
    found = same_distribution(splits, EMBEDDER, permutations=99, turns=50)
    assert same_distribution(backwards, EMBEDDER, permutations=99, turns=50).measures == found.measures
    assert same_distribution(splits, EMBEDDER, permutations=99, turns=50, seed=1).measures != found.measures
    last = found.measures[-1]
    assert last.of == sum(len(d.utterances) for each in splits.values() for d in each)
    assert abs(last.n - 50) <= 2


def test_identical_splits_differ_in_nothing():
    dialogues = make(30, random.Random(4))
    found = table({"train": dialogues, "test": dialogues}, permutations=99)
    assert (found["p"] == 1).all()
    assert found["effect"].tolist() == pytest.approx([0] * 5, abs=1e-6)


@pytest.mark.parametrize(
    ("splits", "because"),
    [
        ({"train": make(9, random.Random(0))}, "there is only one split"),
        ({"train": make(9, random.Random(0)), "test": []}, "the split test has nothing to compare"),
        ({"train": make(4, random.Random(0)), "test": make(1, random.Random(1))}, "divided in 5 ways only"),
        ({}, "there is only one split"),
    ],
)
def test_nothing_to_test_is_said(splits, because):
    tests = same_distribution(splits, EMBEDDER)
    assert all(because in measure.undefined for measure in tests.measures)
    assert {measure.value for measure in tests.measures} == {measure.p for measure in tests.measures} == {None}
    assert tests.table.empty


def test_equal_texts_one_class_and_no_labels():
    same = [Dialogue(str(n), (Utterance("A", "\U0001f602", "joy"),) * 3) for n in range(30)]
    undefined = {measure.name: measure.undefined for measure in same_distribution(divided(same), EMBEDDER).measures}
    one = "undefined because there is only one value in all splits"
    assert [undefined[name] for name in NAMES[:4]] == [one] * 4
    assert undefined["embeddings"] == "undefined because all turns have the same embedding"
    bare = [Dialogue(str(n), (Utterance("A", "\u4f60\u597d" * (n % 3 + 1)),)) for n in range(30)]
    found = {measure.name: measure for measure in same_distribution(divided(bare), EMBEDDER).measures}
    assert found["labels"].undefined == "undefined because only one split has any, if that"
    assert found["turn_lengths"].value is not None
    half = divided(make(40, random.Random(0)))
    half["test"] = [replace(d, utterances=tuple(replace(t, emotion=None) for t in d.utterances)) for d in half["test"]]
    assert all(measure.value is not None for measure in same_distribution(half, EMBEDDER).measures)
