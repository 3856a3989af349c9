"""What a search chooses from: Hydra's own syntax for sweeps, as Optuna's distributions."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ercsatz.errors import UserError
from ercsatz.sweeps.plan import refuse_senseless

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override
    from optuna.distributions import BaseDistribution


def split(overrides: Sequence["Override"]) -> tuple[dict[str, "Override"], list[str]]:
    """The keys that are searched over, and the overrides that all trials have; of two for one key the last counts.

    Raises:
        UserError: nothing is searched over, or a key that changes no score, or the seed.
    """
    by_key = {override.get_key_element(): override for override in overrides}
    space = {key: override for key, override in by_key.items() if override.is_sweep_override()}
    fixed = [f"{key}={each.get_value_element_as_str()}" for key, each in by_key.items() if key not in space]
    if not space:
        raise UserError(
            "hydra/sweeper=optuna: nothing to search over. Give a key a range or a choice, in quotes for the shell: "
            "'training.lr=tag(log, interval(1e-5,1e-4))'"
        )
    if "seed" in space:
        raise UserError(
            "seed: a search over seeds finds a lucky one. Search with one seed, then repeat the best settings with "
            "others; the end of the search says how."
        )
    refuse_senseless(space)
    return space, fixed


def distribution(override: "Override") -> "BaseDistribution":
    """The values of one key: ``interval``, ``range`` and their logarithms as numbers, all else as a choice.

    Raises:
        UserError: a tag is not known, or there is no such range.
    """
    from hydra.core.override_parser.types import IntervalSweep, RangeSweep
    from optuna.distributions import CategoricalDistribution

    sweep: Any = override.value()
    tags: set[str] = getattr(sweep, "tags", set())
    if unknown := tags - {"log"}:
        raise UserError(f"{override.input_line}: the tag {sorted(unknown)[0]} means nothing here. There is: log.")
    try:
        if isinstance(sweep, IntervalSweep):
            return _numbers(sweep.start, sweep.end, None, "log" in tags)
        if isinstance(sweep, RangeSweep):
            values: list[Any] = sorted(override.sweep_iterator())
            step = values[1] - values[0] if len(values) > 1 else None
            return _numbers(values[0], values[-1], step, "log" in tags)
        if tags:
            raise UserError(f"{override.input_line}: only numbers between two others have a logarithm.")
        return CategoricalDistribution(list(dict.fromkeys(override.sweep_string_iterator())))
    except (ValueError, IndexError) as error:
        raise UserError(f"{override.input_line}: no such range ({error}).") from None


def _numbers(low: Any, high: Any, step: Any, log: bool) -> "BaseDistribution":
    from optuna.distributions import FloatDistribution, IntDistribution

    if isinstance(low, int) and isinstance(high, int):
        return IntDistribution(low, high, log=log, step=step or 1)
    return FloatDistribution(float(low), float(high), log=log, step=step)


def ends(override: "Override") -> list[str]:
    """Values of a key that a configuration can be tried with before the search: every choice, the ends of a range."""
    from hydra.core.override_parser.types import IntervalSweep

    sweep: Any = override.value()
    if isinstance(sweep, IntervalSweep):
        return [f"{sweep.start!r}", f"{sweep.end!r}"]
    values = list(override.sweep_string_iterator())
    return values if override.is_choice_sweep() else [values[0], values[-1]]


def typed(override: "Override") -> str:
    """A key's values as they were typed, in one way of writing."""
    return "".join(str(override.get_value_string()).split())
