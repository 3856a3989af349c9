"""What is in a cache, and how it is pruned."""

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from ercsatz.artifacts import manifest, marks
from ercsatz.artifacts.cache import Kind, discard, locked
from ercsatz.artifacts.locks import HeldError
from ercsatz.artifacts.manifest import DamagedError

UNFINISHED = "unfinished"
OLDER = "unknown, of an older version"


@dataclass(frozen=True)
class Item:
    """One thing in a cache.

    Attributes:
        path: a folder, or a file of an older version.
        kind: the folder that it is in.
        key: its name.
        size: in bytes.
        used: when it was last used, in seconds since 1970.
        owner: what it belongs to, for people.
        in_use: whether a running process uses it.
    """

    path: Path
    kind: str
    key: str
    size: int
    used: float
    owner: str
    in_use: bool


@dataclass(frozen=True)
class Pruned:
    """What was removed, and what was not, since a running process uses or makes it."""

    removed: Sequence[Item]
    kept: Sequence[Item]


def items(cache: Path) -> list[Item]:
    """All that is in a cache, kind by kind, the last used first; what vanishes meanwhile is left out."""
    used = marks.in_use(cache)
    found = [_item(path, used) for kind in Kind for path in _content(cache / kind)]
    order = list(Kind)
    return sorted(found, key=lambda item: (order.index(Kind(item.kind)), -item.used, item.key))


def prune(cache: Path, older_than: timedelta | None, keep_under: int | None) -> Pruned:
    """Remove what was not used for a time, and then what was not used for longest, until the rest is small enough.

    Args:
        cache: the folder.
        older_than: remove what was not used for longer than that.
        keep_under: bytes.
    """
    there = sorted(items(cache), key=lambda item: item.used)
    total, now = sum(item.size for item in there), time.time()
    removed, kept = list[Item](), list[Item]()
    for item in there:
        too_old = older_than is not None and now - item.used > older_than.total_seconds()
        if too_old or (keep_under is not None and total > keep_under):
            done = _remove(cache, item)
            total -= 0 if done is False else item.size
            if done is not None:
                (removed if done else kept).append(item)
    return Pruned(removed, kept)


def _content(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from (path for path in folder.iterdir() if path.suffix != ".lock")


def _item(path: Path, used: set[tuple[str, str]]) -> Item:
    owner, last = _owner(path), manifest.last_written(path)
    with suppress(OSError):
        last = (path / manifest.NAME).stat().st_mtime
    key = path.name
    return Item(path, path.parent.name, key, manifest.size(path), last, owner, (path.parent.name, key) in used)


def _owner(path: Path) -> str:
    if path.suffix in {".partial", ".discarded"}:
        return UNFINISHED
    if not (path / manifest.NAME).is_file():
        return OLDER
    try:
        return manifest.read(path).owner
    except DamagedError as damaged:
        return f"damaged ({damaged})"


def _remove(cache: Path, item: Item) -> bool | None:
    """Remove an item: whether it was, or None if there is none any more; not if a process is making or using it."""
    place = item.path.with_name(item.key.removesuffix(".discarded").removesuffix(".partial"))
    try:
        with locked(place, wait=False):
            if item.path == place and (item.kind, item.key) in marks.in_use(cache):
                return False
            if not item.path.exists():
                return None
            discard(item.path)
            return True
    except HeldError:
        return False
