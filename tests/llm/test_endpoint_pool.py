import asyncio
import re
import time
from collections import Counter
from dataclasses import replace

import pytest

from ercsatz.config import PromptStyle
from ercsatz.errors import UserError
from ercsatz.generators.interface import (
    Answer,
    BusyError,
    FailedError,
    FinishReason,
    Identity,
    RefusedError,
    Request,
    ServerError,
    TimedOutError,
    UnreachableError,
)
from ercsatz.llm import endpoint_pool as window_module
from ercsatz.llm import lane as lane_module
from ercsatz.llm.endpoint_pool import StoppedError, UnansweredError, Window
from ercsatz.llm.lane import Lane
from ercsatz.llm.progress import ProgressState


def request(index: int) -> Request:
    return Request(
        index=index,
        seed=index,
        prompt="Write.",
        mode="natural",
        style=PromptStyle.cast,
        speakers=("Maya", "Leo"),
        labels=("neutral", "joy"),
        target=None,
        n_turns=5,
    )


class Scripted:
    """A server that answers after ``seconds``, unless ``trouble(self, request)`` raises."""

    def __init__(self, name="a", seconds=0.002, slots=10**6, trouble=lambda server, request: None, model="m"):
        self.name, self.seconds, self.slots, self.trouble, self.model = name, seconds, slots, trouble, model
        self.running = self.most = 0
        self.well = True
        self.answered: Counter[int] = Counter()

    async def identify(self):
        return Identity(self.model)

    async def healthy(self):
        return self.well

    async def close(self):
        pass

    async def answer(self, request):
        if not self.well:
            raise UnreachableError("connection refused")
        if self.running >= self.slots:
            raise BusyError("Model is overloaded")
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await asyncio.sleep(self.seconds)
            self.trouble(self, request)
        finally:
            self.running -= 1
        self.answered[request.index] += 1
        return Answer(f"{self.name} {request.index}", FinishReason.stop)


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    monkeypatch.setattr(window_module, "FIRST_PAUSE", 0.002)
    monkeypatch.setattr(window_module, "LONGEST_PAUSE", 0.02)


def make(*servers, size=8, tries=10, patience=60.0, failed=lambda *_: None):
    state = ProgressState(goal=1, goal_of="dialogues", labels=("neutral", "joy"))
    lanes = [Lane(server, size) for server in servers]
    return Window(lanes, tries, patience, failed, state), state


def ask_all(window, n, workers=64):
    """What became of ``n`` requests, asked by many workers at a time."""

    async def main():
        waiting = iter(range(n))
        became = {}

        async def work():
            for index in waiting:
                try:
                    became[index] = (await window.ask(request(index)))[0].text
                except (StoppedError, UnansweredError) as error:
                    became[index] = error

        await asyncio.gather(*(work() for _ in range(workers)))
        await window.close()
        return became

    return asyncio.run(asyncio.wait_for(main(), 60))


def test_bound_is_filled_and_never_exceeded():
    server = Scripted()
    window, _ = make(server, size=8)
    assert len(ask_all(window, 100)) == 100
    assert server.most == 8
    assert set(server.answered.values()) == {1}


def test_429_shrinks_the_bound_costs_no_tries_and_loses_nothing():
    server = Scripted(slots=5)
    window, state = make(server, size=40, tries=1)
    became = ask_all(window, 300)
    assert all(isinstance(text, str) for text in became.values())
    assert set(server.answered.values()) == {1}
    assert window.bound < 12
    assert state.retries["busy"] < 300


def test_bound_grows_back_after_time_outs():
    times = iter([True] * 8)

    def slow_at_first(server, request):
        if next(times, False):
            raise TimedOutError("timed out")

    window, state = make(Scripted(trouble=slow_at_first), size=8)
    became = ask_all(window, 8)
    assert window.lanes[0].bound < 7.5
    ask_all(window, 200)
    assert window.lanes[0].bound > 7.5
    assert len(became) == 8
    assert state.retries == {"timed out": 8}


def test_requests_that_time_out_together_shrink_it_once():
    times = iter([True] * 8)

    def all_at_once(server, request):
        if next(times, False):
            raise TimedOutError("timed out")

    window, _ = make(Scripted(trouble=all_at_once), size=8)
    ask_all(window, 8)
    assert window.lanes[0].bound > 8 * 0.75


