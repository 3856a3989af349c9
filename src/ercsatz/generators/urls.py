"""The addresses of a served model."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from ercsatz.errors import UserError

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


def _url(value: object) -> str:
    text = str(value).strip().rstrip("/").removesuffix("/generate").rstrip("/")
    try:
        parts = urlsplit(text)
        fits = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port that is no number, or a broken IPv6 address
        fits = False
    # Addresses go on record, so no password may stand in one
    if not fits or any(character in text for character in " ?#@"):
        raise UserError(f"generator.url: {value!r} is no server's address; {_WANTED}.")
    return parts._replace(netloc=parts.netloc.lower()).geturl()
