"""Split the kept dialogues and write them as a folder, whole or not at all."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ercsatz.dialogue import SPLITS, Dialogue, atomic_write, read_text, write_jsonl
from ercsatz.errors import UserError
from ercsatz.generation.seeds import derive

SETTINGS_FILE = "config.json"


def check_shares(validation: float, test: float) -> None:
    """Refuse shares that leave a split without dialogues, however many there are.

    Raises:
        UserError: a share is not above 0, or the two leave nothing for training.
    """
    if validation <= 0 or test <= 0 or validation + test >= 1:
        raise UserError(
            f"split.validation={validation:g} and split.test={test:g}: both must be above 0 and together below 1."
        )


def split(dialogues: Sequence[Dialogue], validation: float, test: float, seed: int) -> dict[str, tuple[Dialogue, ...]]:
    """Assign every dialogue to a split, deterministically.

    Dialogues are ranked by a hash of seed and id; the first are the test set, the next the validation set. Ranks
    hardly move when dialogues are added, so most assignments survive growth. A split keeps the given order.

    Args:
        dialogues: all that were kept.
        validation: share of the dialogues, between 0 and 1.
        test: share of the dialogues, between 0 and 1.
        seed: the run's.

    Raises:
        UserError: a split would be empty.
    """
    sizes = {"test": round(len(dialogues) * test), "validation": round(len(dialogues) * validation)}
    sizes["train"] = len(dialogues) - sum(sizes.values())
    if empty := [name for name in SPLITS if sizes[name] < 1]:
        raise UserError(
            f"{len(dialogues)} dialogues are too few: the {empty[0]} split would be empty. "
            "Raise plan.n_dialogues or change split.validation and split.test."
        )
    ranked = iter(sorted((dialogue.id for dialogue in dialogues), key=lambda id_: (derive(seed, "split", id_), id_)))
    members = {name: {next(ranked) for _ in range(size)} for name, size in sizes.items()}
    return {name: tuple(d for d in dialogues if d.id in members[name]) for name in SPLITS}


def is_done(folder: Path, settings: Mapping[str, Any], overwrite: bool) -> bool:
    """Whether the folder already is the data set that these settings make.

    Returns:
        True: it is. False: there is none, or it is another one that ``overwrite`` gives up.

    Raises:
        UserError: it is another one, or no generated data set at all (which is never replaced).
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    found = _read_settings(folder)
    wanted = json.loads(json.dumps(settings))
    old, new = _flatten(found), _flatten(wanted)
    differences = [
        f"{key}: {old.get(key, '(absent)')} there, {new.get(key, '(absent)')} now"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    ]
    missing = [f"{name} is missing" for name in _FILES if not (folder / name).is_file()]
    if not differences and not missing:
        return True
    if overwrite:
        return False
    listed = "\n  ".join(differences + missing)
    raise UserError(f"{folder} was made with other settings:\n  {listed}\nReplace it with overwrite=true.")


def check_writable(folder: Path) -> None:
    """Find out before the work whether the data set can be written after it.

    Raises:
        UserError: the place is no folder or takes no files.
    """
    with _told(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder.parent).close()


def write(folder: Path, splits: Mapping[str, Sequence[Dialogue]], card: str, settings: Mapping[str, Any]) -> None:
    """Write all files to a hidden neighbour and put it in the place of ``folder``.

    Raises:
        UserError: it could not be written; ``folder`` is as it was.
    """
    with _told(folder), _new_folder(folder) as new:
        for name, dialogues in splits.items():
            write_jsonl(new / f"{name}.jsonl", dialogues)
        for name, text in (("README.md", card), (SETTINGS_FILE, json.dumps(settings, indent=2) + "\n")):
            with atomic_write(new / name) as file:
                file.write(text)


_FILES = (*(f"{name}.jsonl" for name in SPLITS), "README.md")


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    folder.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        new.chmod(0o755)  # mkdtemp makes it private
        yield new
        _exchange(new, folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _exchange(new: Path, folder: Path) -> None:
    """Move ``new`` to ``folder``; what was there before is put back if that fails, and deleted if not."""
    if not folder.exists():
        new.rename(folder)
        return
    old = new.with_name(f"{new.name}.old")
    folder.rename(old)
    try:
        new.rename(folder)
    except OSError:
        old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"Cannot write {folder}: {os.strerror(error.errno or 0)}. Nothing was changed. "
            "Make room or choose another place with paths.data=FOLDER (or the variable ERCSATZ_DATA)."
        ) from error


def _read_settings(folder: Path) -> dict[str, Any]:
    foreign = UserError(
        f"{folder} is there and was not made by generate.py (no readable {SETTINGS_FILE}); it is left alone. "
        "Move it away or choose another place with paths.data=FOLDER."
    )
    if not (folder / SETTINGS_FILE).is_file():
        raise foreign
    try:
        settings = json.loads(read_text(folder / SETTINGS_FILE))
    except (json.JSONDecodeError, UserError):
        raise foreign from None
    if not isinstance(settings, dict):
        raise foreign
    return settings


def _flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        flat |= _flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat
