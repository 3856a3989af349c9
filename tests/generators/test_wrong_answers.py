"""What a server must not be able to do with an answer, to each client and in each flavour."""

import asyncio
import gzip
import importlib.util
import json
import random
import re
import tracemalloc
import zlib
from pathlib import Path

import pytest

from ercsatz.config import PromptStyle
from ercsatz.errors import UserError
from ercsatz.generators import bodies
from ercsatz.generators.chat import ChatTemplate
from ercsatz.generators.interface import (
    Answer,
    BusyError,
    FailedError,
    FinishReason,
    RefusedError,
    Request,
    ServerError,
    TimedOutError,
)
from ercsatz.generators.language_model import OnUnsupported, SamplingConfig
from ercsatz.generators.openai import OpenAIConfig
from ercsatz.generators.openai_flavours import Flavour
from ercsatz.generators.tgi import TgiConfig

SERVERS = Path(__file__).resolve().parents[1] / "servers"
SPEC = importlib.util.spec_from_file_location("raw_server", SERVERS / "raw.py")
raw = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(raw)

TEXT = "Maya: Well. (1)\nLeo: Oh. (2)"
SAMPLING = SamplingConfig(
    temperature=0.7, top_p=1.0, top_k=0, repetition_penalty=1.0, typical_p=1.0, max_new_tokens=100
)
REQUEST = Request(0, 5, "Write.", "natural", PromptStyle.cast, ("Maya", "Leo"), ("joy", "anger"), None, 2)
COMMON = {"window": 1, "sampling": SAMPLING, "tries": 1, "patience": 1.0}
FLAVOURS = ("openai", "vllm", "webui", "llamacpp", "transformers")
CLIENTS = ("tgi", *FLAVOURS)

