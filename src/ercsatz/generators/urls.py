"""The addresses of a served model, and the key that is sent there."""

import os
from collections.abc import Sequence
from urllib.parse import urlsplit

from ercsatz.errors import UserError
from ercsatz.reporting.secrets import hidden

_WANTED = "give http://HOST:PORT, or a list of different ones: generator.url=[http://HOST:PORT,http://OTHER:PORT]"


def urls(value: object) -> tuple[str, ...]:
    """The servers that ``generator.url`` names, one at least, in its order.

    Args:
        value: a URL or a list of them; a final ``/`` or ``/generate`` is left out.

    Raises:
        UserError: something in it is no http(s) URL, a server occurs twice, or there is none.
    """
    listed = [value] if isinstance(value, str) or not isinstance(value, Sequence) else value
    found = tuple(map(_url, listed))
    if not found:
        raise UserError(f"generator.url=[]: there is no server; {_WANTED}.")
    for place, url in enumerate(found):
        if url in found[:place]:
            raise UserError(f"generator.url: {url} occurs twice; {_WANTED}.")
    return found


def key(variable: str) -> str | None:
    """The key in a variable of the environment; ``None`` where it is not set, or empty.

    Raises:
        UserError: it cannot be sent.
    """
    text = os.environ.get(variable, "").strip()
    if not (text.isascii() and (not text or text.isprintable())):
        raise UserError(
            f"The environment variable {variable} holds no key: it has other characters than a key may have."
        )
    return text or None


def _url(value: object) -> str:
    text = str(value).strip().rstrip("/").removesuffix("/generate").rstrip("/")
    try:
        parts = urlsplit(text)
        fits = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port that is no number, or a broken IPv6 address
        fits = False
    # Addresses go on record, so no password may stand in one
    if not fits or any(character in text for character in " ?#@"):
        secret = " A password or key is given by the environment: OPENAI_API_KEY, or HF_TOKEN with generator=tgi."
        shown = hidden(repr(value))
        raise UserError(
            f"generator.url: {shown} is no server's address; {_WANTED}.{secret if shown != repr(value) else ''}"
        )
    return parts._replace(netloc=parts.netloc.lower()).geturl()
