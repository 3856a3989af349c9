"""Text files of any content: read with messages for users, written whole or not at all."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from ercsatz.disk import whole
from ercsatz.errors import UserError


def read_text(path: Path) -> str:
    """The text of a UTF-8 file (a byte order mark is dropped).

    Raises:
        UserError: the file is missing, cannot be read or is not UTF-8.
    """
    try:
        with _told(path):
            return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 at byte {error.start}. Convert it, e.g. with iconv -t UTF-8.") from None


def parse_json(text: str, where: str | None = None) -> Any:
    """The value that a text holds, whoever wrote it.

    Args:
        text: the text.
        where: its place, for messages; given, a key that occurs twice is refused.

    Raises:
        json.JSONDecodeError: it is not JSON, nested too deeply, or has a number of thousands of digits.
        UserError: a key occurs twice.
    """
    try:
        return json.loads(text, object_pairs_hook=None if where is None else unique_keys(where))
    except json.JSONDecodeError:
        raise
    except RecursionError:
        raise json.JSONDecodeError("nested too deeply", text, 0) from None
    except ValueError:  # Python's own limit
        raise json.JSONDecodeError("a number of too many digits", text, 0) from None


def read_json(path: Path, mend: str) -> Any:
    """The value that a JSON file holds.

    Args:
        path: the file.
        mend: what to do where it is broken, a sentence.

    Raises:
        UserError: it is missing, not UTF-8 or not JSON; the message names the line.
    """
    try:
        return parse_json(read_text(path))
    except json.JSONDecodeError as error:
        raise UserError(f"{path}, line {error.lineno}: not JSON ({error.msg}). {mend}") from None


def json_lines(path: Path) -> Iterator[tuple[str, Any]]:
    """Read a JSONL file line by line (a byte order mark, and blank lines at the end, are dropped).

    Yields:
        The place, for messages, and the decoded JSON value.

    Raises:
        UserError: the file is missing or cannot be read, or a line is not UTF-8, not JSON or has a key twice; the
            message names it.
    """
    with _told(path), path.open("rb") as file:  # in which a line ends with a line feed alone: texts may have U+2028
        blank = 0
        for number, line in enumerate(file, 1):
            if not line.strip():
                blank = blank or number
                continue
            where = f"{path}, line {blank or number}"
            try:
                text = "" if blank else line.decode("utf-8-sig" if number == 1 else "utf-8")
                value = parse_json(text, where)
            except UnicodeDecodeError:
                raise UserError(f"{where}: not UTF-8. Convert the file, e.g. with iconv -t UTF-8.") from None
            except json.JSONDecodeError as error:
                raise UserError(f"{where}: not JSON ({error.msg}). A line must be one whole record.") from None
            yield where, value


def unique_keys(where: str) -> Callable[[list[tuple[str, Any]]], dict[str, Any]]:
    """What makes an object of JSON's pairs and, unlike ``json``, keeps none of a key's two values.

    Args:
        where: the place, for messages.
    """

    def mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in found if keys.count(key) > 1)
            raise UserError(f"{where}: the key {twice!r} occurs twice. Rename one, or leave it out.")
        return found

    return mapping


def write_json_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write one JSON object a line; the file appears whole or not at all."""
    with atomic_write(path) as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


@contextmanager
def atomic_write(path: Path) -> Iterator[IO[str]]:
    """Open a neighbour of ``path`` for text; it takes that place at the end (see ``ercsatz.disk.whole``).

    On any error the neighbour is removed and ``path`` is left as it was.
    """
    with whole(path) as new, new.open("w", encoding="utf-8", newline="\n") as file:
        yield file


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"There is no file {path}.") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}.") from None
