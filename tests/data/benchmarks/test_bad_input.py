import json
import re

import pytest
from omegaconf import MISSING, OmegaConf

from ercsatz.config import CountsConfig, DownloadConfig
from ercsatz.data.benchmarks import find, load
from ercsatz.data.dialogue import Dialogue, Utterance
from ercsatz.data.files import to_json
from ercsatz.errors import UserError

HEADER = "Dialogue_ID,Speaker,Utterance,Emotion\n"
SCENE = '{"episodes": [{"scenes": [{"scene_id": "s1", "utterances": [%s]}]}]}'
SPOKEN = '{"utterance_id": "s1_u1", "speakers": ["Ann"], "transcript": "Hi.", "emotion": "Calm"}'


def test_a_small_file_is_read_with_labels_in_lower_case_and_empty_ones_as_context(small):
    first, second = load(small()).split("train")

    assert first == Dialogue("0", (Utterance("Ann", 'Tea, or "tea"?', "calm"), Utterance("Bo", "No!", "cross")))
    assert second == Dialogue("7", (Utterance("Ann", "Fine.", None), Utterance("Bo", "Good.", "calm")))


def test_white_space_is_tidied_but_inner_spaces_stay(small):
    train = load(small(HEADER + '0, Ann ,"  a\tb \r\nc  d\u2028e ",calm\n')).split("train")

    assert train[0].utterances[0] == Utterance("Ann", "a b  c  d e", "calm")


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(small):
    train = load(small(b"\xef\xbb\xbf" + HEADER.replace("\n", "\r\n").encode() + b"0,Ann,Hi.,calm\r\n")).split("train")

    assert train == (Dialogue("0", (Utterance("Ann", "Hi.", "calm"),)),)


def test_label_names_map_and_null_makes_context(small):
    benchmark = small(HEADER + "0,Ann,Hi.,Angry\n0,Bo,Oh.,xxx\n", label_names={"angry": "cross", "xxx": None})

    assert [turn.emotion for turn in load(benchmark).split("train")[0].utterances] == ["cross", None]


SENTIMENT_HEADER = HEADER.replace("Emotion", "Emotion,Sentiment")


def test_a_sentiment_column_is_read_in_lower_case_and_an_empty_one_is_none(small):
    rows = "0,Ann,Hi.,calm, Positive\n0,Bo,Oh.,,negative\n0,Ann,So.,cross,\n"
    turns = load(small(SENTIMENT_HEADER + rows)).split("train")[0].utterances

    assert [turn.sentiment for turn in turns] == ["positive", "negative", None]
    assert [turn.emotion for turn in turns] == ["calm", None, "cross"]


