"""From accepted dialogues to kept ones: duplicates and leakage out, the rest on the shelf, everything counted."""

from pathlib import Path

from ercsatz.config import GenerateConfig
from ercsatz.generation.dataset.store import Shelf
from ercsatz.generation.duplicates import Duplicates
from ercsatz.generation.leakage import LeakageReport
from ercsatz.generation.rejection import Funnel, Reason
from ercsatz.generation.write import DialogueWriter, WrittenDialogue
from ercsatz.generators.interface import Step


class Keeper:
    """Takes outcomes in the plan's order, so that of two alike the first is kept, whichever was answered first.

    Close it with ``contextlib.closing``.

    Args:
        folder: for scratch files and the shelf.
        config: of the run.
        writer: turns outcomes into data.
        leakage: the real splits to compare with, and the report.
        names: generator and model, for the provenance.

    Attributes:
        shelf: the kept dialogues.
        funnel: what became of all.
        tokens: of prompts and answers of all units, rejected ones included, where the server counts them.
        example_prompt: of the first dialogue.
        unanswered: units without an answer, which the same command asks for again.
    """

    def __init__(
        self,
        folder: Path,
        config: GenerateConfig,
        writer: DialogueWriter,
        leakage: LeakageReport,
        names: tuple[str, str],
    ) -> None:
        self.shelf, self.funnel, self.tokens, self.unanswered = Shelf(folder), Funnel(), (0, 0), 0
        self.example_prompt = ""
        self._duplicates = Duplicates(folder / "duplicates.sqlite", config.checks.near_duplicate)
        self._leakage, self._writer, self._names = leakage, writer, names

    def close(self) -> None:
        """Remove the scratch files."""
        self._duplicates.close()
        self.shelf.close()

    def take(self, outcome: WrittenDialogue) -> bool:
        """Whether the dialogue was kept."""
        self.tokens = (self.tokens[0] + outcome.tokens[0], self.tokens[1] + outcome.tokens[1])
        self.funnel.rejected.update(outcome.rejected)
        self.unanswered += outcome.result is Reason.unanswered
        if not self.example_prompt and outcome.request is not None and outcome.request.step is Step.dialogue:
            self.example_prompt = outcome.request.prompt
        reason = outcome.result if isinstance(outcome.result, Reason) else self._look(outcome)
        self.funnel.count("kept" if reason is None else outcome.stage, reason)
        if reason is None:
            self.shelf.add(self._writer.dialogue(outcome, *self._names))
        return reason is None

    def _look(self, outcome: WrittenDialogue) -> Reason | None:
        turns, index = outcome.result, outcome.unit.index
        assert not isinstance(turns, Reason)
        return self._leakage.add(index, turns) or self._duplicates.add(index, turns)
