"""A server that speaks the OpenAI protocol, asked through the official client, which is imported here."""

import asyncio
import json
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import openai

from ercsatz.errors import UserError
from ercsatz.generators import bodies, chat, interface
from ercsatz.generators.chat import ChatTemplate
from ercsatz.generators.interface import BusyError, FailedError, RefusedError, TimedOutError, UnreachableError
from ercsatz.generators.openai_flavours import Flavour
from ercsatz.generators.urls import key
from ercsatz.generators.words import elsewhere, retry_after, short

CONNECTING = 10.0  # seconds for a connection to be made
GLANCE = 5.0  # seconds for what a server answers at once or not at all
IDLE = 3.0  # seconds a connection is kept; uvicorn hangs up after 5, and a request sent just then would fail

_BROKEN_OFF = ("abort", "error")  # vLLM's and OpenRouter's finish reasons for an answer that did not end
# Seeds have 63 bits. vLLM takes them whole, as does PyTorch behind transformers serve. llama.cpp has 32 bits, all set
# meaning a random seed; gateways to other makers' models have 32 with a sign. The lowest 31 bits suit all of these.
_SEED_BITS = {Flavour.vllm: 63, Flavour.transformers: 63}


class OpenAIServer:
    """One OpenAI-compatible server.

    Args:
        url: its address; ``/v1`` is added where it has no path.
        flavour: which kind of server it is.
        model: the one that is wanted; ``None`` takes the only one that it serves.
        template: what prompts are wrapped in.
        seconds: for an answer.
        sent: the sampling parameters.
        grammar: holds for dialogues; ``None`` leaves answers free.
    """

    def __init__(
        self,
        url: str,
        flavour: Flavour,
        model: str | None,
        template: ChatTemplate,
        seconds: float,
        sent: Mapping[str, float | int],
        grammar: str | None,
    ) -> None:
        self._url, self._flavour, self._sent, self._grammar = url, flavour, sent, grammar
        self._asked_for, self._timeout, self._model = model, seconds, model
        self._wrap = None
        if template is not ChatTemplate.model:
            self._wrap = chat.wrapper(template, lambda: None)
        self._known, self._meeting = False, asyncio.Lock()
        base = url if urlsplit(url).path else f"{url}/v1"
        self._root = base.removesuffix("/v1")
        timeout = openai.Timeout(seconds, connect=min(CONNECTING, seconds))
        # How many connections there are is up to who asks. openai 2 is made of httpx and openai 3 of httpx2: their
        # common names are found through the client.
        limits = type(openai.DEFAULT_CONNECTION_LIMITS)(keepalive_expiry=IDLE)
        self._client = openai.AsyncOpenAI(
            api_key=key("OPENAI_API_KEY") or "none",
            base_url=base,
            max_retries=0,
            timeout=timeout,
            default_headers=bodies.HEADERS,
            http_client=_Client(limits=limits, timeout=timeout),
        )

    @property
    def name(self) -> str:
        """Its URL."""
        return self._url

    async def identify(self) -> interface.Identity:
        """Ask which model it serves.

        Raises:
            ServerError: it does not say.
            UserError: it serves several and none is chosen, or not the one that is.
        """
        match self._flavour:
            case Flavour.transformers:
                identity = await self._identify_by_answer()
            case Flavour.webui:
                identity = await self._identify_loaded()
            case _:
                identity = await self._identify_listed()
        self._known = True
        return identity

    async def healthy(self) -> bool:
        """Whether ``/health`` says so within a few seconds, or ``/v1/models`` where there is no such page."""
        for page in (f"{self._root}/health", "/models"):
            try:
                await self._get(page)
            except RefusedError:
                continue
            except interface.ServerError:
                return False
            return True
        return False

    async def answer(self, request: interface.Request) -> interface.Answer:
        """Answer one request; see ``interface.Server``."""
        if not self._known:
            async with self._meeting:
                if not self._known:
                    await self.identify()
        body = self._fields(request.seed, request.max_new_tokens)
        if self._grammar is not None and request.step is interface.Step.dialogue:
            body["structured_outputs"] = {"regex": self._grammar}
        if self._wrap is None:
            body["messages"] = [{"role": "user", "content": request.prompt}]
            return _answer(await self._post("/chat/completions", body))
        body["prompt"] = self._wrap(request.prompt)
        return _answer(await self._post("/completions", body))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    def _fields(self, seed: int, max_new_tokens: int | None) -> dict[str, Any]:
        """A request without its prompt."""
        sampling = dict(self._sent)
        if max_new_tokens is not None:
            sampling["max_new_tokens"] = max_new_tokens
        fields: dict[str, Any] = {} if self._model is None else {"model": self._model}
        fields["seed"] = seed & (2 ** _SEED_BITS.get(self._flavour, 31) - 1)
        if self._flavour is Flavour.transformers:  # takes them in no other way; any field of its own is refused
            return {**fields, "generation_config": json.dumps({**sampling, "do_sample": True})}
        names = {"max_new_tokens": "max_tokens"}
        if self._flavour is Flavour.llamacpp:
            names["repetition_penalty"] = "repeat_penalty"
        return {**fields, **{names.get(name, name): value for name, value in sampling.items()}}

    async def _identify_listed(self) -> interface.Identity:
        body = await self._get("/models")
        said = bodies.parse(body)
        listed = said.get("data") if isinstance(said, dict) else None
        if not isinstance(listed, list) or not all(isinstance(model, dict) for model in listed):
            raise FailedError(f"/v1/models gives no list of models: {_shown(body)}")
        models = {bodies.model_name(model.get("id")): model for model in listed}
        if None in models:
            raise FailedError(f"/v1/models has a model without a name: {_shown(body)}")
        if not models:
            raise FailedError("/v1/models is empty: the server has no model loaded.")
        names = [str(name) for name in models]
        if self._asked_for is None and len(names) > 1:
            raise UserError(f"{self._url} serves {_some(names)}: choose one with generator.model=NAME.")
        self._model = names[0] if self._asked_for is None else self._asked_for
        if self._model not in models:
            raise UserError(f"{self._url} does not serve generator.model={self._model}, but {_some(names)}.")
        details = dict(models[self._model])
        if self._flavour is Flavour.vllm:
            with suppress(interface.ServerError):
                version = bodies.parse(await self._get(f"{self._root}/version"))
                details.update(version if isinstance(version, dict) else {})
        return interface.Identity(self._model, details=details)

    async def _identify_loaded(self) -> interface.Identity:
        """text-generation-webui may list all models on its disk, and answers with the loaded one in any case."""
        body = await self._get(f"{self._root}/v1/internal/model/info")
        said = bodies.parse(body)
        if not isinstance(said, dict):
            raise FailedError(f"An answer that names no model: {_shown(body)}")
        if said.get("model_name") in (None, "None"):
            raise FailedError("the server has no model loaded.")
        loaded = bodies.model_name(said["model_name"])
        if loaded is None:
            raise FailedError(f"An answer that names no model: {_shown(body)}")
        if self._asked_for not in (None, loaded):
            raise UserError(f"{self._url} does not serve generator.model={self._asked_for}, but {loaded}.")
        self._model = loaded
        return interface.Identity(loaded, details=said)

    async def _identify_by_answer(self) -> interface.Identity:
        """``transformers serve`` lists the hub's cache and not what it serves; its answers have name and revision."""
        try:
            body = await self._post("/completions", {**self._fields(seed=0, max_new_tokens=1), "prompt": "Hello"})
        except RefusedError as error:
            if error.status != 400:
                raise
            raise UserError(f"{self._url} does not take generator.model={self._asked_for}. It says: {error}") from error
        except FailedError as error:
            hint = " (If it was started without a model, choose one with generator.model=NAME.)"
            raise FailedError(f"{error}{hint if self._asked_for is None else ''}") from error
        said = bodies.parse(body)
        model = bodies.model_name(said.get("model")) if isinstance(said, dict) else None
        if model is None:
            raise FailedError(f"An answer that names no model: {_shown(body)}")
        return interface.Identity(model, details={"model": model})

    async def _get(self, page: str) -> bytes:
        call = self._client.get(page, cast_to=openai.HttpxBinaryResponseContent, options={"timeout": GLANCE})
        return await self._call(call, GLANCE)

    async def _post(self, page: str, body: dict[str, Any]) -> bytes:
        # The client's own method for chats costs another 0.8 ms of CPU time a request, for checks of types
        call = self._client.post(page, cast_to=openai.HttpxBinaryResponseContent, body=body)
        return await self._call(call, self._timeout)

    async def _call(self, call: Awaitable[openai.HttpxBinaryResponseContent], seconds: float) -> bytes:
        """What the server said; its failures as ``ServerError``."""
        try:
            async with asyncio.timeout(seconds):  # the client's own time-out starts anew with every byte
                return (await call).content
        except (openai.APIConnectionError, TimeoutError) as error:  # the client's time-out is one of the former
            cause = error.__cause__ or error
            if type(cause).__name__ in ("ConnectError", "ConnectTimeout", "ProxyError"):
                raise UnreachableError(short(str(cause)) or "No connection could be made.") from error
            if isinstance(error, openai.APITimeoutError | TimeoutError):
                raise TimedOutError(f"No answer within {seconds:g} s.") from error
            raise FailedError(f"The connection broke off: {short(str(cause)) or type(cause).__name__}") from error
        except ValueError as error:  # headers that make no sense
            raise FailedError(f"The connection broke off: {short(str(error))}") from error