def test_retry_after_holds_the_whole_server_back(monkeypatch):
    first = iter([True])

    def busy_once(server, request):
        if next(first, False):
            raise BusyError("later", retry_after=0.3)

    window, _ = make(Scripted(trouble=busy_once), size=1)

    async def main():
        loop = asyncio.get_running_loop()
        began = loop.time()
        await asyncio.gather(*(window.ask(request(n)) for n in range(3)))
        await window.close()
        return loop.time() - began

    assert asyncio.run(main()) >= 0.29


def test_failures_are_tried_again_and_told(monkeypatch):
    told = []

    def fails_twice(server, request):
        if told.count(request.index) < 2:
            raise FailedError("HTTP 502: Bad Gateway")

    window, state = make(
        Scripted(trouble=fails_twice), failed=lambda request, kind, words, server: told.append(request.index)
    )
    became = ask_all(window, 30)
    assert all(isinstance(text, str) for text in became.values())
    assert state.retries == {"failed": 60}


def test_a_request_that_always_fails_is_given_up_alone():
    def never_seven(server, request):
        if request.index == 7:
            raise FailedError("HTTP 500")

    window, _ = make(Scripted(trouble=never_seven), tries=3)
    became = ask_all(window, 20)
    assert isinstance(became.pop(7), UnansweredError)
    assert all(isinstance(text, str) for text in became.values())


def test_one_refused_request_does_not_stop_the_run():
    def never_seven(server, request):
        if request.index == 7:
            raise RefusedError(422, "inputs too long")

    window, _ = make(Scripted(trouble=never_seven), tries=3)
    became = ask_all(window, 20)
    assert became.pop(7).refused
    assert all(isinstance(text, str) for text in became.values())
    assert window.error is None


@pytest.mark.parametrize("status", [401, 422])
def test_a_server_that_refuses_everything_stops_the_run_with_its_words(status):
    def refuse(server, request):
        raise RefusedError(status, "`top_p` must be > 0.0 and < 1.0")

    server = Scripted(trouble=refuse)
    window, state = make(server, size=4)
    became = ask_all(window, 1000)
    assert all(isinstance(error, StoppedError | UnansweredError) for error in became.values())
    assert "`top_p` must be" in str(window.error)
    assert state.retries["refused"] < 30


def test_server_that_dies_is_waited_for():
    server = Scripted()

    def dies_at_twenty(server, request):
        if sum(server.answered.values()) == 20 and server.well:
            server.well = False
            asyncio.get_running_loop().call_later(0.7, setattr, server, "well", True)
            raise FailedError("connection reset")

    server.trouble = dies_at_twenty
    window, state = make(server, tries=4)
    became = ask_all(window, 60)
    assert all(isinstance(text, str) for text in became.values())
    assert set(server.answered.values()) == {1}
    assert state.retries["unreachable"] >= 1


def test_dead_server_is_set_aside_and_the_others_do_its_work():
    dead, well = Scripted("dead"), Scripted("well")
    dead.well = False
    window, state = make(dead, well, size=4)
    became = ask_all(window, 50)
    assert set(became.values()) == {f"well {n}" for n in range(50)}
    assert state.down == ("dead",)


def test_servers_share_the_load():
    servers = [Scripted(name) for name in "abc"]
    window, _ = make(*servers, size=4)
    ask_all(window, 300)
    assert min(sum(server.answered.values()) for server in servers) > 60


def test_all_servers_down_for_too_long_stops_the_run():
    server = Scripted()
    server.well = False
    window, _ = make(server, patience=0.2)
    became = ask_all(window, 5)
    assert all(isinstance(error, StoppedError) for error in became.values())
    assert "down for 0.2 s" in str(window.error)


def test_server_that_comes_back_with_another_model_stops_the_run():
    server = Scripted()

    def swapped(server, request):
        server.well, server.model = False, "another"
        asyncio.get_running_loop().call_later(0.1, setattr, server, "well", True)
        raise FailedError("connection reset")

    server.trouble = swapped
    window, _ = make(server)
    window.model = "m"
    ask_all(window, 5)
    assert "another model: another, before it was m" in str(window.error)


def test_stopping_waits_for_what_is_in_flight_and_sends_nothing_more():
    server = Scripted(seconds=0.1)
    window, _ = make(server, size=4)

    async def main():
        tasks = [asyncio.create_task(window.ask(request(n))) for n in range(20)]
        await asyncio.sleep(0.05)
        window.stop()
        became = await asyncio.gather(*tasks, return_exceptions=True)
        await window.close()
        return became

    became = asyncio.run(main())
    assert sum(isinstance(one, StoppedError) for one in became) == 16
    assert sum(isinstance(one, tuple) for one in became) == 4
    assert server.running == 0


def test_error_of_the_first_stop_is_kept():
    window, _ = make(Scripted())
    window.stop(UserError("first"))
    window.stop(UserError("second"))
    assert str(window.error) == "first"


