from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ercsatz.data.dialogue import Dialogue, Utterance
from ercsatz.data.ngrams import words
from ercsatz.quality.measure import draw_turns, same_words, shuffled, undefined

DIALOGUES = [
    Dialogue(str(i), tuple(Utterance("Ann", f"text {i} {j}", "joy") for j in range(1 + i % 4))) for i in range(40)
]


@given(st.integers(0, 5), st.randoms(use_true_random=False))
def test_a_draw_depends_on_what_is_said_and_not_on_order_or_ids(seed, draw):
    other = [replace(dialogue, id=f"x{dialogue.id}") for dialogue in DIALOGUES]
    draw.shuffle(other)
    assert [each.utterances for each in shuffled(other, seed)] == [d.utterances for d in shuffled(DIALOGUES, seed)]
    assert draw_turns(other, 30, seed) == draw_turns(DIALOGUES, 30, seed)


def test_other_labels_and_speakers_change_no_draw_of_texts():
    other = [
        replace(d, utterances=tuple(replace(turn, speaker="Bo", emotion=f"e{d.id}") for turn in d.utterances))
        for d in DIALOGUES
    ]
    assert draw_turns(other, 30).texts == draw_turns(DIALOGUES, 30).texts


def test_another_seed_is_another_draw():
    assert draw_turns(DIALOGUES, 30, 0) != draw_turns(DIALOGUES, 30, 1)


def test_every_turn_is_as_likely_as_any_other():
    hits = Counter(text for seed in range(400) for text in draw_turns(DIALOGUES, 20, seed).texts)
    assert len(hits) == 100
    assert max(abs(count - 80) for count in hits.values()) < 5 * 8  # mean 400 * 20 / 100, deviation sqrt(400 * .2 * .8)


def test_a_draw_says_out_of_how_many_and_keeps_label_and_dialogue_together():
    drawn = draw_turns(DIALOGUES, 1000)
    assert drawn.of == len(drawn.texts) == len(drawn.dialogues) == 100
    assert len(set(drawn.dialogues)) == 40
    for text, emotion in zip(drawn.texts, drawn.emotions, strict=True):
        assert (text, emotion) in {(turn.text, turn.emotion) for d in DIALOGUES for turn in d.utterances}


def test_copies_of_a_dialogue_are_apart_in_a_set_and_paired_across_sets():
    copies = [replace(DIALOGUES[3], id=str(i)) for i in range(3)]
    relabelled = [replace(d, utterances=tuple(replace(t, emotion="fear") for t in d.utterances)) for d in copies[:1]]
    keys = set(draw_turns(copies, 100).dialogues)
    assert len(keys) == 3
    assert set(draw_turns(relabelled, 100).dialogues) < keys


def test_sets_are_cut_to_the_words_of_the_smallest():
    small = DIALOGUES[:7]
    cut = same_words([DIALOGUES, small, DIALOGUES[20:]])
    counts = [sum(len(words(turn.text)) for d in each for turn in d.utterances) for each in cut]
    assert sorted(cut[1], key=lambda d: d.id) == small
    longest = 3 * 4
    assert all(counts[1] - longest < count <= counts[1] for count in counts)
    assert len(cut[0]) < len(DIALOGUES)
    assert {d.id for d in cut[0]} <= {d.id for d in DIALOGUES}


def test_nothing_to_cut():
    assert same_words([]) == []
    assert same_words([[], DIALOGUES]) == [[], []]


def test_undefined_is_a_sentence_without_a_value():
    measure = undefined("realism", "frechet", "lower", "there are no texts", n=0, of=3)
    assert measure.value is None
    assert measure.undefined == "undefined because there are no texts"
    with pytest.raises(AttributeError):
        measure.value = 1.0
