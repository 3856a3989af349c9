"""What a search makes as good as it can: ``objective``."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ercsatz.errors import UserError


@dataclass(frozen=True)
class Goal:
    """One objective.

    Attributes:
        name: as it is given.
        title: for people, with its unit.
        maximise: whether more is better.
        scale: what it is multiplied with where it is shown.
    """

    name: str
    title: str
    maximise: bool
    scale: float = 1.0


_PERCENT = {"w_f1": "W-F1", "macro_f1": "macro F1", "accuracy": "accuracy"}
_ALL = (
    *(Goal(f"validation/{key}", f"validation {told}", True, 100) for key, told in _PERCENT.items()),
    Goal("seconds", "seconds of training", False),
)
GOALS = {goal.name: goal for goal in _ALL}


def goals_of(objective: Any) -> tuple[Goal, ...]:
    """The objectives that ``objective`` names: one, or several in a list.

    Raises:
        UserError: one is of a test set, or there is no such objective.
    """
    names = list(objective) if isinstance(objective, Sequence) and not isinstance(objective, str) else [objective]
    for name in names:
        if str(name).partition("/")[0] == "test":
            raise UserError(
                f"objective={name}: a search on the test set would report what it was chosen by. Take the validation "
                "split: objective=validation/w_f1"
            )
        if name not in GOALS:
            raise UserError(f"objective={name}: there is no such objective. There are: {', '.join(GOALS)}.")
    if not names or len({*names}) < len(names):
        raise UserError(f"objective={objective}: one objective, or a list of several, each once.")
    return tuple(GOALS[name] for name in names)
