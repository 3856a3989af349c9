import math
import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics import BLEU

from ercsatz.data.dialogue import Dialogue, Utterance
from ercsatz.data.ngrams import words
from ercsatz.quality.diversity import (
    Sample,
    common_sample,
    compression_ratio,
    distinct,
    diversity,
    mtld,
    self_bleu,
    self_repetition,
    vendi,
)
from ercsatz.quality.embedder import lexical

NAMES = [
    "distinct_1",
    "distinct_2",
    "distinct_3",
    "compression_ratio",
    "self_repetition",
    "mtld",
    "self_bleu",
    "vendi",
]
WORDS = [
    "tea",
    "no",
    "really",
    "oh",
    "the",
    "train",
    "left",
    "again",
    "you",
    "did",
    "what",
    "fine",
    "my",
    "sister",
    "🙂",
    "雨",
]
turn_words = st.lists(st.sampled_from(WORDS), min_size=1, max_size=9)


def made(*dialogues):
    return [
        Dialogue(str(number), tuple(Utterance("Ann", text, "joy") for text in texts))
        for number, texts in enumerate(dialogues)
    ]


def random_turns(n, seed=0, least=4, vocabulary=200):
    draw = random.Random(seed)
    return [[f"w{int(draw.paretovariate(0.7)) % vocabulary}" for _ in range(draw.randint(least, 12))] for _ in range(n)]


def values(dialogues, texts=("tea again", "my sister left"), sample=5000, seed=0):
    return {
        measure.name: measure.value for measure in diversity(dialogues, lexical(texts), Sample(sample, sample), seed)
    }


def test_distinct_counts_within_turns():
    turns = [["no", "no", "tea"], ["no", "tea"]]
    assert distinct(turns, 1) == 2 / 5
    assert distinct(turns, 2) == 2 / 3  # "no no" and "no tea", which comes twice; "tea no" is over the end of a turn
    assert distinct(turns, 3) == 1
    assert distinct(turns, 4) is None


def test_the_compression_ratio_of_what_does_not_compress_and_of_what_does():
    draw = random.Random(0)
    noise = ["".join(chr(draw.randrange(0x4E00, 0x9000)) for _ in range(50)) for _ in range(50)]
    assert 1 < compression_ratio(noise) < 1.4
    assert compression_ratio(["the train is late"] * 5000) > 100
    assert compression_ratio([]) is None


def naive_repetition(dialogues):
    total = 0.0
    for place, own in enumerate(dialogues):
        grams = {tuple(turn[i : i + 4]) for turn in own for i in range(len(turn) - 3)}
        hits = 0
        for other in dialogues[:place] + dialogues[place + 1 :]:
            hits += sum(
                any(list(gram) == turn[i : i + 4] for turn in other for i in range(len(turn))) for gram in grams
            )
        total += math.log(1 + hits)
    return total / len(dialogues)


def test_self_repetition_against_a_count_of_all_pairs():
    turns = random_turns(60, vocabulary=5)
    dialogues = [turns[start : start + 3] for start in range(0, 60, 3)]
    assert self_repetition(dialogues) == pytest.approx(naive_repetition(dialogues))
    assert self_repetition(dialogues) > 0.5


def test_self_repetition_of_copies_and_of_strangers():
    turn = ["the", "train", "is", "late"]
    assert self_repetition([[turn]] * 9) == pytest.approx(math.log(9))
    assert self_repetition([[turn, turn], [["my", "sister", "is", "late"]]]) == 0
    assert self_repetition([[turn]]) is None


def test_mtld_by_hand():
    # Read forwards, "a a" ends a factor (1/2), "b c d" is left with a ratio of 1: one factor for 5 words.
    # Read backwards, d, c, b, a, a has the ratio 4/5 at its end: (1 - 4/5) / (1 - .72) = 5/7 of a factor.
    assert mtld(["a", "a", "b", "c", "d"]) == pytest.approx((5 / 1 + 5 / (5 / 7)) / 2)


def test_mtld_of_one_word_said_again_and_again_is_two():
    assert mtld(["tea"] * 100) == 2


def test_a_ratio_of_exactly_72_percent_ends_a_factor():
    tokens = [f"w{i}" for i in range(18)] + ["w0"] * 7  # 18 / 25
    # Backwards w0 ends factors itself: three of two words and then 18 words and one more w0, 18 / 19.
    backwards = 3 + (1 - 18 / 19) / 0.28
    assert mtld(tokens) == pytest.approx((25 / 1 + 25 / backwards) / 2)


def test_mtld_needs_a_word_that_comes_again():
    assert mtld(["a", "b", "c"]) is None
    assert mtld([]) is None


@given(st.lists(st.sampled_from(WORDS), min_size=2, max_size=60))
def test_mtld_does_not_care_about_direction_and_is_at_least_two(tokens):
    value = mtld(tokens)
    assert value == mtld(tokens[::-1])
    assert value is None or value >= 2 - 1e-9


def test_mtld_rises_with_the_vocabulary():
    drawn = [mtld([word for turn in random_turns(300, vocabulary=n) for word in turn]) for n in (5, 30, 200)]
    assert drawn == sorted(drawn)


def sacrebleu_of(turns):
    bleu = BLEU(tokenize="none", smooth_method="exp", effective_order=True, lowercase=False)
    texts = [" ".join(turn) for turn in turns]
    scores = [bleu.sentence_score(text, texts[:i] + texts[i + 1 :]).score / 100 for i, text in enumerate(texts)]
    return sum(scores) / len(scores)


@pytest.mark.parametrize("vocabulary", [4, 30, 200])
def test_self_bleu_against_sacrebleu(vocabulary):
    turns = random_turns(40, vocabulary=vocabulary)
    turns += [turns[0], ["only", "here", "and", "nowhere", "else"], turns[1] + turns[2] + turns[3]]
    assert self_bleu(turns) == pytest.approx(sacrebleu_of(turns), abs=1e-9)


