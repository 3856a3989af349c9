import asyncio
import importlib.util
import json
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from ercsatz.config import PromptStyle
from ercsatz.errors import UserError
from ercsatz.generators.chat import ChatTemplate
from ercsatz.generators.interface import (
    Answer,
    BusyError,
    FailedError,
    FinishReason,
    Generator,
    RefusedError,
    Request,
    Server,
    Step,
    TimedOutError,
    UnreachableError,
)
from ercsatz.generators.language_model import OnUnsupported, SamplingConfig
from ercsatz.generators.openai import OpenAIConfig
from ercsatz.generators.openai_flavours import Flavour

SEED = 2**62 + 2**31 + 5  # its lowest 31 bits are 5
TABLE_2 = SamplingConfig(
    temperature=0.7, top_p=1.0, top_k=10000, repetition_penalty=1.0, typical_p=0.995, max_new_tokens=1024
)
CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"


@pytest.fixture(scope="session")
def stand_in():
    path = Path(__file__).resolve().parents[1] / "servers" / "openai.py"
    specification = importlib.util.spec_from_file_location("openai_stand_in", path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def settings(url="http://127.0.0.1:9", flavour="vllm", **changes) -> OpenAIConfig:
    fields = {
        "name": "openai",
        "window": 8,
        "sampling": TABLE_2,
        "on_unsupported": OnUnsupported.record,
        "chat_template": ChatTemplate.model,
        "url": url,
        "timeout": 10.0,
        "tries": 3,
        "patience": 1.0,
        "flavour": Flavour(flavour),
    }
    return OpenAIConfig(**{**fields, **changes})


def request(seed=SEED, prompt="Write a dialogue.", **changes) -> Request:
    fields = {"index": 0, "mode": "natural", "style": PromptStyle.cast, "speakers": ("A", "B"), "labels": ("joy",)}
    return Request(**{**fields, "seed": seed, "prompt": prompt, "target": None, "n_turns": 5, **changes})


def run(server, use: Callable[[Generator, Server], Awaitable], grammar=None, **changes):
    """What ``use`` finds out with a generator for the server."""

    async def main():
        async with server:
            generator = settings(server.url, server.flavour, **changes).build(grammar)
            try:
                return await use(generator, generator.servers[0])
            finally:
                await generator.servers[0].close()

    return asyncio.run(main())


def ask(server, what=None, **changes) -> Answer:
    return run(server, lambda _, one: one.answer(what or request()), **changes)


def sent(server) -> dict:
    return server.received[-1][2]


EXACT = {
    "openai": {"temperature": 0.7, "max_tokens": 1024, "seed": 5},
    "vllm": {
        "temperature": 0.7,
        "top_p": 1.0,
        "top_k": 10000,
        "repetition_penalty": 1.0,
        "min_p": 0.0,
        "max_tokens": 1024,
        "seed": SEED,
    },
    "webui": {
        "temperature": 0.7,
        "top_p": 1.0,
        "top_k": 10000,
        "repetition_penalty": 1.0,
        "typical_p": 0.995,
        "min_p": 0.0,
        "max_tokens": 1024,
        "seed": 5,
    },
    "llamacpp": {
        "temperature": 0.7,
        "top_p": 1.0,
        "top_k": 10000,
        "repeat_penalty": 1.0,
        "min_p": 0.0,
        "max_tokens": 1024,
        "seed": 5,
    },
}


@pytest.mark.parametrize("flavour", EXACT)
def test_table_2_goes_out_as_each_flavour_takes_it(stand_in, flavour):
    server = stand_in.OpenAIServer(flavour)
    ask(server)
    path, headers, body = server.received[-1]
    message = [{"role": "user", "content": "Write a dialogue."}]
    assert path == CHAT
    assert body == {"model": "stand-in", "messages": message, **EXACT[flavour]}
    assert headers["Authorization"] == "Bearer none"


def test_transformers_serve_gets_table_2_as_one_string(stand_in):
    server = stand_in.OpenAIServer("transformers")
    ask(server)
    body = sent(server)
    generation_config = json.loads(body.pop("generation_config"))
    assert body == {"messages": [{"role": "user", "content": "Write a dialogue."}], "seed": SEED}
    assert generation_config == {
        "do_sample": True,
        "temperature": 0.7,
        "top_p": 1.0,
        "top_k": 10000,
        "repetition_penalty": 1.0,
        "typical_p": 0.995,
        "min_p": 0.0,
        "max_new_tokens": 1024,
    }


@pytest.mark.parametrize("flavour", Flavour)
def test_what_is_sent_and_dropped_is_on_record(flavour):
    generator = settings(flavour=flavour).build()
    dropped = {"openai": {"top_k": 10000, "typical_p": 0.995}, "vllm": {"typical_p": 0.995}}
    dropped["llamacpp"] = dropped["vllm"]
    assert generator.dropped == dropped.get(flavour.value, {})
    assert not generator.dropped.keys() & generator.sent.keys()
    assert generator.sent["temperature"] == 0.7
    json.dumps(generator.settings)
    assert generator.settings["sampling"] == generator.sent
    assert generator.settings["dropped"] == generator.dropped
    assert "http" not in json.dumps(generator.settings)


@pytest.mark.parametrize(
    ("flavour", "name"), [("openai", "top_k"), ("vllm", "typical_p"), ("llamacpp", "typical_p"), ("webui", None)]
)
def test_what_a_flavour_does_not_honour_is_refused(flavour, name):
    config = settings(flavour=flavour, on_unsupported=OnUnsupported.error)
    if name is None:
        assert config.build().dropped == {}
        return
    with pytest.raises(UserError, match=rf"flavour={flavour} does not honour generator.sampling.{name}="):
        config.build()


def test_prompts_for_completion_are_wrapped_here(stand_in):
    server = stand_in.OpenAIServer()
    ask(server, chat_template=ChatTemplate.raw)
    assert server.received[-1][0] == COMPLETIONS
    assert sent(server)["prompt"] == "Write a dialogue."
    ask(server, chat_template=ChatTemplate.vicuna)
    assert server.received[-1][0] == COMPLETIONS
    assert sent(server)["prompt"].endswith("USER: Write a dialogue. ASSISTANT:")


def test_an_answer_has_text_reason_and_counts(stand_in):
    server = stand_in.OpenAIServer(answer=lambda prompt, body: "a b c")
    assert ask(server) == Answer("a b c", FinishReason.stop, 3, 3)
    assert ask(server, request(max_new_tokens=2)) == Answer("a b", FinishReason.length, 3, 2)
    raw = ask(server, request(max_new_tokens=2), chat_template=ChatTemplate.raw)
    assert raw == Answer("a b", FinishReason.length, 3, 2)


def test_a_probe_s_limit_reaches_transformers_serve(stand_in):
    server = stand_in.OpenAIServer("transformers")
    assert ask(server, request(max_new_tokens=7)).new_tokens == 7


def test_reasoning_is_ignored_and_a_missing_text_is_empty(stand_in):
    server = stand_in.OpenAIServer()
    server.extra = {"message": {"role": "assistant", "content": None, "reasoning_content": "Hm."}}
    assert ask(server).text == ""


def test_equal_seeds_give_equal_texts(stand_in):
    async def use(_, one):
        return [(await one.answer(request(seed))).text for seed in (1, 1, 2)]

    first, again, other = run(stand_in.OpenAIServer(), use)
    assert first == again != other


def test_only_dialogues_are_guided(stand_in):
    async def use(_, one):
        for step in Step:
            await one.answer(request(step=step))

    server = stand_in.OpenAIServer("vllm")
    run(server, use, grammar="A+", guided=True)
    guided = [body.get("structured_outputs") for _, _, body in server.received]
    assert guided == [None, None, {"regex": "A+"}]


def test_a_grammar_is_part_of_the_settings():
    assert settings(guided=True).build("A+").settings["grammar"] == "A+"


@pytest.mark.parametrize("flavour", [flavour for flavour in Flavour if flavour is not Flavour.vllm])
def test_only_vllm_can_be_guided(flavour):
    with pytest.raises(UserError, match=r"generator\.guided=false"):
        settings(flavour=flavour, guided=True).build("A+")


def identify(server, **changes):
    return run(server, lambda _, one: one.identify(), **changes)


def test_the_only_model_is_taken(stand_in):
    server = stand_in.OpenAIServer("vllm", ["tiny"])
    identity = identify(server)
    assert identity.model == "tiny"
    assert identity.limit is None
    assert identity.details["root"] == "/models/tiny"
    assert identity.details["version"] == "0.32.0"


def test_of_several_models_one_is_chosen(stand_in):
    server = stand_in.OpenAIServer("llamacpp", ["one", "two"])
    with pytest.raises(UserError, match=r"serves one, two: choose one with generator\.model=NAME"):
        identify(server)
    assert identify(server, model="two").model == "two"
    ask(server, model="two")
    assert sent(server)["model"] == "two"


def test_a_model_that_is_not_served_is_an_error(stand_in):
    server = stand_in.OpenAIServer("openai", [f"m{number}" for number in range(30)])
    with pytest.raises(UserError, match=r"does not serve generator\.model=other, but m0, .*m19 and 10 more\."):
        identify(server, model="other")
    with pytest.raises(FailedError, match="no model loaded"):
        identify(stand_in.OpenAIServer("openai", []))


def test_webui_is_asked_for_the_model_that_is_loaded(stand_in):
    server = stand_in.OpenAIServer("webui", ["loaded", "on disk"])
    assert identify(server).model == "loaded"
    with pytest.raises(UserError, match=r"does not serve generator\.model=on disk, but loaded"):
        identify(server, model="on disk")
    with pytest.raises(FailedError, match="no model loaded"):
        identify(stand_in.OpenAIServer("webui", []))


def test_transformers_serve_names_its_model_in_answers(stand_in):
    server = stand_in.OpenAIServer("transformers", ["tiny"])
    assert identify(server).model == "tiny@main"
    assert "/v1/models" not in server.asked  # lists the hub's cache
    ask(server, model="tiny")
    assert sent(server)["model"] == "tiny"
    with pytest.raises(UserError, match=r"generator\.model=other.*pinned to 'tiny'"):
        identify(server, model="other")


def test_the_model_is_asked_for_once(stand_in):
    async def use(_, one):
        await asyncio.gather(*(one.answer(request(seed)) for seed in range(20)))

    server = stand_in.OpenAIServer()
    run(server, use)
    assert server.asked == ["/v1/models"]
    assert len(server.received) == 20


def test_a_list_of_models_that_is_none(stand_in):
    server = stand_in.OpenAIServer()
    for kind, words in {"200 page": "no JSON", "200 list": "no list", "200 error": "no list of models"}.items():
        server.next_faults.append(kind)
        with pytest.raises(FailedError, match=words):
            identify(server)


FAILURES = {
    "400": (RefusedError, "HTTP 400: maximum context length is 512 tokens"),
    "401": (RefusedError, "HTTP 401: Incorrect API key provided"),
    "413": (RefusedError, "HTTP 413: Request Entity Too Large"),
    "422": (RefusedError, "HTTP 422: .*Input should be a valid integer"),
    "429": (BusyError, "^Rate limit reached$"),
    "429 proxy": (BusyError, "^Too Many Requests$"),
    "429 quota": (RefusedError, "HTTP 429: You exceeded your quota"),
    "408": (FailedError, "HTTP 408: Request Timeout"),
    "409": (FailedError, "HTTP 409: Try again"),
    "424": (FailedError, "HTTP 424: Request failed during generation"),
    "500": (FailedError, "HTTP 500: Internal Server Error"),
    "502": (FailedError, "^HTTP 502: Bad Gateway$"),
    "503": (FailedError, "HTTP 503: CB worker is dead"),
    "200 page": (FailedError, "no JSON: <html>"),
    "200 cut": (FailedError, "no JSON"),
    "200 error": (FailedError, "upstream failed"),
    "200 list": (FailedError, "cannot be read"),
    "200 empty": (FailedError, "cannot be read"),
    "drop": (FailedError, "broke off"),
    "reset": (FailedError, "broke off"),
}


def test_every_failure_has_its_error(stand_in):
    server = stand_in.OpenAIServer()

    async def use(_, one):
        await one.identify()
        for kind, (error, words) in FAILURES.items():
            server.next_faults.append(kind)
            with pytest.raises(error, match=words) as raised:
                await one.answer(request())
            assert type(raised.value) is error
            assert len(str(raised.value)) < 400
            if error is RefusedError:
                assert raised.value.status == int(kind.split()[0])
            assert (await one.answer(request())).text  # the next one is as good as ever

    run(server, use)


@pytest.mark.parametrize("kind", ["abort", "error"])
def test_an_answer_that_the_server_broke_off_is_none(stand_in, kind):
    server = stand_in.OpenAIServer()
    server.extra = {"finish_reason": kind}
    with pytest.raises(FailedError, match=kind):
        ask(server)


def test_a_busy_server_says_for_how_long(stand_in):
    server = stand_in.OpenAIServer()
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=900), usegmt=True)

    async def use(_, one):
        await one.identify()
        found = {}
        for header in ("7", "0.25", "Wed, 21 Oct 2015 07:28:00 GMT", "shortly", "-5", "inf", soon):
            server.next_faults.append("429")
            server.headers = {"Retry-After": header}
            with pytest.raises(BusyError) as raised:
                await one.answer(request())
            found[header] = raised.value.retry_after
        return found

    found = run(server, use)
    assert 600 < found.pop(soon) <= 900
    assert list(found.values()) == [7, 0.25, 0, None, None, None]


