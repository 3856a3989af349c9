import fcntl
import io
import json
import os
import pty
import re
import select as readiness
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from ercsatz.data.dialogue import Dialogue, Utterance
from ercsatz.data.files import write_jsonl
from ercsatz.generation.browse import main

NASTY = "\x1b[31mred\x1b]0;title\x07 \x9b2J [bold]b[/bold] :smile: a\nb\r\tc \u202eback\u2028 \ud800 \x7f"
SPLIT = {"train": range(6), "validation": range(6, 8), "test": range(8, 10)}
EMOTIONS = ("neutral", "joy", "anger")


def dialogue(number, texts=("Where is it?", "On the shelf."), **provenance):
    emotions = (EMOTIONS[number % 3], None)
    turns = [Utterance(("Maya", "Tomas")[n % 2], text, emotions[n % 2]) for n, text in enumerate(texts)]
    return Dialogue(f"{number:06d}", tuple(turns), provenance)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for split, numbers in SPLIT.items():
        write_jsonl(tmp_path / f"{split}.jsonl", (dialogue(n, seed=40 + n, attempt=1, target="joy") for n in numbers))
    return tmp_path


def write(folder, *dialogues):
    """JSON as other tools write it, escapes and all."""
    lines = []
    for each in dialogues:
        turns = [{"speaker": t.speaker, "text": t.text, "emotion": t.emotion} for t in each.utterances]
        lines.append(json.dumps({"id": each.id, "utterances": turns, "provenance": dict(each.provenance)}))
    (folder / "train.jsonl").write_text("\n".join(lines) + "\n")


def ids(output):
    return re.findall(r"(?:train|validation|test) (\d{6}) ─", re.sub(r"\x1b\[[0-9;]*m", "", output))


def command(*arguments):
    return [sys.executable, "-m", "ercsatz.generation.browse", *map(str, arguments)]


def run(*arguments, **environment):
    return subprocess.run(
        command(*arguments),
        env={**os.environ, "COLUMNS": "80", **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
    )


def test_everything_is_printed_in_order_where_there_is_no_terminal(folder):
    done = run(folder)
    assert done.returncode == 0
    assert done.stderr == b""
    assert ids(done.stdout.decode()) == [f"{number:06d}" for number in range(10)]
    assert b"\x1b" not in done.stdout


def test_a_dialogue_has_its_header_and_its_turns_aligned(folder, capsys):
    assert main([str(folder), "--id", "000007"]) == 0
    header, facts, target, _, first, second, *_ = capsys.readouterr().out.split("\n")
    assert header.startswith("validation 000007 ──")
    assert facts == "seed 47, attempt 1"
    assert target.split() == ["target", "joy"]
    assert first == "Maya   joy  Where is it?"
    assert second == "Tomas  -    On the shelf."


def test_personas_and_situation_stand_above_the_dialogue(tmp_path, capsys):
    personas = [
        {"speaker": "Maya", "age": 34, "gender": None, "occupation": "nurse", "background": "Grew up inland."},
        {"speaker": "Tomas", "age": 51, "gender": None, "occupation": "baker", "background": None},
    ]
    write(tmp_path, dialogue(0, personas=personas, situation={"text": "A queue.", "relation": None}))
    assert main([str(tmp_path)]) == 0
    lines = capsys.readouterr().out.split("\n")
    assert lines[1] == "personas   Maya · 34 · nurse · Grew up inland."
    assert lines[2] == "           Tomas · 51 · baker"
    assert lines[3] == "situation  A queue."


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--split", "test"], [8, 9]),
        (["--emotion", "joy"], [1, 4, 7]),
        (["--id", "000003"], [3]),
        (["--emotion", "anger", "--split", "train"], [2, 5]),
    ],
)
def test_options_choose(folder, capsys, options, expected):
    assert main([str(folder), *options]) == 0
    assert ids(capsys.readouterr().out) == [f"{number:06d}" for number in expected]


def test_shuffling_is_seeded_and_loses_nothing(folder, capsys):
    orders = []
    for seed in ("1", "1", "2"):
        assert main([str(folder), "--shuffle", seed]) == 0
        orders.append(ids(capsys.readouterr().out))
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == sorted(orders[2]) == [f"{number:06d}" for number in range(10)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--emotion", "jjoy"], "no dialogue with the emotion 'jjoy'. Emotions there: anger, joy, neutral."),
        (["--id", "77"], "no dialogue with the id '77'."),
        (["--id", "000001", "--emotion", "anger"], "the id '000001' and the emotion 'anger'. Emotions there: joy."),
    ],
)
def test_what_is_not_there_is_an_error(folder, capsys, options, message):
    assert main([str(folder), *options]) == 1
    output = capsys.readouterr()
    assert message in output.err
    assert str(folder) in output.err
    assert output.out == ""