@settings(max_examples=40)
@given(st.lists(st.lists(st.sampled_from(WORDS), min_size=4, max_size=7), min_size=2, max_size=6))
def test_self_bleu_against_sacrebleu_on_anything(turns):
    assert self_bleu(turns) == pytest.approx(sacrebleu_of(turns), abs=1e-9)


def test_self_bleu_of_copies_and_of_strangers():
    assert self_bleu([["a", "b", "c", "d"]] * 2) == pytest.approx(1)
    assert self_bleu([["a", "b", "c", "d"], ["e", "f", "g", "h"]]) == 0
    assert self_bleu([["a", "b", "c", "d"]]) is None


def test_the_vendi_score_counts_what_is_orthogonal():
    for n in (1, 2, 7):
        assert vendi(np.eye(10)[:n]) == pytest.approx(n)
        assert vendi(np.repeat(np.eye(10)[:n], 30, axis=0)) == pytest.approx(n)
    assert vendi(np.zeros((0, 4))) is None


def test_the_vendi_score_against_the_eigenvalues_of_the_cosines():
    rows = np.random.default_rng(0).normal(size=(50, 8))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    for some in (rows, rows[:5]):  # more rows than columns, and fewer
        shares = [x for x in np.linalg.eigvals(some @ some.T / len(some)).real if x > 1e-12]
        assert vendi(some) == pytest.approx(math.exp(-sum(x * math.log(x) for x in shares)))


def test_measures_come_in_order_with_their_sizes():
    dialogues = made(*[[" ".join(turn) for turn in random_turns(6, seed, least=3)] for seed in range(20)])
    measures = diversity(dialogues, lexical([]), Sample(50, 40))
    assert [measure.name for measure in measures] == NAMES
    assert {measure.family for measure in measures} == {"diversity"}
    sizes = {measure.name: (measure.n, measure.of) for measure in measures}
    long = sum(len(words(turn.text)) >= 4 for dialogue in dialogues for turn in dialogue.utterances)
    assert sizes["distinct_1"] == (120, 120)
    assert sizes["self_repetition"] == (20, 20)
    assert sizes["self_bleu"] == (40, long)
    assert sizes["vendi"] == (50, 120)


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.lists(turn_words.map(" ".join), min_size=1, max_size=4), min_size=1, max_size=8),
    st.randoms(use_true_random=False),
)
def test_order_does_not_matter_and_all_is_in_bounds(texts, draw):
    dialogues = made(*texts)
    found = values(dialogues, sample=6)
    draw.shuffle(dialogues)
    assert values(dialogues, sample=6) == found
    for name in ("distinct_1", "distinct_2", "distinct_3", "self_bleu"):
        assert found[name] is None or 0 <= found[name] <= 1 + 1e-9
    assert 1 - 1e-6 <= found["vendi"] <= 6 + 1e-6
    assert found["compression_ratio"] > 0
    assert found["self_repetition"] is None or found["self_repetition"] >= 0


def test_one_sentence_repeated_is_the_least_diverse():
    draw = random.Random(0)
    turns = [" ".join(f"w{draw.randrange(200)}" for _ in range(7)) for _ in range(90)]
    rich, poor = made(*[turns[i : i + 3] for i in range(0, 90, 3)]), made(*[["we had tea with my sister"] * 3] * 30)
    varied, same = values(rich, turns), values(poor, turns)
    for name in ("distinct_1", "distinct_2", "distinct_3", "mtld", "vendi"):
        assert same[name] < varied[name]
    for name in ("compression_ratio", "self_repetition", "self_bleu"):
        assert same[name] > varied[name]
    assert same["self_bleu"] == pytest.approx(1)
    assert same["vendi"] == pytest.approx(1)
    assert same["distinct_1"] == 6 / (90 * 6)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("dialogues", "without"),
    [
        ([], NAMES),
        (made(["Tea?"]), ["distinct_2", "distinct_3", "self_repetition", "mtld", "self_bleu"]),
        (made(["...", "!!!"], ["?"]), ["distinct_1", "distinct_2", "distinct_3", "mtld", "self_bleu"]),
        (made(["\U0001f642 \U0001f642"], ["\U0001f642\U0001f642\U0001f642\U0001f642", "\U0001f62d"]), ["self_bleu"]),
        (made(["\u4eca\u65e5\u306f\u96e8\u3067\u3059"], ["\u4eca\u65e5\u306f\u6674\u308c\u3067\u3059"]), []),
    ],
)
def test_what_has_no_value_says_why(dialogues, without):
    for measure in diversity(dialogues, lexical(["tea"]), Sample(5000, 5000)):
        assert (measure.value is None) == (measure.name in without), measure
        if measure.value is None:
            assert measure.undefined.startswith("undefined because ")
        else:
            assert math.isfinite(measure.value)
            assert not measure.undefined


def test_samples_of_sets_are_as_large_as_the_smallest():
    sets = [made(["we had tea with her", "no", "my sister left us again"]), made(["we had tea with her"], ["no", "oh"])]
    assert common_sample(sets, 9) == Sample(3, 1)
    assert common_sample(sets, 2) == Sample(2, 1)
    assert common_sample([*sets, []], 9) == Sample(0, 0)


def test_a_sample_is_not_the_first_turns():
    early, late = [["no no no no no"]] * 50, [[" ".join(turn)] for turn in random_turns(50)]
    bleu = [values(made(*early, *late), sample=20, seed=seed)["self_bleu"] for seed in range(3)]
    assert max(bleu) < 1
    assert len(Counter(bleu)) == 3