USAGE = {"prompt_tokens": 3, "completion_tokens": 8, "total_tokens": 11}
CHOICE = {"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}
GOOD = {
    "chat": {"id": "1", "model": "tiny@main", "choices": [CHOICE], "usage": USAGE},
    "text": {"id": "1", "model": "tiny@main", "choices": [{"text": TEXT, "finish_reason": "stop"}], "usage": USAGE},
    "tgi": [{"generated_text": TEXT, "details": {"finish_reason": "eos_token", "generated_tokens": 8, "seed": 5}}],
}
PAGES = {
    "/info": {"model_id": "tiny", "model_sha": "0123", "max_concurrent_requests": 4, "version": "3.3.7"},
    "/v1/models": {"object": "list", "data": [{"id": "tiny", "object": "model", "max_model_len": 512}]},
    "/v1/internal/model/info": {"model_name": "tiny", "lora_names": []},
    "/version": {"version": "0.32.0"},
    "/v1/completions": GOOD["text"],
    "/v1/chat/completions": GOOD["chat"],
    "/": GOOD["tgi"],
}
IDENTITY = {
    "tgi": "/info",
    "openai": "/v1/models",
    "vllm": "/v1/models",
    "webui": "/v1/internal/model/info",
    "llamacpp": "/v1/models",
    "transformers": "/v1/completions",
}


def build(client, url, chat=True, timeout=10.0):
    """The one server of a generator."""
    if client == "tgi":
        pytest.importorskip("text_generation")
        config = TgiConfig(name="tgi", url=url, timeout=timeout, chat_template=ChatTemplate.raw, **COMMON)
    else:
        config = OpenAIConfig(
            name="openai",
            url=url,
            timeout=timeout,
            flavour=Flavour(client),
            chat_template=ChatTemplate.model if chat else ChatTemplate.raw,
            on_unsupported=OnUnsupported.record,
            **COMMON,
        )
    (server,) = config.build().servers
    return server


def asked(client, answers, act, **options):
    """What ``act`` finds out with a client; ``answers`` are bytes by path, for the others all is well."""

    async def main():
        def answer(path):
            given = answers(path) if callable(answers) else answers.get(path)
            return raw.reply(raw.body(PAGES.get(path, {}))) if given is None else given

        async with raw.RawServer(answer) as there:
            server = build(client, there.url, **options)
            try:
                return await act(server, there)
            finally:
                await server.close()

    return asyncio.run(main())


async def outcome(awaitable):
    """The result or the error, which must be one that is meant for this."""
    try:
        return await awaitable
    except (ServerError, UserError) as error:
        words = str(error)
        assert words.isprintable(), words
        assert len(words) < 500
        return error


def path_of(client, chat=True):
    return "/" if client == "tgi" else f"/v1/{'chat/' if chat else ''}completions"


@pytest.mark.parametrize(
    ("client", "chat"), [("tgi", True), *((client, chat) for client in FLAVOURS for chat in (True, False))]
)
def test_a_changed_answer_is_rejected_or_read_as_it_stands(client, chat):
    """At every node of a good answer, every value that may be wrong there."""
    good = GOOD["tgi" if client == "tgi" else "chat" if chat else "text"]
    cases = list(raw.mutations(good))
    random.Random(f"{client} {chat}").shuffle(cases)
    if client != "vllm":  # the flavours read answers alike
        cases = cases[:60]
    current = {}

    async def act(server, there):
        await server.identify()
        for where, value in cases:
            current["body"] = raw.reply(raw.body(value))
            found = await outcome(server.answer(REQUEST))
            if isinstance(found, Answer):
                assert found == expected(value, where), where
            else:
                assert isinstance(found, FailedError), where
                assert "broke off" not in str(found), where

    asked(client, lambda path: current.get("body") if path == path_of(client, chat) else None, act, chat=chat)


def expected(value, where):
    """The answer in a body, read without any doubt: whatever else it is makes this fail."""
    try:
        if isinstance(value, list):
            details = value[0]["details"]
            text, reason, counts = (
                value[0]["generated_text"],
                details["finish_reason"],
                (None, details["generated_tokens"]),
            )
            assert reason in ("eos_token", "length", "stop_sequence"), where
        else:
            choice = value["choices"][0]
            text = choice["message"]["content"] if "message" in choice else choice["text"]
            usage = value.get("usage") or {}
            reason, counts = choice["finish_reason"], (usage.get("prompt_tokens"), usage.get("completion_tokens"))
            assert value.get("usage") is None or type(value["usage"]) is dict, where
            text = "" if text is None else text
        assert type(reason) is str, where
        assert type(text) is str, where
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        pytest.fail(f"{where}: an answer was made of what has none ({error!r})")
    for count in counts:
        assert count is None or (type(count) is int and 0 <= count <= 10_000_000), where
    return Answer(text, FinishReason.length if reason == "length" else FinishReason.stop, *counts)


@pytest.mark.parametrize("client", CLIENTS)
def test_who_a_server_is_is_rejected_or_read_as_it_stands(client):
    page, current = IDENTITY[client], {}

    async def act(server, there):
        for where, value in raw.mutations(PAGES[page]):
            current["body"] = raw.reply(raw.body(value))
            found = await outcome(server.identify())
            if not isinstance(found, Exception):
                assert found.model.encode(), where
                assert json.dumps(dict(found.details))
                assert found.limit is None or (type(found.limit) is int and found.limit > 0)

    asked(client, lambda path: current.get("body") if path == page else None, act)


BODIES = {
    "empty": b"",
    "nul": b"\0" * 1000,
    "page": b"<html><title>502</title></html>",
    "cut": b'{"choices": [{"mess',
    "latin-1": '{"choices": [{"message": {"content": "Müller"}, "finish_reason": "stop"}]}'.encode("latin-1"),
    "cut gzip": gzip.compress(b"[" * 1000)[:-9],
    "escapes": b"\x1b]0;owned\x07\x1b[2J",
    "number": b"1",
    "two": b"{}{}",
}
HEADERS = (
    {},
    {"content_type": "text/html"},
    {"content_type": "application/json; charset=hex"},
    {"content_type": "application/json; charset=utf-16"},
    {"content_type": "\x1b[31m; charset=\xff"},
    {"content_length": "5000"},
    {"content_length": "-5"},
    {"content_length": "9" * 40},
    {"content_encoding": "gzip"},
    {"content_encoding": "br"},
    {"content_encoding": "\x1b[31m"},
    {"transfer_encoding": "chunked"},
    {"x_prompt_tokens": "9" * 5000},
    {"x_prompt_tokens": "-5"},
)
STATUSES = (
    "200 OK",
    "204 No Content",
    "200 \x1b[31mred",
    "429 Busy",
    "500 No",
    "418 \x1b]0;x\x07",
    "999 ?",
    "100 Go on",
)


@pytest.mark.parametrize("client", ["tgi", "vllm"])
def test_a_wrong_response_is_an_error_in_words(client):
    current = {}

    async def act(server, there):
        await server.identify()
        for body in (*BODIES.values(), raw.body(PAGES[path_of(client)])):
            for headers in HEADERS:
                current["body"] = raw.reply(body, **headers)
                found = await outcome(server.answer(REQUEST))
                assert isinstance(found, Answer | ServerError)
                assert not isinstance(found, Answer) or found.text == TEXT
            for status in STATUSES[:-1]:
                current["body"] = raw.reply(body, status)
                found = await outcome(server.answer(REQUEST))
                assert isinstance(found, Answer | ServerError)

    asked(client, lambda path: current.get("body") if path == path_of(client) else None, act, timeout=2.0)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_nothing_is_sent_on_to_another_host(client, status, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-0123456789")
    monkeypatch.setenv("HF_TOKEN", "hf-0123456789")

    async def main():
        async with raw.RawServer(lambda path: raw.reply(raw.body(PAGES.get(path, {})))) as other:

            def moved(path):
                return raw.reply(b"", f"{status} Moved", location=f"{other.url}{path}")

            async with raw.RawServer(moved) as there:
                server = build(client, there.url)
                server._known, server._wrap = True, getattr(server, "_wrap", None) or None
                found = [await outcome(server.identify()), await server.healthy()]
                if client != "tgi":
                    found.append(await outcome(server.answer(REQUEST)))
                else:
                    found.append(await outcome(server._client.complete("Write.", {})))
                await server.close()
            return found, other

    (identity, healthy, answer), other = asyncio.run(main())
    assert other.received == []
    assert healthy is False
    for error in (identity, answer):
        assert isinstance(error, RefusedError)
        assert re.search(rf"HTTP {status}: it sends requests on to {other.url}/.*generator\.url", str(error))


def bomb(megabytes: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packer.compress(b" " * 2**20) for _ in range(megabytes)) + packer.flush()


ENDLESS = {
    "spaces": raw.endless("Content-Type: application/json\r\n", b" " * 2**16),
    "chunks": raw.endless("Transfer-Encoding: chunked\r\n", b"10000\r\n" + b" " * 2**16 + b"\r\n"),
    "bomb": raw.reply(bomb(300), content_encoding="gzip"),
    "endless bomb": raw.endless(
        "Content-Encoding: gzip\r\n", b"\x1f\x8b\x08\0\0\0\0\0\0\3" + b"\0\0\0\xff\xff" * 10000
    ),
    "many gzips": raw.endless("Content-Encoding: gzip\r\n", gzip.compress(b"") * 1000),
    "error": raw.reply(b" " * (bodies.MOST + 1), "500 No"),
}


@pytest.mark.parametrize("client", ["tgi", "vllm"])
@pytest.mark.parametrize("kind", ENDLESS)
def test_an_endless_or_packed_answer_takes_no_more_than_a_few_megabytes(client, kind):
    async def act(server, there):
        await server.identify()
        tracemalloc.start()
        try:
            return await outcome(server.answer(REQUEST)), tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    found, most = asked(client, lambda path: ENDLESS[kind] if path == path_of(client) else None, act)
    assert isinstance(found, FailedError)
    assert most < 8 * bodies.MOST


@pytest.mark.parametrize("client", ["tgi", "vllm"])
def test_a_packed_answer_is_read(client):
    packed = raw.reply(gzip.compress(raw.body(PAGES[path_of(client)])), content_encoding="gzip")

    async def act(server, there):
        return await server.answer(REQUEST)

    answers = {"/info": None, path_of(client): packed}
    assert asked(client, answers.get, act).text == TEXT


@pytest.mark.parametrize("client", ["tgi", "vllm"])
@pytest.mark.parametrize("head", ["Content-Length: 1000\r\n", "Content-Length: 1000\r\n\r\n"])
def test_an_answer_that_trickles_ends_at_the_deadline(client, head):
    trickle = raw.endless(head, b"x", 0.05)

    async def act(server, there):
        await server.identify()
        return await outcome(server.answer(REQUEST))

    found = asked(client, lambda path: trickle if path == path_of(client) else None, act, timeout=0.4)
    assert isinstance(found, TimedOutError | FailedError)


@pytest.mark.parametrize("client", ["tgi", "vllm"])
@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("9" * 400, 1e300),
        ("1000000000", 1e9),
        ("NaN", None),
        ("-7", None),
        ("Wed, 21 Oct 99999 07:28:00 GMT", None),
        ("Wed, 21 Oct 9999999999999999999999 07:28:00 GMT", None),
        ("٣", None),
        ("", None),
    ],
)
def test_an_absurd_retry_after_is_a_number_or_nothing(client, header, seconds):
    busy = raw.reply(b"{}", "429 Busy", retry_after=header.encode().decode("latin-1"))

    async def act(server, there):
        await server.identify()
        return await outcome(server.answer(REQUEST))

    found = asked(client, lambda path: busy if path == path_of(client) else None, act)
    assert isinstance(found, BusyError)
    assert found.retry_after == seconds if seconds is None else found.retry_after >= seconds