class _Client(openai.DefaultAsyncHttpxClient):
    """The client's own way to the network, which goes nowhere else and takes no more than an answer may be.

    Nothing is sent on to where an answer points: prompt and key are for this server.
    """

    async def send(self, request: Any, **options: Any) -> Any:
        """Send a request and read the whole answer.

        Raises:
            ServerError: the status says that it is none, or it is too long.
        """
        response = await super().send(request, **{**options, "stream": True, "follow_redirects": False})
        try:
            body = await bodies.read(response.aiter_raw(), response.headers.get("content-encoding", ""))
        finally:
            await response.aclose()
        if not response.is_success:
            raise _failure(response, body)
        return type(response)(response.status_code, content=body, request=request)


def _answer(body: bytes) -> interface.Answer:
    said = bodies.parse(body)
    try:
        choice, usage = said["choices"][0], said.get("usage")
        text = choice["message"]["content"] if "message" in choice else choice["text"]
        reason = choice["finish_reason"]
        counts = (None, None) if usage is None else (usage.get("prompt_tokens"), usage.get("completion_tokens"))
    except (TypeError, KeyError, IndexError, AttributeError) as error:
        raise FailedError(f"An answer that cannot be read: {_shown(body)}") from error
    if not isinstance(reason, str):  # it may have been cut off
        raise FailedError(f"An answer that does not say why it ends: {_shown(body)}")
    if reason in _BROKEN_OFF:
        raise FailedError(f"The answer broke off: the server gives the reason {reason!r}.")
    full = reason == interface.FinishReason.length
    text = "" if text is None else text  # of a model that has only thought
    return interface.Answer(text, interface.FinishReason.length if full else interface.FinishReason.stop, *counts)


