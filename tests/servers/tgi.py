"""A stand-in for Hugging Face's text-generation-inference: its HTTP contract, without a model.

Keeps to the routes, shapes, limits and error bodies of TGI 3.3. Answers depend on the inputs, the seed and the
parameters alone; which requests a fault hits depends on chance. In a test::

    async with TgiServer(slots=4) as server:
        ...  # server.url

As a process, which prints its URL as the first line::

    python tests/servers/tgi.py --port 0 --slots 64 --latency lognormal:0.5 --faults 0.3
"""

import argparse
import asyncio
import hashlib
import json
import math
import random
import re
import runpy
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from aiohttp import web

Answerer = Callable[[str, Mapping[str, Any]], str]

# This folder is not on the path, as this file is also loaded by its own
dialogue: Callable[..., Answerer] = runpy.run_path(str(Path(__file__).with_name("answers.py")))["dialogue"]

PLAIN, HTML, JSON = "text/plain; charset=utf-8", "text/html", "application/json"


def _json(error: str, kind: str) -> str:
    return json.dumps({"error": error, "error_type": kind})


def _page(title: str) -> str:
    return (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n</html>\r\n"
    )


# Status, content type and body; 502 to 504 and 403 as a reverse proxy gives them
ERRORS = {
    "400": (400, PLAIN, "Failed to parse the request body as JSON: EOF while parsing a value at line 1 column 0"),
    "401": (401, PLAIN, ""),
    "403": (403, HTML, _page("403 Forbidden")),
    "404": (404, PLAIN, ""),
    "413": (413, PLAIN, "length limit exceeded"),
    "415": (415, PLAIN, "Expected request with `Content-Type: application/json`"),
    "422": (422, JSON, _json("Template error: no template", "template_error")),
    "424": (424, JSON, _json("Request failed during generation: CUDA out of memory", "generation")),
    "429": (429, JSON, _json("Model is overloaded", "overloaded")),
    "429 proxy": (429, HTML, _page("429 Too Many Requests")),
    "500": (500, JSON, _json("Incomplete generation", "incomplete_generation")),
    "502": (502, HTML, _page("502 Bad Gateway")),
    "503": (503, HTML, _page("503 Service Temporarily Unavailable")),
    "504": (504, HTML, _page("504 Gateway Time-out")),
}
BREAKS = ("drop", "reset", "garbage", "hang")  # mid-body, before the body, a body that is no answer, no answer at all
RANDOM_FAULTS = ("424", "429", "500", "502", "503", "504", "drop", "reset", "garbage")

# What serde expects of each parameter
TYPES = {
    **dict.fromkeys(("temperature", "repetition_penalty", "frequency_penalty", "top_p", "typical_p"), "f32"),
    **dict.fromkeys(("do_sample", "return_full_text", "watermark", "details", "decoder_input_details"), "bool"),
    **dict.fromkeys(("max_new_tokens", "top_n_tokens"), "u32"),
    **dict.fromkeys(("best_of", "truncate"), "usize"),
    **dict.fromkeys(("seed",), "u64"),
    **dict.fromkeys(("top_k",), "i32"),
    **dict.fromkeys(("stop",), "sequence"),
}
NEVER_NULL = ("do_sample", "watermark", "details", "decoder_input_details", "stop")
_RANGES = {"i32": (-(2**31), 2**31 - 1), "u32": (0, 2**32 - 1), "usize": (0, 2**64 - 1), "u64": (0, 2**64 - 1)}
# Parameter, what holds for it, and TGI's words where it does not
RULES: Sequence[tuple[str, Callable[[Any], bool], str]] = (
    ("temperature", lambda x: x > 0, "`temperature` must be strictly positive"),
    ("repetition_penalty", lambda x: x > 0, "`repetition_penalty` must be strictly positive"),
    ("frequency_penalty", lambda x: -2 <= x <= 2, "`frequency_penalty` must be >= -2.0 and <= 2.0"),
    ("top_p", lambda x: 0 < x < 1, "`top_p` must be > 0.0 and < 1.0"),
    ("typical_p", lambda x: 0 < x < 1, "`typical_p` must be > 0.0 and < 1.0"),
    ("top_k", lambda x: x > 0, "`top_k` must be strictly positive"),
    ("max_new_tokens", lambda x: x != 0, "`max_new_tokens` must be strictly positive"),
    ("stop", lambda x: len(x) <= 4, "`stop` supports up to 4 stop sequences"),
    ("best_of", lambda x: x in (1, 2), "`best_of` must be > 0 and <= 2"),
    ("top_n_tokens", lambda x: x <= 5, "`top_n_tokens` must be >= 0 and <= 5"),
)

