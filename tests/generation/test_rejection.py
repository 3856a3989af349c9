import io
from collections import Counter
from dataclasses import replace

import pytest

from ercsatz.config import PlanConfig, PromptStyle
from ercsatz.data.dialogue import Utterance
from ercsatz.generation.rejection import STAGES, Funnel, Reason, check
from ercsatz.generators.interface import Request
from ercsatz.reporting.console import SafeConsole

PLAN = PlanConfig(n_dialogues=1, min_turns=2, max_turns=3, attempts=1)
GOOD = (Utterance("Maya", "Hi.", "joy"), Utterance("Tomas", "Hello.", "neutral"))
MORE = (Utterance("Maya", "And now?", "neutral"), Utterance("Tomas", "Lunch.", "neutral"))


LABELS = ("neutral", "joy", "fear")


@pytest.fixture
def request_for_joy():
    return Request(0, 0, "Write.", "balanced", PromptStyle.cast, ("Maya", "Tomas"), LABELS, "joy", 3)


def test_sound_dialogue_passes(request_for_joy):
    assert check(GOOD, request_for_joy, PLAN) is None


@pytest.mark.parametrize(
    ("turns", "reason"),
    [
        (GOOD[:1], Reason.one_speaker),
        ((GOOD[0], Utterance("Bob", "Hello.", "joy")), Reason.unknown_speaker),
        (GOOD + MORE, Reason.too_many_turns),
        ((GOOD[0], replace(GOOD[1], text="hi.")), Reason.repeated_turn),
        ((GOOD[0], replace(GOOD[1], text="la " * 400)), Reason.long_turn),
        (MORE, Reason.no_target),
    ],
)
def test_unsound_dialogue_has_a_reason(request_for_joy, turns, reason):
    assert check(turns, request_for_joy, PLAN) is reason


def test_short_dialogue_is_refused(request_for_joy):
    assert (
        check(GOOD, request_for_joy, PlanConfig(n_dialogues=1, min_turns=3, max_turns=5, attempts=1))
        is Reason.too_few_turns
    )


def test_every_column_of_the_funnel_has_a_heading_and_nothing_is_cut():
    funnel = Funnel(dict.fromkeys(STAGES, 3), Counter({Reason.unanswered: 1}), Counter({Reason.unknown_label: 2}))
    table = funnel.table("mini_bal: from requests to data")
    assert all(column.header for column in table.columns)
    shown = io.StringIO()
    SafeConsole(file=shown, width=200).print(table)
    assert Reason.unknown_label.value in shown.getvalue()
    narrow = io.StringIO()
    SafeConsole(file=narrow, width=60).print(table)
    assert "…" not in narrow.getvalue()
