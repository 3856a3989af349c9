import asyncio
from collections import Counter
from dataclasses import dataclass
from enum import Enum

import pytest

from ercsatz.config import PromptStyle
from ercsatz.generators.interface import Answer, FinishReason, Request
from ercsatz.llm.endpoint_pool import UnansweredError
from ercsatz.llm.inquiry import HopelessError, Outcome, Tally, persist, templates_sha256


class Why(Enum):
    odd = "the number is odd"
    refused = "the server refused"
    unanswered = "no answer came"


@dataclass(frozen=True)
class Unit:
    index: int = 0


def request(attempt):
    return Request(0, attempt, "How many?", "count", PromptStyle.cast, (), (), None, 1, attempt=attempt)


def read(answer):
    number = int(answer.text)
    return Why.odd if number % 2 else number


def persisted(*said, attempts=3):
    replies = iter(said)

    async def ask(_):
        reply = next(replies)
        if isinstance(reply, Exception):
            raise reply
        return Answer(reply, FinishReason.stop)

    return asyncio.run(persist(Unit(), ask, request, read, attempts, Why))


def test_it_asks_until_an_answer_can_be_read():
    outcome = persisted("1", "3", "4")
    assert outcome == Outcome(Unit(), 4, request(2), Counter({Why.odd: 2}))


def test_after_the_last_attempt_the_reason_is_the_result():
    assert persisted("1", "3", attempts=2) == Outcome(Unit(), Why.odd, request(1), Counter({Why.odd: 2}))


@pytest.mark.parametrize(("refused", "why"), [(True, Why.refused), (False, Why.unanswered)])
def test_what_got_no_answer_is_told_from_what_could_not_be_read(refused, why):
    outcome = persisted("1", UnansweredError(refused))
    assert (outcome.result, outcome.rejected) == (why, Counter({Why.odd: 1}))


def test_a_tally_gives_up_where_nothing_at_the_start_can_be_read():
    bad = Outcome(Unit(), Why.odd, rejected=Counter({Why.odd: 3}))
    tally = Tally[Why]("numbers", 3)
    tally.count(bad)
    tally.count(bad)
    with pytest.raises(HopelessError, match=r"first 3 numbers have no answer.*odd 3 \(the number is odd\)"):
        tally.count(bad)
    assert tally.rejected == {Why.odd: 9}


def test_a_tally_with_one_result_goes_on():
    tally = Tally[Why]("numbers", 2)
    for result in (0, Why.odd, Why.unanswered, Why.odd):
        tally.count(Outcome(Unit(), result))
    assert (tally.taken, tally.used) == (4, 1)
    assert tally.reasons == "odd 2 (the number is odd); unanswered 1 (no answer came)"


def test_the_digest_of_templates_depends_on_all_of_them(tmp_path):
    (tmp_path / "a.j2").write_text("a")
    (tmp_path / "b.j2").write_text("b")
    (tmp_path / "notes.txt").write_text("")
    before = templates_sha256(tmp_path)
    (tmp_path / "notes.txt").write_text("more")
    assert templates_sha256(tmp_path) == before
    (tmp_path / "b.j2").write_text("c")
    assert templates_sha256(tmp_path) != before
