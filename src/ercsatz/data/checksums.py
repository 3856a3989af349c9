"""Checksums beside data files, as ``sha256sum`` writes and checks them.

A data set has them in ``SHA256SUMS``. Files without any, of earlier versions or of other people, are taken as they are;
so is one whose checksums were deleted to accept an edit.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from ercsatz.disk import whole
from ercsatz.errors import UserError

NAME = "SHA256SUMS"


def write(folder: Path, names: Iterable[str]) -> None:
    """Write the checksums of a folder's files."""
    with whole(folder / NAME) as new:
        new.write_text("".join(f"{_sha256(folder / name)}  {name}\n" for name in names), encoding="utf-8")


def where_other(path: Path) -> Path | None:
    """The file with checksums of which none is that of a file; ``None`` where one is, or where there are none."""
    sums = path.with_name(NAME)
    if not path.is_file() or not sums.is_file():
        return None
    lines = (line.split(maxsplit=1) for line in sums.read_text(encoding="utf-8", errors="replace").splitlines())
    listed = {words[0] for words in lines if len(words) == 2 and words[1].lstrip("*") == path.name}
    return sums if listed and _sha256(path) not in listed else None


def refuse_changed(path: Path) -> None:
    """Refuse a file that is not the one whose checksum is beside it; one that is missing is the reader's to tell.

    Raises:
        UserError: says how a change that was wanted is accepted.
    """
    if (sums := where_other(path)) is not None:
        raise UserError(
            f"{path} is not the file that was written: its SHA-256 is another than in {sums}. It is damaged, or was "
            f"edited. Make it again; or, if the change is wanted, delete {sums}."
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