@pytest.mark.parametrize(("client", "variable"), [("tgi", "HF_TOKEN"), ("vllm", "OPENAI_API_KEY")])
def test_a_key_that_a_server_repeats_is_hidden(client, variable, monkeypatch):
    monkeypatch.setenv(variable, "not-for-you-7")
    echo = raw.reply(b'{"error": "you sent Bearer not-for-you-7"}', "500 No")

    async def act(server, there):
        await server.identify()
        return str(await outcome(server.answer(REQUEST)))

    assert asked(client, {path_of(client): echo}, act) == "HTTP 500: you sent Bearer ***"


@pytest.mark.parametrize(("client", "variable"), [("tgi", "HF_TOKEN"), ("vllm", "OPENAI_API_KEY")])
def test_a_key_in_what_a_server_says_of_itself_is_hidden(client, variable, monkeypatch):
    monkeypatch.setenv(variable, "not-for-you-7")
    page = IDENTITY[client]
    told = json.loads(json.dumps(PAGES[page]).replace("tiny", "tiny not-for-you-7"))

    async def act(server, there):
        return await server.identify()

    identity = asked(client, {page: raw.reply(raw.body(told))}, act)
    assert identity.model.startswith("tiny ***")
    assert "not-for-you" not in json.dumps(dict(identity.details))


@pytest.mark.parametrize(("client", "variable"), [("tgi", "HF_TOKEN"), ("vllm", "OPENAI_API_KEY")])
@pytest.mark.parametrize("key", ["sk-\nsecret7", "sk-sécret7"])
def test_a_key_that_cannot_be_sent_is_refused_unseen(client, variable, key, monkeypatch):
    monkeypatch.setenv(variable, key)
    with pytest.raises(UserError, match=f"The environment variable {variable} holds no key") as raised:
        build(client, "http://127.0.0.1:9")
    assert "cret7" not in str(raised.value)


@pytest.mark.parametrize("key", ["", " ", "\n"])
def test_an_empty_key_is_none(key, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", key)
    build("vllm", "http://127.0.0.1:9")


def test_a_password_of_a_proxy_is_not_told(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://me:pass7word@127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://me:pass7word@127.0.0.1:9")

    async def act(server, there):
        return str(await outcome(server.answer(REQUEST)))

    assert "pass7word" not in asked("vllm", {}, act)
