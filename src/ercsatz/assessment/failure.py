"""What a job of a sweep could not do: ``failure.json``."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from ercsatz.data.text_files import atomic_write, read_text

FILE = "failure.json"


@dataclass(frozen=True, slots=True)
class Failure:
    """What was not done, of which data set, and why."""

    data: str
    error: str
    what: str = "Not assessed"

    def __str__(self) -> str:
        """As it stands in reports."""
        return f"{self.what}: {self.data}: {self.error}"

    def write(self, folder: Path) -> None:
        """Write it into the job's folder, whole or not at all."""
        with atomic_write(folder / FILE) as file:
            json.dump(asdict(self), file, ensure_ascii=False)


def read(path: Path) -> Failure:
    """What ``Failure.write`` wrote."""
    return Failure(**json.loads(read_text(path)))
