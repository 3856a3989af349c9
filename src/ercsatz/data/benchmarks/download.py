"""A file from a publisher's server, which may be hostile: over HTTP alone, from no other network, of a bounded size."""

import ipaddress
import socket
import time
from collections.abc import Generator
from http.client import HTTPException, HTTPMessage
from typing import IO
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
)

from ercsatz.errors import UserError
from ercsatz.reporting.text import plain

LARGEST = 1 << 30  # bytes of a file
LONGEST = 3600.0  # seconds for a file
SILENCE = 30.0  # seconds without a byte
_CHUNK = 1 << 16


def chunks(url: str, chosen: bool) -> Generator[tuple[bytes, int | None], None, None]:
    """The body in pieces, each with the announced length; every trouble on the way is a ``UserError``.

    Args:
        url: from a benchmark's YAML, or of a mirror.
        chosen: whether the user has said so; else it must not be an address of this machine.

    Raises:
        UserError: says what failed or what the server did.
    """
    started, received = time.monotonic(), 0
    try:
        if _reach(url) == 0 and not chosen:
            raise UserError("the address is one of this machine; if that is right, give it with --base-url")
        with _opener().open(Request(url, headers={"User-Agent": "ercsatz"}), timeout=SILENCE) as response:
            header = response.headers["Content-Length"]
            length = None if header is None else int(header)
            if length is not None and length > LARGEST:
                raise UserError(f"the file has {length:,} bytes, more than the {LARGEST:,} that are fetched")
            while chunk := response.read(_CHUNK):
                received += len(chunk)
                if received > LARGEST:
                    raise UserError(f"the server sent more than the {LARGEST:,} bytes that are fetched")
                if time.monotonic() - started > LONGEST:
                    raise UserError(f"the download did not end in {LONGEST:,.0f} seconds")
                yield chunk, length
    except HTTPError as error:
        raise UserError(f"the server answered {error.code} ({plain(error.reason)})") from None
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise UserError(f"the download failed ({plain(getattr(reason, 'strerror', None) or reason)})") from None
    if length is not None and received != length:
        raise UserError(f"the download ended after {received:,} of {length:,} bytes")


class _Redirects(HTTPRedirectHandler):
    """Follows a server to HTTP alone, not out of encryption, and to no network that is nearer to this machine."""

    max_redirections = 5

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        """The next request.

        Raises:
            UserError: the server sends us where it must not.
        """
        left_encryption = req.full_url.startswith("https:") and not newurl.startswith("https:")
        if left_encryption or _reach(newurl) < _reach(req.full_url):
            raise UserError(f"the server sends us on to {plain(shown(newurl))}, where we do not go")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def shown(url: str) -> str:
    """An address without the name and the password that it may have."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _opener() -> OpenerDirector:
    """One that knows HTTP alone: urllib's own would also read files."""
    opener = OpenerDirector()
    handlers = (ProxyHandler, HTTPHandler, HTTPSHandler, HTTPDefaultErrorHandler, _Redirects, HTTPErrorProcessor)
    for handler in handlers:
        opener.add_handler(handler())
    return opener


def _reach(url: str) -> int:
    """Whose an address is: 0 this machine's, 1 a private network's, 2 anybody's.

    Raises:
        UserError: it is no address of a web server.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UserError(f"{plain(shown(url))} is no address of a web server: it must begin with https:// or http://")
    if "@" in parts.netloc:
        raise UserError("the address has a name or a password in it; leave them out")
    try:
        found = {ipaddress.ip_address(str(info[4][0])) for info in socket.getaddrinfo(parts.hostname, None)}
    except (OSError, ValueError, UnicodeError):
        return 2  # a proxy may know it
    plain_addresses = {getattr(address, "ipv4_mapped", None) or address for address in found}
    if any(a.is_loopback or a.is_link_local or a.is_unspecified for a in plain_addresses):
        return 0
    return 1 if any(address.is_private for address in plain_addresses) else 2
