"""What the cells of a sweep will miss, told once for all of them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ercsatz.config.advice import advised
from ercsatz.config.experiment import parts

if TYPE_CHECKING:
    from ercsatz.config import TrainConfig


@dataclass
class Lacks:
    """Collects what cells miss.

    Attributes:
        cells: how many miss something.
        data_sets: a sentence for each generated data set that is missing, by name.
        others: a sentence for all else.
        written_by: the experiment that writes the data sets.
        folder: in which they would lie.
    """

    cells: int = 0
    data_sets: dict[str, str] = field(default_factory=dict)
    others: dict[str, None] = field(default_factory=dict)
    written_by: str | None = None
    folder: str = ""

    def add(self, cfg: "TrainConfig") -> None:
        """Look for all that a cell needs."""
        from ercsatz.training.missing import missing

        found = missing(cfg)
        self.written_by, self.folder = cfg.experiment.written_by if cfg.experiment else None, cfg.paths.data
        self.data_sets |= found.data_sets
        self.others |= dict.fromkeys(found.others)
        self.cells += bool(found.data_sets or found.others)

    def told(self) -> str:
        """A line for everything; empty where nothing is missing."""
        names = list(self.data_sets)
        if not names or (len(names) < 2 and self.written_by is None):
            return "\n".join([*self.data_sets.values(), *self.others])
        wanted = [f"data={','.join(names)}"]
        if self.written_by is not None:
            wanted = [] if {*names} == {*parts([f"experiment={self.written_by}"]).get("data", ())} else wanted
            wanted.insert(0, f"experiment={self.written_by}")
        told = f"There are no data sets {', '.join(names)} in {Path(self.folder)}. Make them with: "
        return "\n".join([told + advised("generate", "-m", *wanted), *self.others])
