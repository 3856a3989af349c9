from pathlib import Path

import pytest

from ercsatz.config import BenchmarkConfig, CountsConfig
from ercsatz.data.benchmarks import load
from ercsatz.data.benchmarks.fetch import settings
from ercsatz.data.dialogue import Utterance
from ercsatz.errors import UserError
from ercsatz.resources import resource

TURNS = [("F000", "Excuse me.", "neu"), ("M000", "Do you have your forms?", "fru"), ("F001", "Yeah. [LAUGHTER]", "exc")]


def write_dialogue(release: Path, name: str, turns: list[tuple[str, str, str]]) -> None:
    folder = release / f"Session{int(name[3:5])}" / "dialog"
    for kind in ("transcriptions", "EmoEvaluation/Categorical"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        (folder / kind / f"._{name}.txt").write_bytes(b"\x00\x05\x16\x07\xb0")
    spoken = [f"{name}_{turn} [006.2901-008.2357]: {text}" for turn, text, _ in turns]
    (folder / "transcriptions" / f"{name}.txt").write_text(
        "\n".join([*spoken[:1], "M: (off the record)", *spoken[1:], ""])
    )
    rated = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]", ""]
    for turn, _, emotion in reversed(turns):  # the order of turns is the transcription's
        if emotion:
            rated += [f"[6.2901 - 8.2357]\t{name}_{turn}\t{emotion}\t[2.5000, 2.5000, 2.5000]"]
            rated += ["C-E2:\tAnger;\t()", "A-E3:\tval 3; act 2; dom  2;\t()", ""]
    (folder / "EmoEvaluation" / f"{name}.txt").write_text("\n".join(rated))
    (folder / "EmoEvaluation/Categorical" / f"{name}_e1_cat.txt").write_text(f"{name}_F000 :Anger; ()\n")


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """The published layout in little: one dialogue each of train, validation and test, and every trap."""
    root = tmp_path / "iemocap/IEMOCAP_full_release"
    write_dialogue(root, "Ses01F_impro01", TURNS)
    write_dialogue(
        root, "Ses01M_script03_1", [("M000", "So sad.", "sad"), ("F000", "What?", "sur"), ("MXX0", "Oh.", "")]
    )
    write_dialogue(root, "Ses05M_impro08", [("M000", "Stop!", "ang"), ("F000", "No.", "xxx"), ("F001", "Ha.", "hap")])
    return tmp_path / "iemocap"


def iemocap(path: Path, **options: object) -> BenchmarkConfig:
    benchmark = settings("iemocap", [resource("conf")], path)
    benchmark.published = {}
    benchmark.options |= options
    return benchmark


def test_sessions_make_the_splits(release):
    splits = load(iemocap(release)).splits

    assert {split: [d.id for d in dialogues] for split, dialogues in splits.items()} == {
        "train": ["Ses01F_impro01"],
        "validation": ["Ses01M_script03_1"],
        "test": ["Ses05M_impro08"],
    }


def test_turns_keep_the_order_of_the_transcription_and_get_canonical_labels(release):
    assert load(iemocap(release)).split("train")[0].utterances == (
        Utterance("F", "Excuse me.", "neutral"),
        Utterance("M", "Do you have your forms?", "frustrated"),
        Utterance("F", "Yeah. [LAUGHTER]", "excited"),
    )


def test_other_labels_and_unrated_turns_are_context_by_default(release):
    corpus = load(iemocap(release))

    assert [turn.emotion for turn in corpus.split("validation")[0].utterances] == ["sad", None, None]
    assert [turn.emotion for turn in corpus.split("test")[0].utterances] == ["angry", None, "happy"]


def test_drop_leaves_unlabelled_turns_out(release):
    corpus = load(iemocap(release, unlabelled="drop"))

    assert [turn.text for turn in corpus.split("test")[0].utterances] == ["Stop!", "Ha."]


@pytest.mark.parametrize("unlabelled", ["context", "drop"])
def test_published_counts_are_of_labelled_turns_whatever_the_option(release, unlabelled):
    benchmark = iemocap(release, unlabelled=unlabelled)
    benchmark.published = {"test": CountsConfig(1, 2, {"angry": 1, "happy": 1})}

    assert len(load(benchmark).split("test")) == 1


def test_the_path_may_be_the_release_itself(release):
    assert load(iemocap(release / "IEMOCAP_full_release")) == load(iemocap(release))


def test_incomplete_releases_do_not_pass_for_the_published_one(release):
    with pytest.raises(UserError, match="1 dialogues, but 108 are published"):
        load(settings("iemocap", [resource("conf")], release))


def test_without_a_folder_the_message_says_whom_to_ask(tmp_path):
    with pytest.raises(UserError, match="USC") as caught:
        load(iemocap(tmp_path / "none"))
    assert str(tmp_path / "none") in str(caught.value)


def test_another_folder_is_refused(tmp_path):
    with pytest.raises(UserError, match="No Session1/dialog/transcriptions"):
        load(iemocap(tmp_path))


def test_a_missing_evaluation_and_an_unknown_label_are_refused_with_their_file(release):
    ratings = release / "IEMOCAP_full_release/Session1/dialog/EmoEvaluation/Ses01F_impro01.txt"
    ratings.write_text(ratings.read_text().replace("\tneu\t", "\tbored\t"))
    with pytest.raises(UserError, match=r"EmoEvaluation/Ses01F_impro01.txt, line \d+: unknown label 'bored'"):
        load(iemocap(release))
    ratings.unlink()
    with pytest.raises(UserError, match=r"no file .*EmoEvaluation/Ses01F_impro01.txt"):
        load(iemocap(release))


def test_a_wrong_option_is_refused(release):
    with pytest.raises(UserError, match="must be context or drop"):
        load(iemocap(release, unlabelled="keep"))
    with pytest.raises(UserError, match="unlabeled: this reader has no such option"):
        load(iemocap(release, unlabeled="drop"))