def test_refusals_have_the_server_s_own_words(stand_in):
    async def use(_, one):
        one._sent["top_p"] = 2.0  # no configuration gets that far
        await one.answer(request())

    with pytest.raises(RefusedError, match=r"HTTP 400: top_p must be in \(0, 1\], got 2"):
        run(stand_in.OpenAIServer(), use)


def test_a_model_that_is_unloaded_is_refused(stand_in):
    server = stand_in.OpenAIServer("vllm", ["tiny"])

    async def use(_, one):
        await one.identify()
        server.models = ["other"]
        with pytest.raises(RefusedError, match="`tiny` does not exist") as raised:
            await one.answer(request())
        return raised.value.status

    assert run(server, use) == 404


@pytest.mark.parametrize("kind", ["late", "trickle"])
def test_an_answer_has_to_come_in_time(stand_in, kind):
    server = stand_in.OpenAIServer()

    async def use(_, one):
        await one.identify()
        if kind == "late":
            server.latency = 5.0
        else:
            server.next_faults.append(kind)
        with pytest.raises(TimedOutError, match=r"within 0\.3 s"):
            await one.answer(request())

    run(server, use, timeout=0.3)


def test_a_server_that_is_not_there_is_unreachable():
    async def main():
        generator = settings("http://127.0.0.1:9/v1", model="tiny").build()
        (one,) = generator.servers
        with pytest.raises(UnreachableError):
            await one.identify()
        with pytest.raises(UnreachableError):
            await one.answer(request())
        assert not await one.healthy()
        await one.close()

    asyncio.run(main())


