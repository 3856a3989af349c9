"""text-generation's client with its connections kept open and its failures told apart.

The library opens a session for every request, which costs more CPU time than all else it does, and its errors lose
the HTTP status and the headers; requests, answers and error bodies are still its own types. Imported by ``tgi`` only
when it is asked for, as the library is optional.
"""

import html
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from aiohttp import (
    ClientConnectorError,
    ClientError,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
    ServerTimeoutError,
    TCPConnector,
)
from pydantic import TypeAdapter
from text_generation import AsyncClient
from text_generation.errors import ValidationError, parse_error
from text_generation.types import Details, Parameters, Request, Response

from ercsatz.generators import bodies
from ercsatz.generators.interface import (
    BusyError,
    FailedError,
    RefusedError,
    ServerError,
    TimedOutError,
    UnreachableError,
)
from ercsatz.generators.words import elsewhere, retry_after, short

CONNECTING = 10.0  # seconds for a connection to be made
IDLE = 4.0  # seconds for which an unused connection is kept
GLANCE = ClientTimeout(5.0)  # for what a server answers at once or not at all


class _Details(Details):  # type: ignore[misc]  # the library is untyped
    """The library's, without an object of its own for each token: for 500 tokens they cost 0.6 ms."""

    prefill: Any = None
    tokens: Any = None


class _Response(Response):  # type: ignore[misc]
    details: _Details


_ANSWERS: TypeAdapter[list[Any]] = TypeAdapter(list[_Response])


class PooledClient(AsyncClient):  # type: ignore[misc]  # the library is untyped
    """Asks one TGI server; its methods raise ``ServerError``.

    Args:
        url: without a final slash.
        timeout: seconds for one answer.
        token: sent as bearer token.
    """

    def __init__(self, url: str, timeout: float, token: str | None) -> None:
        super().__init__(url, headers={"Authorization": f"Bearer {token}"} if token else {})
        self.timeout = ClientTimeout(timeout, sock_connect=CONNECTING)
        self._session: ClientSession | None = None

    async def complete(self, prompt: str, parameters: Mapping[str, Any]) -> tuple[Any, int | None]:
        """The library's ``Response``, and how many tokens the prompt has, where the server says so.

        Args:
            prompt: the text to complete.
            parameters: of the library's ``Parameters``.
        """
        try:
            request = Request(inputs=prompt, parameters=Parameters(**parameters, details=True))
        except ValidationError as error:
            raise RefusedError(422, f"text-generation: {error}") from error
        body, headers = await self._call("POST", "", self.timeout, request.model_dump_json(exclude_none=True).encode())
        try:
            (answer,) = _ANSWERS.validate_json(body, strict=True)  # else "12" and true would be numbers
        except ValueError as error:  # pydantic's own error is one too
            raise FailedError(f"An answer that cannot be read: {short(body.decode(errors='replace'))}") from error
        return answer, _count(headers.get("x-prompt-tokens"))

    async def info(self) -> dict[str, Any]:
        """What ``/info`` says; ``model_id`` is in it."""
        body, _ = await self._call("GET", "/info", GLANCE)
        said = bodies.parse(body)
        if not isinstance(said, dict) or bodies.model_name(said.get("model_id")) is None:
            raise FailedError(f"/info names no model, so this is no TGI server: {short(body.decode(errors='replace'))}")
        if said.get("model_sha") is not None and bodies.model_name(said["model_sha"]) is None:
            raise FailedError(f"/info names no revision of the model: {short(str(said['model_sha']))}")
        return said

    async def health(self) -> None:
        """Return if the server is well."""
        await self._call("GET", "/health", GLANCE)

    async def close(self) -> None:
        """Close the connections; the next request opens new ones."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def _call(
        self, method: str, path: str, timeout: ClientTimeout, data: bytes | None = None
    ) -> tuple[bytes, Mapping[str, str]]:
        if self._session is None:  # needs a running event loop
            headers = {**self.headers, **bodies.HEADERS, "Content-Type": "application/json"}
            # As many connections as requests. An idle one is dropped before servers do, mostly after 5 s: a request
            # that goes out just then is lost.
            self._session = ClientSession(
                headers=headers,
                connector=TCPConnector(limit=0, keepalive_timeout=IDLE),
                cookie_jar=DummyCookieJar(),
                auto_decompress=False,
            )
        url = self.base_url + path
        try:
            # Nothing is sent on to where an answer points: prompt and token are for this server
            async with self._session.request(
                method, url, data=data, timeout=timeout, allow_redirects=False
            ) as response:
                packed = response.headers.get("Content-Encoding", "")
                body = await bodies.read(response.content.iter_any(), packed)
        except (ClientConnectorError, ServerTimeoutError) as error:
            raise UnreachableError(short(str(error))) from error
        except TimeoutError as error:
            raise TimedOutError(f"No answer within {timeout.total:g} s.") from error
        except (ClientError, OSError, ValueError) as error:  # of which the last are headers that make no sense
            raise FailedError(f"The connection broke off: {short(str(error) or type(error).__name__)}") from error
        if response.status != 200:
            raise _failure(response, body)
        return body, response.headers


def _failure(response: ClientResponse, body: bytes) -> ServerError:
    """What a status other than 200 means."""
    words = elsewhere(response.status, response.headers.get("Location")) or _words(response, body)
    if response.status == 429:
        return BusyError(words, retry_after(response.headers.get("Retry-After", "")))
    if response.status in (408, 409, 424) or response.status >= 500:
        return FailedError(f"HTTP {response.status}: {words}")
    return RefusedError(response.status, words)


def _words(response: ClientResponse, body: bytes) -> str:
    """What an error's body says: TGI's own words, the title of a proxy's page, or the text as it is."""
    text = body.decode(errors="replace")
    with suppress(FailedError):
        said = bodies.parse(body)
        if isinstance(said, dict) and isinstance(said.get("error"), str):
            return short(str(parse_error(response.status, said)))
    if "html" in response.content_type:
        title = re.search(r"<title[^>]*>([^<]*)", text, re.IGNORECASE)
        text = html.unescape(title[1] if title else re.sub(r"<[^>]*>", " ", text))
    return short(text) or short(response.reason or "") or "no words"


def _count(header: str | None) -> int | None:
    """A number of tokens in a header, where it is there."""
    if header is None:
        return None
    if not re.fullmatch("[0-9]{1,20}", header):
        raise FailedError(f"An answer whose x-prompt-tokens is no number of tokens: {short(header)}")
    return int(header)
