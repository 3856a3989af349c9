from dataclasses import replace

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from ercsatz.prediction.card import CorpusFacts, ModelFacts, card

MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
HOSTILE = st.sampled_from(
    [
        "a | b || c",
        "<script>alert(1)</script><!-- ",
        "x\n\n# Licence\n\n---\nlicense: mit\n---\n",
        "![x](http://e.vil/x.png) [y](javascript:1) <http://e.vil> http://e.vil www.e.vil me@e.vil",
        "``` ` ~~~ **b** _i_ \\",
    ]
)


def scores(w_f1, macro=0.3, **more):
    per_class = {"joy": {"f1": 0.25, "support": 3}, "anger": {"f1": 0.5, "support": 5}}
    return {"w_f1": w_f1, "macro_f1": macro, "accuracy": 0.5, "utterances": 8, "per_class": per_class, **more}


def facts(name="handed_on", title="MELD", label="joy", command="python train.py -m data=meld_bal", **changes):
    tests = {"org": scores(0.6), "bal": scores(0.5)}
    made = ModelFacts(
        name=name,
        classifier="compm",
        labels=(label, "anger"),
        numbers=1_234_567,
        code=None,
        knowledge=(),
        reads_later_turns=False,
        description={
            "labels": ["joy", "anger"],
            "backbone": {"checkpoint": "roberta-base"},
            "optimisation": {"lr": 0.1},
        },
        chosen="stage finetune of multirun/a/b, the best of 4 jobs by validation W-F1 (50.00)",
        trained=["meld_bal compm pretrain seed 1", "meld_org compm finetune seed 1"],
        validation=0.5,
        benchmark=("meld", title),
        corpora=[CorpusFacts("meld_org", title, "GPL-3.0", {"train": {label: 7, "anger": 2}, "test": {label: 1}})],
        tests=tests,
        seeds={0: {"org": scores(0.8), "bal": scores(0.6)}, 1: tests},
        command=command,
        versions={"torch": "2.13.0"},
    )
    return replace(made, **changes)


def head(text):
    return yaml.safe_load(text.split("---\n")[1])


def body(text):
    return MARKDOWN.parse(text.split("---\n", 2)[2])


def structure(text):
    """All but the texts: what a heading, a table, a link or a picture is."""
    return [
        (
            token.type,
            token.tag,
            [child.type for child in token.children or () if child.type not in ("text", "text_special")],
        )
        for token in body(text)
    ]


def test_it_says_what_whoever_is_given_it_has_to_know():
    text = card(facts())
    for words in (
        "`compm` of ercsatz, 1,234,567 weights",
        'classifier = load_classifier("FOLDER")',
        "It is stage finetune of multirun/a/b, the best of 4 jobs by validation W-F1 (50.00).\n"
        "Scores on test sets had no part in that choice.",
        "1. meld_bal compm pretrain seed 1\n2. meld_org compm finetune seed 1",
        "| meld_org | train | 9 | 7 | 2 |",
        "| MELD (real) | 8 | 60.00 | 30.00 | 50.00 | 70.00 ± 14.14 | 30.00 ± 0.00 | 50.00 ± 0.00 |",
        "| MELD (generated, bal) | 8 | 50.00 | 30.00 | 50.00 | 55.00 ± 7.07 | 30.00 ± 0.00 | 50.00 ± 0.00 |",
        "The seeds 0, 1 of its sweep have the same data and settings; this classifier is one of them.",
        "| joy | 25.00 | 3 | 25.00 | 3 |",
        "no ground for decisions about people",
        "| meld_org | MELD | GPL-3.0 |",
        "That of the encoder (roberta-base) counts, too.",
        "```text\npython train.py -m data=meld_bal\n```",
        "Versions: torch 2.13.0.",
        "| optimisation.lr | 0.1 |",
    ):
        assert words in text
    assert "learnt nothing" not in text
    assert "its tokenizer's words" not in text
    found = head(text)
    assert (found["license"], found["library_name"], found["base_model"]) == ("other", "ercsatz", "roberta-base")
    results = found["model-index"][0]["results"]
    assert [result["dataset"]["type"] for result in results] == ["meld_org", "meld_bal"]
    assert [metric["value"] for metric in results[0]["metrics"]] == [0.6, 0.3, 0.5]


def test_a_share_of_the_dialogues_is_told():
    assert "a share was seen: real_share 0.1." in card(facts(shares={"real_share": 0.1}))


def test_of_one_seed_there_is_no_spread_and_a_word_about_it():
    text = card(facts(seeds={1: {"org": scores(0.4)}}))
    assert "±" not in text
    assert "One seed: how much scores differ from seed to seed is not known" in text


def test_what_learnt_nothing_is_said_to():
    confusion = [[0, 3], [0, 5]]
    text = card(facts(tests={"org": scores(0.4, confusion=confusion)}, seeds={}))
    assert "On MELD (real) it has **learnt nothing**: one label." in text


@pytest.mark.parametrize(
    ("checkpoint", "base", "told"),
    [
        (None, None, "its tokenizer's words are those of the training text"),
        ("a" * 64, None, "That of the encoder (from a local folder) counts, too."),
        ("me/encoder", "me/encoder", "That of the encoder (me/encoder) counts, too."),
        ("/home/me/secret folder", None, "counts, too."),
    ],
)
def test_the_encoder_is_named_where_the_hub_knows_it(checkpoint, base, told):
    text = card(facts(description={"backbone": {"checkpoint": checkpoint}}))
    assert head(text).get("base_model") == base
    assert told in text


def test_without_a_job_it_says_what_is_not_known():
    text = card(ModelFacts("x", "compm", ("joy",), 5, "mine.Config", ("retrieved",), True, {}))
    assert "exported from the cache, which has no scores" in text
    assert "`mine.Config`" in text
    assert "It reads commonsense about the turns (retrieved)" in text
    assert "It reads later turns, too" in text
    assert "model-index" not in head(text)


@settings(deadline=None, max_examples=25)
@given(HOSTILE, HOSTILE, HOSTILE, HOSTILE)
def test_hostile_names_are_shown_and_do_nothing(name, title, label, command):
    odd, plain = card(facts(name, title, label, command)), card(facts(label="other"))
    assert structure(odd) == structure(plain)
    assert head(odd)["license"] == "other"
    assert head(odd)["tags"] == head(plain)["tags"]