def test_health_is_asked_at_the_root_and_else_of_the_models(stand_in):
    async def use(_, one):
        return await one.healthy()

    server = stand_in.OpenAIServer()
    assert run(server, use)
    assert server.asked == ["/health"]
    server.healthy = False
    assert not run(server, use)
    server = stand_in.OpenAIServer(has_health=False)
    assert run(server, use)
    assert server.asked == ["/health", "/v1/models"]
    server.next_faults.append("502")
    assert not run(server, use)


def test_v1_is_added_where_there_is_no_path(stand_in):
    async def main():
        async with stand_in.OpenAIServer() as server:
            bare = server.url.removesuffix("/v1")
            generator = settings([bare, server.url.replace("127.0.0.1", "localhost")]).build()
            texts = []
            for one in generator.servers:
                assert await one.healthy()
                texts.append((await one.answer(request())).text)
                await one.close()
            assert generator.servers[0].name == bare
            return texts

    first, second = asyncio.run(main())
    assert first == second


def test_the_key_is_taken_from_the_environment(stand_in, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-mine")
    server = stand_in.OpenAIServer()
    ask(server)
    assert server.received[-1][1]["Authorization"] == "Bearer sk-mine"


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    monkeypatch.delitem(sys.modules, "ercsatz.generators.openai_server", raising=False)
    monkeypatch.delattr("ercsatz.generators.openai_server", raising=False)
    with pytest.raises(UserError, match=r'pip install "ercsatz\[openai\]"'):
        settings().build()
