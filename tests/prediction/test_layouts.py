"""Dialogues in the layout of a benchmark, as ``predict.py benchmark=NAME`` reads them."""

import json
import re

import pytest
from hydra import compose, initialize_config_dir

from ercsatz.config import register
from ercsatz.config.compose import to_object
from ercsatz.data import benchmarks
from ercsatz.data.dialogue import Dialogue, Utterance
from ercsatz.errors import UserError
from ercsatz.prediction.read import given_labels, read_dialogues
from ercsatz.resources import resource

FIRST = [("Ann", "hello, you", "joy"), ("Bo", "go away", "anger")]
SECOND = [("Cleo", "what?", None)]


@pytest.fixture(scope="module")
def benchmark():
    """A benchmark's settings, as the command gets them."""

    def settings(name, *overrides):
        register([resource("conf")], "predict")
        with initialize_config_dir(str(resource("conf")), version_base="1.3"):
            return to_object(compose("predict", [f"benchmark={name}", *overrides])).benchmark

    return settings


def expected(first, second, *names):
    """Two dialogues with these ids; the names are the labels of the first."""
    turns = (Utterance(*turn[:2], name) for turn, name in zip(FIRST, names, strict=True))
    return (Dialogue(first, tuple(turns)), Dialogue(second, (Utterance(*SECOND[0]),)))


def csv(header, *rows):
    return "\n".join([",".join(header), *(",".join(f'"{field}"' for field in row) for row in rows)]) + "\n"


def emorynlp(emotions):
    label = iter(emotions)
    scenes = [
        {
            "scene_id": name,
            "utterances": [
                {"utterance_id": f"{name}_u{n}", "speakers": [who], "transcript": text, "emotion": next(label)}
                for n, (who, text, _) in enumerate(turns)
            ],
        }
        for name, turns in (("s01_e01_c01", FIRST), ("s01_e01_c02", SECOND))
    ]
    return json.dumps({"episodes": [{"scenes": scenes}]})


def test_melds_layout(benchmark, tmp_path):
    head = ("Sr No.", "Utterance", "Speaker", "Emotion", "Dialogue_ID", "Utterance_ID")
    rows = [("1", "hello, you", "Ann", "joy", "0", "0"), ("2", "go away", "Bo", "Anger", "0", "1")]
    (tmp_path / "x.txt").write_text(csv(head, *rows, ("3", "what?", "Cleo", "", "7", "0")))
    assert read_dialogues(tmp_path / "x.txt", benchmark("meld")) == expected("0", "7", "joy", "anger")


def test_emorynlps_layouts(benchmark, tmp_path):
    (tmp_path / "x.json").write_text(emorynlp(["Joyful", "Mad", ""]))
    both = expected("s01_e01_c01", "s01_e01_c02", "joyful", "mad")
    assert read_dialogues(tmp_path / "x.json", benchmark("emorynlp")) == both
    head = ("Utterance", "Speaker", "Emotion", "Scene_ID", "Utterance_ID", "Season", "Episode")
    rows = [("hello, you", "['Ann']", "Joyful", "1", "1", "1", "1"), ("go away", "['Bo']", "Mad", "1", "2", "1", "1")]
    (tmp_path / "x.csv").write_text(csv(head, *rows, ("what?", "['Cleo']", "", "2", "1", "1", "1")))
    assert read_dialogues(tmp_path / "x.csv", benchmark("emorynlp_small")) == both


def test_iemocaps_folder(benchmark, tmp_path):
    for session in (1, 5):
        dialog = tmp_path / "x" / f"Session{session}" / "dialog"
        for name in ("transcriptions", "EmoEvaluation"):
            (dialog / name).mkdir(parents=True)
        turn = f"Ses0{session}F_impro01_F000"
        (dialog / "transcriptions" / f"{turn[:-5]}.txt").write_text(f"{turn} [006.2901-008.2357]: Excuse me.\n")
        (dialog / "EmoEvaluation" / f"{turn[:-5]}.txt").write_text(f"[6.2 - 8.2]\t{turn}\tneu\t[2.5, 2.5, 2.5]\n")
    for split, name in (("test", "Ses05F_impro01"), ("train", "Ses01F_impro01")):
        (dialogue,) = read_dialogues(tmp_path / "x", benchmark("iemocap"), split)
        assert dialogue == Dialogue(name, (Utterance("F", "Excuse me.", "neutral"),))


