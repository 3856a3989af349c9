"""How many requests became data, and what became of the others."""

from collections import Counter
from dataclasses import dataclass, field

from rich.table import Table

from ercsatz.generation.rejection import Reason

STAGES = ("asked", "answered", "parsed", "accepted", "kept")


@dataclass
class Funnel:
    """Counts of dialogues.

    Attributes:
        stages: how many got as far as each of ``STAGES``.
        reasons: why the others did not.
        rejected: answers by why they were rejected; of a dialogue that was asked for again there may be several.
    """

    stages: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STAGES, 0))
    reasons: Counter[Reason] = field(default_factory=Counter)
    rejected: Counter[Reason] = field(default_factory=Counter)

    def count(self, stage: str, reason: Reason | None) -> None:
        """Count one dialogue that came as far as ``stage``, and why not further."""
        for passed in STAGES[: STAGES.index(stage) + 1]:
            self.stages[passed] += 1
        if reason is not None:
            self.reasons[reason] += 1

    def by_frequency(self) -> list[tuple[Reason, int]]:
        """Why dialogues were not kept, with counts, the most frequent first, equal ones by name."""
        return sorted(self.reasons.items(), key=lambda item: (-item[1], item[0].name))

    def table(self, title: str) -> Table:
        """For the terminal."""
        table = Table("", "dialogues", "%", "answers", "", title=title, title_justify="left")
        for column in table.columns[1:4]:
            column.justify = "right"
        for stage, count in self.stages.items():
            table.add_row(stage, str(count), self._percent(count))
        table.add_section()
        for reason in sorted(self.reasons | self.rejected, key=lambda reason: (-self.reasons[reason], reason.name)):
            count, answers = self.reasons[reason], self.rejected[reason]
            table.add_row(reason.name, str(count), self._percent(count), str(answers or ""), reason.value)
        return table

    def _percent(self, count: int) -> str:
        return f"{100 * count / self.stages['asked']:.1f}"
