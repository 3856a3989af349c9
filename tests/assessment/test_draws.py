import numpy as np
import pytest

from ercsatz.assessment.draws import Draws, Sizes, chance_of, texts_of
from ercsatz.assessment.verdict import verdict
from ercsatz.quality.embed import lexical


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


def test_other_real_dialogues_are_as_real(real, others):
    draws = drawn(real, others, halves=6)
    lines = [*draws.diversity(), *draws.clusters(), *draws.realism(), *draws.nearest(others, 6)]
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
