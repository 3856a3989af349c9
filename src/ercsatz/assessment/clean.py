"""A copy of a data set without the dialogues that leak."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from ercsatz.dialogue import Dialogue, atomic_write, read_text, write_jsonl
from ercsatz.errors import UserError
from ercsatz.quality.leakage import clean

CARD = "README.md"
REMOVED = "removed.csv"


def write_clean(data: Path, splits: Mapping[str, Sequence[Dialogue]], offenders: pd.DataFrame) -> Path:
    """Write the copy beside the data set, whole or not at all: ``<data>_clean``.

    Its card is that of the data set with a section about what was left out; ``removed.csv`` names it.

    Raises:
        UserError: there is such a folder already.
    """
    target = data.with_name(f"{data.name}_clean")
    if target.exists():
        raise UserError(f"{target} is there already. Delete it, or use it: data.path={target}")
    cleaned = clean(splits, offenders)
    with tempfile.TemporaryDirectory(dir=data.parent, prefix=f".{target.name}-") as made:
        folder = Path(made, target.name)
        for split, dialogues in cleaned.splits.items():
            write_jsonl(folder / f"{split}.jsonl", dialogues)
        with atomic_write(folder / CARD) as file:
            file.write(_card(data / CARD, splits, cleaned.splits))
        with atomic_write(folder / REMOVED) as file:
            cleaned.removed.to_csv(file, index=False, lineterminator="\n")
        folder.rename(target)
    return target


def _card(original: Path, before: Mapping[str, Sequence[Dialogue]], after: Mapping[str, Sequence[Dialogue]]) -> str:
    card = read_text(original) if original.is_file() else ""
    sizes = ", ".join(f"{split} {len(before[split]):,} to {len(after[split]):,} dialogues" for split in before)
    return (
        f"{card.rstrip()}\n\n## Cleaned\n\nDialogues that repeat something of the real validation and test sets were "
        f"left out by `assess.py assess.fix=true`: {sizes}. {REMOVED} names them, each with its worst offence. Counts "
        "and figures above are those of the data set before.\n"
    ).lstrip()