UNLUCKY = 3  # times that chance lets a request fail; what clients give up on is not left to chance


class TgiServer:
    """The server; in a test an asynchronous context manager.

    Args:
        answer: from inputs and parameters to the text; ``dialogue`` if not given.
        slots: requests in flight; one more is refused with 429.
        latency: seconds for one answer, ``constant:S`` or ``lognormal:MEAN[:SIGMA]``, by the request's seed.
        faults: share of requests that fail; a request fails by chance three times at most, unless all do.
        kinds: how they fail, from ``ERRORS`` and ``BREAKS``.
        retry_after: header of every 429.
        port: 0 takes a free one.
    """

    def __init__(
        self,
        answer: Answerer | None = None,
        slots: int = 128,
        latency: str = "constant:0",
        faults: float = 0.0,
        kinds: Sequence[str] = RANDOM_FAULTS,
        retry_after: str | None = None,
        port: int = 0,
    ) -> None:
        self.answer = answer or dialogue()
        self.slots, self.faults, self.kinds, self.retry_after, self.port = slots, faults, kinds, retry_after, port
        self.info: dict[str, Any] = {
            "model_id": "stand-in/vicuna-13b",
            "model_sha": "0123456789abcdef",
            "model_pipeline_tag": "text-generation",
            "max_concurrent_requests": slots,
            "max_input_tokens": 3072,
            "max_total_tokens": 4096,
            "version": "3.3.7",
        }
        self.healthy = True
        self.next_faults: deque[str] = deque()  # for the next requests, before chance has its say
        self.received: deque[tuple[Mapping[str, str], Any]] = deque(maxlen=32)  # headers and JSON of the last requests
        self._latency = _latency(latency)
        self._runner: web.AppRunner | None = None
        self.reset()

    def reset(self) -> None:
        """Forget all counts; nothing may be in flight."""
        self.answered: Counter[tuple[str, int]] = Counter()  # by digest of the inputs and seed
        self.statuses: Counter[str] = Counter()
        self._unlucky: Counter[tuple[str, int]] = Counter()
        self.in_flight = self.peak = 0
        self._busy, self._ticked = 0.0, time.monotonic()
        self._first: float | None = None
        self._last = self._ticked

    def stats(self) -> dict[str, Any]:
        """All counts. ``busy_slot_seconds`` over ``slots`` times ``seconds`` is how well the slots were used."""
        self._tick()
        return {
            "requests": sum(self.statuses.values()) + self.in_flight,
            "statuses": dict(self.statuses),
            "answered": sum(self.answered.values()),
            "distinct": len(self.answered),
            "repeated": {f"{inputs} {seed}": n for (inputs, seed), n in self.answered.items() if n > 1},
            "in_flight": self.in_flight,
            "peak_in_flight": self.peak,
            "slots": self.slots,
            "busy_slot_seconds": self._busy,
            "seconds": self._last - (self._first or self._last),
        }

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=2 * 2**20)
        app.add_routes(
            [
                web.post("/", self._generate),
                web.post("/generate", self._generate),
                web.get("/info", self._info),
                web.get("/health", self._health),
                web.get("/test/stats", self._test_stats),
                web.post("/test/reset", self._test_reset),
                web.post("/test/die", self._test_die),
            ]
        )
        # As in TGI, a client that hangs up frees its slot
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, backlog=1024)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.die()

    async def die(self) -> None:
        """Break off all connections and listen no more."""
        if self._runner is None:
            return
        runner, self._runner = self._runner, None
        for site in list(runner.sites):
            await site.stop()
        for connection in runner.server.connections if runner.server else ():
            if connection.transport is not None:
                connection.transport.abort()
        await runner.cleanup()

    async def come_back(self) -> None:
        """Listen again, at the same URL."""
        await self.__aenter__()

    async def _info(self, _: web.Request) -> web.Response:
        return web.json_response(self.info)

    async def _health(self, _: web.Request) -> web.Response:
        if self.healthy:
            return web.Response()
        return web.Response(status=503, text=_json("unhealthy", "healthcheck"), content_type=JSON)

    async def _test_stats(self, _: web.Request) -> web.Response:
        return web.json_response(self.stats())

    async def _test_reset(self, _: web.Request) -> web.Response:
        self.reset()
        return web.Response()

    async def _test_die(self, request: web.Request) -> web.Response:
        seconds = float(request.query.get("seconds", "1"))

        async def blackout() -> None:
            await self.die()
            await asyncio.sleep(seconds)
            await self.come_back()

        self._blackout = asyncio.create_task(blackout())
        return web.Response()

    async def _generate(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if not request.content_type.endswith("json"):
            return self._error("415")
        try:
            payload = json.loads(body)
        except ValueError:
            return self._error("400")
        self.received.append((request.headers, payload))
        if mismatch := _mismatch(payload):
            words = f"Failed to deserialize the JSON body into the target type: {mismatch} at line 1 column {len(body)}"
            return self._respond(422, PLAIN, words)
        if self.in_flight >= self.slots:
            return self._error("429")
        with self._slot():
            return await self._answer(request, payload["inputs"], payload.get("parameters") or {})

    async def _answer(self, request: web.Request, inputs: str, parameters: dict[str, Any]) -> web.StreamResponse:
        n_inputs = len(inputs) // 4 + 1
        if broken := self._broken_rule(inputs, n_inputs, parameters):
            return self._respond(422, JSON, _json(f"Input validation error: {broken}", "validation"))
        if parameters.get("seed") is None:
            parameters["seed"] = random.getrandbits(64)
        await asyncio.sleep(self._latency(random.Random(parameters["seed"])))
        if self.next_faults:
            return await self._fail(request, self.next_faults.popleft())
        if random.random() < self.faults and (self.faults == 1 or self._unlucky[inputs, parameters["seed"]] < UNLUCKY):
            self._unlucky[inputs, parameters["seed"]] += 1
            return await self._fail(request, random.choice(self.kinds))
        generated, n_tokens = _generated(self.answer(inputs, parameters), parameters)
        at_root, full = request.path == "/", parameters.get("return_full_text")
        if at_root if full is None else full:
            generated["generated_text"] = inputs + generated["generated_text"]
        self.answered[hashlib.blake2b(inputs.encode(), digest_size=8).hexdigest(), parameters["seed"]] += 1
        counts = {"x-prompt-tokens": str(n_inputs), "x-generated-tokens": str(n_tokens)}
        return self._respond(200, JSON, json.dumps([generated] if at_root else generated), counts)

    def _broken_rule(self, inputs: str, n_inputs: int, parameters: Mapping[str, Any]) -> str | None:
        for name, holds, words in RULES:
            if (value := parameters.get(name)) is not None and not holds(value):
                return words
        if not inputs:
            return "`inputs` cannot be empty"
        most, new = self.info["max_total_tokens"], min(parameters.get("max_new_tokens") or 0, 1024)
        if n_inputs + new > most:
            return (
                f"`inputs` tokens + `max_new_tokens` must be <= {most}. "
                f"Given: {n_inputs} `inputs` tokens and {new} `max_new_tokens`"
            )
        return None

    async def _fail(self, request: web.Request, kind: str) -> web.StreamResponse:
        if kind in ERRORS:
            return self._error(kind)
        if kind == "garbage":
            return self._respond(200, JSON, '[{"generated_text": "Maya: Well')
        self.statuses[kind] += 1
        if kind == "hang":
            await asyncio.sleep(3600)
        if kind == "drop":
            response = web.StreamResponse(headers={"Content-Length": "1000", "Content-Type": JSON})
            await response.prepare(request)
            await response.write(b'[{"generated_text": "Maya: We')
        if request.transport is not None:
            request.transport.close()
        raise asyncio.CancelledError

    def _error(self, kind: str) -> web.Response:
        return self._respond(*ERRORS[kind])

    def _respond(self, status: int, kind: str, text: str, headers: Mapping[str, str] | None = None) -> web.Response:
        self.statuses[str(status)] += 1
        headers = {"Content-Type": kind, **(headers or {})}
        if status == 429 and self.retry_after is not None:
            headers["Retry-After"] = self.retry_after
        return web.Response(status=status, body=text.encode(), headers=headers)

    @contextmanager
    def _slot(self) -> Iterator[None]:
        self._tick()
        self._first = self._first or self._ticked
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        try:
            yield
        finally:
            self._tick()
            self.in_flight -= 1

    def _tick(self) -> None:
        now = time.monotonic()
        self._busy += self.in_flight * (now - self._ticked)
        self._last = now if self.in_flight else self._last
        self._ticked = now


def _mismatch(payload: Any) -> str | None:
    """What is of the wrong type, in serde's way of saying it."""
    if not isinstance(payload, dict):
        return "invalid type, expected struct CompatGenerateRequest"
    if not isinstance(payload.get("inputs"), str):
        return "inputs: missing field or invalid type, expected a string"
    parameters = payload.get("parameters")
    for name, value in (parameters or {}).items():
        expected = TYPES.get(name, "anything")
        if not (name not in NEVER_NULL if value is None else _is(value, expected)):
            return f"parameters.{name}: invalid type: `{json.dumps(value)}`, expected {expected}"
    return None


def _is(value: Any, expected: str) -> bool:
    match expected:
        case "bool":
            return isinstance(value, bool)
        case "f32":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "sequence":
            return isinstance(value, list) and all(isinstance(each, str) for each in value)
        case "anything":
            return True
    low, high = _RANGES[expected]
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _generated(text: str, parameters: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    """One answer as TGI gives it, and its number of tokens."""
    reason = "eos_token"
    for stop in parameters.get("stop") or ():
        if (place := text.find(stop)) >= 0:
            text, reason = text[: place + len(stop)], "stop_sequence"
    tokens, most = re.findall(r"\s*\S+|\s+", text), parameters.get("max_new_tokens") or 1024
    if len(tokens) > most:
        tokens, reason = tokens[:most], "length"
    elif reason == "eos_token" and len(tokens) < most:
        tokens.append("</s>")
    elif reason == "eos_token":
        reason = "length"
    n_tokens = len(tokens)
    generated: dict[str, Any] = {"generated_text": "".join(tokens).removesuffix("</s>")}
    if parameters.get("details"):
        generated["details"] = {
            "finish_reason": reason,
            "generated_tokens": n_tokens,
            "seed": parameters["seed"],
            "prefill": [],
            "tokens": [
                {"id": 2 if token == "</s>" else 1000 + n, "text": token, "logprob": -0.5, "special": token == "</s>"}
                for n, token in enumerate(tokens)
            ],
        }
    return generated, n_tokens


def _latency(text: str) -> Callable[[random.Random], float]:
    kind, *numbers = text.split(":")
    if kind == "constant":
        return lambda rng: float(numbers[0])
    if kind != "lognormal":
        raise ValueError(f"{text}: constant:S or lognormal:MEAN[:SIGMA]")
    mean, sigma = float(numbers[0]), float(numbers[1]) if len(numbers) > 1 else 1.0
    return lambda rng: rng.lognormvariate(math.log(mean) - sigma**2 / 2, sigma)


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--port", type=int, default=0)
    add("--slots", type=int, default=128)
    add("--latency", default="constant:0", help="constant:S or lognormal:MEAN[:SIGMA]")
    add("--faults", type=float, default=0.0)
    add("--kinds", default=",".join(RANDOM_FAULTS), help=f"of {', '.join([*ERRORS, *BREAKS])}")
    add("--retry-after")
    add("--says", type=int, help="how many slots it says it has, if not as many as it has")
    add("--speakers", default="Maya,Tomas,Priya")
    add("--labels", type=int, default=7, help="how many")
    given = parser.parse_args()
    answer, kinds = dialogue(given.speakers.split(","), given.labels), given.kinds.split(",")

    async def serve() -> None:
        server = TgiServer(answer, given.slots, given.latency, given.faults, kinds, given.retry_after, given.port)
        server.info["max_concurrent_requests"] = given.says or given.slots
        async with server:
            print(server.url, flush=True)
            await asyncio.Event().wait()

    asyncio.run(serve())


if __name__ == "__main__":
    main()