def test_a_folder_without_a_data_set_is_an_error(tmp_path):
    done = run(tmp_path / "nowhere")
    assert done.returncode == 1
    missing = f"{tmp_path / 'nowhere'} has no train.jsonl and no validation.jsonl and no"
    assert done.stderr.decode().startswith(f"error: {missing}")
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"id": "1"', "train.jsonl, line 1: not JSON"),
        (b'{"id": "1", "utterances": []}', "train.jsonl, line 1: 'id' must be"),
        (b"\xff\xfe", "train.jsonl, line 1: not UTF-8"),
        (b"", "has no dialogue."),
    ],
)
def test_a_broken_file_is_an_error(tmp_path, capsys, content, message):
    (tmp_path / "train.jsonl").write_bytes(content)
    assert main([str(tmp_path)]) == 1
    assert message in capsys.readouterr().err


def test_what_is_before_a_broken_line_is_shown_at_once(folder, capsys):
    with (folder / "train.jsonl").open("a") as file:
        file.write("{\n")
    assert main([str(folder)]) == 1
    output = capsys.readouterr()
    assert len(ids(output.out)) == 6
    assert "line 7" in output.err


@pytest.mark.parametrize("colour", [[], ["--color"]])
def test_texts_are_only_text(tmp_path, colour):
    turns = (Utterance(f"Maya{NASTY}", NASTY, f"joy{NASTY}"),)
    provenance = {"seed": NASTY, "target": NASTY, "situation": {"text": NASTY}, "personas": [{"speaker": NASTY}]}
    write(tmp_path, Dialogue(f"1{NASTY}", turns, provenance))
    done = run(tmp_path, *colour)
    assert (done.returncode, done.stderr) == (0, b"")
    shown = done.stdout.decode()
    assert set(re.findall("\x1b[^m]*m", shown)) == (
        {"\x1b[1m", "\x1b[0m", "\x1b[90m"} | other(shown) if colour else set()
    )
    rest = re.sub(r"\x1b\[[0-9;]*m", "", shown)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u202e]", rest)
    assert r"\x1b[31mred\x1b]0;title\x07 \x9b2J [bold]b[/bold] :smile: a" in rest
    assert r"b\r\tc \u202eback\u2028 \ud800 \x7f" in rest


def other(shown):
    """The one code for the colour of an emotion without a colour of its own."""
    return set(re.findall("\x1b\\[9[1-6]m", shown))


def test_an_error_does_not_obey_the_data_either(tmp_path, capsys):
    write(tmp_path, Dialogue("1", (Utterance("Maya", "Hi.", NASTY),), {}))
    assert main([str(tmp_path), "--emotion", "joy"]) == 1
    assert "\x1b" not in capsys.readouterr().err


def test_color_is_forced_whatever_the_environment_says(folder):
    assert b"\x1b[33mjoy" in run(folder, "--color", TERM="dumb", NO_COLOR="1").stdout


@pytest.mark.parametrize("width", [30, 60, 100])
def test_texts_wrap_at_the_width_and_hang(tmp_path, width):
    texts = ("word " * 40, "喜" * 60, "x" * 150)
    write(tmp_path, dialogue(1, texts, seed=1, situation={"text": "word " * 30}))
    shown = run(tmp_path, COLUMNS=str(width)).stdout.decode()
    assert all(sum(2 if char == "喜" else 1 for char in line) <= width for line in shown.split("\n"))
    assert shown.count("word") == 70
    assert shown.count("喜") == 60
    assert shown.count("x") == 150
    assert all(line.startswith(("Maya ", "Tomas", " " * 12)) for line in shown.split("\n\n")[1].split("\n") if line)


