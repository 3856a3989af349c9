import random
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ercsatz.data.dialogue import Utterance
from ercsatz.data.ngrams import words
from ercsatz.errors import UserError
from ercsatz.generation.duplicates import Duplicates, bands_and_rows
from ercsatz.generation.rejection import Reason

# 119 words have 117 3-grams; with their last 13 words replaced they share 104 of 130 with the original, and so on.
LENGTH, REPLACED = 119, {0.5: 39, 0.8: 13, 0.95: 3}


@pytest.fixture
def duplicates(tmp_path):
    with closing(Duplicates(tmp_path / "scratch.sqlite", 0.8)) as memory:
        yield memory


def spoken(*texts):
    return [Utterance("AB"[place % 2], text) for place, text in enumerate(texts)]


def brute_force(dialogues, threshold):
    kept, reasons = [], []
    for dialogue in dialogues:
        tokens = [word for turn in dialogue for word in words(turn.text)]
        n = 3 if len(tokens) >= 3 else 1
        grams = {tuple(tokens[start : start + n]) for start in range(len(tokens) - n + 1)}
        if any(tokens == other for other, _ in kept):
            reasons.append(Reason.duplicate)
        elif any(len(grams & other) / len(grams | other) >= threshold for _, other in kept):
            reasons.append(Reason.near_duplicate)
        else:
            reasons.append(None)
            kept.append((tokens, grams))
    return reasons


def test_same_words_are_a_duplicate_whoever_says_them_and_however_written(duplicates):
    assert duplicates.add(0, spoken("Hi! It\u2019s late.", "Is it? \U0001f634")) is None
    assert duplicates.add(1, spoken("And now?", "Lunch, at last.")) is None
    again = [Utterance("C", "hi, it's LATE"), Utterance("D", "is it \U0001f634")]
    assert duplicates.add(2, again) is Reason.duplicate
    assert duplicates.add(3, spoken("And now? Lunch", "at last")) is Reason.duplicate


def test_only_kept_dialogues_count(duplicates):
    text = [f"w{number}" for number in range(60)]
    chain = [" ".join(text[start : start + 40]) for start in (0, 3, 6)]  # neighbours alike, the ends not
    assert [duplicates.add(index, spoken(text)) for index, text in enumerate(chain)] == [
        None,
        Reason.near_duplicate,
        None,
    ]


@pytest.mark.parametrize("threshold", REPLACED)
def test_pairs_at_the_threshold_are_found_and_none_below(tmp_path, threshold):
    rng, pairs, missed = random.Random(0), 300, 0
    with closing(Duplicates(tmp_path / "scratch.sqlite", threshold)) as memory:
        for pair in range(pairs):
            original = [f"{rng.getrandbits(40):x}" for _ in range(LENGTH)]
            at, below = original.copy(), original.copy()
            at[-REPLACED[threshold] :] = [f"at{word}" for word in at[-REPLACED[threshold] :]]
            below[: REPLACED[threshold] + 1] = [f"below{word}" for word in below[: REPLACED[threshold] + 1]]
            assert memory.add(3 * pair, spoken(" ".join(original))) is None
            missed += memory.add(3 * pair + 2, spoken(" ".join(at))) is not Reason.near_duplicate
            assert memory.add(3 * pair + 1, spoken(" ".join(below))) is None
    assert missed <= 2


@pytest.mark.parametrize("threshold", [0.5, 0.6, 0.7, 0.79, 0.8, 0.9, 0.95, 1])
def test_a_pair_at_the_threshold_is_missed_less_than_once_in_a_thousand(threshold):
    n_bands, rows = bands_and_rows(threshold)
    assert (1 - threshold**rows) ** n_bands < 0.001
    assert n_bands < 110


@settings(derandomize=True, max_examples=60, deadline=None)  # a pair may be missed, once in a thousand
@given(st.lists(st.lists(st.text("abc ?\u4f60", max_size=9), min_size=1, max_size=4), max_size=12))
def test_agrees_with_brute_force(tmp_path_factory, corpus):
    dialogues = [spoken(*texts) for texts in corpus]
    with closing(Duplicates(tmp_path_factory.mktemp("scratch") / "s.sqlite", 0.6)) as memory:
        assert [memory.add(index, turns) for index, turns in enumerate(dialogues)] == brute_force(dialogues, 0.6)


def test_agrees_with_brute_force_on_copies_that_drift(duplicates):
    rng = random.Random(1)
    texts = [rng.choices("abcdefgh", k=40)]
    for _ in range(300):
        text = rng.choice(texts).copy() if rng.random() < 0.6 else rng.choices("abcdefgh", k=40)
        for place in rng.sample(range(40), rng.randint(0, 3)):
            text[place] = rng.choice("abcdefgh")
        texts.append(text)
    dialogues = [spoken(" ".join(text)) for text in texts]
    found = [duplicates.add(index, turns) for index, turns in enumerate(dialogues)]
    assert found == brute_force(dialogues, 0.8)
    assert {Reason.duplicate, Reason.near_duplicate, None} == set(found)


def test_texts_of_fewer_than_three_words_are_compared_by_word(duplicates):
    texts = ["Hello there!", "hello", "?!", "There, hello.", "Hello.", "..."]
    assert [duplicates.add(index, spoken(text)) for index, text in enumerate(texts)] == [
        None,
        None,
        None,
        Reason.near_duplicate,
        Reason.duplicate,
        Reason.duplicate,
    ]


def test_a_leftover_file_is_replaced_and_the_file_removed_at_the_end(tmp_path):
    path = tmp_path / "new" / "scratch.sqlite"
    for _ in range(2):
        memory = Duplicates(path, 0.8)
        assert memory.add(0, spoken("Hello there.")) is None
    memory.close()
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("threshold", [0.4, 1.1])
def test_threshold_out_of_range_is_refused(tmp_path, threshold):
    with pytest.raises(UserError, match=f"checks.near_duplicate={threshold}: must be 0.5 to 1"):
        Duplicates(tmp_path / "scratch.sqlite", threshold)


def test_unusable_file_is_a_user_error(tmp_path, duplicates):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be used"):
        Duplicates(tmp_path / "file" / "scratch.sqlite", 0.8)
    duplicates._db.execute("PRAGMA max_page_count = 1")  # no page more than there are, as if the disk were full
    with pytest.raises(UserError, match="disk is full"):
        duplicates.add(0, spoken(" ".join(map(str, range(10_000)))))
