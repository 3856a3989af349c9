import io
import logging

import pytest

from ercsatz.errors import UserError
from ercsatz.reporting.status import Status, report
from ercsatz.reporting.text import visible

LOG = logging.getLogger("ercsatz.anything")


@pytest.fixture(autouse=True)
def status(monkeypatch):
    monkeypatch.setattr(Status, "code", 0)


def test_what_happens_is_on_standard_output_line_by_line_and_errors_on_standard_error(capsys):
    LOG.info("Wrote %s.", "[bold]a[/bold] :smile: " + "x" * 200)
    LOG.warning("Beware.")
    LOG.error("No.")
    assert capsys.readouterr() == (f"Wrote [bold]a[/bold] :smile: {'x' * 200}.\nBeware.\n", "No.\n")


def test_a_message_can_be_no_more_than_text(capsys, hostile, obeyed):
    LOG.warning("A server said: %s", hostile)
    told = capsys.readouterr().out
    assert told == f"A server said: {visible(hostile)}\n"
    assert not obeyed(told)


def test_an_error_and_its_traceback_can_be_no_more_than_text(capsys, hostile, obeyed):
    try:
        raise ValueError(hostile)
    except ValueError as error:
        report(error, hostile)
    told = capsys.readouterr().err
    assert told.startswith("Traceback")
    assert told.endswith(f"error ({visible(hostile)}): ValueError: {visible(hostile)}\n")
    assert not obeyed(told)
    assert Status.code == 1


def test_a_users_error_has_a_traceback_only_where_it_is_asked_for(capsys, monkeypatch):
    report(UserError("Say a."))
    assert capsys.readouterr().err == "error: Say a.\n"
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    report(UserError("Say a."))
    assert "UserError: Say a." in capsys.readouterr().err


def test_a_terminal_that_cannot_show_a_letter_gets_its_number(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), "ascii")
    monkeypatch.setattr("sys.stdout", stream)
    LOG.info("Müller")
    assert stream.buffer.getvalue() == b"M\\xfcller\n"


def test_what_runs_goes_on_when_nobody_listens(monkeypatch):
    class Closed(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    monkeypatch.setattr("sys.stdout", Closed())
    LOG.info("Anybody there?")
