"""The artifact cache: ``<paths.cache>/<kind>/<key>/``, whose key is a hash of all that determines what is in it."""

import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from ercsatz.artifacts import manifest, marks
from ercsatz.artifacts.keys import content_key
from ercsatz.artifacts.locks import HeldError, Lock, is_held
from ercsatz.artifacts.manifest import DamagedError, Manifest
from ercsatz.disk import settle, sync, told
from ercsatz.errors import UserError

_MEND = "Make room, or give another cache: paths.cache=FOLDER"
PATIENCE = 0.5  # seconds after which a process says that it waits for another one
_MOMENT = 0.1  # seconds for which others hold a lock who only look, or take what is there
_LOG = logging.getLogger(__name__)


class Kind(StrEnum):
    """What an artifact is; the name of its folder in the cache."""

    stages = "stages"
    predictions = "predictions"
    tokens = "tokens"
    vectors = "vectors"
    knowledge = "knowledge"
    assessments = "assessments"


class State(StrEnum):
    """Whether an artifact is there."""

    cached = "cached"
    running = "running elsewhere"
    missing = "missing"


@dataclass(frozen=True)
class Artifact:
    """What can be computed once and kept.

    Attributes:
        kind: of artifact.
        description: all that determines its content; JSON values.
        owner: what it belongs to, for people: "meld_bal compm pretrain seed 0".
        logs: names of folders in it that no result depends on, and that may change later: they are not checked.
    """

    kind: Kind
    description: Mapping[str, Any]
    owner: str
    logs: tuple[str, ...] = ()

    @cached_property
    def key(self) -> str:
        """The name of its folder in the cache."""
        return content_key(self.description)


@dataclass(frozen=True)
class Entry:
    """An artifact in the cache.

    Attributes:
        path: its folder; not to be written into.
        cached: whether it was there already.
    """

    path: Path
    cached: bool


@dataclass(frozen=True)
class Artifacts:
    """Artifacts below one folder (``paths.cache``).

    An artifact is made in ``<key>.partial``, which is renamed when it is whole; whoever holds ``<key>.lock`` may write.
    The lock of a process that is dead is free, on whatever machine that was (``locks``).
    """

    folder: Path

    def get(self, artifact: Artifact, make: Callable[[Path], object], wait: bool = True) -> Entry:
        """An artifact that is whole: as it was made before, or made now.

        Another process that is at the same one is waited for, unless ``wait`` is false. One that was damaged is named,
        thrown away and made again. What is missing from a cache that cannot be written is made in a temporary folder,
        but not a stage. Of a full disk what is there is read.

        Args:
            artifact: which one.
            make: writes it into the folder that it is given, in which a killed process may have left its part.
            wait: for another process.

        Raises:
            HeldError: another process is at it, and ``wait`` is false.
            UserError: the cache cannot be written, or the disk is full.
        """
        place = self.place(artifact)
        if not _writable(self.folder, place.parent):
            return self._without_writing(artifact, make)
        with told(self.folder, _MEND):
            try:
                marks.mark(self.folder, artifact.kind, artifact.key)
                place.parent.mkdir(parents=True, exist_ok=True)
            except OSError:
                if damage(place) is not None:
                    raise
                return Entry(place, cached=True)  # a full disk takes no mark, but what is whole can be read
        with locked(place, wait) as lock:  # whoever prunes and did not see the mark is done then
            if not place.exists():
                return _made(artifact, place, make, lock)
        if damage(place) is None:  # without the lock: it may take seconds, and others may read as well
            return _used(place)
        with locked(place, wait) as lock:
            if (found := damage(place)) is None:  # another process was faster
                return _used(place)
            if place.exists():
                _LOG.warning("%s is damaged (%s): made again", place, found)
                discard(place)
            return _made(artifact, place, make, lock)

    def state(self, artifact: Artifact) -> State:
        """Whether an artifact is there, whole or not, or made elsewhere at the moment; touches nothing."""
        return self.state_of(artifact.kind, artifact.key)

    def state_of(self, kind: Kind, key: str) -> State:
        """The same of an artifact of which only the key is known."""
        place = self.folder / kind / key
        if (place / manifest.NAME).is_file():
            return State.cached
        running = place.with_name(f"{place.name}.partial").is_dir() and is_held(_lock(place).path)
        return State.running if running else State.missing

    def place(self, artifact: Artifact) -> Path:
        """The folder of an artifact, whether it is there or not."""
        return self.folder / artifact.kind / artifact.key

    def _without_writing(self, artifact: Artifact, make: Callable[[Path], object]) -> Entry:
        place = self.place(artifact)
        found = damage(place) if place.exists() else None
        if place.exists() and found is None:
            return Entry(place, cached=True)
        missing = f"{place} is not there" if found is None else f"{place} is damaged ({found})"
        if artifact.kind is Kind.stages:  # hours of work are not for a temporary folder
            raise UserError(f"{missing}, and the cache cannot be written. Give one that can be: paths.cache=FOLDER")
        if found is not None:
            _LOG.warning("%s: made again, but not kept, since the cache cannot be written", missing)
        return Artifacts(Path(_scratch().name)).get(artifact, make)


