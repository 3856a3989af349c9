"""The folder of a generated data set: whose it is, and how it appears whole or not at all."""

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ercsatz.data import checksums
from ercsatz.data.dialogue import SPLITS
from ercsatz.data.text_files import parse_json, read_text
from ercsatz.disk import let_go, settle, sync, told
from ercsatz.errors import UserError
from ercsatz.llm.journal import differences

CONFIG_FILE = "config.json"
SPLIT_FILES = tuple(f"{name}.{kind}" for name in SPLITS for kind in ("jsonl", "parquet"))
FILES = (*SPLIT_FILES, "README.md", "labels.png")
LEAKAGE_FILE = "leakage.jsonl"  # only where there was something to compare with
UPLOADED = (*FILES, CONFIG_FILE, LEAKAGE_FILE, checksums.NAME)


def is_done(folder: Path, settings: Mapping[str, Any], overwrite: bool, option: str = "overwrite=true") -> bool:
    """Whether the folder already is the data set that these settings make.

    Args:
        folder: the place.
        settings: all that the data set depends on.
        overwrite: whether what is there is to be replaced.
        option: how the user says so.

    Returns:
        True: it is. False: there is none, or it still lacks answers (``complete`` in its ``config.json`` is false), or
        ``overwrite`` gives up whatever generated data set is there.

    Raises:
        UserError: it is another one, or no generated data set at all (which is never replaced).
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    found, complete = _read_config(folder)
    if overwrite:
        return False
    different = differences(found, settings)
    missing = [f"{name} is missing" for name in FILES if complete and not (folder / name).is_file()]
    changed = [f"{name} is damaged, or was edited" for name in SPLIT_FILES if checksums.where_other(folder / name)]
    if not different and not missing and not changed:
        return complete
    what = "was made with other settings" if different else "is not whole"
    listed = "\n  ".join(different + missing + changed)
    accept = f" If what was edited is wanted, delete {folder / checksums.NAME}." if changed else ""
    raise UserError(f"{folder} {what}:\n  {listed}\nReplace it with {option}.{accept}")


def check_writable(folder: Path) -> None:
    """Find out before the work whether the data set can be written after it.

    Raises:
        UserError: the place is no folder or takes no files.
    """
    with writing(folder):
        neighbours = folder.resolve().parent
        neighbours.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=neighbours).close()


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Give a hidden neighbour to write into, and put it in the place of ``folder`` at the end.

    On any error the neighbour is removed and ``folder`` is as it was. A killed process leaves ``.NAME.new``, which the
    next one clears away.

    Raises:
        UserError: it could not be written, or another process is at it.
    """
    place = folder.resolve()  # where a link leads, so that the link stays one
    new = place.with_name(f".{place.name}.new")
    with _alone(folder, place.with_name(f".{place.name}.lock")):
        with writing(folder):
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir()
            old = new.with_suffix(".old")
            if old.exists() and not place.exists():  # a process was killed between the two steps of the exchange
                old.rename(place)
        try:
            yield new
            with writing(folder):
                settle(new)
                _exchange(new, place)
                sync(place.parent)
        finally:
            shutil.rmtree(new, ignore_errors=True)


@contextmanager
def _alone(folder: Path, file: Path) -> Iterator[None]:
    lock = FileLock(file)
    with writing(folder):
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            raise UserError(f"{folder}: another generate.py is writing it. Wait for that one or stop it.") from None
    try:
        yield
    finally:
        let_go(lock)


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn what the operating system says about a failed write (a full disk, say) into a ``UserError``."""
    mend = "Make room or choose another place with paths.data=FOLDER (or the variable ERCSATZ_DATA)."
    with told(folder, f"Nothing was changed. {mend}"):
        yield


def _exchange(new: Path, folder: Path) -> None:
    """Move ``new`` to ``folder``; what was there before is put back if that fails, and deleted if not."""
    if not folder.exists():
        new.rename(folder)
        return
    old = new.with_suffix(".old")
    shutil.rmtree(old, ignore_errors=True)
    folder.rename(old)
    try:
        new.rename(folder)
    except OSError:
        old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _read_config(folder: Path) -> tuple[Mapping[str, Any], bool]:
    """Settings of a data set, and whether it is complete."""
    try:
        match parse_json(read_text(folder / CONFIG_FILE)):
            case {"settings": dict() as settings, "complete": bool() as complete}:
                return settings, complete
    except (json.JSONDecodeError, UserError):
        pass
    raise UserError(
        f"{folder} is there and was not made by generate.py (no readable {CONFIG_FILE}); it is left alone. "
        "Move it away or choose another place with paths.data=FOLDER."
    )
