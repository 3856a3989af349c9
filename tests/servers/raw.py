"""A server that answers with given bytes, however wrong; and what may be wrong with an answer.

In a test::

    async with RawServer(lambda path: reply(b"{}")) as server:
        ...  # server.url
"""

import asyncio
import copy
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Self

Reply = bytes | Callable[[], AsyncIterator[bytes]]

DEEP = 100_000  # lists in each other
# What may stand anywhere in an answer
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -5, 1.5, float("nan"), float("inf"), 10**40, 2**63, 10**12),
    *("", "12", "-5", "NaN", "\ud800", "\x00", "\x1b]0;owned\x07\x1b[31m", "x" * 100_000),
    *([], [None], {}, {"a": 1}, "@DEEP@", "@DIGITS@"),
)
MISSING = object()


def reply(body: bytes, status: str = "200 OK", **headers: str) -> bytes:
    """A whole answer; a header ``content_type`` is JSON unless it is given."""
    fields = {"content_type": "application/json", "content_length": str(len(body)), **headers}
    lines = [
        f"HTTP/1.1 {status}",
        "Connection: close",
        *(f"{name.replace('_', '-')}: {value}" for name, value in fields.items()),
    ]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def body(value: Any) -> bytes:
    """A value as JSON; what Python itself cannot hold is put into the text."""
    text = json.dumps(value).replace('"@DEEP@"', "[" * DEEP + "]" * DEEP).replace('"@DIGITS@"', "9" * 5000)
    return text.encode()


def mutations(good: Any) -> Iterator[tuple[str, Any]]:
    """A good answer with one node changed or missing, and where: every node, every value."""
    for path in _paths(good):
        for value in (*VALUES, MISSING):
            if value is MISSING and not path:
                continue
            yield f"{path} = {str(value)[:20]!r}", _changed(good, path, value)


def _paths(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in inner:
        yield from _paths(value, (*path, key))


def _changed(good: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    changed = copy.deepcopy(good)
    node = changed
    for key in path[:-1]:
        node = node[key]
    if value is MISSING:
        del node[path[-1]]
    else:
        node[path[-1]] = value
    return changed


class RawServer:
    """An asynchronous context manager.

    Args:
        answer: from the path to the bytes of an answer, or to what gives them one after the other.
    """

    def __init__(self, answer: Callable[[str], Reply]) -> None:
        self.answer, self.port = answer, 0
        self.received: list[tuple[str, bytes]] = []  # path, and head with body

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=2**24)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
            head += await reader.readexactly(int(length[1])) if length else b""
            path = head.split(b" ", 2)[1].decode()
            self.received.append((path, head))
            answer = self.answer(path)
            if isinstance(answer, bytes):
                writer.write(answer)
            else:
                async for piece in answer():
                    writer.write(piece)
                    await writer.drain()
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client has had enough
        finally:
            writer.close()


def endless(head: str, piece: bytes, pause: float = 0.0) -> Reply:
    """An answer that begins with these headers and never ends."""

    async def pieces() -> AsyncIterator[bytes]:
        yield f"HTTP/1.1 200 OK\r\nConnection: close\r\n{head}\r\n".encode()
        while True:
            yield piece
            await asyncio.sleep(pause)

    return pieces
