"""``sweep.json``: what makes a sweep's results its own; beside it lies a lock, which dies with whoever runs the sweep.

It has ``schema`` (1), ``id``, ``name``, ``owner`` (process, host, user, start), ``arguments`` (the command line's),
``experiment`` (``name``, ``about`` and ``cuts`` of the one that is run, or null; earlier versions lack it) and
``cells``: of each planned job what ``cell.identity`` says of it, or null where the sweeper plans as it goes. A search
has ``search``, what makes it this one, and its cells are added when they are asked for. A result belongs to the sweep
whose id it carries; where it lies and when it was written say nothing.

Imported by Hydra before any job, so it imports nothing heavy.
"""

import getpass
import json
import os
import secrets
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ercsatz.data.text_files import atomic_write, parse_json, read_text
from ercsatz.errors import UserError
from ercsatz.sweeps.result_file import settings_of
from ercsatz.training.pulse import identity

if TYPE_CHECKING:
    from filelock import BaseFileLock

NAME, LOCK, SCHEMA = "sweep.json", "sweep.lock", 1
SUBMITTED = Path(".submitit", "submitted.json")  # is there while its jobs are a cluster's, until they are ranked
_LISTED = 5
_PROBED = 0.5  # seconds; whoever only looks whether the owner lives holds the lock for a moment
_OF_SEARCH = {"space": "the search space", "fixed": "what all trials have", "objective": "", "settings": "settings"}

Key = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class SweepFile:
    """A sweep as it was planned.

    Attributes:
        id: carried by every result of it.
        name: the value of ``sweep``.
        cells: the planned jobs, each with its ``overrides``; None: not known before they run.
        owner: who runs it, or ran it last.
        arguments: of the command line.
        search: of a search its ``space`` by key, what is ``fixed``, its ``objective`` and its other ``settings``.
        experiment: that is run: ``name``, ``about``, ``cuts``.
    """

    id: str
    name: str
    cells: tuple[Mapping[str, Any], ...] | None
    owner: Mapping[str, Any]
    arguments: tuple[str, ...] = ()
    experiment: Mapping[str, Any] | None = None
    schema: int = field(default=SCHEMA)
    search: Mapping[str, Any] | None = None


def key_of(overrides: Iterable[str]) -> Key:
    """What tells a job from the others of its sweep: its settings, in any order."""
    return frozenset(settings_of(overrides).items())


def claim(folder: Path) -> "BaseFileLock":
    """Hold a sweep's folder until the lock is released or this process ends.

    Raises:
        UserError: another process has it; the message says which.
    """
    from filelock import FileLock, Timeout

    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK, thread_local=False)
    try:
        lock.acquire(timeout=_PROBED)
    except Timeout:
        raise UserError(
            f"The sweep {folder} is being run by {_who(folder)}. Wait for it, or give this one another name: sweep=NAME"
        ) from None
    return lock


def release(lock: "BaseFileLock") -> None:
    """Let others have the folder."""
    Path(lock.lock_file).unlink(missing_ok=True)  # while it is ours: nobody may lock a file without a name
    lock.release()


def start(
    folder: Path,
    name: str,
    cells: Sequence[Mapping[str, Any]] | None,
    *,
    search: Mapping[str, Any] | None = None,
    experiment: Mapping[str, Any] | None = None,
) -> SweepFile:
    """Write ``sweep.json`` of a sweep that begins, or that goes on where one of the same cells was; it must be claimed.

    Args:
        folder: the sweep's.
        name: the value of ``sweep``.
        cells: the planned jobs; of a search none.
        search: what makes a search this one; that which goes on keeps its cells.
        experiment: that is run: ``name``, ``about``, ``cuts``.

    Raises:
        UserError: a sweep of other cells, or another search, has this folder; the message says in what they differ.
    """
    before, cells, search = read(folder), json.loads(json.dumps(cells)), json.loads(json.dumps(search))
    if before is not None and (search is not None or before.search is not None):
        _refuse_other_search(folder, before.search, search)
        cells = before.cells
    elif before is not None:
        _refuse_other(folder, before, cells)
    id = secrets.token_hex(8) if before is None else before.id
    planned = None if cells is None else tuple(cells)
    made = SweepFile(id, name, planned, _owner(), tuple(sys.argv[1:]), experiment=experiment, search=search)
    return _write(folder, made)


def add(folder: Path, cells: Sequence[Mapping[str, Any]]) -> None:
    """Add cells that a search asks for; one that is there is that of an earlier try, and stays."""
    sweep = read(folder)
    assert sweep is not None, folder
    there = {key_of(cell["overrides"]): cell for cell in (*cells, *(sweep.cells or ()))}
    order = dict.fromkeys(key_of(cell["overrides"]) for cell in (*(sweep.cells or ()), *cells))
    _write(folder, replace(sweep, cells=tuple(there[key] for key in order)))


