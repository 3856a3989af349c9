import random
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import fisher_exact

from ercsatz.config import LeakageConfig
from ercsatz.data.benchmarks import load
from ercsatz.data.benchmarks.fetch import settings
from ercsatz.data.dialogue import Dialogue, Utterance
from ercsatz.data.ngrams import normalise, words
from ercsatz.quality.leakage import COLUMNS, NEAR, Leaks, against, clean, copied, leakage
from ercsatz.quality.measure import Measure
from ercsatz.resources import resource

pytestmark = pytest.mark.filterwarnings("error")

RULES = LeakageConfig(words=6, ngram=8, containment=0.1, dialogue=0.5)
OWLS = "I have never seen so many owls in one kitchen, and I was raised on a farm."
REAL = {
    "validation": [("v1", "Hey.", "Hi!", "Yeah?", "No."), ("v2", OWLS, "Whose owls?", "Not mine.")],
    "test": [("t1", "Who took it?", "Took what?", "My good coat.", "I sold it to Leo."), ("t2", "Hey!"), ("t3", "Oh!")],
}


def dialogue(name, *texts):
    return Dialogue(name, tuple(Utterance("AB"[place % 2], text, "joy") for place, text in enumerate(texts)))


def splits(rows):
    return {split: [dialogue(*row) for row in each] for split, each in rows.items()}


def look(*texts):
    return leakage({"train": [dialogue("d", *texts)]}, splits(REAL), RULES)


def values(leaks):
    return {measure.name: measure.value for measure in leaks.measures}


def shout(text, draw):
    return "... ".join(text.upper().split(" ")) + "?!"


