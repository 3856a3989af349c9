import io
import logging

import pytest

from ercsatz.reporting.console import SafeConsole
from ercsatz.sweeps.progress import comparing


def told(caplog: pytest.LogCaptureFixture, seconds: float, terminal: bool) -> tuple[list[str], str]:
    """What is logged and shown where 400 of 124,750 comparisons take so many seconds, and then the same again."""
    now = 0.0
    console = SafeConsole(file=io.StringIO(), force_terminal=terminal, width=80)
    with caplog.at_level(logging.INFO), comparing(console, lambda: now) as advance:
        for done in (400, 800, 1200, 124_750):
            now += seconds
            advance(done, 124_750)
    assert isinstance(console.file, io.StringIO)
    return caplog.messages, console.file.getvalue()


def test_what_takes_long_is_said_once_and_shown_on_a_terminal(caplog):
    messages, shown = told(caplog, 3.0, terminal=True)
    assert messages == ["124,750 comparisons: about 15 minutes to go."]
    assert "124750/124750" in shown


def test_nothing_but_the_line_is_told_where_there_is_no_terminal(caplog):
    messages, shown = told(caplog, 3.0, terminal=False)
    assert messages == ["124,750 comparisons: about 15 minutes to go."]
    assert shown == ""


@pytest.mark.parametrize("terminal", [False, True])
def test_what_is_done_soon_is_not_told(caplog, terminal):
    assert told(caplog, 0.1, terminal) == ([], "")