def _made(artifact: Artifact, place: Path, make: Callable[[Path], object], lock: Lock) -> Entry:
    partial = place.with_name(f"{place.name}.partial")
    facts = (artifact.kind.value, artifact.key, artifact.owner, datetime.now(UTC).isoformat(), artifact.description)
    with told(place.parent, _MEND, every=False):
        partial.mkdir(exist_ok=True)
        if damage(partial, place) is not None:  # else a process that was killed here had made it
            make(partial)
            manifest.write(partial, Manifest(*facts, manifest.checksums(partial, artifact.logs)))
        settle(partial)
        lock.check()
        partial.rename(place)
        sync(place.parent)
    return Entry(place, cached=False)


@cache
def _scratch() -> "tempfile.TemporaryDirectory[str]":
    """Removed when this process ends."""
    return tempfile.TemporaryDirectory(prefix="ercsatz-")


def damage(folder: Path, place: Path | None = None) -> str | None:
    """What is wrong with an artifact; None if it is whole. Arguments are those of ``manifest.read``."""
    try:
        manifest.verify(folder, place)
    except DamagedError as damaged:
        return str(damaged)
    return None


@contextmanager
def locked(place: Path, wait: bool = True) -> Iterator[Lock]:
    """Alone at one artifact; says so if another process has to be waited for.

    Raises:
        HeldError: another process is at it, and ``wait`` is false.
        UserError: the lock cannot be written.
    """
    lock = _lock(place)
    with told(place.parent, _MEND):
        try:
            lock.acquire(PATIENCE if wait else _MOMENT)
        except HeldError:
            if not wait:
                raise
            _LOG.warning("waiting for another process that is at %s", place)
            lock.acquire()
    try:
        yield lock
    finally:
        lock.release()


def _lock(place: Path) -> Lock:
    return Lock(place.with_name(f"{place.name}.lock"))


def discard(place: Path) -> None:
    """Remove an artifact so that nobody sees half of it; its lock must be held."""
    gone = place.with_name(f"{place.name}.discarded")
    delete(gone)
    place.rename(gone)
    delete(gone)


def delete(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _used(place: Path) -> Entry:
    with suppress(OSError):
        os.utime(place / manifest.NAME)  # which says when it was last used
    return Entry(place, cached=True)


def _writable(*folders: Path) -> bool:
    """Whether folders, or where they would be made, can be written; a file in their place is an error later on."""
    nearest = (next(folder for folder in (each, *each.parents) if folder.exists()) for each in folders)
    return all(os.access(folder, os.W_OK | os.X_OK) or not folder.is_dir() for folder in nearest)
