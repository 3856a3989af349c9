"""A quality measure of the user's own, which an assessment shows beside the shipped ones."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

from ercsatz.config.registry import part
from ercsatz.config.rules import Rule
from ercsatz.errors import UserError

Better = Literal["higher", "lower", "real"]
"""As ``quality.measure.Better``, which knows no configuration."""


@dataclass
class MeasureConfig(ABC):
    """Options of a quality measure, which is the object itself.

    Attributes:
        title: what it is called in tables, in a few words.
        what: what it says, and in which unit; a clause.
        better: which way is better; ``real``: the closer to what real dialogues have, the better.
        VERSION: raised when the same options and dialogues give another figure than before.
    """

    title: ClassVar[str]
    what: ClassVar[str]
    better: ClassVar[Better]
    VERSION: ClassVar[int] = 1

    @abstractmethod
    def value(self, dialogues: Sequence[Any], reference: Sequence[Any]) -> float | None:
        """The figure.

        It is taken of the synthetic dialogues, and of as many real ones for the mark: of both in the same way.

        Args:
            dialogues: ``data.dialogue.Dialogue`` objects of a training split, the ones to be measured; at least one.
            reference: other real ones, half of the real training split, to be compared with.

        Returns:
            A finite number; ``None`` where the dialogues have nothing to measure.
        """

    def problems(self) -> Iterable[Rule]:
        """Rules that the options must keep."""
        return ()


def measures(nodes: Mapping[str, Any]) -> dict[str, MeasureConfig]:
    """The measures by name, each made from its YAML's mapping.

    Raises:
        UserError: a class or its options are wrong, or the class does not say what the figure is.
    """
    made = {}
    for name, node in nodes.items():
        key = f"measure.{name}"
        found = part(node, MeasureConfig, key)
        if not isinstance(found, MeasureConfig):
            raise UserError(
                f"{key}: must be a mapping: in a YAML of measure/, below the name are _target_ and options."
            )
        _check(found, f"{key}._target_={type(found).__module__}.{type(found).__name__}")
        made[name] = found
    return made


def _check(measure: MeasureConfig, where: str) -> None:
    for attribute in ("title", "what"):
        if not isinstance(getattr(measure, attribute, None), str):
            raise UserError(f"{where}: must have a {attribute}, a class attribute with a text for the tables.")
    if getattr(measure, "better", None) not in get_args(Better):
        raise UserError(f"{where}: must have better, a class attribute that is one of {', '.join(get_args(Better))}.")
