import numpy as np
import pytest

from ercsatz.assessment.resampling import FEWEST, Draws, Sizes, chance_of, texts_of
from ercsatz.assessment.verdict import verdict
from ercsatz.quality.diversity import diversity
from ercsatz.quality.embedder import lexical
from ercsatz.quality.labels import agreement, trts, tstr

LABELS = ("neutral", "joy", "surprise", "anger", "sadness", "disgust", "fear")


@pytest.mark.parametrize(("n", "real", "own"), [(50, 100, 50), (50, 100, 400), (20, 100, 40)])
def test_means_of_fresh_samples_differ_by_more_in_one_of_twenty_cases_at_the_most(n, real, own):
    """Of normal numbers, a quarter of whose variation the draws of a pair have in common."""
    rng = np.random.default_rng(0)
    wrong, narrow, repeats, draws = 0, 0, 400, 8
    for _ in range(repeats):
        everyone, synthetic = rng.standard_normal(real), rng.standard_normal(own)
        shared = 0.5 * rng.standard_normal(draws)
        values = [rng.permutation(synthetic)[:n].mean() + each for each in shared]
        marks = [rng.permutation(everyone)[:n].mean() + each for each in shared]
        bound = chance_of(values, marks, n, real, own)
        difference = abs(np.mean(values) - np.mean(marks))
        wrong += difference > bound
        narrow += difference > bound / 3
    assert wrong <= 0.05 * repeats + 3 * (0.05 * 0.95 * repeats) ** 0.5
    assert narrow > 0.1 * repeats, "a bound that is never nearly reached tells nothing"


def test_of_one_draw_nothing_is_known():
    assert chance_of([0.5], [0.4], 5, 10, 5) is None


def drawn(real, own, fit=lexical, **sizes):
    chosen = Sizes(**{"dialogues": None, "sample": 100, "halves": 3, "seed": 0, **sizes})
    return Draws(real["train"], [*real["validation"], *real["test"]], own, fit, chosen)


@pytest.mark.parametrize(("n", "marked"), [(FEWEST - 1, False), (FEWEST, True)])
def test_a_handful_of_dialogues_has_no_mark(real, others, n, marked):
    draws = drawn(real, others[:n])
    lines = [*draws.realism(), *draws.nearest(others[:n], 1)[0]]
    assert {bool(line.marks) for line in lines if line.value is not None} == {marked}


def test_probes_learn_from_as_many_turns_of_both_and_are_tested_on_as_many(real, others, monkeypatch):
    sizes = {"learn": [], "agree": [], "tried": []}

    def seen(name, what, place):
        def call(*arguments):
            sizes[name].append(len(arguments[place].texts))
            return what(*arguments)

        return call

    monkeypatch.setattr("ercsatz.assessment.resampling.tstr", seen("learn", tstr, 0))
    monkeypatch.setattr("ercsatz.assessment.resampling.agreement", seen("agree", agreement, 1))
    monkeypatch.setattr("ercsatz.assessment.resampling.trts", seen("tried", trts, 1))
    lines, confusion = drawn(real, others).labels(real["test"], others[:9], LABELS)
    for found in sizes.values():
        assert len(found) == 6
        assert found[::2] == found[1::2]
    assert sizes["learn"] == sizes["agree"]
    assert len({line.name for line in lines}) == 2 * (5 + 2)
    assert {*confusion} == {"words", "embedding"}
    assert confusion["words"].to_numpy().sum() == sizes["agree"][0]


def test_as_much_is_compared_as_there_is_of_all(real, others):
    assert drawn(real, others).size.dialogues == 20
    assert drawn(real, others[:7]).size.dialogues == 7
    assert drawn(real, others, dialogues=5).size.dialogues == 5
    assert drawn(real, others).size.turns == 100
    fewest = drawn(real, others, dialogues=2, sample=1000).size.turns
    assert fewest <= 2 * max(len(dialogue.utterances) for dialogue in (*real["train"], *others))


