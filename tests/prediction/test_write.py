import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from ercsatz.data.dialogue import Dialogue, Utterance
from ercsatz.prediction.progress import progress, words
from ercsatz.prediction.saved_classifier import Prediction
from ercsatz.prediction.write import table, to_file

JOY = Prediction("joy", 0.75, {"joy": 0.75, "anger": 0.25})


def shown(dialogue, width, **more):
    console = Console(width=width, file=io.StringIO(), **more)
    console.print(table(dialogue, [JOY] * len(dialogue.utterances)))
    return console.file.getvalue()


@pytest.mark.parametrize("width", [30, 40, 80, 200])
def test_a_table_keeps_to_the_terminal_and_loses_no_text(width):
    text = (
        "One two three four five six seven eight nine ten, eleven twelve 你好你好你好你好 https://example.org/"
        + "x" * 70
    )
    dialogue = Dialogue("7", (Utterance("Ann", text), Utterance("Somebody whose name is long", "no")))
    lines = shown(dialogue, width).splitlines()
    assert max(map(cell_len, lines)) <= width
    assert lines[0].strip() == "Dialogue 7"
    packed = "".join("".join(lines).split())
    for word in text.split()[:9]:
        assert word in "".join(lines)
    assert packed.count("x") >= 70
    assert packed.count("joy") == packed.count("0.75") == 2


def test_nothing_in_a_text_can_be_more_than_text():
    nasty = "\x1b[31m [bold]no[/bold] \x07 \u202e evil\r\n two"
    text = shown(Dialogue("\x1b]0;x", (Utterance("\x1b[2J[red]", nasty),)), 80, force_terminal=False)
    assert not {"\x1b", "\x07", "\u202e", "\r"} & set(text)
    assert "[bold]no[/bold]" in text
    assert "[red]" in text
    assert len(text.splitlines()) == 2


def test_a_csv_can_be_told_apart_from_its_texts(tmp_path):
    with to_file(tmp_path / "out.csv", ("joy", "anger")) as write:
        write(Dialogue("a,b", (Utterance('say "x"', "one,\ntwo"),)), [JOY])
    expected = 'dialogue,turn,speaker,text,label,p_joy,p_anger\n"a,b",0,"say ""x""","one,\ntwo",joy,0.75,0.25\n'
    assert (tmp_path / "out.csv").read_text(encoding="utf-8") == expected


def test_rows_are_written_as_they_come_and_the_file_appears_at_the_end(tmp_path):
    with to_file(tmp_path / "out.jsonl", ("joy", "anger")) as write:
        for number in range(1000):
            write(Dialogue(str(number), (Utterance("Ann", "hello"),)), [JOY])
        (partial,) = tmp_path.iterdir()
        assert partial.name != "out.jsonl"
        assert partial.stat().st_size > 10_000
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]


# Progress


def test_words_tell_the_rate_and_what_is_left():
    assert words(0, 1200, 0.0) == "0/1,200 turns, 0.0/s, ? left"
    assert words(300, 1200, 10.0) == "300/1,200 turns, 30/s, 0:00:30 left"
    assert words(3, 7203, 2.0) == "3/7,203 turns, 1.5/s, 1:20:00 left"


def test_where_no_terminal_is_a_line_comes_every_ten_seconds():
    console, now = Console(file=io.StringIO(), width=20), [100.0]
    with progress(console, 60, lambda: now[0]) as advance:
        for _ in range(6):
            now[0] += 4.0
            advance(10)
    assert console.file.getvalue().splitlines() == [
        "30/60 turns, 2.5/s, 0:00:12 left",
        "60/60 turns, 2.5/s, 0:00:00 left",
    ]


@pytest.mark.parametrize("width", [40, 100])
def test_on_a_terminal_a_bar_fits_one_line_and_is_gone_at_the_end(width):
    console, now = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None), [0.0]
    with progress(console, 1091, lambda: now[0]) as advance:
        now[0] = 2.0
        advance(1000)
    written = console.file.getvalue()
    assert "1,000/1,091 turns, 500/s, 0:00:00 left" in written
    assert ("━" in written) == (width == 100)
    assert written.count("\n") == 1
    assert written.endswith("\x1b[1A\x1b[2K")