def edit(text, draw):
    """Change one word in ten, at least one: drop it, put one in, replace it, or mistype it."""
    tokens = text.split()
    for _ in range(max(1, len(tokens) // 10)):
        place, kind = draw.randrange(len(tokens)), draw.randrange(4)
        if kind == 0 and len(tokens) > 1:
            del tokens[place]
        elif kind == 1:
            tokens.insert(place, draw.choice(["really", "so", "you", "tea"]))
        elif kind == 2:
            tokens[place] = draw.choice(["really", "so", "you", "tea"])
        else:
            letter = draw.randrange(len(tokens[place]))
            tokens[place] = tokens[place][:letter] + draw.choice("aeiou") + tokens[place][letter + 1 :]
    return " ".join(tokens)


def plant(dialogues, change, seed=0):
    draw = random.Random(seed)
    return [
        Dialogue(
            f"planted {each.id}",
            tuple(Utterance("X", change(turn.text, draw), turn.emotion) for turn in each.utterances),
        )
        for each in dialogues
    ]


CHANGES = {"exact": lambda text, draw: text, "case and punctuation": shout, "edits": edit}


@pytest.fixture(scope="module")
def mini():
    return load(settings("mini", [resource("conf")]))


@pytest.fixture(scope="module")
def meld(shared):
    return load(settings("meld", [resource("conf")], shared("data/meld")))


def held_out(corpus):
    return {split: corpus.split(split) for split in ("validation", "test")}


@pytest.mark.parametrize("change", CHANGES)
def test_a_tenth_of_the_test_set_is_found_to_the_last_one_and_nothing_else(mini, change):
    planted = plant(mini.split("test")[::10], CHANGES[change])
    leaks = leakage({"train": [*mini.split("train"), *planted], "test": []}, held_out(mini), RULES)
    assert set(leaks.offenders["dialogue"]) == {each.id for each in planted}
    whole = leaks.offenders[leaks.offenders["kind"].isin(["dialogue", "near dialogue"])]
    assert {f"planted {source}" for source in whole["real_dialogue"]} == {each.id for each in planted}
    assert values(leaks)["leaking"] == len(planted) / (len(planted) + len(mini.split("train")))
    if change == "exact":
        texts = [turn.text for each in planted for turn in each.utterances if len(words(turn.text)) >= 6]
        assert sorted(leaks.offenders.query("kind == 'exact'")["text"]) == sorted(texts)
    assert (change == "exact") == (values(leaks)["exact"] > 0)


@pytest.mark.parametrize("change", CHANGES)
def test_every_planted_dialogue_of_meld_is_found_unless_it_is_everyday_talk(meld, change):
    planted = plant(meld.split("test"), CHANGES[change])
    leaks = leakage({"train": planted}, held_out(meld), RULES)
    missed = {each.id for each in planted} - set(leaks.offenders["dialogue"])
    everyday = {
        f"planted {each.id}"
        for each in meld.split("test")
        if sum(len(words(turn.text)) for turn in each.utterances) < 6  # "Hey." and "Hey!"
    }
    assert len(everyday) == 11
    if change == "edits":  # one in every turn: of five words that is much
        assert len(missed - everyday) <= 2
    else:
        assert missed == everyday


def test_what_is_found_in_meld_that_nobody_planted(meld):
    leaks = leakage({"train": meld.split("train")}, held_out(meld), RULES)
    # Scenes shown twice and a recorded message; "hey what are you doing here" and its like.
    assert set(leaks.offenders.query("kind != 'near'")["dialogue"]) == {"12", "309", "776"}
    assert len(set(leaks.offenders["dialogue"])) == 8
    assert values(leaks)["everyday"] > 0.1


def test_near_turns_are_those_of_brute_force(mini):
    draw = random.Random(0)
    real = {turn.text for each in mini.split("test") for turn in each.utterances if len(set(words(turn.text))) >= 6}
    texts = [text for text in (edit(text, draw) for text in sorted(real)) if len(set(words(text))) >= 6]
    leaks = leakage({"train": [dialogue("d", *texts)]}, {"test": mini.split("test")}, RULES)

    def grams(form):
        return {form[start : start + 3] for start in range(len(form) - 2)}

    known = [grams(normalise(text)) for text in real]
    own = {text: grams(normalise(text)) for text in texts}
    scores = {text: max(len(own[text] & each) / len(own[text] | each) for each in known) for text in texts}
    found = leaks.offenders.query("kind == 'near'").set_index("text")["score"].to_dict()
    forms = set(map(normalise, real))
    expected = {text: score for text, score in scores.items() if score >= NEAR and normalise(text) not in forms}
    assert found == pytest.approx(expected)
    assert len(found) > 20
    assert min(scores.values()) < NEAR


@pytest.mark.parametrize(
    "texts",
    [
        ("Hey!", "Hi.", "Yeah.", "No!"),
        ("Hey!",),
        ("Oh!", "Oh!"),
        ("Yeah.", "Yeah.", "Yeah.", "Yeah?", "Yeah.", "Yeah."),
        ("Who took it?", "My good coat!"),
        ("Owls again, in a kitchen, of all places.", "On a farm one gets used to that."),
    ],
)
def test_everyday_talk_and_paraphrases_are_not_leaks(texts):
    leaks = look(*texts)
    assert leaks.offenders.empty
    assert tuple(leaks.offenders.columns) == COLUMNS
    assert values(leaks)["leaking"] == 0


def test_repeated_short_words_are_like_nothing():
    real = {"test": [dialogue("t", "No, no, no, no, no, no!", "Here we go, here we go.")]}
    leaks = leakage({"train": [dialogue("d", "No, no, no, no, no, no, no!", "Here we go.")]}, real, RULES)
    assert leaks.offenders.empty


def test_offenders_are_the_worst_first_and_tell_their_source():
    near = OWLS.replace("kitchen", "chicken")
    leaks = look(near, OWLS.upper(), OWLS, "Whose owls?", "Not mine.")
    rows = [tuple(row) for row in leaks.offenders.drop(columns="score").itertuples(index=False)]
    assert rows[0] == ("train", "d", rows[0][2], rows[0][3], "validation", "v2", rows[0][6], "dialogue")
    assert rows[0][6] == f"{OWLS} / Whose owls? / Not mine."
    assert rows[1:] == [
        ("train", "d", 3, OWLS, "validation", "v2", OWLS, "exact"),
        ("train", "d", 2, OWLS.upper(), "validation", "v2", OWLS, "normalised"),
        ("train", "d", rows[3][2], rows[3][3], "validation", "v2", OWLS, "ngrams"),
        ("train", "d", 1, near, "validation", "v2", OWLS, "near"),
    ]
    found = values(leaks)
    assert (found["exact"], found["normalised"], found["near"], found["everyday"]) == (0.2, 0.4, 0.6, 0.4)
    assert (found["ngrams"], found["whole"], found["leaking"], found["real_repeated"]) == (1, 1, 1, 0.2)
    assert found["real_findable"] == 0.4  # the others are everyday talk
    assert {(measure.n, measure.of) for measure in leaks.measures} == {(1, 1), (5, 5)}


def leaks_of(dialogues, having, turns, of_turns):
    """So many of the dialogues have exact repeats, so many turns of all."""
    measure = Measure("leakage", "exact", turns / of_turns, "lower", of_turns, of_turns)
    return Leaks([measure], {"exact": having}, dialogues, pd.DataFrame())


@pytest.mark.parametrize(("own", "real"), [((20, 5), (100, 4)), ((100, 2), (90, 12)), ((40, 40), (7, 0))])
def test_leaks_are_tested_by_dialogues(own, real):
    (measure,) = against(leaks_of(*own, own[1], own[0]), leaks_of(*real, real[1], real[0]))
    table = [[own[1], own[0] - own[1]], [real[1], real[0] - real[1]]]
    side = "greater" if own[1] / own[0] > real[1] / real[0] else "less"
    assert measure.p == pytest.approx(2 * fisher_exact(table, side).pvalue)
    assert measure.p < 0.05
    assert "Fisher" in measure.test


def test_nothing_is_significant_where_dialogues_and_turns_disagree():
    (measure,) = against(leaks_of(100, 30, 30, 4000), leaks_of(100, 5, 30, 1000))
    assert measure.p == 1


@pytest.mark.parametrize(("n_own", "n_real"), [(100, 100), (40, 160), (160, 40)])
def test_real_dialogues_leak_significantly_in_one_of_twenty_cases_at_the_most(n_own, n_real):
    """Of 200 dialogues six leak, with up to five turns each."""
    rng, wrong = np.random.default_rng(0), 0
    turns = np.array([1, 1, 2, 3, 5, 5, *[0] * 194])
    for _ in range(400):
        mixed = rng.permutation(turns)
        own, real = (
            leaks_of(len(part), int((part > 0).sum()), int(part.sum()), 10 * len(part))
            for part in (mixed[:n_own], mixed[n_own:])
        )
        wrong += against(own, real)[0].p < 0.05
    assert wrong <= 0.05 * 400


def test_the_dialogues_that_have_something_are_counted():
    found = look(OWLS, OWLS.upper(), "Hey!", "Hey!")
    assert found.dialogues == 1
    assert found.having == {
        "exact": 1,
        "normalised": 1,
        "near": 1,
        "everyday": 1,
        "ngrams": 1,
        "whole": 1,
        "leaking": 1,
    }
    assert {measure.name for measure in against(found, found) if measure.p is None} == {
        *("real_repeated", "real_findable")
    }


def test_what_is_copied_from_the_training_split_is_told(mini):
    train = mini.split("train")
    long = [len(words(turn.text)) >= 6 for each in train for turn in each.utterances]

    def told(dialogues):
        return {each.name: each.value for each in copied({"train": dialogues, "test": []}, train, RULES)}

    assert told(plant(train, shout))["train_turns"] == pytest.approx(sum(long) / len(long))
    assert told(train)["train_dialogues"] > 0.9
    assert told([dialogue("a", OWLS, "Hey.", "No!")]) == {"train_turns": 0, "train_dialogues": 0}
    half = told([*train[:20], *[replace(each, utterances=(dialogue("x", OWLS).utterances)) for each in train[:20]]])
    assert half["train_dialogues"] == told(train[:20])["train_dialogues"] / 2
    assert told([]) == {"train_turns": None, "train_dialogues": None}
    assert copied({"train": train}, [], RULES)[0].undefined == "undefined because there is nothing to compare with"


def test_identical_and_disjoint_data():
    real = splits(REAL)
    same = values(leakage(real, real, RULES))
    assert same["real_repeated"] == same["real_findable"] == same["leaking"] == 0.4
    none = values(leakage({"train": [dialogue("d", "Something else that was never said before.")]}, real, RULES))
    assert {name for name, value in none.items() if value} == {"real_findable"}


@pytest.mark.parametrize(
    ("language", "real", "edited"),
    [
        (
            "Chinese",
            "\u4f60\u4eca\u5929\u4e3a\u4ec0\u4e48\u6ca1\u6765\uff1f",
            "\u4f60\u4eca\u5929\u4e3a\u4ec0\u4e48\u6765",
        ),
        (
            "German",
            "Warum bist du gestern nicht gekommen, \u00d6z?",
            "Warum bist du gestern nicht mitgekommen, \u00d6z?",
        ),
        (
            "emoji",
            "\u2600\u2601\u2602\u2603\u2604\u2605\u2606\U0001f602",
            "\u2600\u2601\u2602\u2603\u2604\u2605\u2606 \U0001f602\u2764",
        ),
    ],
)
def test_other_languages_and_emoji(language, real, edited):
    leaks = leakage({"train": [dialogue("a", real), dialogue("b", edited)]}, {"test": [dialogue("t", real)]}, RULES)
    turns = leaks.offenders[leaks.offenders["turn"].notna()]
    assert [*zip(turns["dialogue"], turns["kind"], strict=True)] == [("a", "exact"), ("b", "near")]
    other = leakage({"train": [dialogue("a", real)]}, {"test": [dialogue("t", OWLS)]}, RULES)
    assert other.offenders.empty


@pytest.mark.parametrize(
    ("own", "real", "because"),
    [
        ({"train": []}, splits(REAL), "undefined because there are no dialogues"),
        ({"train": [dialogue("d", "Hey.")]}, {"test": []}, "undefined because there is nothing to compare with"),
    ],
)
def test_nothing_to_look_at_is_said(own, real, because):
    leaks = leakage(own, real, RULES)
    assert leaks.offenders.empty
    unknown = [measure for measure in leaks.measures if measure.value is None]
    assert len(unknown) >= len(leaks.measures) - 1
    assert {measure.undefined for measure in unknown} == {because}


def test_texts_without_a_word_are_never_leaks():
    leaks = leakage({"train": [dialogue("d", "...", "?!")]}, {"test": [dialogue("t", "...", "?!", "--")]}, RULES)
    assert leaks.offenders.empty
    assert values(leaks)["everyday"] == 1


def test_clean_leaves_out_offending_dialogues_and_says_why(mini):
    planted = plant(mini.split("test")[:3], edit)
    own = {"train": (*mini.split("train")[:20], *planted[:2]), "test": (planted[2], replace(mini.split("train")[20]))}
    offenders = leakage(own, held_out(mini), RULES).offenders
    cleaned = clean(own, offenders)
    assert cleaned.splits == {"train": mini.split("train")[:20], "test": (mini.split("train")[20],)}
    assert leakage(cleaned.splits, held_out(mini), RULES).offenders.empty
    removed = {(row.split, row.dialogue): row.kind for row in cleaned.removed.itertuples()}
    assert set(removed) == {("train", planted[0].id), ("train", planted[1].id), ("test", planted[2].id)}
    assert set(removed.values()) <= {"dialogue", "near dialogue"}  # the worst of each


def test_clean_goes_by_split_and_id():
    own = {"train": [dialogue("1", OWLS), dialogue("2", "Hello.")], "test": [dialogue("1", "Hello.")]}
    cleaned = clean(own, leakage(own, splits(REAL), RULES).offenders)
    assert cleaned.splits == {"train": (own["train"][1],), "test": (own["test"][0],)}
    assert len(cleaned.removed) == 1
