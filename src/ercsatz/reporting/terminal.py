"""What happens, told on the terminal: Python's logging, shown by rich. Imports nothing heavy before it is set up."""

import logging
import sys
import unicodedata

_KEPT = "\n\u200c\u200d"  # lines, and joiners, which are part of how emoji and some scripts are spelt
_ACTIVE = {"Cc", "Cf", "Cs"}


def visible(text: str) -> str:
    r"""Text whose control characters a terminal would obey are spelt out; lines and spaces stay.

    Example:
        >>> print(visible("a\x1b[31mb"))
        a\x1b[31mb
    """
    return "".join(
        character.encode("unicode_escape").decode()
        if unicodedata.category(character) in _ACTIVE and character not in _KEPT
        else character
        for character in text
    )


class _Lines(logging.Handler):
    """Each message as it stands, on standard output; errors on standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print it, and flush: who follows a log wants each line at once."""
        from rich.console import Console
        from rich.text import Text

        stream = sys.stderr if record.levelno >= logging.ERROR else sys.stdout
        text = Text(visible(record.getMessage()))
        Console(file=stream, soft_wrap=True, highlight=False, emoji=False).print(text)
        stream.flush()


def show_log() -> None:
    """Show what the project logs, from now on; done once a process, workers of a sweep included."""
    log = logging.getLogger("ercsatz")
    if not any(isinstance(handler, _Lines) for handler in log.handlers):
        log.addHandler(_Lines())
        log.setLevel(logging.INFO)
