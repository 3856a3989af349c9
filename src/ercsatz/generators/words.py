"""What servers say when they do not answer."""

import re
import sys
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from ercsatz.reporting.secrets import hidden
from ercsatz.reporting.text import plain

MOST = 300  # characters of what a server said


def short(text: str) -> str:
    """The beginning of a text, on one line in which everything can be seen, and no password or key.

    What a server says may be anything, also what it was sent: it goes on record and to the terminal.
    """
    return plain(hidden(text[: 10 * MOST]))[:MOST]


def first_line(error: BaseException) -> str:
    """What an exception says, in its first line, as a sentence; its name if it says nothing."""
    line = (str(error).strip() or type(error).__name__).splitlines()[0].strip()
    return line if line.endswith(".") else f"{line}."


def retry_after(text: str) -> float | None:
    """How long a ``Retry-After`` header asks to wait: a number of seconds, or a date.

    >>> retry_after("1.5"), retry_after("soon")
    (1.5, None)
    """
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        return min(float(text), sys.float_info.max)
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None


def elsewhere(status: int, location: str | None) -> str | None:
    """What to tell of an answer that sends the request on to another address; ``None`` where it is no such answer.

    Args:
        status: of the answer.
        location: the header ``Location``.
    """
    if not 300 <= status < 400:
        return None
    where = short(location or "") or "an address that it does not name"
    return f"it sends requests on to {where}, and they are not sent on. If that is right, give it as generator.url."
