"""What happens, told on the terminal by Python's logging: ``logging.getLogger(__name__)`` in any module.

What a command shows, such as a table, is printed through ``reporting.console``. Imports nothing heavy.
"""

import logging
import sys
from contextlib import suppress

from ercsatz.reporting.secrets import hidden
from ercsatz.reporting.text import visible


class _Lines(logging.Handler):
    """Each message as it stands but for passwords, on standard output; errors on standard error.

    A bar or a panel of rich stays below these lines: while it is up, rich has put itself before both streams.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Write it, and flush: who follows a log wants each line at once."""
        stream = sys.stderr if record.levelno >= logging.ERROR else sys.stdout
        encoding = getattr(stream, "encoding", None) or "utf-8"
        line = f"{visible(hidden(self.format(record)))}\n".encode(encoding, "backslashreplace").decode(encoding)
        with suppress(OSError):  # what runs goes on when nobody listens any more
            stream.write(line)
            stream.flush()


def show_log() -> None:
    """Show what the project logs, from now on; done once a process, workers of a sweep included."""
    logging.raiseExceptions = False  # a log file that a full disk does not take costs its lines, no tracebacks
    log = logging.getLogger("ercsatz")
    if not any(isinstance(handler, _Lines) for handler in log.handlers):
        log.addHandler(_Lines())
        log.setLevel(logging.INFO)
