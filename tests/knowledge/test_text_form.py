import pytest
from hypothesis import given
from hypothesis import strategies as st

from ercsatz.errors import UserError
from ercsatz.knowledge import Inference, text_hash
from ercsatz.knowledge.sidecar import SidecarEntry
from ercsatz.knowledge.text_form import divide, read_text_form

phrase = st.sampled_from(["to help", "glad", "to eat cake", "very sad", "PersonY to know"])
phrases = st.lists(phrase, max_size=3, unique=True).map(tuple)


def appended(text, inference):
    """As the release writes it: what is said, then a sentence a relation, all joined by spaces."""
    openings = ("PersonX wanted", "PersonX will feel", "PersonY will feel")
    known = zip(openings, inference.to_json().values(), strict=True)
    return " ".join([text, *(f"{opening} {' and '.join(said)}." for opening, said in known if said)])


def line(texts):
    return "\t".join([*texts, *("0" for _ in texts)])


@given(
    st.builds(Inference, phrases, phrases, phrases), st.sampled_from(["Hi.", "What?!", "So PersonX is a name", "a  b"])
)
def test_what_was_appended_is_recovered(inference, text):
    assert divide(appended(text, inference), "here") == (text, inference)


def test_sentences_of_several_events_are_put_together():
    text = "Hi. PersonX will feel glad. PersonX will feel sad and glad.  PersonY will feel none."
    assert divide(text, "here") == ("Hi.", Inference((), ("glad", "sad"), ()))


def test_a_file_gives_entries_in_our_order(tmp_path, splits):
    known = Inference(("to find them",), ("annoyed",), ())
    texts = [[turn.text for turn in d.utterances] for d in splits["train"]]
    texts[0][0] = appended(texts[0][0], known)
    texts[0][2] = "No, Im not"  # the release has lost what is not ASCII
    texts[1][1] = appended(texts[1][1], Inference(o_react=("glad",)))
    path = tmp_path / "train.csv"
    path.write_text("\r\n".join(map(line, texts)) + "\r\n", newline="")
    entries = list(read_text_form(path, "train", splits["train"]))
    assert [entry.key for entry in entries] == [("train", "0", n) for n in range(4)] + [
        ("train", "1", n) for n in (0, 1)
    ]
    assert [entry for entry in entries if entry.generated] == [
        SidecarEntry("train", "0", 0, text_hash("I lost my keys again."), generated=known),
        SidecarEntry("train", "1", 1, text_hash("Thank you, that is so kind."), generated=Inference(o_react=("glad",))),
    ]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["a\t0"], "1 dialogues, but split validation has 2"),
        (["a\tb\t0", "x\t0"], "line 1: must be tab-separated"),
        (["a\tjoy", "x\t0"], "line 1: must be tab-separated"),
        (["", "x\t0"], "line 1: must be tab-separated"),
        (["Hello.\t0", "x\t0"], "line 1: 1 utterances, but dialogue 'p' of validation has 2"),
        (
            ["Hello.\tBye.\t0\t0", "Fine.\t0"],
            "line 2, utterance 1: 'Fine.', but dialogue 'q' of validation has 'Right.'",
        ),
        (["Hello.\tBye. PersonX will feel sad\t0\t0", "Right.\t0"], "line 1, utterance 2: .* full stop"),
    ],
)
def test_another_file_is_refused_with_its_place(tmp_path, lines, words):
    from ercsatz.data.dialogue import Dialogue, Utterance

    ours = [
        Dialogue("p", (Utterance("A", "Hello."), Utterance("B", "Bye."))),
        Dialogue("q", (Utterance("A", "Right."),)),
    ]
    path = tmp_path / "dev.csv"
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(UserError, match=words):
        list(read_text_form(path, "validation", ours))
