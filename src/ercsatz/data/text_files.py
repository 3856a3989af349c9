"""Text files of any content: read with messages for users, written whole or not at all."""

import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

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


def json_lines(path: Path) -> Iterator[tuple[str, Any]]:
    """Read a JSONL file line by line (a byte order mark is dropped).

    Yields:
        The place, for messages, and the decoded JSON value.

    Raises:
        UserError: the file is missing or cannot be read, or a line is not UTF-8 or not JSON; the message names it.
    """
    with _told(path), path.open("rb") as file:  # in which a line ends with a line feed alone: texts may have U+2028
        for number, line in enumerate(file, 1):
            where = f"{path}, line {number}"
            try:
                value = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
            except UnicodeDecodeError:
                raise UserError(f"{where}: not UTF-8. Convert the file, e.g. with iconv -t UTF-8.") from None
            except json.JSONDecodeError as error:
                raise UserError(f"{where}: not JSON ({error.msg}). A line must be one whole record.") from None
            yield where, value


def write_json_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write one JSON object a line; the file appears whole or not at all."""
    with atomic_write(path) as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


@contextmanager
def atomic_write(path: Path) -> Iterator[IO[str]]:
    """Open a temporary neighbour of ``path`` for writing and rename it over ``path`` at the end.

    On any error the temporary file is removed and ``path`` is left as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)  # mkstemp makes it private  # noqa: PTH101
        os.replace(name, path)  # noqa: PTH105
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"There is no file {path}.") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}.") from None
