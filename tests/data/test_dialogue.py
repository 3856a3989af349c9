import hashlib
from dataclasses import replace

import pytest

from ercsatz.data.dialogue import Corpus, Dialogue, Knowledge, Utterance, fingerprint, label_counts
from ercsatz.errors import UserError

LABELS = ("neutral", "joy")
FIRST, SECOND = Utterance("Maya", "You're early.", "joy"), Utterance("Leo", "Am I?")
A_DIALOGUE = Dialogue("1", (FIRST, SECOND), {"prompt": 7})
OTHER = Dialogue("2", (Utterance("Maya", "No.", "neutral"),))
KNOWN = Knowledge(("to be on time",), ("to please Leo",), b"\0\0\x80?")


def with_first(**changes) -> tuple[Dialogue, Dialogue]:
    """Both dialogues, with changes to the first turn."""
    return replace(A_DIALOGUE, utterances=(replace(FIRST, **changes), SECOND)), OTHER


@pytest.mark.parametrize(
    "changed",
    [
        (OTHER, A_DIALOGUE),
        (A_DIALOGUE,),
        (replace(A_DIALOGUE, id="3"), OTHER),
        (replace(A_DIALOGUE, utterances=(SECOND, FIRST)), OTHER),
        (replace(A_DIALOGUE, utterances=(replace(FIRST, emotion="neutral"), SECOND)), OTHER),
        (replace(A_DIALOGUE, utterances=(FIRST, replace(SECOND, emotion="None"))), OTHER),
        (replace(A_DIALOGUE, utterances=(replace(FIRST, speaker="Leo"), SECOND)), OTHER),
        (replace(A_DIALOGUE, utterances=(replace(FIRST, text="You're early"), SECOND)), OTHER),
        (replace(A_DIALOGUE, utterances=(FIRST, SECOND, *OTHER.utterances)),),
        with_first(sentiment="neutral"),
        with_first(knowledge=Knowledge()),
        with_first(knowledge=KNOWN),
    ],
)
def test_fingerprint_changes_with_the_content(changed):
    assert fingerprint(changed) != fingerprint((A_DIALOGUE, OTHER))


@pytest.mark.parametrize(
    "change",
    [
        {"sentiment": "negative"},
        {"sentiment": None},
        {"knowledge": None},
        {"knowledge": replace(KNOWN, retrieved=("to be late",))},
        {"knowledge": replace(KNOWN, retrieved=KNOWN.generated, generated=KNOWN.retrieved)},
        {"knowledge": replace(KNOWN, generated=())},
        {"knowledge": replace(KNOWN, vectors=b"")},
    ],
)
def test_fingerprint_changes_with_what_is_known_of_a_turn(change):
    known = {"sentiment": "positive", "knowledge": KNOWN}

    assert fingerprint(with_first(**known | change)) != fingerprint(with_first(**known))


def test_fingerprint_of_turns_without_sentiment_and_knowledge_is_as_ever():
    """Stages and data sets that were made before turns could have either stay valid."""
    lines = [
        '["1", [["Maya", "You\'re early.", "joy"], ["Leo", "Am I?", null]]]',
        '["2", [["Maya", "No.", "neutral"]]]',
    ]
    assert fingerprint((A_DIALOGUE, OTHER)) == hashlib.sha256("".join(lines).encode()).hexdigest()


def test_fingerprint_does_not_change_with_provenance():
    assert fingerprint([replace(A_DIALOGUE, provenance={"prompt": 8})]) == fingerprint([A_DIALOGUE])


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ((), "split train: no dialogues"),
        ((A_DIALOGUE, OTHER, A_DIALOGUE), "dialogue '1': the id occurs twice"),
        ((OTHER, Dialogue("9", (Utterance("Leo", "Hm."),))), "dialogue '9': no turn has a label"),
        (
            (OTHER, Dialogue("9", (Utterance("Leo", "Hm.", "mad"),))),
            "dialogue '9': unknown label 'mad'. The labels are: neutral, joy",
        ),
        ((replace(OTHER, id="\ud83d"),), "dialogue '\\ud83d': the id has half a surrogate pair"),
        (
            (replace(A_DIALOGUE, utterances=(FIRST, Utterance("Leo", "cut-off emoji \ud83d"))),),
            "dialogue '1', turn 2: the text has half a surrogate pair",
        ),
        (
            (replace(A_DIALOGUE, utterances=(replace(FIRST, speaker="\udc00"),)),),
            "dialogue '1', turn 1: the speaker has half a surrogate pair",
        ),
    ],
)
def test_a_split_that_no_stage_could_use_is_refused(split, message):
    with pytest.raises(UserError) as error:
        Corpus("mini_org", LABELS, {"validation": (OTHER,), "train": split})
    assert f"mini_org, split train{', ' if split else ''}" in str(error.value)
    assert message in str(error.value)


def test_a_split_that_is_not_there_is_named_with_those_that_are():
    corpus = Corpus("mini_nat", LABELS, {"train": (OTHER,), "test": (A_DIALOGUE,)})
    assert corpus.split("test") == (A_DIALOGUE,)
    with pytest.raises(UserError, match=r"mini_nat has no validation split; it has: train, test\."):
        corpus.split("validation")


def test_label_counts_leaves_out_context():
    assert label_counts((A_DIALOGUE, OTHER, replace(OTHER, id="3"))) == {"joy": 1, "neutral": 2}