def test_hung_server_is_set_aside_and_its_requests_go_to_another():
    hung, well = Scripted("hung"), Scripted("well")

    def never(server, request):
        raise TimedOutError("No answer within 1 s.")

    hung.trouble = never
    window, state = make(hung, well, size=4, tries=2)

    async def unwell():
        return False

    hung.healthy = unwell
    became = ask_all(window, 40)
    assert set(became.values()) == {f"well {n}" for n in range(40)}
    assert state.down == ("hung",)
    assert state.retries["timed out"] <= 8


def test_patience_counts_the_time_in_which_no_server_is_up():
    dead, other = Scripted("dead"), Scripted("other", seconds=0.02)
    dead.well = False
    window, _ = make(dead, other, size=2, patience=1.2)

    async def main():
        first = [asyncio.create_task(window.ask(request(n))) for n in range(60)]
        await asyncio.sleep(1.5)
        other.well = False
        asyncio.get_running_loop().call_later(0.3, setattr, other, "well", True)
        more = [asyncio.create_task(window.ask(request(n))) for n in range(60, 70)]
        became = await asyncio.gather(*first, *more, return_exceptions=True)
        await window.close()
        return became

    assert all(isinstance(one, tuple) for one in asyncio.run(asyncio.wait_for(main(), 60)))
    assert window.error is None


def test_server_that_is_well_but_does_not_say_who_it_is_is_asked_now_and_then_and_not_for_ever():
    server = Scripted()
    asked = []

    def once(server, request):
        server.well = False
        asyncio.get_running_loop().call_later(0.1, setattr, server, "well", True)
        raise FailedError("connection reset")

    async def silent():
        asked.append(1)
        raise FailedError("HTTP 502")

    server.trouble, server.identify = once, silent
    window, _ = make(server, patience=1.0)
    ask_all(window, 5)
    assert "down for 1 s" in str(window.error)
    assert len(asked) < 6


def test_refused_request_is_given_up_after_a_few_tries():
    def refuse(server, request):
        raise RefusedError(413, "length limit exceeded")

    window, state = make(Scripted(trouble=refuse), tries=10)
    became = ask_all(window, 1)
    assert became[0].refused
    assert state.retries["refused"] == window_module.REFUSED_TRIES


def test_time_is_told_apart():
    first = iter([True, True])

    def fails_at_first(server, request):
        if next(first, False):
            raise FailedError("HTTP 500")

    window, state = make(Scripted(trouble=fails_at_first, seconds=0.01), size=1)
    ask_all(window, 5, workers=1)
    spent = state.waits.seconds()
    assert spent["full"] > 0.04
    assert spent["backing_off"] > 0.001


def test_no_server_holds_a_run_back_for_days(monkeypatch):
    first = iter([True])

    def busy_once(server, request):
        if next(first, False):
            raise BusyError("later", retry_after=86400.0)

    monkeypatch.setattr(window_module, "LONGEST_HOLD", 0.05)
    window, _ = make(Scripted(trouble=busy_once))
    assert len(ask_all(window, 3)) == 3


def test_server_that_comes_back_says_how_many_it_takes():
    server = Scripted()

    def once(server, request):
        if not server.answered:
            server.trouble = lambda *_: None
            server.well = False
            asyncio.get_running_loop().call_later(0.1, setattr, server, "well", True)
            raise FailedError("connection reset")

    async def smaller():
        return Identity("m", limit=2)

    server.trouble, server.identify = once, smaller
    window, _ = make(server, size=8)
    ask_all(window, 60)
    assert window.lanes[0].cap == 2


def busy_for_ever(retry_after=None, words="Model is overloaded"):
    def trouble(server, request):
        raise BusyError(words, retry_after)

    return trouble


@pytest.mark.parametrize("retry_after", [None, 1e9, float("inf"), float("nan"), -5.0, 0.01])
@pytest.mark.parametrize("workers", [1, 64])
def test_a_server_that_is_busy_for_ever_ends_the_run_after_patience(retry_after, workers):
    window, _ = make(Scripted(trouble=busy_for_ever(retry_after)), patience=0.3)
    began = time.monotonic()
    became = ask_all(window, 100, workers)
    assert time.monotonic() - began < 5
    assert {type(each) for each in became.values()} == {StoppedError}
    assert re.fullmatch(r"a has taken no request for 0\.3 s \(generator\.patience\)\. It says: .*", str(window.error))


