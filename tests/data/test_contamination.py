from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from ercsatz.config import LeakageConfig
from ercsatz.data.benchmarks import load
from ercsatz.data.benchmarks.fetch import settings
from ercsatz.data.contamination import Hit, Reference
from ercsatz.data.dialogue import Dialogue, Utterance
from ercsatz.data.ngrams import words
from ercsatz.resources import resource

LEAKAGE = LeakageConfig(words=6, ngram=8, containment=0.1, dialogue=0.5)
LINE = "I have never seen so many owls in one kitchen, and I was raised on a farm."
REAL = {
    "validation": [
        ("v1", "Hey.", "Hi!", "Yeah?", "No."),
        ("v2", LINE, "Whose owls?", "Not mine."),
    ],
    "test": [
        ("t1", "Who took it?", "Took what?", "My good coat.", "I sold it to Leo."),
        ("t2", "We need more owls in one kitchen, and I was raised on a farm like that."),
    ],
}


def turns(*texts):
    return tuple(Utterance("AB"[place % 2], text, "joy") for place, text in enumerate(texts))


def splits(real):
    return {split: [Dialogue(name, turns(*texts)) for name, *texts in rows] for split, rows in real.items()}


@pytest.fixture
def reference():
    return Reference(splits(REAL), LEAKAGE)


def test_a_long_utterance_taken_over_is_a_hit(reference):
    hits = reference.hits(turns("So?", "i SOLD it... to \u201cLeo\u201d."))
    assert hits == []  # five words
    longer = Reference(splits(REAL), replace(LEAKAGE, words=5))
    assert longer.hits(turns("So?", "i SOLD it... to \u201cLeo\u201d.")) == [
        Hit("utterance", "test", "t1", "i SOLD it... to \u201cLeo\u201d.", 1.0)
    ]


def test_a_passage_taken_over_is_a_hit(reference):
    text = "Well, owls in one kitchen, and I was raised on a farm. That is all that I can tell you about it."
    (hit,) = reference.hits(turns(text, "Right."))
    assert (hit.kind, hit.split, hit.text) == ("ngrams", "validation", "owls in one kitchen and i was raised on a farm")
    assert hit.score == 4 / (len(words(text)) - 7)


def test_ngrams_end_with_the_utterance(reference):
    assert reference.hits(turns("I have never seen so many owls", "in one kitchen, and I was raised")) == []


def test_a_passage_among_much_else_is_no_hit(reference):
    own = [" ".join(f"w{number}" for number in range(start, start + 30)) for start in (0, 30, 60)]
    assert reference.hits(turns(*own, "owls in one kitchen and I was raised on a farm")) == []


@pytest.mark.parametrize(("share", "n_hits"), [(0.5, 1), (0.75, 1), (0.76, 0)])
def test_most_of_a_dialogue_taken_over_is_a_hit(share, n_hits):
    reference = Reference(splits(REAL), replace(LEAKAGE, dialogue=share))
    hits = reference.hits(turns("Oh no.", "MY GOOD COAT!", "Who took it?", "Who took it?", "Took -- what?"))
    assert hits == n_hits * [Hit("dialogue", "test", "t1", "MY GOOD COAT! / Who took it? / Took -- what?", 0.75)]


@pytest.mark.parametrize(
    "texts", [("Hey!", "Hi.", "Yeah.", "No!"), ("My good coat?", "Who took it?", "Yes."), ("Whose owls?", "Not mine!")]
)
def test_a_few_short_turns_in_common_are_no_hit(reference, texts):
    assert reference.hits(turns(*texts)) == []


def test_a_paraphrase_is_no_hit(reference):
    told_anew = (
        "There were more owls in there than I ever met, and mine was a farm childhood.",
        "Owls of whom?",
    )
    assert reference.hits(turns(*told_anew, "They aren't mine.")) == []


def test_meld_hits_where_its_own_splits_share_scenes(shared):
    meld = settings("meld", [resource("conf")], shared("data/meld"))
    corpus = load(meld)
    reference = Reference({split: corpus.split(split) for split in ("validation", "test")}, LEAKAGE)
    # A scene that is in both sets, "Hey, Chandler! What are you doing here?", and a recorded message on the telephone.
    assert [dialogue.id for dialogue in corpus.split("train") if reference.hits(dialogue.utterances)] == [
        "12",
        "309",
        "776",
    ]
    for dialogue in (*corpus.split("validation"), *corpus.split("test")):
        tokens = [words(turn.text) for turn in dialogue.utterances]
        assert bool(reference.hits(dialogue.utterances)) == (len(tokens) >= 3 or max(map(len, tokens)) >= 6)


PHRASE = st.lists(st.sampled_from("abc"), max_size=5).map(" ".join)
DIALOGUE = st.lists(PHRASE, min_size=1, max_size=5)


@hypothesis(deadline=None)
@given(st.lists(DIALOGUE, min_size=1, max_size=4), DIALOGUE, st.integers(1, 4), st.integers(1, 3))
def test_agrees_with_brute_force(real, generated, least, n):
    def grams(texts):
        return {tuple(text.split()[i : i + n]) for text in texts for i in range(len(text.split()) - n + 1)}

    leakage = LeakageConfig(words=least, ngram=n, containment=0.4, dialogue=0.6)
    reference = Reference(splits({"test": [(str(number), *texts) for number, texts in enumerate(real)]}), leakage)
    hits = reference.hits(turns(*generated))
    everything = {text for texts in real for text in texts}
    assert {hit.text for hit in hits if hit.kind == "utterance"} == {
        text for text in generated if text in everything and len(text.split()) >= least
    }
    own, shared = grams(generated), grams(generated) & grams(everything)
    expected = [len(shared) / len(own)] if shared and len(shared) / len(own) >= 0.4 else []
    assert [hit.score for hit in hits if hit.kind == "ngrams"] == expected
    for hit in hits:
        if hit.kind == "ngrams":
            assert len(grams(real[int(hit.dialogue)]) & own) == max(len(grams(texts) & own) for texts in real)
            assert any(hit.text in text for text in generated)
            assert grams([hit.text]) <= shared
    assert {int(hit.dialogue): hit.score for hit in hits if hit.kind == "dialogue"} == {
        number: len(common) / len(set(texts))
        for number, texts in enumerate(real)
        if len(common := set(texts) & set(generated)) >= 3
        and sum(len(text.split()) for text in common) >= least
        and len(common) / len(set(texts)) >= 0.6
    }
