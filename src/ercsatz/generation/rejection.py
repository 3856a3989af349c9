"""Why a dialogue is not kept: all reasons, the check of a parsed one, and the funnel that counts them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from rich.table import Table

from ercsatz.config import PlanConfig
from ercsatz.data.dialogue import Utterance
from ercsatz.generators.interface import Request

MAX_CHARACTERS = 1000  # of an utterance; the longest in MELD and EmoryNLP has 762
MEANINGS = {
    "asked": "dialogues that the model was asked for",
    "answered": "of these, an answer came",
    "parsed": "it reads as a dialogue",
    "accepted": "with the labels, speakers and turns asked for",
    "kept": "neither a repeat nor a leak: the data set",
}
STAGES = tuple(MEANINGS)


class Reason(Enum):
    """The code is the name; the value says in a line what it means."""

    empty = "the answer is empty"
    cut_off = "the answer ends in the middle"
    no_turns = "no line reads as a labelled turn"
    no_text = "a turn has no words"
    no_label = "a turn has no label"
    unknown_label = "a turn's label is not one of those asked for"
    two_labels = "a turn has two labels that differ"
    two_turns = "a line holds more than one turn"
    stray_line = "a line inside the dialogue is no turn"

    too_few_turns = "fewer turns than plan.min_turns"
    too_many_turns = "more turns than plan.max_turns"
    unknown_speaker = "someone speaks who was not asked for"
    one_speaker = "only one person speaks"
    long_turn = "a turn is longer than any person's"
    repeated_turn = "a turn is repeated word for word"
    no_target = "the emotion asked for does not occur"

    duplicate = "the same dialogue came before in this run"
    near_duplicate = "a dialogue much like it came before in this run"
    leaked = "it repeats the benchmark's real validation or test set"

    refused = "the server refused the request"
    unanswered = "no answer came, however often it was asked for"
    bad_background = "the background of a speaker is no plain paragraph"
    bad_situation = "the situation is not told in the lines asked for"


def check(turns: Sequence[Utterance], request: Request, plan: PlanConfig) -> Reason | None:
    """The first thing that is wrong with a parsed dialogue, or ``None``.

    What it repeats is looked at later, in ``duplicates`` and ``leakage``.
    """
    voices = {turn.speaker for turn in turns}
    texts = [turn.text.casefold() for turn in turns]
    wrong = {
        Reason.unknown_speaker: not voices <= set(request.speakers),
        Reason.one_speaker: len(request.speakers) > 1 and len(voices) < 2,
        Reason.too_few_turns: len(turns) < plan.min_turns,
        Reason.too_many_turns: len(turns) > plan.max_turns,
        Reason.long_turn: any(len(text) > MAX_CHARACTERS for text in texts),
        Reason.repeated_turn: len(set(texts)) < len(texts),
        Reason.no_target: request.target is not None and request.target not in {turn.emotion for turn in turns},
    }
    return next((reason for reason, holds in wrong.items() if holds), None)


@dataclass
class Funnel:
    """How many requests became data, and what became of the others: counts of dialogues.

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
        heads = ("stage or reason", "dialogues", "%", "rejected\nanswers", "meaning")
        table = Table(*heads, title=title, title_justify="left")
        for column in table.columns:
            column.overflow = "fold"
        for column in table.columns[1:4]:
            column.justify = "right"
        for stage, count in self.stages.items():
            table.add_row(stage, str(count), self._percent(count), "", MEANINGS[stage])
        table.add_section()
        for reason in sorted(self.reasons | self.rejected, key=lambda reason: (-self.reasons[reason], reason.name)):
            count, answers = self.reasons[reason], self.rejected[reason]
            table.add_row(reason.name, str(count), self._percent(count), str(answers or ""), reason.value)
        return table

    def _percent(self, count: int) -> str:
        return f"{100 * count / self.stages['asked']:.1f}"
