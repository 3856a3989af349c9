"""Everything at once, on data that make something undefined."""

import json
from dataclasses import asdict, replace

import pytest

from ercsatz.assessment.verdict import verdict
from ercsatz.data.dialogue import Dialogue


def split(dialogues):
    third = max(1, len(dialogues) // 5)
    return {"train": dialogues[2 * third :], "validation": dialogues[:third], "test": dialogues[third : 2 * third]}


def relabelled(dialogues, emotion):
    return [Dialogue(each.id, tuple(replace(turn, emotion=emotion) for turn in each.utterances)) for each in dialogues]


def retold(dialogues, tell):
    return [
        Dialogue(each.id, tuple(replace(turn, text=tell(turn.text)) for turn in each.utterances)) for each in dialogues
    ]


ODD = {
    "as they are": lambda others, say: split(others),
    "an empty test split": lambda others, say: {**split(others), "test": ()},
    "an empty training split": lambda others, say: {**split(others), "train": ()},
    "one dialogue": lambda others, say: {"train": others[:1], "validation": (), "test": ()},
    "one turn": lambda others, say: {"train": [say("a", ("Yes.", "joy"))], "validation": (), "test": ()},
    "one emotion": lambda others, say: split(relabelled(others, "joy")),
    "no emotions": lambda others, say: split(relabelled(others, None)),
    "equal texts": lambda others, say: split(retold(others, lambda _: "The same words all the time, always.")),
    "Chinese": lambda others, say: split(retold(others, lambda text: f"你好{len(text)}、今天天气很好。")),
    "emoji": lambda others, say: split(retold(others, lambda text: "😀🎉" * (1 + len(text) % 5))),
    "punctuation": lambda others, say: split(retold(others, lambda _: "...")),
}


@pytest.mark.parametrize("kind", ODD)
def test_every_figure_has_a_value_or_a_reason(assess, others, say, kind):
    found = assess(ODD[kind](others, say))
    json.dumps(asdict(found), allow_nan=False)
    assert {line.family for line in found.lines} == {"diversity", "clusters", "realism", "labels", "leakage", "splits"}
    for line in found.lines:
        assert (line.value is None) == line.undefined.startswith("undefined because"), line
        no_mark = (
            kind in {"punctuation", "one dialogue", "one turn", "an empty training split"}
            or line.name.startswith(("trts", "tstr_all", "real_", "majority", "train_"))  # the test split is small
            or line.emotion
        )
        assert line.mark is not None or no_mark or line.value is None, line
    defined = [line for line in found.lines if line.value is not None]
    assert len(defined) > (10 if kind in {"an empty training split", "one turn"} else 30)
    assert {verdict(line).word for line in defined} <= {"as real", "better", "no worse", "worse", "no mark"}


def test_planted_dialogues_are_found_to_the_last_one(assess, real, others):
    planted = [Dialogue(f"planted {n}", each.utterances) for n, each in enumerate(real["test"])]
    found = assess(split([*others, *planted]))
    assert {row["dialogue"] for row in found.offenders} == {each.id for each in planted}
    lines = {line.name: line for line in found.lines}
    assert lines["real_repeated"].value == pytest.approx(len(planted) / (len(real["validation"]) + len(real["test"])))
    assert verdict(lines["leaking"]).word == "worse"


@pytest.mark.parametrize("n", [1, 15])
def test_of_a_handful_of_dialogues_nothing_is_said(assess, others, n):
    found = assess({"train": others[:n], "validation": (), "test": ()}, halves=3)
    assert {line.family for line in found.lines if line.value is not None} >= {"realism", "labels", "leakage"}
    assert {verdict(line).word for line in found.lines} <= {"no mark", "undefined"}


def test_a_copy_of_the_training_split_is_told(assess, real, others):
    copy, other = (assess(own, halves=3).lines for own in (split(real["train"]), split(others)))
    told = [{line.name: line.value for line in lines} for lines in (copy, other)]
    assert told[0]["train_turns"] > 0.5 > 0.05 > told[1]["train_turns"]
    assert told[0]["train_dialogues"] > 0.9
    assert {verdict(line).word for line in copy if line.name.startswith("train_")} == {"no mark"}


def test_what_is_taught_is_compared_on_as_many_turns_and_all_of_it_is_told_besides(assess, real, others):
    """With little to learn from, a data set is not worse than as many real dialogues."""
    own = {"train": others[:20], "validation": (), "test": ()}
    lines = {line.name: line for line in assess(own, halves=8).lines if line.emotion is None}
    taught, all_of_it, by_real = (lines[f"{name}_words"] for name in ("tstr_w_f1", "tstr_all_w_f1", "real_all_w_f1"))
    assert verdict(taught).word == "as real"
    assert taught.n == all_of_it.n < by_real.n
    assert verdict(all_of_it).word == verdict(by_real).word == "no mark"


def test_leaks_have_a_test(assess, others):
    lines = {line.name: line for line in assess(split(others)).lines if line.family == "leakage"}
    for name in ("exact", "normalised", "near", "everyday", "ngrams", "whole", "leaking"):
        assert lines[name].p is not None, name
        assert "Fisher" in lines[name].test
    assert lines["real_repeated"].value is not None
    assert not lines["real_repeated"].marks


def test_equal_texts_are_worse_where_they_should_be(assess, others):
    found = assess(split(retold(others, lambda _: "The same words all the time, always.")), halves=6)
    lines = {line.name: line for line in found.lines if line.emotion is None}
    assert lines["vendi"].value == pytest.approx(1)
    assert lines["self_bleu"].value == pytest.approx(1)
    for name in ("distinct_1", "vendi", "self_bleu", "clusters", "coverage", "c2st_auc"):
        assert verdict(lines[name]).word == "worse", name


def test_a_real_split_of_one_dialogue_leaves_nothing_to_compare(assess, real, others):
    found = assess(split(others), {**real, "train": real["train"][:1]})
    assert found.compared == {"dialogues": 0, "turns": 0}
    for line in found.lines:
        if line.family in {"diversity", "clusters", "realism"}:
            assert line.undefined.startswith("undefined because"), line