def test_our_own_form_keeps_its_sentiments(small):
    said = Dialogue("1", (Utterance("Ann", "Hi.", "calm", "neutral"), Utterance("Bo", "Hi.", "calm")))

    assert load(small(json.dumps(to_json(said)), "jsonl", ".jsonl")).split("train") == (said,)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(
            SENTIMENT_HEADER + "0,Ann,Hi.,calm,neutral\n0,Bo,Hm.,calm,Mixed\n",
            "line 3: unknown sentiment 'Mixed'; known are: negative, neutral, positive",
            id="sentiment",
        ),
        pytest.param("", "the column 'Dialogue_ID' is missing; the file has: no header", id="empty file"),
        pytest.param(HEADER, "split train: no dialogues", id="empty split"),
        pytest.param("Dialogue_ID,Speaker,Text,Emotion\n", "line 1: the column 'Utterance' is missing", id="column"),
        pytest.param(HEADER + "0,Ann,Hi.,calm\n0,Bo,Hm.,glad\n", "line 3: unknown label 'glad'", id="label"),
        pytest.param(HEADER + "0,Ann,Hi.,\n", "dialogue '0': no turn has a label", id="no labels"),
        pytest.param(HEADER + "0,Ann,Hi., well,calm\n", "line 2: 5 fields where the header has 4", id="ragged"),
        pytest.param(HEADER + "0,Ann,,calm\n", "line 2: the text is empty", id="no text"),
        pytest.param(HEADER + "0, ,Hi.,calm\n", "line 2: the speaker is empty", id="no speaker"),
        pytest.param(HEADER + "0,Ann,H\0i.,calm\n", "line 2: a NUL byte", id="NUL"),
        pytest.param(HEADER + '0,Ann,"Hi.,calm\n0,Bo,Hm.,calm\n', "line 2: not CSV (unexpected end", id="open quote"),
        pytest.param(HEADER + '0,Ann,"Hi" there,calm\n', "line 2: not CSV (',' expected", id="quote inside"),
        pytest.param(HEADER + '0,Ann,"Hi.,calm\n' + "x\n" * 99999, "line 2: not CSV (field larger", id="swallowed"),
        pytest.param((HEADER + "0,Ann,It’s.,calm\n").encode("cp1252"), "not UTF-8 at byte 46", id="cp1252"),  # noqa: RUF001
    ],
)
def test_a_bad_csv_file_is_refused_with_file_and_place(small, content, message):
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        load(small(content))
    assert "train" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "line 1, column 1: not JSON"),
        (SCENE % SPOKEN[:-1], f"line 1, column {(SCENE % SPOKEN[:-1]).index(']}]}]}') + 1}: not JSON"),
        ("[]", "expected an object with the key 'episodes'"),
        (SCENE % SPOKEN.replace("transcript", "text"), "s1_u1: expected an object with the key 'transcript', a str"),
        (SCENE % SPOKEN.replace('["Ann"]', "[]"), "s1_u1: the speakers must be a list of names"),
        (SCENE % SPOKEN.replace("Calm", "Glad"), "s1_u1: unknown label 'Glad'"),
        (SCENE % "", "dialogue 's1': no turn has a label"),
    ],
)
def test_a_bad_emorynlp_file_is_refused_with_file_and_place(small, content, message):
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        load(small(content, "emorynlp", ".json"))
    assert "train" in str(caught.value)


@pytest.mark.parametrize(
    ("speaker", "scene", "message"),
    [
        ("Ann", "1", "line 2: Speaker must be a list"),
        ("[1]", "1", "line 2: the speakers must be a list of names"),
        ("['Ann']", "one", "line 2: Season, Episode and Scene_ID must be whole numbers"),
    ],
)
def test_a_bad_row_of_emorynlps_small_cut_is_refused(small, speaker, scene, message):
    content = f"Utterance,Speaker,Emotion,Scene_ID,Season,Episode\nHi.,{speaker},Calm,{scene},1,2\n"

    with pytest.raises(UserError, match=re.escape(message)):
        load(small(content, "emorynlp_csv"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id": "1"', "train.jsonl, line 1: not JSON"),
        (
            '{"id": "1", "utterances": [{"speaker": "Ann", "text": "Hi.", "emotion": "glad"}]}',
            "turn 1: unknown label",
        ),
    ],
)
def test_a_bad_jsonl_file_is_refused_with_file_and_place(small, line, message):
    with pytest.raises(UserError, match=re.escape(message)):
        load(small(line, "jsonl", ".jsonl"))


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (CountsConfig(3, 3), "2 dialogues, but 3 are published"),
        (CountsConfig(2, 4), "3 labelled utterances, but 4 are published"),
        (CountsConfig(2, 3, {"calm": 1, "cross": 2}), "2 calm, but 1 are published"),
    ],
)
def test_other_counts_than_the_published_are_refused(small, counts, message):
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        load(small(published={"test": counts}))
    assert "test.csv" in str(caught.value)


def test_the_published_counts_are_of_labelled_utterances(small):
    assert load(small(published={"test": CountsConfig(2, 3, {"calm": 2, "cross": 1})})).name == "small_org"


def test_a_missing_file_names_the_folder_and_how_to_fetch_it(small, tmp_path):
    benchmark = small(downloads={"train": DownloadConfig("http://example.org/train.csv")})
    (tmp_path / "small/train.csv").unlink()

    with pytest.raises(UserError) as caught:
        load(benchmark)
    for part in ("train.csv", str(tmp_path / "small"), "ercsatz fetch small", "benchmark.path=FOLDER"):
        assert part in str(caught.value)


