"""A stand-in for the servers that speak the OpenAI protocol: each flavour's contract, without a model.

Keeps to the routes, the fields and the error bodies of OpenAI, vLLM, text-generation-webui, llama.cpp and
``transformers serve``. Answers depend on the prompt and the seed alone. In a test::

    async with OpenAIServer("vllm") as server:
        ...  # server.url
"""

import asyncio
import json
import random
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from aiohttp import web

Answerer = Callable[[str, Mapping[str, Any]], str]

JSON = "application/json"
_PAGE = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>nginx</body>\r\n</html>\r\n"


def _openai_error(message: str, kind: str, code: str | None) -> str:
    return json.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}})


# Status, content type and body
ERRORS = {
    "400": (400, JSON, _openai_error("maximum context length is 512 tokens", "BadRequestError", "400")),
    "401": (401, JSON, _openai_error("Incorrect API key provided", "invalid_request_error", "invalid_api_key")),
    "408": (408, "text/plain", ""),
    "409": (409, JSON, '{"detail": "Try again"}'),
    "413": (413, "text/html", "<html><body>413 Request Entity Too Large</body></html>"),
    "422": (422, JSON, '{"detail": [{"loc": ["body", "seed"], "msg": "Input should be a valid integer"}]}'),
    "424": (424, JSON, '{"message": "Request failed during generation", "http_status_code": 424}'),
    "429": (429, JSON, _openai_error("Rate limit reached", "requests", "rate_limit_exceeded")),
    "429 proxy": (429, "text/html", "<html><body>429</body></html>"),
    "429 quota": (429, JSON, _openai_error("You exceeded your quota", "insufficient_quota", "insufficient_quota")),
    "500": (500, "text/plain", "Internal Server Error"),
    "502": (502, "text/html", _PAGE),
    "503": (503, JSON, '{"error": "CB worker is dead"}'),
    "200 page": (200, "text/html", _PAGE),
    "200 cut": (200, JSON, '{"choices": [{"message": {"content": "Maya: We'),
    "200 error": (200, JSON, '{"error": {"message": "upstream failed", "code": 502}}'),
    "200 list": (200, JSON, "[]"),
    "200 empty": (200, JSON, '{"choices": []}'),
}

_STANDARD = {"model", "messages", "prompt", "temperature", "top_p", "max_tokens", "seed", "stop", "n"}
# What a server refuses to know; the others ignore it without a word
_KNOWN = {
    "openai": _STANDARD,
    "transformers": {*_STANDARD, "generation_config", "response_format"},
}