def test_a_layout_of_ones_own(benchmark, tmp_path):
    (tmp_path / "x.tsv").write_text("Ann\thello, you\tjoy\nBo\tgo away\tanger\n\nCleo\twhat?\t\n")
    assert read_dialogues(tmp_path / "x.tsv", benchmark("mini", "benchmark.reader=tab")) == expected(
        "1", "2", "joy", "anger"
    )
    (tmp_path / "x.json").write_text(
        json.dumps(
            [
                {
                    "who": [who for who, *_ in turns],
                    "said": [text for _, text, _ in turns],
                    "mood": [emotion and emotion.upper() for *_, emotion in turns],
                }
                for turns in (FIRST, SECOND)
            ]
        )
    )
    columns = "+benchmark.options.columns={text:said,speaker:who,emotion:mood}"
    given = benchmark("mini", "benchmark.reader=table", columns)
    assert read_dialogues(tmp_path / "x.json", given) == expected("1", "2", "joy", "anger")


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_benchmarks_own_files_are_read_as_training_reads_them(split, benchmark):
    mini = benchmark("mini")
    assert read_dialogues(benchmarks.find(mini, split), mini, split) == benchmarks.load(mini).split(split)


@pytest.mark.parametrize(
    ("name", "file", "utterances"),
    [
        ("meld", "meld/test_sent_emo.csv", 2610),
        ("emorynlp", "emorynlp/official/emotion-detection-tst.json", 1328),
        ("emorynlp_small", "emorynlp/meld-repo-csv/emorynlp_test_final.csv", 984),
    ],
)
def test_published_files(name, file, utterances, benchmark, shared):
    found = read_dialogues(shared(f"data/{file}"), benchmark(name))
    assert sum(turn.emotion is not None for dialogue in found for turn in dialogue.utterances) == utterances


def test_an_error_names_the_file_the_layout_and_the_key(benchmark, tmp_path):
    (tmp_path / "x.csv").write_text("Utterance,Speaker\nhello,Ann\n")
    with pytest.raises(UserError) as error:
        read_dialogues(tmp_path / "x.csv", benchmark("meld"))
    told = str(error.value)
    assert told.startswith(
        f"{tmp_path / 'x.csv'}, line 1: the column 'Dialogue_ID' is missing; the file has: Utterance"
    )
    assert "It was read as meld is laid out (reader meld). Another layout: benchmark=NAME" in told
    with pytest.raises(UserError, match=re.escape("no layout.csv")) as error:
        read_dialogues(tmp_path / "no layout.csv", benchmark("meld"))
    assert "laid out" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [("x.csv", "Utterance,Speaker\nhello,Ann\n"), ("x.jsonl", '{"said": "hello"}\n'), ("x.json", "[]")],
)
def test_a_file_of_no_form_of_ours_is_asked_whose_it_is(name, content, tmp_path):
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError) as error:
        read_dialogues(tmp_path / name)
    assert str(error.value).startswith((f"{tmp_path / name}, ", f"dialogues={tmp_path / name}: the name must end in"))
    assert str(error.value).endswith(
        "benchmark=NAME, one of emorynlp, emorynlp_small, iemocap, iemocap_made_up, meld, mini."
    )


def test_labels_of_another_set_are_not_scored_even_where_some_have_the_same_name(benchmark):
    dialogues = (Dialogue("1", (Utterance("Ann", "hello", "neutral"), Utterance("Bo", "no", "joyful"))),)
    emorynlp, labels = benchmark("emorynlp"), ["neutral", "joy", "anger"]
    given = given_labels(dialogues, labels, "x.json", emorynlp)
    assert given.classes == ((None, None),)
    assert given.notes[0].startswith("emorynlp has other labels than the classifier (neutral, joyful, ")
    assert given_labels(dialogues, list(reversed(emorynlp.labels)), "x.json", emorynlp).classes == ((6, 5),)
