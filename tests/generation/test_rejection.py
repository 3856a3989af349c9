from dataclasses import replace

import pytest

from ercsatz.config import PlanConfig, PromptStyle
from ercsatz.data.dialogue import Utterance
from ercsatz.generation.rejection import Reason, check
from ercsatz.generators.interface import Request

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
