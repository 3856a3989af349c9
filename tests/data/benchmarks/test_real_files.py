import shutil
from collections import Counter

import pytest
from hydra import compose, initialize_config_dir

from ercsatz.config import register
from ercsatz.data.benchmarks import load
from ercsatz.data.benchmarks.fetch import settings
from ercsatz.data.dialogue import label_counts
from ercsatz.resources import resource

FOLDERS = {"meld": "data/meld", "emorynlp": "data/emorynlp/official", "emorynlp_small": "data/emorynlp/meld-repo-csv"}
COUNTS = {
    "meld": [(1038, 9989), (114, 1109), (280, 2610)],
    "emorynlp": [(713, 9934), (99, 1344), (85, 1328)],
    "emorynlp_small": [(659, 7551), (89, 954), (79, 984)],
}
TEST_LABELS = {
    "meld": [1256, 402, 281, 345, 208, 68, 50],
    "emorynlp": [349, 282, 182, 113, 159, 145, 98],
    "emorynlp_small": [288, 217, 116, 86, 111, 96, 70],
}


MELD_SENTIMENTS = {  # train, validation, test
    "neutral": (4710, 470, 1256),
    "negative": (2945, 406, 833),
    "positive": (2334, 233, 521),
}


def read(shared, name):
    return load(settings(name, [resource("conf")], shared(FOLDERS[name])))


@pytest.mark.parametrize("name", FOLDERS)
def test_published_files_have_the_published_counts(shared, name):
    corpus = read(shared, name)

    assert corpus.name == f"{name}_org"
    assert list(corpus.splits) == ["train", "validation", "test"]
    sizes = [(len(d), sum(len(x.utterances) for x in d)) for d in corpus.splits.values()]
    assert sizes == COUNTS[name]
    test = label_counts(corpus.split("test"))
    assert [test[label] for label in corpus.labels] == TEST_LABELS[name]


@pytest.mark.parametrize("name", FOLDERS)
def test_the_named_cast_are_the_six_most_frequent_speakers(shared, name):
    turns = [turn.speaker for d in read(shared, name).split("train") for turn in d.utterances]
    frequent = sorted(set(turns), key=turns.count, reverse=True)[:6]

    assert sorted(frequent) == settings(name, [resource("conf")]).speakers


@pytest.mark.parametrize("name", FOLDERS)
def test_no_text_has_a_line_break_a_tab_or_white_space_around_it(shared, name):
    texts = [turn.text for dialogues in read(shared, name).splits.values() for d in dialogues for turn in d.utterances]

    assert all(text == text.strip() and not {"\n", "\t"} & set(text) for text in texts)


def test_meld_keeps_ids_order_and_typographic_apostrophes(shared):
    corpus = read(shared, "meld")
    first = corpus.split("train")[0]

    assert first.id == "0"
    assert [turn.speaker for turn in first.utterances[:3]] == ["Chandler", "The Interviewer", "Chandler"]
    assert first.utterances[1].text == "You must’ve had your hands full."  # noqa: RUF001
    assert "60" not in {dialogue.id for dialogue in corpus.split("train")}


def test_meld_has_the_annotated_sentiments(shared):
    corpus = read(shared, "meld")
    by_split = [
        Counter(turn.sentiment for d in dialogues for turn in d.utterances) for dialogues in corpus.splits.values()
    ]
    train = Counter((turn.emotion, turn.sentiment) for d in corpus.split("train") for turn in d.utterances)

    assert [dict(counts) for counts in by_split] == [
        {sentiment: counts[split] for sentiment, counts in MELD_SENTIMENTS.items()} for split in range(3)
    ]
    assert {key: n for key, n in train.items() if key[0] == "surprise"} == {
        ("surprise", "negative"): 614,
        ("surprise", "positive"): 591,
    }


def test_melds_other_labels_are_annotated_with_their_sentiment_throughout(shared):
    groups = settings("meld", [resource("conf")]).sentiments
    pairs = {
        (turn.emotion, turn.sentiment)
        for dialogues in read(shared, "meld").splits.values()
        for d in dialogues
        for turn in d.utterances
    }

    assert {pair for pair in pairs if pair[0] != "surprise"} == {pair for pair in groups.items() if pair[1]}
    assert {sentiment for emotion, sentiment in pairs if emotion == "surprise"} == {"negative", "positive"}


@pytest.mark.parametrize("name", ["emorynlp", "emorynlp_small"])
def test_emorynlp_has_no_annotated_sentiments(shared, name):
    assert {turn.sentiment for d in read(shared, name).split("train") for turn in d.utterances} == {None}


def test_the_two_cuts_of_emorynlp_agree_on_ids_and_on_who_speaks_together(shared):
    full, small = (
        {d.id: {turn.text: turn.speaker for turn in d.utterances} for d in read(shared, name).split("test")}
        for name in ("emorynlp", "emorynlp_small")
    )

    assert small.keys() < full.keys()
    together = {(d, text, who) for d, turns in small.items() for text, who in turns.items() if " and " in who}
    assert together
    assert all(full[d][text] == who for d, text, who in together)


def test_a_clone_of_the_publishers_repository_is_read_as_it_is(shared, tmp_path):
    shutil.copytree(shared(FOLDERS["meld"]), tmp_path / "MELD/data/MELD")

    assert len(load(settings("meld", [resource("conf")], tmp_path / "MELD")).split("test")) == 280


def test_a_table_of_columns_reads_meld_just_as_its_own_reader_does(shared):
    own = settings("meld", [resource("conf")], shared(FOLDERS["meld"]))
    columns = {"dialogue": "Dialogue_ID", "speaker": "Speaker", "text": "Utterance", "emotion": "Emotion"}
    own.reader, own.options = "table", {"columns": columns | {"order": "Utterance_ID", "sentiment": "Sentiment"}}

    assert load(own) == read(shared, "meld")


def test_a_composed_configuration_is_read(shared):
    register([resource("conf")])
    with initialize_config_dir(str(resource("conf")), version_base="1.3"):
        config = compose("train", ["data=meld_org", f"benchmark.path={shared(FOLDERS['meld'])}"])

    assert len(load(config.benchmark).split("validation")) == 114


@pytest.mark.parametrize("name", ["meld", "emorynlp", "emorynlp_small", "iemocap", "mini"])
def test_every_label_has_a_sentiment_in_the_label_order(name):
    benchmark = settings(name, [resource("conf")])

    assert list(benchmark.sentiments) == benchmark.labels


@pytest.mark.parametrize("name", ["meld", "emorynlp", "emorynlp_small", "iemocap"])
def test_published_label_totals_add_up_and_follow_the_label_order(name):
    benchmark = settings(name, [resource("conf")])

    for counts in benchmark.published.values():
        assert sum(counts.labels.values()) == counts.utterances
        assert list(counts.labels) == benchmark.labels
