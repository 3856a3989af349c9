"""What a server's answer may be: a few megabytes of JSON, whose values are checked before anything is made of them."""

import json
import re
import zlib
from collections.abc import AsyncIterator
from functools import reduce
from typing import Any

from ercsatz.generators.interface import FailedError
from ercsatz.generators.words import short
from ercsatz.reporting.secrets import HIDDEN, keys

MOST = 4 * 2**20  # bytes of an answer, unpacked
# A packed body may be a thousand times as long unpacked, so it is not asked for
HEADERS = {"Accept-Encoding": "identity"}

_ZIPPED = ("gzip", "x-gzip", "deflate")
_DEEPEST = 64  # nesting; what is deeper can be read, but hardly be written again
_NAME = 300  # characters of a model's name
_EITHER = 32 + zlib.MAX_WBITS  # of zlib: gzip's head or its own


async def read(chunks: AsyncIterator[bytes], encoding: str) -> bytes:
    """A whole body, unpacked as far as that is needed to know that it is not too long.

    Args:
        chunks: as they come from the network.
        encoding: the header ``Content-Encoding``, empty where there is none.

    Raises:
        FailedError: it has more than ``MOST`` bytes, or is packed in a way that was not asked for.
    """
    kind = encoding.strip().lower()
    if kind not in ("", "identity", *_ZIPPED):
        raise FailedError(f"An answer in an encoding that was not asked for: {short(kind)}")
    unpack = zlib.decompressobj(_EITHER) if kind in _ZIPPED else None
    body, received = bytearray(), 0
    async for chunk in chunks:
        received += len(chunk)
        try:
            body += chunk if unpack is None else unpack.decompress(chunk, MOST + 1 - len(body))
        except zlib.error as error:
            raise FailedError(f"An answer that cannot be unpacked: {short(str(error))}") from error
        if max(len(body), received) > MOST:
            raise FailedError(f"An answer of more than {MOST // 2**20} MB")
    if unpack is not None and received and (not unpack.eof or unpack.unused_data):
        raise FailedError("An answer that cannot be unpacked: it breaks off, or something follows it")
    # A server that repeats what it was sent must not bring the key into journal, card and data set
    return reduce(lambda left, key: left.replace(key.encode(), HIDDEN.encode()), keys(), bytes(body))


def parse(body: bytes) -> Any:
    """The JSON in a body.

    Raises:
        FailedError: it is none, or nested too deeply.
    """
    try:
        value = json.loads(body)
    except ValueError as error:
        words = short(body.decode(errors="replace")) or "it is empty"
        raise FailedError(f"An answer that is no JSON: {words}") from error
    except RecursionError as error:
        raise FailedError("An answer that is nested too deeply") from error
    level = [value]
    for _ in range(_DEEPEST):
        inner = (each.values() if isinstance(each, dict) else each for each in level if isinstance(each, dict | list))
        level = [value for each in inner for value in each]
        if not level:
            return value
    raise FailedError("An answer that is nested too deeply")


def model_name(value: object) -> str | None:
    """A model's name, if it may be one: some text that can be written to a file, of a line's length."""
    fits = isinstance(value, str) and 0 < len(value) <= _NAME and not re.search("[\ud800-\udfff]", value)
    return str(value) if fits else None
