import asyncio

import pytest

from ercsatz.config import PromptStyle
from ercsatz.errors import UserError
from ercsatz.generation.guided import line_grammar
from ercsatz.generators.interface import Answer, FinishReason, Identity, Request, UnreachableError
from ercsatz.llm.endpoint_pool import Window
from ercsatz.llm.lane import Lane
from ercsatz.llm.probe import check_grammar, identify, keeps_seed
from ercsatz.llm.progress import ProgressState

REQUEST = Request(0, 5, "Write.", "natural", PromptStyle.cast, ("Maya", "Leo"), ("neutral", "joy"), None, 5)


class Fixed:
    """A server whose answer is a function of request and call number."""

    def __init__(self, answer=lambda request, n: f"text {request.seed}", name="a", identity=Identity("m")):  # noqa: B008
        self.name, self._answer, self._identity, self.asked = name, answer, identity, 0

    async def identify(self):
        if self._identity is None:
            raise UnreachableError("connection refused")
        return self._identity

    async def healthy(self):
        return self._identity is not None

    async def close(self):
        pass

    async def answer(self, request):
        self.asked += 1
        result = self._answer(request, self.asked)
        return result if isinstance(result, Answer) else Answer(result, FinishReason.stop)


def window_of(*servers, size=8):
    return Window(
        [Lane(server, size) for server in servers], 3, 1.0, lambda *_: None, ProgressState(1, "dialogues", ("joy",))
    )


def seed_kept(server):
    window = window_of(server)
    return asyncio.run(keeps_seed(window, REQUEST, window.lanes[0]))


def test_seed_that_decides_the_text_is_kept():
    assert seed_kept(Fixed()) is True


def test_seed_that_does_not_decide_the_text_is_not_kept():
    assert seed_kept(Fixed(lambda request, n: f"text {n}")) is False


def test_server_that_does_not_sample_is_refused():
    with pytest.raises(UserError, match="does not sample"):
        seed_kept(Fixed(lambda request, n: "always the same"))


def test_each_server_is_probed_by_itself():
    servers = [Fixed(name="a"), Fixed(name="b")]
    window = window_of(*servers)
    asyncio.run(keeps_seed(window, REQUEST, window.lanes[1]))
    assert [server.asked for server in servers] == [0, 5]


LINE = "Alex: Well then. (2)"


@pytest.mark.parametrize(
    "answer",
    [
        Answer(f"{LINE}\n{LINE}", FinishReason.stop),
        Answer(f"{LINE}\nBlair: And th", FinishReason.length),
    ],
)
def test_answer_that_keeps_to_the_grammar_passes(answer):
    window = window_of(Fixed(lambda *_: answer))
    asyncio.run(check_grammar(window, REQUEST, window.lanes[0], line_grammar(2)))


@pytest.mark.parametrize(
    "answer",
    [
        Answer("Sure! Here it is:", FinishReason.stop),
        Answer(f"Sure! Here it is:\n{LINE}\nBlair: And th", FinishReason.length),
        Answer("Maya: Hi. (1)", FinishReason.stop),
        Answer("", FinishReason.stop),
        Answer("Once upon a time", FinishReason.length),
    ],
)
def test_server_that_ignores_the_grammar_is_refused(answer):
    window = window_of(Fixed(lambda *_: answer))
    with pytest.raises(UserError, match="ignores the grammar"):
        asyncio.run(check_grammar(window, REQUEST, window.lanes[0], line_grammar(2)))


def test_servers_limit_the_window_and_silent_ones_are_set_aside():
    servers = [Fixed(name="a", identity=Identity("m", limit=3)), Fixed(name="b", identity=None)]
    window = window_of(*servers)
    model, details = asyncio.run(identify(window.lanes))
    assert model == "m"
    assert [lane.cap for lane in window.lanes] == [3, 8]
    assert [lane.up for lane in window.lanes] == [True, False]
    assert set(details) == {"a"}


def test_servers_of_different_models_are_refused():
    servers = [Fixed(name="a"), Fixed(name="b", identity=Identity("other"))]
    with pytest.raises(UserError, match=r"different models[\s\S]*a: m[\s\S]*b: other"):
        asyncio.run(identify(window_of(*servers).lanes))


def test_no_server_at_all_is_told_with_its_words():
    with pytest.raises(UserError, match=r"connection refused[\s\S]*generator\.url"):
        asyncio.run(identify(window_of(Fixed(identity=None)).lanes))
