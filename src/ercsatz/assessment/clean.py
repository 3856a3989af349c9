"""A copy of a data set without the dialogues that leak."""

import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import yaml

from ercsatz.config.yaml_files import parse_yaml
from ercsatz.data import checksums
from ercsatz.data.dialogue import Dialogue
from ercsatz.data.files import write_jsonl
from ercsatz.data.text_files import atomic_write, read_text
from ercsatz.disk import settle, sync
from ercsatz.errors import UserError
from ercsatz.generation.dataset.folder import CONFIG_FILE, LEAKAGE_FILE
from ercsatz.quality.leakage import clean
from ercsatz.reporting.text import csv_text

_FRONT_MATTER = re.compile(r"---\n(?P<front>.*?)^---\n(?P<rest>.*)", re.DOTALL | re.MULTILINE)
CARD = "README.md"
_COPIED = ("labels.png", CONFIG_FILE, LEAKAGE_FILE)  # the card refers to them
REMOVED = "removed.csv"


def refuse_existing(data: Path, option: str) -> None:
    """Refuse to write a copy where there is one.

    Args:
        data: the folder of the data set.
        option: of ``data=``, for the message.

    Raises:
        UserError: there is.
    """
    target = _target(data)
    if target.exists():
        raise UserError(
            f"assess.fix=true: {target} is there already. Delete it, or use it: data={option} data.name={target.name}"
        )


def write_clean(data: Path, splits: Mapping[str, Sequence[Dialogue]], offenders: pd.DataFrame) -> Path:
    """Write the copy beside the data set, whole or not at all: ``<data>_clean``.

    Its card is that of the data set with a section about what was left out; ``removed.csv`` names it. A split that was
    empty stays so.

    Raises:
        UserError: nothing would be left of a split that is not empty.
    """
    target, cleaned = _target(data), clean(splits, offenders)
    for split, dialogues in cleaned.splits.items():
        if splits[split] and not dialogues:
            raise UserError(
                f"assess.fix=true: there is no clean copy of {data}, as all {len(splits[split])} dialogues of its "
                f"{split} split would be left out."
            )
    with tempfile.TemporaryDirectory(dir=data.parent, prefix=f".{target.name}-") as made:
        folder = Path(made, target.name)
        for split, dialogues in cleaned.splits.items():
            write_jsonl(folder / f"{split}.jsonl", dialogues)
        checksums.write(folder, [f"{split}.jsonl" for split in cleaned.splits])
        with atomic_write(folder / CARD) as file:
            file.write(_card(data / CARD, splits, cleaned.splits))
        write_csv(folder / REMOVED, cleaned.removed)
        for name in _COPIED:
            if (data / name).is_file():
                shutil.copyfile(data / name, folder / name)
        settle(folder)
        folder.rename(target)
        sync(target.parent)
    return target


def write_csv(path: Path, rows: pd.DataFrame) -> None:
    """Write a table, whole or not at all, in which no text is taken for a formula."""
    with atomic_write(path) as file:
        inert = rows.map(lambda value: csv_text(value) if isinstance(value, str) else value)
        inert.to_csv(file, index=False, lineterminator="\n")


def _target(data: Path) -> Path:
    return data.with_name(f"{data.name}_clean")


def _card(original: Path, before: Mapping[str, Sequence[Dialogue]], after: Mapping[str, Sequence[Dialogue]]) -> str:
    """The original's, whose front matter names the files that there are now: a hub reads no others, nor empty ones."""
    card = read_text(original) if original.is_file() else ""
    parts = _FRONT_MATTER.fullmatch(card)
    front, rest = (parse_yaml(parts["front"].encode(), original), parts["rest"]) if parts else ({}, card)
    front = front if isinstance(front, dict) else {}
    files = [{"split": split, "path": f"{split}.jsonl"} for split, dialogues in after.items() if dialogues]
    front["configs"] = [{"config_name": "default", "data_files": files}]
    sizes = ", ".join(f"{split} {len(before[split]):,} to {len(after[split]):,} dialogues" for split in before)
    return (
        f"---\n{yaml.safe_dump(front, sort_keys=False, allow_unicode=True)}---\n\n{rest.strip()}\n\n## Cleaned\n\n"
        "Dialogues that repeat something of the real validation and test sets were left out by "
        f"`assess.py assess.fix=true`: {sizes}. `{REMOVED}` names them, each with its worst offence. Counts, "
        "figures, settings and hits are those of the data set before, and its Parquet files have no copy.\n"
    )
