"""Read a data set on the terminal, in colour: ``python -m ercsatz.generation.browse data/meld_bal``.

On a terminal dialogues come one at a time; elsewhere all of them, so that ``... --color | less -R`` works too. The
folder may be any that has splits in the JSONL form.
"""

import argparse
import io
import json
import os
import random
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.control import Control
from rich.text import Text

from ercsatz import signals
from ercsatz.config.command_line import named
from ercsatz.data.dialogue import SPLITS, Dialogue, Utterance
from ercsatz.data.files import from_json
from ercsatz.data.text_files import json_lines
from ercsatz.errors import UserError
from ercsatz.reporting.console import SafeConsole
from ercsatz.reporting.status import report
from ercsatz.reporting.terminal import show_log
from ercsatz.reporting.text import plain, visible

COLOURS = {
    "neutral": "default",
    "joy": "yellow",
    "joyful": "yellow",
    "happy": "yellow",
    "excited": "bright_yellow",
    "surprise": "cyan",
    "anger": "red",
    "angry": "red",
    "mad": "red",
    "frustrated": "bright_red",
    "sadness": "bright_blue",
    "sad": "bright_blue",
    "disgust": "green",
    "fear": "magenta",
    "scared": "magenta",
    "peaceful": "bright_green",
    "powerful": "bright_magenta",
}
OTHER_COLOURS = ("bright_cyan", "bright_green", "bright_magenta", "bright_yellow", "bright_red")
FACTS = ("seed", "attempt", "mode", "generator", "model")  # of the provenance, in the header
BACKGROUND = ("target", "personas", "situation")  # of the provenance, above the turns
NAME_WIDTH = 16  # cells, of a speaker's or an emotion's name
QUIET = "bright_black"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line.

    Returns:
        0: shown, or whoever reads had enough. 1: there is nothing to show, and the message says why.
    """
    options = _parser().parse_args(arguments)
    show_log()
    try:
        dialogues = select(options.folder, options.split, options.emotion, options.id, options.shuffle)
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")
        show(dialogues, _console(options.color))
        sys.stdout.flush()
    except UserError as error:
        report(error)
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more at its end
    return 0


def select(
    folder: Path, split: str | None = None, emotion: str | None = None, id_: str | None = None, seed: int | None = None
) -> Iterator[tuple[str, Dialogue]]:
    """Dialogues of a data set, each with its split; read line by line.

    Args:
        folder: has ``train.jsonl``, ``validation.jsonl`` or ``test.jsonl``.
        split: only this one.
        emotion: only dialogues in which it occurs.
        id_: only dialogues with this id.
        seed: shuffles them.

    Raises:
        UserError: a file is missing or cannot be read, a line is no dialogue, or there is no such dialogue.
    """
    files = [folder / f"{name}.jsonl" for name in (SPLITS if split is None else (split,))]
    there = [file for file in files if file.is_file()]
    if not there:
        raise UserError(
            f"{folder} has no {' and no '.join(file.name for file in files)}. "
            "Name the folder of a data set, as python generate.py data=meld_bal writes it to data/meld_bal."
        )
    lines: Iterable[_Line] = (_Line(file.stem, *line) for file in there for line in json_lines(file))
    if seed is not None:
        lines = list(lines)
        random.Random(seed).shuffle(lines)
    return _matching(lines, folder, emotion, id_)


def show(dialogues: Iterator[tuple[str, Dialogue]], console: SafeConsole) -> None:
    """Page through dialogues where somebody sits at the terminal, else print them all."""
    if sys.stdin.isatty() and sys.stdout.isatty():
        with _keys() as key, console.screen(hide_cursor=False):
            _Pager(dialogues, console, key).run()
        return
    for split, dialogue in dialogues:
        sys.stdout.write(render(split, dialogue, console) + "\n")


def render(split: str, dialogue: Dialogue, console: SafeConsole) -> str:
    """A dialogue for the terminal, as wide as it is; nothing in its texts can be more than text."""
    provenance, width = dialogue.provenance, console.size.width
    title = f"{split} {plain(dialogue.id)} "
    lines = [Text.assemble((title, "bold"), ("─" * (width - cell_len(title)), QUIET))]
    if facts := [f"{name} {_words(provenance[name])}" for name in FACTS if provenance.get(name) is not None]:
        lines += Text(", ".join(facts), QUIET).wrap(console, width)
    names = max(len(name) for name in BACKGROUND)
    for name in BACKGROUND:
        for words in _elements(provenance.get(name)):
            colour = _colour(words) if name == "target" else ""
            lines += _hung([(name, names, QUIET)], Text(words, colour), console)
            name = ""
    turns = [_Turn(plain(turn.speaker), *_emotion(turn), visible(turn.text)) for turn in dialogue.utterances]
    speakers = min(max(cell_len(turn.speaker) for turn in turns), NAME_WIDTH)
    emotions = min(max(cell_len(turn.emotion) for turn in turns), NAME_WIDTH)
    lines.append(Text())
    for turn in turns:
        head = [(turn.speaker, speakers, "bold"), (turn.emotion, emotions, turn.colour)]
        lines += _hung(head, Text(turn.text, turn.colour), console)
    with console.capture() as capture:
        console.print(Text("\n").join(lines), no_wrap=True, overflow="ignore", crop=False)
    return capture.get()


class _Turn(NamedTuple):
    speaker: str
    emotion: str
    colour: str
    text: str


def _emotion(turn: Utterance) -> tuple[str, str]:
    return ("-", QUIET) if turn.emotion is None else (plain(turn.emotion), _colour(turn.emotion))


def _hung(head: Sequence[tuple[str, int, str]], words: Text, console: SafeConsole) -> Iterator[Text]:
    """Cells (text, width, style) and, right of them, words on as many lines as they need."""
    start = Text.assemble(*((set_cell_size(cell, width) + "  ", style) for cell, width, style in head))
    for line in words.wrap(console, max(console.size.width - start.cell_len, NAME_WIDTH)):
        line.rstrip()
        yield start + line
        start = Text(" " * start.cell_len)


def _colour(emotion: str) -> str:
    other = OTHER_COLOURS[zlib.crc32(emotion.encode(errors="replace")) % len(OTHER_COLOURS)]
    return COLOURS.get(emotion, other)


def _words(value: object) -> str:
    """A value of the provenance without its JSON; what is null in it is left out."""
    if isinstance(value, dict):
        return " · ".join(_words(part) for part in value.values() if part is not None)
    return visible(value if isinstance(value, str) else json.dumps(value))


def _elements(value: object) -> list[str]:
    return [_words(element) for element in (value if isinstance(value, list) else [] if value is None else [value])]


def _console(colour: bool) -> SafeConsole:
    if colour:
        return SafeConsole(force_terminal=True, color_system="standard", no_color=False)
    return SafeConsole()


class _Line(NamedTuple):
    split: str
    where: str
    value: Any


def _matching(
    lines: Iterable[_Line], folder: Path, emotion: str | None, id_: str | None
) -> Iterator[tuple[str, Dialogue]]:
    found, emotions = False, set[str]()
    for split, where, value in lines:
        dialogue = from_json(value, where)
        if id_ not in (None, dialogue.id):
            continue
        here = {turn.emotion for turn in dialogue.utterances if turn.emotion is not None}
        emotions |= here
        if emotion is None or emotion in here:
            found = True
            yield split, dialogue
    if found:
        return
    wanted = ([f"the id {id_!r}"] if id_ is not None else []) + ([f"the emotion {emotion!r}"] if emotion else [])
    there = f" Emotions there: {', '.join(sorted(map(plain, emotions)))}." if emotion and emotions else ""
    raise UserError(f"{folder} has no dialogue{' with ' * bool(wanted)}{' and '.join(wanted)}.{there}")


@contextmanager
def _keys() -> Iterator[Callable[[], str]]:
    """A function that waits for a key; where single keys cannot be read, for a line."""
    try:
        import termios
        import tty
    except ImportError:
        yield _line_as_key
        return
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    try:
        tty.setcbreak(terminal, termios.TCSADRAIN)
        yield lambda: os.read(terminal, 1).decode("ascii", "replace") or "q"
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _line_as_key() -> str:
    try:
        return input()[:1] or "n"
    except EOFError:
        return "q"


class _Pager:
    """Shows a page at a time; what was read is kept, so that one can go back."""

    def __init__(self, dialogues: Iterator[tuple[str, Dialogue]], console: SafeConsole, key: Callable[[], str]) -> None:
        self._dialogues, self._console, self._key = dialogues, console, key
        self._read: list[tuple[str, Dialogue]] = []
        self._at, self._page, self._ended = 0, 0, False

    def run(self) -> None:
        """Until the user has had enough."""
        while self._read_up_to(self._at):
            pages = self._pages(self._at)
            self._page = min(self._page, len(pages) - 1)
            self._draw(pages)
            match self._key():
                case "q":
                    return
                case " " | "\n" | "\r" | "n":
                    self._forward(len(pages))
                case "b" | "p":
                    self._back()

    def _forward(self, pages: int) -> None:
        if self._page + 1 < pages:
            self._page += 1
        elif self._read_up_to(self._at + 1):
            self._at, self._page = self._at + 1, 0

    def _back(self) -> None:
        if self._page > 0:
            self._page -= 1
        elif self._at > 0:
            self._at -= 1
            self._page = len(self._pages(self._at)) - 1

    def _read_up_to(self, number: int) -> bool:
        """Whether there is such a dialogue."""
        if number == len(self._read):
            found = next(self._dialogues, None)
            self._ended = found is None
            if found is not None:
                self._read.append(found)
        return number < len(self._read)

    def _pages(self, number: int) -> list[list[str]]:
        """Of one dialogue: as many lines as the terminal has, less one for the keys."""
        lines = render(*self._read[number], self._console).removesuffix("\n").split("\n")
        height = max(self._console.size.height - 1, 1)
        return [lines[start : start + height] for start in range(0, len(lines), height)]

    def _draw(self, pages: list[list[str]]) -> None:
        place = f"{self._at + 1}" + (f", page {self._page + 1} of {len(pages)}" if len(pages) > 1 else "")
        is_last = self._ended and self._at + 1 == len(self._read) and self._page + 1 == len(pages)
        words = f" {place}{', the end' if is_last else ''}  space: on  b: back  q: quit "
        self._console.control(Control.clear(), Control.home())
        sys.stdout.write("\n".join(pages[self._page]) + "\n")
        self._console.print(Text(words, "reverse", no_wrap=True, overflow="crop"), end="")
        sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ercsatz.generation.browse", description="Read a data set on the terminal, in colour."
    )
    parser.add_argument("folder", type=named, help="with train.jsonl, validation.jsonl and test.jsonl")
    parser.add_argument("--split", choices=SPLITS, help="default: all, in this order")
    parser.add_argument("--emotion", help="only dialogues in which it occurs, e.g. joy")
    parser.add_argument("--id", help="only the dialogue with this id, e.g. 000012")
    parser.add_argument("--shuffle", type=int, metavar="SEED", help="in random order")
    parser.add_argument("--color", action="store_true", help="colours even where no terminal is, e.g. for less -R")
    return parser


if __name__ == "__main__":
    signals.run(main)