class OpenAIServer:
    """The server, an asynchronous context manager.

    Args:
        flavour: ``openai``, ``vllm``, ``webui``, ``llamacpp`` or ``transformers``.
        models: those it lists; it serves the first.
        answer: from prompt and body to the text; words by the seed if not given.
        has_health: whether there is a page ``/health``.
    """

    def __init__(
        self,
        flavour: str = "vllm",
        models: Sequence[str] = ("stand-in",),
        answer: Answerer | None = None,
        has_health: bool = True,
    ) -> None:
        self.flavour, self.models, self.has_health = flavour, models, has_health
        self.answer = answer or _words
        self.healthy = True
        self.latency = 0.0
        self.extra: dict[str, Any] = {}  # put into every choice
        self.headers: dict[str, str] = {}  # of every error
        self.next_faults: deque[str] = deque()  # of ERRORS, or "drop", "reset", "trickle"
        self.received: deque[tuple[str, Mapping[str, str], Any]] = deque(maxlen=32)  # path, headers, JSON
        self.asked: list[str] = []  # the paths of GETs
        self.port = 0
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Where it listens, with ``/v1``."""
        return f"http://127.0.0.1:{self.port}/v1"

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.add_routes(
            [
                web.post("/v1/chat/completions", self._serve),
                web.post("/v1/completions", self._serve),
                web.get("/v1/models", self._models),
                web.get("/health", self._health),
                web.get("/version", self._version),
                web.get("/v1/internal/model/info", self._loaded),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, backlog=1024).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _models(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        if self.next_faults:
            return self._error(self.next_faults.popleft())
        data = [{"id": name, "object": "model", "created": 1, "owned_by": self.flavour} for name in self.models]
        if self.flavour == "vllm":
            data = [{**model, "root": f"/models/{model['id']}", "max_model_len": 512} for model in data]
        return web.json_response({"object": "list", "data": data})

    async def _health(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        if not self.has_health:
            return web.json_response({"detail": "Not Found"}, status=404)
        return web.Response(status=200 if self.healthy else 503, content_type=JSON)

    async def _version(self, request: web.Request) -> web.Response:
        return web.json_response({"version": "0.32.0"}) if self.flavour == "vllm" else web.Response(status=404)

    async def _loaded(self, request: web.Request) -> web.Response:
        if self.flavour != "webui":
            return web.Response(status=404)
        return web.json_response({"model_name": self.models[0] if self.models else "None", "lora_names": []})

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.received.append((request.path, request.headers, body))
        await asyncio.sleep(self.latency)
        if self.next_faults:
            return await self._fail(request, self.next_faults.popleft())
        if refusal := self._refusal(body):
            return web.Response(status=refusal[0], text=refusal[1], content_type=JSON)
        chat = request.path.endswith("/chat/completions")
        prompt = body["messages"][-1]["content"] if chat else body["prompt"]
        return web.json_response(self._completion(chat, prompt, body))

    def _completion(self, chat: bool, prompt: str, body: Mapping[str, Any]) -> dict[str, Any]:
        most = json.loads(body.get("generation_config", "{}")).get("max_new_tokens", body.get("max_tokens"))
        words = self.answer(prompt, body).split(" ")
        text, reason = " ".join(words[:most]), "stop" if most is None or len(words) <= most else "length"
        said = {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
        n_prompt, n_new = len(prompt.split()), len(words[:most])
        return {
            "id": "1",
            "object": "chat.completion" if chat else "text_completion",
            "created": 1,
            "model": f"{self.models[0]}@main" if self.flavour == "transformers" else self.models[0],
            "choices": [{"index": 0, **said, "finish_reason": reason, **self.extra}],
            "usage": {"prompt_tokens": n_prompt, "completion_tokens": n_new, "total_tokens": n_prompt + n_new},
        }

    def _refusal(self, body: Mapping[str, Any]) -> tuple[int, str] | None:
        """Status and body, where the server does not take the request."""
        unknown, seed = body.keys() - _KNOWN.get(self.flavour, body.keys()), body.get("seed", 0)
        if unknown and self.flavour == "transformers":
            return 422, json.dumps({"detail": f"Unexpected fields in the request: {unknown}"})
        if unknown:
            words = f"Unrecognized request argument supplied: {min(unknown)}"
            return 400, _openai_error(words, "invalid_request_error", None)
        if self.flavour == "transformers" and body.get("model", self.models[0]) != self.models[0]:
            words = f"Server is pinned to '{self.models[0]}'; requested '{body['model']}'."
            return 400, json.dumps({"detail": words})
        if self.flavour == "vllm":
            return _vllm_refusal(body, self.models)
        if self.flavour == "llamacpp" and not 0 <= seed < 2**32 - 1:
            return 400, json.dumps({"error": {"code": 400, "message": "seed out of range", "type": "invalid"}})
        return None

    async def _fail(self, request: web.Request, kind: str) -> web.StreamResponse:
        if kind in ERRORS:
            return self._error(kind)
        response = web.StreamResponse(headers={"Content-Length": "1000", "Content-Type": JSON})
        if kind != "reset":
            await response.prepare(request)
            await response.write(b'{"choices": ')
        while kind == "trickle":
            await asyncio.sleep(0.05)
            await response.write(b" ")
        assert request.transport is not None
        request.transport.abort()
        raise asyncio.CancelledError

    def _error(self, kind: str) -> web.Response:
        status, content_type, text = ERRORS[kind]
        return web.Response(status=status, text=text, content_type=content_type, headers=self.headers)


def _vllm_refusal(body: Mapping[str, Any], models: Sequence[str]) -> tuple[int, str] | None:
    if body["model"] not in models:
        words = f"The model `{body['model']}` does not exist."
        return 404, _openai_error(words, "NotFoundError", "404")
    rules = {
        "top_p": (0 < body.get("top_p", 1) <= 1, "top_p must be in (0, 1]"),
        "temperature": (body.get("temperature", 1) >= 0, "temperature must be non-negative"),
        "top_k": (body.get("top_k", 0) >= -1, "top_k must be 0 (disable), or at least 1"),
        "seed": (-(2**63) <= body.get("seed", 0) < 2**63, "seed must fit into 64 bits"),
    }
    for name, (holds, words) in rules.items():
        if not holds:
            return 400, _openai_error(f"{words}, got {body[name]}.", "BadRequestError", "400")
    return None


def _words(prompt: str, body: Mapping[str, Any]) -> str:
    rng = random.Random(f"{body.get('seed')} {prompt}")
    return " ".join(rng.choice(("yes", "no", "well", "oh", "never")) for _ in range(30))
