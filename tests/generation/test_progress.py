import io

from rich.console import Console

from ercsatz.generation import progress as progress_module
from ercsatz.generation.progress import progress


def test_lines_tell_count_and_rate_where_there_is_no_terminal(monkeypatch):
    monkeypatch.setattr(progress_module, "LINE_EVERY", 0.0)
    output = io.StringIO()
    with progress(Console(file=output), "answers", 2) as advance:
        advance()
        advance()
    first, second = output.getvalue().splitlines()
    assert first.startswith("1 of 2 answers, ")
    assert second.startswith("2 of 2 answers, ")
    assert second.endswith(" 0 s left")


def test_short_runs_print_no_lines():
    output = io.StringIO()
    with progress(Console(file=output), "answers", 1) as advance:
        advance()
    assert output.getvalue() == ""


def test_terminal_has_a_bar():
    output = io.StringIO()
    with progress(Console(file=output, force_terminal=True, width=100), "answers", 2) as advance:
        advance()
        advance()
    assert "2/2" in output.getvalue()
