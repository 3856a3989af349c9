"""How many requests became data, and what became of the others."""

from collections import Counter
from dataclasses import dataclass, field

from rich.table import Table

from ercsatz.generation.reasons import Reason

STAGES = ("asked", "answered", "parsed", "accepted", "kept")


@dataclass
class Funnel:
    """Counts of dialogues.

    Attributes:
        stages: how many got as far as each of ``STAGES``.
        reasons: why the others did not.
    """

    stages: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STAGES, 0))
    reasons: Counter[Reason] = field(default_factory=Counter)

    def by_frequency(self) -> list[tuple[Reason, int]]:
        """Reasons with their counts, the most frequent first, equal ones by name."""
        return sorted(self.reasons.items(), key=lambda item: (-item[1], item[0].name))

    def table(self, title: str) -> Table:
        """For the terminal."""
        table = Table("", "dialogues", "%", "", title=title, title_justify="left")
        for column in table.columns[1:3]:
            column.justify = "right"
        for stage, count in self.stages.items():
            table.add_row(stage, str(count), self._percent(count))
        table.add_section()
        for reason, count in self.by_frequency():
            table.add_row(reason.name, str(count), self._percent(count), reason.value)
        return table

    def _percent(self, count: int) -> str:
        return f"{100 * count / self.stages['asked']:.1f}"
