"""Rules that a configuration's values must keep, beside having the right type."""

from collections.abc import Iterable, Sequence

from ercsatz.errors import UserError

Rule = tuple[str, object, bool, str]
"""Key, value, whether it holds, what the value must be."""


def enforce(rules: Iterable[Rule]) -> None:
    """Refuse the first value that does not hold; of an iterator, the rules after it are not worked out.

    Raises:
        UserError: names the key and what it must be.
    """
    for key, value, holds, wanted in rules:
        if not holds:
            raise UserError(f"{key}={value}: must be {wanted}.")


def at_least_1(key: str, value: int) -> Rule:
    """The rule that a number is positive."""
    return key, value, value >= 1, "1 or more"


def one_of(key: str, value: str, known: Sequence[str]) -> Rule:
    """The rule that a value is among known ones."""
    return key, value, value in known, f"one of {', '.join(known)}"
