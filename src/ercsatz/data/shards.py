"""A data set in parts that are asked for on several machines: what a part is called, and where it lies.

A part is a folder beside the place of the whole: ``meld_bal.shard-0-of-4`` beside ``meld_bal``. It holds answers and no
dialogues to train on, so that it cannot be taken for a data set.
"""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from ercsatz.errors import UserError

FILE = "shard.json"
JOURNAL = "journal.sqlite"
_FOLDER = re.compile(r"(?P<name>.+)\.shard-(?P<number>\d+)-of-(?P<of>\d+)")


@dataclass(frozen=True, slots=True, order=True)
class Shard:
    """Every ``of``-th unit of a plan, beginning with that of index ``number``."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``0/4``.

        Raises:
            UserError: it is nothing of the kind.
        """
        match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
        if match is None or int(match[1]) >= int(match[2]):
            raise UserError(
                f"plan.shard={text}: must be K/N with K from 0 to N-1, as in plan.shard=0/4; null: the whole plan."
            )
        return cls(int(match[1]), int(match[2]))

    def indices(self, n: int) -> range:
        """Which of ``n`` units are its own."""
        return range(self.number, n, self.of)

    def folder(self, whole: Path) -> Path:
        """Where it lies, beside the place of the whole data set."""
        return whole.with_name(f"{whole.name}.shard-{self.number}-of-{self.of}")


def whole_of(folder: Path) -> Path:
    """The place of the data set that a shard's folder is a part of.

    Raises:
        UserError: the folder does not have a shard's name.
    """
    match = _FOLDER.fullmatch(folder.resolve().name)
    if match is None:
        raise UserError(f"{folder} does not have a shard's name (NAME.shard-K-of-N). Say where to write: --to FOLDER")
    return folder.with_name(match["name"])


def beside(whole: Path) -> list[Path]:
    """The shards that lie beside the place of a data set, in their order."""
    if not whole.parent.is_dir():
        return []
    found = [(match, path) for path in whole.parent.iterdir() if (match := _FOLDER.fullmatch(path.name))]
    own = [(int(match["of"]), int(match["number"]), path) for match, path in found if match["name"] == whole.name]
    return [path for *_, path in sorted(own)]


def advised_merge(shards: list[Path]) -> str:
    """The command that puts shards together."""
    return shlex.join(["ercsatz", "merge", *map(str, shards)])


def instead_of(folder: Path) -> str | None:
    """What to say where a data set is wanted in a folder and there is a shard, or there are shards beside it.

    Returns:
        A sentence with the command that makes the data set; ``None`` where there are no shards.
    """
    if _FOLDER.fullmatch(folder.name) and (folder / JOURNAL).exists():
        command = advised_merge(beside(whole_of(folder)))
        return f"{folder} is a part of a data set and no whole one. Put all parts together with: {command}"
    parts = [] if folder.is_dir() else beside(folder)
    if parts:
        return f"There is no data set {folder}, but parts of it. Put them together with: {advised_merge(parts)}"
    return None