def _write(folder: Path, sweep: SweepFile) -> SweepFile:
    with atomic_write(folder / NAME) as file:
        json.dump(asdict(sweep), file, indent=2, ensure_ascii=False)
    return sweep


def read(folder: Path) -> SweepFile | None:
    """The sweep of a folder; None where there is no ``sweep.json``, as in results of earlier versions.

    Raises:
        UserError: the file is damaged, or of a later version.
    """
    file = folder / NAME
    if not file.is_file():
        return None
    try:
        found = parse_json(read_text(file))
        if found["schema"] != SCHEMA:
            raise UserError(f"{file}: of schema {found['schema']}, not {SCHEMA}. A later version of ercsatz wrote it.")
        cells = found["cells"]
        if cells is not None:
            cells = tuple({**cell, "overrides": [str(text) for text in cell["overrides"]]} for cell in cells)
        id, name, owner, arguments = (found[key] for key in ("id", "name", "owner", "arguments"))
        search = found.get("search")
        return SweepFile(
            id=str(id),
            name=str(name),
            cells=cells,
            owner=dict(owner),
            arguments=tuple(arguments),
            experiment=found.get("experiment"),
            search=None if search is None else {key: dict(search[key]) for key in _OF_SEARCH},
        )
    except (ValueError, KeyError, TypeError):
        raise UserError(
            f"{file} is damaged, so nobody knows which results are the sweep's. Delete it and run the sweep again: "
            "what is trained is in the cache."
        ) from None


def id_of(folder: Path) -> str | None:
    """The id of the sweep of a folder, for the results of its jobs."""
    sweep = read(folder)
    return None if sweep is None else sweep.id


def _owner() -> dict[str, Any]:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user that has no name
        user = str(os.getuid())
    started = datetime.now(UTC).isoformat(timespec="seconds")
    return {**identity(), "user": user, "started": started}


def _who(folder: Path) -> str:
    try:
        sweep = read(folder)
    except UserError:
        sweep = None
    if sweep is None:  # it has the lock and has not written yet
        return "another process"
    return "process {pid} of {user} on {host}, since {started}".format(**sweep.owner)


def _refuse_other_search(folder: Path, before: Mapping[str, Any] | None, search: Mapping[str, Any] | None) -> None:
    other = "Give this one another name: sweep=NAME. What both train is taken from the cache."
    if before is None or search is None:
        was, is_now = ("a sweep", "a search") if before is None else ("a search", "a sweep")
        raise UserError(f"{folder} is {was}, and this is {is_now}. {other}")
    told = []
    for name, title in _OF_SEARCH.items():
        old, new = before[name], search[name]
        keys = [key for key in dict.fromkeys([*old, *new]) if old.get(key) != new.get(key)][:_LISTED]
        told += [f"{title} {key}: was {old.get(key)} and is {new.get(key)}".strip() for key in keys]
    if told:
        raise UserError(f"{folder} is another search: {'; '.join(told)}. {other}")


def _refuse_other(folder: Path, before: SweepFile, cells: Sequence[Mapping[str, Any]] | None) -> None:
    if before.cells is None or cells is None:
        return
    there, here = ({key_of(cell["overrides"]): cell.get("settings") for cell in some} for some in (before.cells, cells))
    other = "Give this one another name: sweep=NAME. What both train is taken from the cache."
    if {*there} != {*here}:
        shared = frozenset.intersection(*there, *here)
        told = [
            f"{what} {_listed(key - shared for key in keys)}" for what, keys in _differing({*there}, {*here}) if keys
        ]
        raise UserError(f"{folder} is a sweep of other cells: {'; '.join(told)}. {other}")
    for cell, old in there.items():
        if old is not None and (new := here[cell]) is not None and old != new:
            keys = [key for key in dict.fromkeys([*old, *new]) if old.get(key) != new.get(key)][:_LISTED]
            told = [f"{key} was {old.get(key)} and is {new.get(key)}" for key in keys]
            raise UserError(
                f"{folder} is a sweep of other settings, of a YAML or a version: {'; '.join(told)}. {other}"
            )


def _differing(there: set[Key], here: set[Key]) -> tuple[tuple[str, set[Key]], ...]:
    return ("it has", there - here), ("this one has", here - there)


def _listed(cells: Iterable[Key]) -> str:
    some = sorted(" ".join(f"{key}={value}" for key, value in sorted(cell)) or "the defaults" for cell in cells)
    more = f" and {len(some) - _LISTED} more" if len(some) > _LISTED else ""
    return ", ".join(some[:_LISTED]) + more
