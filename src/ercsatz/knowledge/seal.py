"""JSON lines that notice when one of them has changed, is missing, stands twice or elsewhere.

Each line has ``crc``: eight hex digits of the CRC-32 of its place, from 1, and its other values. The last one has
``lines`` besides: how many there are. Files of other programs, and of an earlier version, have neither and are read as
they are.
"""

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from ercsatz.errors import UserError


class Sealer:
    """Writes lines; the last one when it is closed.

    Args:
        file: to write to.
    """

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._number = 0
        self._waiting: dict[str, Any] | None = None  # it may be the last one

    def write(self, values: Mapping[str, Any]) -> None:
        """One line more."""
        self._flush()
        self._waiting = dict(values)
        self._number += 1

    def close(self) -> None:
        """Write the last line."""
        if self._waiting is not None:
            self._waiting["lines"] = self._number
        self._flush()

    def _flush(self) -> None:
        if self._waiting is not None:
            line = {**self._waiting, "crc": _crc(self._number, self._waiting)}
            self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
            self._waiting = None


def unsealed(path: Path, lines: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """The same lines without what seals them.

    Args:
        path: of the file, for messages.
        lines: the place of each, and what it holds.

    Raises:
        UserError: the file is not as it was written.
    """
    sealed = total = None
    number = 0
    for number, (where, line) in enumerate(lines, 1):
        has_seal = isinstance(line, dict) and "crc" in line
        sealed = has_seal if sealed is None else sealed
        if has_seal is not sealed or total is not None:
            raise damaged(path, where)
        if has_seal:
            crc = line.pop("crc")
            if crc != _crc(number, line):
                raise damaged(path, where)
            total = line.pop("lines", None)
        yield where, line
    if sealed and total != number:
        raise damaged(path, f"{path}, after line {number}")


def damaged(path: Path, where: str) -> UserError:
    """What to tell of a file that is not as it was written; ``where`` begins the message."""
    return UserError(
        f"{where}: the file is not as it was written: something has changed, or lines are missing, moved or added. Put "
        "back a copy, or remove it and run the commands again that made it. If it was changed on purpose, take out the "
        f"""checksums: sed -i -E 's/, "(crc": "[0-9a-f]*"|lines": [0-9]+)//g' {path}"""
    )


def _crc(number: int, values: Mapping[str, Any]) -> str:
    text = json.dumps([number, values], ensure_ascii=False)
    return f"{zlib.crc32(text.encode(errors='surrogatepass')):08x}"
