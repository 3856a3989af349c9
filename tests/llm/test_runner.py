import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from io import StringIO
from itertools import count, islice

import pytest
from rich.console import Console

from ercsatz.config import Profile, PromptStyle
from ercsatz.errors import UserError
from ercsatz.generators.interface import Answer, FailedError, FinishReason, Generator, Identity, Request
from ercsatz.llm.journal import Journal
from ercsatz.llm.progress import Progress, ProgressState
from ercsatz.llm.runner import Runner

PROFILE = Profile(frozenset({"seed"}), "other", "Nobody's.")


@dataclass(frozen=True)
class Unit:
    index: int


class Server:
    """Doubles the number it is asked about."""

    name = "http://a:1"

    def __init__(self, before_answer=lambda number: None, model="m"):
        self.asked, self.closed, self._before, self._model = [], False, before_answer, model

    async def identify(self):
        return Identity(self._model)

    async def healthy(self):
        return True

    async def close(self):
        self.closed = True

    async def answer(self, request):
        self.asked.append(request.index)
        self._before(request.index)
        await asyncio.sleep(0.001)
        return Answer(str(2 * request.index), FinishReason.stop)


async def write(unit, ask):
    request = Request(unit.index, unit.index, "Double it.", "count", PromptStyle.cast, (), (), None, 1)
    return int((await ask(request)).text)


class Run:
    """A run with a journal in a folder; what was taken is in ``taken``, what came of it in ``ended``."""

    def __init__(self, folder, server, window=2):
        self.server, self.taken, self.ended = server, [], ""
        self._file, self._generator = (
            folder / "journal.sqlite",
            Generator("a", PROFILE, {}, (server,), window=window, tries=9),
        )

    @contextmanager
    def begin(self, model: str) -> Iterator:
        def take(number):
            self.taken.append(number)
            return self.enough is not None and len(self.taken) >= self.enough

        try:
            yield take
        except BaseException as error:
            self.ended = type(error).__name__
            raise
        self.ended = f"written, from {model}"

    def __call__(self, n=None, enough=None, probe=None):
        self.enough = enough
        state = ProgressState(None, "", ("joy",))
        units = (Unit(index) for index in (count() if n is None else range(n)))
        with closing(Journal(self._file)) as journal:
            journal.begin({}, overwrite=False)
            display = Progress(Console(file=StringIO()), state)
            runner = Runner(self._generator, journal, False, state, display, probe)
            return runner.run(write, units, n, self.begin)


def test_outcomes_come_in_the_plans_order_and_a_second_run_asks_nothing(tmp_path):
    first = Run(tmp_path, Server(), window=3)
    assert first(n=20) is False
    assert first.taken == list(islice(count(step=2), 20))
    assert (first.ended, first.server.closed) == ("written, from m", True)
    second = Run(tmp_path, Server())
    second(n=20)
    assert (second.taken, second.server.asked) == (first.taken, [])


def test_an_endless_plan_ends_where_it_is_enough(tmp_path):
    run = Run(tmp_path, Server())
    assert run(enough=7) is False
    assert run.taken == [0, 2, 4, 6, 8, 10, 12]
    assert run.ended == "written, from m"
    assert len(run.server.asked) < 20


def interrupt(at):
    def before(number):
        if number == at:
            os.kill(os.getpid(), signal.SIGINT)

    return before


def test_a_run_that_is_stopped_goes_on_where_it_was(tmp_path):
    stopped = Run(tmp_path, Server(interrupt(at=5)))
    with pytest.raises(KeyboardInterrupt, match="answers are in the journal; the same command goes on from there"):
        stopped(n=30)
    assert stopped.ended == "KeyboardInterrupt"
    assert stopped.server.closed
    again = Run(tmp_path, Server())
    again(n=30)
    assert again.taken == list(range(0, 60, 2))
    assert sorted(stopped.server.asked + again.server.asked) == list(range(30))


@pytest.mark.parametrize("plan", [{"n": 6}, {"enough": 6}])
def test_a_run_that_is_stopped_when_all_is_there_writes_it_and_says_so(tmp_path, plan):
    run = Run(tmp_path, Server(interrupt(at=5)), window=1)
    assert run(**plan) is True
    assert run.taken == [0, 2, 4, 6, 8, 10]
    assert run.ended == "written, from m"


def test_another_model_does_not_go_on_with_the_journal(tmp_path):
    Run(tmp_path, Server())(n=3)
    other = Run(tmp_path, Server(model="other"))
    with pytest.raises(UserError, match="come from m, but the server has other"):
        other(n=4)
    assert other.server.asked == []


def test_servers_are_probed_once_and_only_if_something_is_asked(tmp_path):
    probed = []

    async def probe(window):
        probed.append(window.model)

    Run(tmp_path, Server())(n=5, probe=probe)
    Run(tmp_path, Server())(n=5, probe=probe)
    assert probed == ["m"]


def test_a_server_that_is_gone_for_good_ends_the_run_and_keeps_the_answers(tmp_path):
    def gone(number):
        if number >= 2:
            run.server.healthy = unwell
            raise FailedError("out of order")

    async def unwell():
        return False

    run = Run(tmp_path, Server(gone), window=1)
    with pytest.raises(UserError, match=r"has been down.*\n2 answers are in the journal"):
        run(n=4)
    assert run.ended == "UserError"
