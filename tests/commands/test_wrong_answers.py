"""Whole commands against a server whose answers are wrong: no traceback, its words, and nothing of it in the files."""

import asyncio
import importlib.util
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("openai", reason="needs the extra openai")

SPEC = importlib.util.spec_from_file_location("raw_server", Path(__file__).parents[1] / "servers" / "raw.py")
raw = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(raw)

KEY = "sk-pass7word-of-mine"
TEXT = "Maya: Well. (1)\nTomas: Oh. (2)"


@contextmanager
def serving(answer: Callable[[str], bytes]) -> Iterator:
    """A server in a thread; it says who it is, and is well."""
    pages = {"/v1/models": {"data": [{"id": "tiny", "note": f"you sent {KEY}"}]}, "/version": {}, "/health": {}}

    async def serve(started: threading.Event, over: list[asyncio.Event]) -> None:
        over.append(asyncio.Event())
        async with here:
            started.set()
            await over[0].wait()

    here = raw.RawServer(lambda path: raw.reply(raw.body(pages[path])) if path in pages else answer(path))
    started, over = threading.Event(), []
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_until_complete, args=(serve(started, over),))
    thread.start()
    assert started.wait(10)
    yield here
    loop.call_soon_threadsafe(over[0].set)
    thread.join()


def good(**usage: object) -> bytes:
    choice = {"message": {"content": TEXT}, "finish_reason": "stop"}
    return raw.reply(raw.body({"choices": [choice], "usage": usage}))


ELSEWHERE = raw.reply(b"", "307 Moved", location="http://127.0.0.1:9/\x1b[31m?token=pass7word")
GENERATE = ("generate.py", "data=mini_bal", "plan.n_dialogues=8")
KNOWLEDGE = ("knowledge.py", "data=mini_org", "source=generate", "generate.attempts=1")
CASES = {
    "counts": (GENERATE, good(completion_tokens=-5), r"new_tokens is no number of tokens: -5"),
    "elsewhere": (GENERATE, ELSEWHERE, r"sends requests on to http://127.0.0.1:9/\x1b[31m?token=***"),
    "busy": (GENERATE, raw.reply(b'{"error": "full"}', "429 Busy", retry_after="9" * 30), "It says: full"),
    "deep": (KNOWLEDGE, raw.reply(raw.body("@DEEP@")), "nested too deeply"),
    "echo": (KNOWLEDGE, raw.reply(f"you sent {KEY}".encode(), "403 No"), "HTTP 403: you sent ***"),
}


@pytest.mark.parametrize("kind", CASES)
def test_a_wrong_answer_ends_in_words(command, tmp_path, kind):
    line, answer, words = CASES[kind]
    with serving(lambda path: answer) as here:
        where = ("generator=openai", "generator.flavour=vllm", f"generator.url={here.url}", "generator.window=16")
        quick = ("generator.on_unsupported=record", "generator.tries=1", "generator.patience=1")
        done = command(tmp_path, *line, *where, *quick, OPENAI_API_KEY=KEY)
    told = done.stdout + done.stderr
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in told
    assert "pass7word" not in told
    assert "\x1b" not in told
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert any(file.name.endswith(".journal.sqlite") for file in files)
    assert [file for file in files if b"pass7word" in file.read_bytes()] == []
