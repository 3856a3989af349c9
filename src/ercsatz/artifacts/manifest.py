"""``manifest.json``: what an artifact is, and the checksums that say whether it is whole.

It has ``kind``, ``key``, ``owner`` (what the artifact belongs to, for people), ``created``, the ``description`` that
the key was made from, ``files`` (sha256 and size by name), and the ``sha256`` of all that, in canonical JSON.
"""

import hashlib
import json
import os
import stat
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ercsatz.errors import UserError

NAME = "manifest.json"


@dataclass(frozen=True)
class Checksum:
    """Of one file; ``size`` in bytes."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Manifest:
    """What an artifact is; ``created`` is in UTC (ISO 8601)."""

    kind: str
    key: str
    owner: str
    created: str
    description: Mapping[str, Any]
    files: Mapping[str, Checksum]


class DamagedError(Exception):
    """An artifact is not whole; the message names the file."""


def checksums(folder: Path, logs: Collection[str]) -> dict[str, Checksum]:
    """Checksums of all files below a folder, by their name in it, but of what is in the folders ``logs``."""
    files = {path.relative_to(folder): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {
        name.as_posix(): Checksum(_sha256(path), path.stat().st_size)
        for name, path in files.items()
        if name.parts[0] not in logs and name.as_posix() != NAME
    }


def write(folder: Path, manifest: Manifest) -> None:
    """Write a manifest, after all that it is about."""
    facts = asdict(manifest)
    text = json.dumps({**facts, "sha256": _own_sha256(facts)}, indent=2)
    (folder / NAME).write_text(text, encoding="utf-8")


def read(folder: Path, place: Path | None = None) -> Manifest:
    """The manifest of an artifact, whose files are not looked at.

    Args:
        folder: where it is.
        place: where it belongs; None: there.

    Raises:
        DamagedError: it is missing, torn, or about another artifact than the names of its place say.
    """
    place, manifest = place or folder, _read(folder)
    if (manifest.kind, manifest.key) != (place.parent.name, place.name):
        raise DamagedError(f"{NAME} is about another artifact")
    return manifest


def verify(folder: Path, place: Path | None = None) -> None:
    """Check every file of an artifact once in this process; arguments and errors are those of ``read``.

    Raises:
        DamagedError: one is missing or was changed.
    """
    _verify_files(folder, read(folder, place))


def refuse_damaged(copy: Path) -> None:
    """Check every file of an artifact, or of a copy of its folder in another place, once in this process.

    A folder without a manifest, as earlier versions left it, is taken as it is.

    Raises:
        UserError: a file is missing or was changed.
    """
    try:
        if (copy / NAME).exists():
            _verify_files(copy, _read(copy))
    except DamagedError as damaged:
        raise UserError(
            f"{copy} is damaged: {damaged}. Copy that folder again, or run the command that made it again; to use it "
            f"as it is, delete {NAME} there."
        ) from None


def _read(folder: Path) -> Manifest:
    try:
        facts = json.loads((folder / NAME).read_text(encoding="utf-8"))
        if facts.pop("sha256") != _own_sha256(facts):
            raise DamagedError(f"{NAME} was changed")
        files = {name: Checksum(**found) for name, found in facts.pop("files").items()}
        return Manifest(**facts, files=files)
    except OSError as error:
        raise DamagedError(f"{NAME}: {error.strerror}") from None
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        raise DamagedError(f"{NAME} is torn") from None


def _verify_files(folder: Path, manifest: Manifest) -> None:
    seen = (folder.absolute(), manifest.created, _own_sha256(asdict(manifest)))
    if seen in _VERIFIED:
        return
    for name, checksum in manifest.files.items():
        try:
            whole = (folder / name).stat().st_size == checksum.size and _sha256(folder / name) == checksum.sha256
        except OSError as error:
            raise DamagedError(f"{name}: {error.strerror}") from None
        if not whole:
            raise DamagedError(f"{name} was changed")
    _VERIFIED.add(seen)


_VERIFIED: set[tuple[Path, str, str]] = set()


def size(path: Path) -> int:
    """Bytes of a file, or of all files below a folder; what vanishes meanwhile has none."""
    return sum(found for found, _ in _stats(path))


def last_written(path: Path) -> float:
    """When a file, or anything below a folder, was last written: seconds since 1970; 0 if it vanished."""
    return max((modified for _, modified in _stats(path)), default=0.0)


def _stats(path: Path) -> Iterator[tuple[int, float]]:
    below = (Path(folder, name) for folder, _, names in os.walk(path) for name in names)
    for each in (path, *below):
        with suppress(OSError):
            found = each.lstat()
            yield (0 if stat.S_ISDIR(found.st_mode) else found.st_size), found.st_mtime


def _own_sha256(facts: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