def test_the_embedder_has_seen_nothing_that_is_compared(real, others):
    fitted = []

    def fit(texts):
        fitted.append(list(texts))
        return lexical(texts)

    draws = drawn(real, others, fit)
    draws.diversity(), draws.clusters(), draws.realism(), draws.points()
    assert fitted == [texts_of([*real["validation"], *real["test"]])]
    draws.nearest(others, 6)
    assert len(fitted) == 4
    assert all(len(texts) < len(fitted[0]) + len(texts_of(real["train"])) for texts in fitted)


def test_variety_is_compared_on_as_many_turns(real, say):
    """Turns of the data set are twice as long, so that there are half as many in as many words."""
    pairs = [zip(each.utterances[::2], each.utterances[1::2], strict=False) for each in real["train"]]
    own = [say(str(n), *((f"{a.text} {b.text}", a.emotion) for a, b in each)) for n, each in enumerate(pairs)]
    seen = []

    def measures(dialogues, embedder, sample, seed):
        found = diversity(dialogues, embedder, sample, seed)
        seen.append({each.name: each.n for each in found})
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ercsatz.assessment.resampling.diversity", measures)
        drawn(real, own, sample=1000).diversity()
    assert len(seen) == 6
    for own_n, real_n in zip(seen[::2], seen[1::2], strict=True):
        assert own_n["distinct_1"] < 0.7 * real_n["distinct_1"]
        assert own_n["vendi"] == real_n["vendi"] == own_n["distinct_1"]
        assert own_n["self_bleu"] == real_n["self_bleu"]


def test_distances_to_held_out_turns_are_given_as_percentiles(real, others):
    lines, distances = drawn(real, others).nearest(others, 6)
    median = next(line for line in lines if line.name == "nearest_median")
    assert distances["own"][50] == pytest.approx(median.value, abs=1e-4)
    assert distances["real"][50] == pytest.approx(median.mark, abs=1e-4)
    assert all(len(each) == 101 and each == sorted(each) for each in distances.values())
    planted = (*others, *real["test"])
    assert drawn(real, planted).nearest(planted, 6)[1]["own"][1] == 0
    assert drawn(real, ()).nearest((), 6)[1]["own"] == []


def test_other_real_dialogues_are_as_real(real, others):
    draws = drawn(real, others, halves=6)
    lines = [*draws.diversity(), *draws.clusters(), *draws.realism(), *draws.nearest(others, 6)[0]]
    lines += draws.labels(real["test"], others[:8], LABELS)[0]
    words = [verdict(line).word for line in lines if line.emotion is None and line.value is not None]
    assert len(words) > 20
    assert words.count("as real") >= 0.9 * len(words)


def test_equal_seeds_give_equal_figures_and_others_do_not(real, others):
    one, same, another = (drawn(real, others, seed=seed, halves=1).realism() for seed in (1, 1, 2))
    assert one == same
    assert one != another


def test_what_is_far_from_real_dialogues_is_worse(real, say):
    words = ["purple", "quartz", "fjord", "nymph", "waltz", "vex", "judge", "sphinx"]
    own = [say(str(n), *((f"{words[(n + k) % 8]} {words[n % 8]} {k}", "joy") for k in range(9))) for n in range(20)]
    found = {line.name: verdict(line).word for line in drawn(real, own, halves=8).realism() if line.value is not None}
    assert {found[name] for name in ("js_labels", "js_turn_lengths", "frechet", "c2st_auc", "coverage")} == {"worse"}


def test_the_map_has_a_place_for_every_turn(real, others, say):
    points = drawn(real, others).points()
    assert {len(point) for each in points.values() for point in each} == {3}
    assert points["own"] != points["real"]
    assert drawn(real, []).points()["own"] == []
    lonely = {"train": [say("a", ("Hm.", "joy"))], "validation": [], "test": []}
    assert drawn(lonely, [say("b", ("Hm.", "joy"))]).points() == {"real": [], "own": []}
