"""Completions as models mangle them, and worse: the parser never raises, and each becomes turns or a reason."""

import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ercsatz.config import PlanConfig, PromptStyle
from ercsatz.data.dialogue import Dialogue, Utterance, check_dialogues
from ercsatz.generation.parse import parse
from ercsatz.generation.personas import read_background, read_situation
from ercsatz.generation.rejection import Reason, check
from ercsatz.generators.interface import Answer, FinishReason, Request, Step
from ercsatz.generators.offline.generator import write

LABELS = ("neutral", "joy", "surprise", "anger", "sadness", "disgust", "fear")
SPEAKERS = ("Maya", "Tomas", "Priya")
REQUEST = Request(0, 0, "", "balanced", PromptStyle.cast, SPEAKERS, LABELS, "joy", 8)
PLAN = PlanConfig(n_dialogues=1, min_turns=5, max_turns=14, attempts=1)
MARKS = (
    "**",
    "__",
    "```",
    "# ",
    "- ",
    "1. ",
    "> ",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ":",
    '"',
    "\u201c",
    "\n",
    "\r\n",
    "\t",
)
LABELLED = (
    " (3)",
    " [joy]",
    "(9)",
    "(0)",
    "(-1)",
    "(3.5)",
    "(\u0663)",
    "(joy, 2)",
    "((2))",
    "(2) (3)",
    "(1234567890123)",
)
NAMED = (
    "Maya:",
    "maya :",
    "Narrator: ",
    "Tomas (2): ",
    "M: ",
    ": (1)",
    "\\n",
    "<|im_end|>",
    "</s>",
    "[/INST]",
    "{{ 7*7 }}",
)
ODD = (
    "\u2028",
    "\u200b",
    "\u202e",
    "\ufeff",
    "\x00",
    "\x1b[31m",
    "\ud83d",
    "\U0001f600",
    "e\u0301",
    "\uff1a",
    "\uff08\uff12\uff09",
)
PROSE = (
    "Sure! Here is the conversation:",
    "I hope this helps!",
    "<script>alert(1)</script>",
    '{"speaker": "Maya"}',
    "a" * 3000,
)
NOISE = (*MARKS, *LABELLED, *NAMED, *ODD, *PROSE)


def real_looking(rng: random.Random) -> str:
    numbers = {label: number for number, label in enumerate(LABELS, 1)}
    request = replace(REQUEST, seed=rng.getrandbits(60), n_turns=rng.randint(3, 14), step=Step.dialogue)
    return "\n".join(f"{who}: {text} ({numbers[label]})" for who, text, label in write(rng, request))


def mangled(rng: random.Random, text: str) -> str:
    """The text after up to six of the things that happen to completions."""
    for _ in range(rng.randint(1, 6)):
        at, to = sorted(rng.randrange(len(text) + 1) for _ in range(2))
        lines = text.split("\n")
        place = rng.randrange(len(lines))
        match rng.randrange(8):
            case 0:
                text = text[:at]
            case 1:
                text = text[:at] + rng.choice(NOISE) + text[at:]
            case 2:
                text = text[:at] + text[min(to, at + 20) :]
            case 3:
                rng.shuffle(lines)
                text = "\n".join(lines)
            case 4:
                text = "\n".join([*lines[:place], rng.choice(NOISE) + lines[place] + rng.choice(NOISE), *lines[place:]])
            case 5:
                text = text.replace(rng.choice("():\n ."), rng.choice(NOISE), rng.randint(1, 5))
            case 6:
                text = rng.choice((str.upper, str.lower, str.title, lambda t: t[::-1]))(text)
            case 7:
                text = "\n".join([*lines[:place], *lines[place + 1 :]])
    return text


def judge(answer: Answer) -> Reason | tuple[Utterance, ...]:
    """What the parser and the checks make of an answer; turns that pass can be written as a data row."""
    turns = parse(answer, SPEAKERS, LABELS)
    if isinstance(turns, Reason):
        return turns
    if reason := check(turns, REQUEST, PLAN):
        return reason
    check_dialogues([Dialogue("000000", turns)], LABELS, "here")
    assert {turn.speaker for turn in turns} <= set(SPEAKERS)
    assert all(turn.text.strip() and turn.emotion in LABELS for turn in turns)
    assert all(turn.text.isprintable() for turn in turns)
    return turns


def judge_many(n: int) -> Counter:
    rng = random.Random(0)
    became: Counter = Counter()
    for _ in range(n):
        text = mangled(rng, real_looking(rng))
        result = judge(Answer(text, rng.choice((FinishReason.stop, FinishReason.stop, FinishReason.length))))
        became["kept" if isinstance(result, tuple) else result.name] += 1
    assert became.total() == n
    return became


def test_every_mangled_completion_is_a_row_or_has_a_reason():
    became = judge_many(3000)
    assert became["kept"] > 100
    assert len(became) > 10


@pytest.mark.slow
def test_two_hundred_thousand_mangled_completions():
    assert judge_many(200_000)["kept"] > 10_000


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(codec=None)), st.sampled_from(FinishReason))
def test_any_text_at_all_is_a_row_or_has_a_reason(text, finish):
    answer = Answer(text, finish)
    assert isinstance(judge(answer), Reason | tuple)
    assert read_background(answer) is not None
    assert read_situation(answer, wants_relation=True) is not None