def _failure(response: Any, body: bytes) -> interface.ServerError:
    """What a status other than 200 means."""
    status, error = response.status_code, _error(body)
    words = elsewhere(status, response.headers.get("location")) or _words(response, body, error)
    empty_account = "insufficient_quota" in (error.get("code"), error.get("type"))  # which does not fill by waiting
    if status == 429 and not empty_account:
        return BusyError(words, retry_after(response.headers.get("retry-after", "")))
    if status in (408, 409, 424) or status >= 500:
        return FailedError(f"HTTP {status}: {words}")
    return RefusedError(status, words)


def _error(body: bytes) -> dict[str, Any]:
    """What an error's body is about; empty where it is no JSON object."""
    with suppress(FailedError):
        said = bodies.parse(body)
        if isinstance(said, dict):
            inner = said.get("error")
            return inner if isinstance(inner, dict) else {"message": inner} if isinstance(inner, str) else said
    return {}


def _words(response: Any, body: bytes, error: Mapping[str, Any]) -> str:
    """What an error's body says; a proxy's page says no more than the status."""
    told = error.get("message") or error.get("detail") or error
    words = told if isinstance(told, str) else json.dumps(told)
    if not error:
        words = "" if "html" in response.headers.get("content-type", "") else body.decode(errors="replace")
    return short(words) or short(response.reason_phrase) or "no words"


def _shown(body: bytes) -> str:
    return short(body.decode(errors="replace"))


def _some(models: Sequence[str]) -> str:
    """The names of models, not all where there are very many."""
    first = models[:20]
    more = f" and {len(models) - len(first)} more" if len(models) > len(first) else ""
    return ", ".join(first) + more