def test_a_busy_server_is_told_of_while_it_is_waited_for():
    times, notes = iter([True] * 5), []

    def at_first(server, request):
        notes.append(state.note)
        if next(times, False):
            raise BusyError("Model is overloaded", 0.02)

    window, state = make(Scripted(trouble=at_first), size=1)
    ask_all(window, 3)
    assert notes[1] == "a is busy and is asked again in 0 s; it says: Model is overloaded"
    assert state.note == ""


def test_a_server_that_is_busy_beside_slow_answers_is_not_given_up():
    server = Scripted(seconds=0.4, slots=1)
    window, _ = make(server, size=4, patience=0.1)
    became = ask_all(window, 4)
    assert window.error is None
    assert all(isinstance(text, str) for text in became.values())


@pytest.mark.parametrize("status", [301, 308])
def test_a_server_that_sends_requests_elsewhere_ends_the_run_at_once(status):
    def away(server, request):
        raise RefusedError(status, "it sends requests on to http://b")

    window, state = make(Scripted(trouble=away), size=1)
    ask_all(window, 10, workers=1)
    assert re.search(rf"HTTP {status}: it sends requests on to http://b", str(window.error))
    assert state.retries == {"refused": 1}


def test_an_error_of_a_kind_of_its_own_is_a_failure():
    class OwnError(FailedError):
        pass

    times = iter([OwnError("broken"), ServerError("no words")])

    def own(server, request):
        if error := next(times, None):
            raise error

    window, state = make(Scripted(trouble=own))
    ask_all(window, 3)
    assert state.retries == {"failed": 2}


def test_a_server_that_falls_silent_is_left_out_and_tried_again(monkeypatch, caplog):
    monkeypatch.setattr(lane_module, "LEAST_SILENCE", 0.1)

    class Stuck(Scripted):
        stuck = False

        async def answer(self, request):
            while self.stuck:
                await asyncio.sleep(0.01)
            return await super().answer(request)

    steady, stuck = Scripted("steady"), Stuck("stuck")
    window, _ = make(steady, stuck, size=8)

    async def main():
        waiting = iter(range(3000))

        async def work():
            for index in waiting:
                if index == 200:
                    stuck.stuck = True
                await window.ask(request(index))
                if index == 2000:
                    assert window.lanes[1].bound == 1
                    assert window.lanes[1].in_flight == 8
                    stuck.stuck = False

        await asyncio.gather(*(work() for _ in range(32)))
        await window.close()

    asyncio.run(asyncio.wait_for(main(), 60))
    assert "stuck has fallen silent" in caplog.text
    assert window.lanes[1].bound > 4
    assert steady.answered.total() + stuck.answered.total() == 3000
    assert max((steady.answered + stuck.answered).values()) == 1


def test_where_there_is_room_the_quicker_server_gets_more():
    quick, slow = Scripted("quick", seconds=0.002), Scripted("slow", seconds=0.2)
    window, _ = make(quick, slow, size=16)
    ask_all(window, 300, workers=16)
    assert quick.answered.total() > 3 * slow.answered.total()


def test_towards_the_end_a_slow_server_gets_nothing_that_it_would_be_late_with():
    quick, slow = Scripted("quick", seconds=0.002), Scripted("slow", seconds=1.0)
    window, _ = make(quick, slow, size=4)
    for lane, seconds in zip(window.lanes, (0.002, 1.0), strict=True):
        lane.seconds = seconds
    window.left = 0
    ask_all(window, 60, workers=60)
    assert slow.answered.total() == 0
    window.left = 10**6
    ask_all(window, 60, workers=60)
    assert slow.answered.total() >= 4


def test_a_quick_server_that_falls_silent_at_the_end_does_not_hold_back_the_others(monkeypatch):
    monkeypatch.setattr(lane_module, "LEAST_SILENCE", 0.1)
    monkeypatch.setattr(window_module, "LEAST_SILENCE", 0.1)
    quick, slow = Scripted("quick", seconds=3.0), Scripted("slow", seconds=0.05)
    window, _ = make(quick, slow, size=2)
    for lane, seconds in zip(window.lanes, (0.002, 0.05), strict=True):
        lane.seconds = seconds
    window.left = 0
    ask_all(window, 10, workers=10)
    assert slow.answered.total() == 8


def test_the_short_answers_of_a_probe_say_nothing_about_speed():
    window, _ = make(Scripted())

    async def main():
        await window.ask(replace(request(0), max_new_tokens=64))
        assert window.lanes[0].seconds == 0
        await window.ask(request(1))
        assert window.lanes[0].seconds > 0
        await window.close()

    asyncio.run(asyncio.wait_for(main(), 60))
