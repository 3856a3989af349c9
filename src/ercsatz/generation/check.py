"""What a parsed dialogue has to satisfy to become data."""

from collections.abc import Sequence

from ercsatz.config import Plan
from ercsatz.data.dialogue import Utterance
from ercsatz.generation.rejection import Reason
from ercsatz.generators.interface import Request

MAX_CHARACTERS = 1000  # of an utterance; the longest in MELD and EmoryNLP has 762


def check(turns: Sequence[Utterance], request: Request, plan: Plan) -> Reason | None:
    """The first thing that is wrong with a dialogue, or ``None``."""
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