def test_an_encoding_without_the_characters_does_not_stop_it(tmp_path):
    write(tmp_path, dialogue(0, ("“café” 喜",)))
    done = run(tmp_path, PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"?caf?? ?" in done.stdout


def test_a_closed_pipe_is_quiet(tmp_path):
    write_jsonl(tmp_path / "train.jsonl", (dialogue(number) for number in range(3000)))
    with subprocess.Popen(command(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline().startswith(b"train 000000")
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 0


class Terminal:
    """The command on a terminal of its own."""

    def __init__(self, *arguments, rows=24, columns=80) -> None:
        self.ours, self.theirs = pty.openpty()
        theirs, self.modes = self.theirs, termios.tcgetattr(self.theirs)
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        environment = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES", "NO_COLOR")}
        self.process = subprocess.Popen(
            command(*arguments),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**environment, "TERM": "xterm-256color"},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )

    def screen(self) -> str:
        """What is on the screen once the line of keys is there."""
        return self._until(b"q: quit").rpartition("\x1b[2J")[2]

    def press(self, keys: bytes) -> None:
        os.write(self.ours, keys)

    def _until(self, end: bytes) -> str:
        seen, deadline = b"", time.monotonic() + 30
        while end not in seen:
            assert readiness.select([self.ours], [], [], deadline - time.monotonic())[0], seen
            seen += os.read(self.ours, 1 << 16)
        return seen.decode()

    def end(self) -> str:
        """What comes after the last screen."""
        assert self.process.wait(30) is not None
        rest = b""
        while readiness.select([self.ours], [], [], 0.1)[0]:
            rest += os.read(self.ours, 1 << 16)
        return rest.decode()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.ours)
        os.close(self.theirs)


@pytest.fixture
def terminal():
    opened = []

    def start(*arguments, **size):
        opened.append(Terminal(*arguments, **size))
        return opened[-1]

    yield start
    for each in opened:
        each.close()


def test_keys_turn_pages(folder, terminal):
    shown = terminal(folder, "--split", "train")
    seen = [shown.screen()]
    for key in (b" ", b"\n", b"n", b"b", b"p", b"x", b" "):
        shown.press(key)
        seen.append(shown.screen())
    assert [re.search(r"train (\d+)", re.sub(r"\x1b\[[0-9;]*m", "", page))[1][-1] for page in seen] == list("01232112")
    shown.press(b"q")
    assert "\x1b[?1049l" in shown.end()
    assert shown.process.returncode == 0
    assert termios.tcgetattr(shown.theirs) == shown.modes


def test_the_screen_is_in_colour(folder, terminal):
    assert "\x1b[33mjoy" in terminal(folder, "--emotion", "joy").screen()


def test_the_last_page_stays_and_says_so(folder, terminal):
    shown = terminal(folder, "--split", "test")
    assert "the end" not in shown.screen()
    for end in ("space: on", ", the end"):
        shown.press(b" ")
        last = shown.screen()
        assert "000009" in last
        assert end in last
    shown.press(b"b")
    assert "the end" not in shown.screen()


def test_a_long_dialogue_takes_several_pages(tmp_path, terminal):
    write(tmp_path, dialogue(0, [f"Sentence {number}." for number in range(25)]), dialogue(1))
    shown = terminal(tmp_path, rows=12)
    pages = [shown.screen()]
    for key in b"  b ":
        shown.press(bytes([key]))
        pages.append(shown.screen())
    assert all(page.count("\n") == 11 for page in (pages[0], pages[1]))
    found = re.findall(r"Sentence (\d+)", "".join(pages[:3]))
    assert found == [str(number) for number in range(25)]
    assert ["page 2 of 3" in page for page in pages] == [False, True, False, True, False]


def test_back_from_a_dialogue_is_the_last_page_of_the_one_before(tmp_path, terminal):
    write(tmp_path, dialogue(0, [f"Sentence {number}." for number in range(25)]), dialogue(1))
    shown = terminal(tmp_path, rows=12)
    for key in b"   ":
        shown.screen()
        shown.press(bytes([key]))
    assert "000001" in shown.screen()
    shown.press(b"b")
    assert "page 3 of 3" in shown.screen()


def test_a_new_size_of_the_terminal_is_taken_up(folder, terminal):
    shown = terminal(folder)
    shown.screen()
    fcntl.ioctl(shown.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 10, 40, 0, 0))
    shown.press(b" ")
    page = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.screen())
    assert max(len(line.rstrip("\r")) for line in page.split("\n")[:-1]) == 40


@pytest.mark.parametrize("typed", ["\nn\nb\nq\n", "\nn\nb\n"])
def test_without_single_keys_lines_turn_pages(folder, monkeypatch, capsys, typed):
    class Typed(io.StringIO):
        isatty = staticmethod(lambda: True)

    monkeypatch.setitem(sys.modules, "termios", None)
    monkeypatch.setattr(sys, "stdin", Typed(typed))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert main([str(folder)]) == 0
    assert [id_[-1] for id_ in ids(capsys.readouterr().out)] == list("0121")


def test_control_c_gives_the_terminal_back(folder, terminal):
    shown = terminal(folder)
    shown.screen()
    shown.press(b"\x03")
    assert "\x1b[?1049l" in shown.end()
    assert shown.process.returncode == 130
    assert termios.tcgetattr(shown.theirs) == shown.modes


def test_an_error_on_the_way_is_told_after_the_screen(folder, terminal):
    (folder / "train.jsonl").write_text((folder / "train.jsonl").read_text().split("\n")[0] + "\n{\n")
    shown = terminal(folder)
    shown.screen()
    shown.press(b" ")
    assert "line 2: not JSON" in shown.end().rpartition("\x1b[?1049l")[2]
    assert shown.process.returncode == 1


def test_what_is_typed_ahead_is_not_lost(folder, terminal):
    shown = terminal(folder)
    shown.press(b"  q")
    assert "000002" in shown.end()
    assert shown.process.returncode == 0