def test_a_missing_folder_says_how_to_obtain_what_cannot_be_fetched(small, tmp_path):
    with pytest.raises(UserError, match="Ask the aunt") as caught:
        load(small(path=str(tmp_path / "none"), obtain="Ask the aunt."))
    assert "benchmark.path=FOLDER" in str(caught.value)


def test_a_file_that_is_there_twice_is_not_chosen_between(small, tmp_path):
    benchmark = small()
    for copy in ("a", "b"):
        (tmp_path / "small" / copy).mkdir()
        (tmp_path / "small" / copy / "train.csv").write_text(HEADER)
    (tmp_path / "small/train.csv").unlink()

    with pytest.raises(UserError, match=r"several files train.csv .*a/train.csv, .*b/train.csv"):
        find(benchmark, "train")


def test_the_file_in_the_folder_itself_comes_before_those_below(small, tmp_path):
    benchmark = small()
    (tmp_path / "small/old").mkdir()
    (tmp_path / "small/old/train.csv").write_text(HEADER)

    assert find(benchmark, "train") == tmp_path / "small/train.csv"


def test_a_benchmark_without_a_needed_key_is_refused(small):
    benchmark = OmegaConf.structured(small())
    benchmark.labels = MISSING

    with pytest.raises(UserError, match=r"lacks a key: .*labels"):
        load(benchmark)


@pytest.mark.parametrize("files", [{}, {"train": ""}, {"validation": "validation.csv", "test": "test.csv"}])
def test_a_split_without_a_file_is_refused(small, files):
    with pytest.raises(UserError, match=r"small: benchmark\.files lacks train"):
        load(small(files=files))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["calm", "cross", "calm"], "benchmark.labels: 'calm' occurs twice"),
        (["calm", "Cross"], "benchmark.labels: 'Cross' must be written 'cross'"),
        (["calm", "cross "], "benchmark.labels: 'cross ' must be written 'cross'"),
        (["calm", ""], "benchmark.labels: a label is empty"),
    ],
)
def test_labels_that_repeat_or_that_no_reader_could_meet_are_refused(small, labels, message):
    with pytest.raises(UserError, match=re.escape(message)):
        load(small(labels=labels))


@pytest.mark.parametrize(
    ("sentiments", "message"),
    [
        (
            {"calm": "neutral", "angry": "negative"},
            "benchmark.sentiments.angry: not one of benchmark.labels, which are: calm, cross. Leave it out with "
            "~benchmark.sentiments.angry.",
        ),
        ({"calm": "good"}, "benchmark.sentiments.calm=good: must be negative, neutral, positive, or null: it depends"),
        ({"calm": "Neutral"}, "benchmark.sentiments.calm=Neutral: must be negative, neutral, positive, or null"),
        ({"calm": ""}, "benchmark.sentiments.calm=: must be negative, neutral, positive, or null"),
    ],
)
def test_sentiments_of_unknown_labels_and_of_another_kind_are_refused(small, sentiments, message):
    with pytest.raises(UserError, match=re.escape(message)):
        load(small(sentiments=sentiments))


@pytest.mark.parametrize("sentiments", [{}, {"cross": "negative"}, {"cross": "negative", "calm": None}])
def test_sentiments_may_be_left_out(small, sentiments):
    assert load(small(sentiments=sentiments)).labels == ("calm", "cross")


@pytest.mark.parametrize("name", ["", "a/b", "a b", "../up", "caf\u00e9", "a\n"])
def test_a_name_that_is_no_plain_word_is_refused(small, name):
    with pytest.raises(UserError, match=r"^benchmark\.name="):
        load(small(name=name))


def test_a_name_may_have_capitals_digits_hyphens_and_underscores(small):
    assert load(small(name="CPED-2_small")).name == "CPED-2_small_org"


def test_an_unknown_reader_and_an_unknown_option_are_refused(small):
    with pytest.raises(UserError, match=r"benchmark.reader=csv: no such reader; there are: meld, "):
        load(small(reader="csv"))
    with pytest.raises(UserError, match=r"benchmark.options.skip: this reader has no such option"):
        load(small(options={"skip": 1}))
