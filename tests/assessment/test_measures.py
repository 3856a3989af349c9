"""Everything at once, on data that make something undefined."""

import json
from dataclasses import asdict, replace

import pytest

from ercsatz.assessment.verdict import verdict
from ercsatz.dialogue import Dialogue


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
            kind in {"punctuation", "one dialogue", "one turn"}
            or line.name in {"majority_w_f1", "real_findable"}
            or line.emotion
        )
        assert line.mark is not None or no_mark or line.value is None, line
    defined = [line for line in found.lines if line.value is not None]
    assert len(defined) > (10 if kind in {"an empty training split", "one turn"} else 30)
    assert {verdict(line).word for line in defined} <= {"as real", "better", "worse", "no mark"}


def test_planted_dialogues_are_found_to_the_last_one(assess, real, others):
    planted = [Dialogue(f"planted {n}", each.utterances) for n, each in enumerate(real["test"])]
    found = assess(split([*others, *planted]))
    assert {row["dialogue"] for row in found.offenders} == {each.id for each in planted}
    lines = {line.name: line for line in found.lines}
    assert lines["real_repeated"].value == pytest.approx(len(planted) / (len(real["validation"]) + len(real["test"])))
    assert verdict(lines["leaking"]).word == "worse"


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
