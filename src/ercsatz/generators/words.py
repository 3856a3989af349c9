"""What servers say when they do not answer."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MOST = 300  # characters of what a server said


def short(text: str) -> str:
    """The beginning of a text, on one line."""
    return " ".join(text[: 10 * MOST].split())[:MOST]


def first_line(error: BaseException) -> str:
    """What an exception says, in its first line, as a sentence; its name if it says nothing."""
    line = (str(error).strip() or type(error).__name__).splitlines()[0].strip()
    return line if line.endswith(".") else f"{line}."


def retry_after(text: str) -> float | None:
    """How long a ``Retry-After`` header asks to wait: a number of seconds, or a date.

    >>> retry_after("1.5"), retry_after("soon")
    (1.5, None)
    """
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None
