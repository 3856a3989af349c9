"""A search before its first trial: what makes it this one, and what would be wrong with each of its trials.

Imports nothing heavy: it is there before any job.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, open_dict

from ercsatz.config.objective import Goal, goals_of
from ercsatz.errors import UserError
from ercsatz.sweeps.lacks import Lacks
from ercsatz.sweeps.plan import cell_of
from ercsatz.sweeps.result_file import settings_of
from ercsatz.sweeps.search.space import distribution, ends, split, typed

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

_COUNTS = ("n_trials", "n_jobs", "n_startup_trials")


@dataclass(frozen=True)
class SearchPlan:
    """What is searched for, and where.

    Attributes:
        space: the values of each key that is searched over.
        fixed: the overrides that all trials have.
        goals: what is to be as good as it can be.
        settings: of ``hydra.sweeper``, a ``config.SearchConfig``.
    """

    space: Mapping[str, "Override"]
    fixed: Sequence[str]
    goals: Sequence[Goal]
    settings: Any

    def distributions(self) -> dict[str, Any]:
        """Optuna's, by key."""
        return {key: distribution(override) for key, override in self.space.items()}

    def job(self, values: Mapping[str, Any]) -> list[str]:
        """The overrides of the trial that has these values."""
        return [*self.fixed, *(f"{key}={values[key]}" for key in self.space)]


def is_search(config: DictConfig) -> bool:
    """Whether a sweep is a search of ours."""
    return str(config.hydra.sweeper._target_).endswith(".ercsatz_sweepers.OptunaSweeper")


def read(config: DictConfig) -> SearchPlan:
    """The search that a command line asks for.

    Raises:
        UserError: Optuna is not installed, or something of the search makes no sense.
    """
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    if find_spec("optuna") is None:
        raise UserError("hydra/sweeper=optuna needs Optuna, which is not installed: pip install 'ercsatz[search]'")
    if "objective" not in config:
        raise UserError("hydra/sweeper=optuna searches for what trains best: it is for train.py alone.")
    goals = goals_of(config.objective)
    settings = config.hydra.sweeper
    for name in _COUNTS:
        if settings[name] < (least := 0 if name == "n_startup_trials" else 1):
            raise UserError(f"hydra.sweeper.{name}={settings[name]} must be {least} or more.")
    given = [*(f"{key}={value}" for key, value in settings.params.items()), *config.hydra.overrides.task]
    try:
        parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
        space, fixed = split(parser.parse_overrides(given))
    except HydraException as error:
        raise UserError(f"hydra/sweeper=optuna: {error}") from None
    plan = SearchPlan(space, fixed, goals, settings)
    plan.distributions()
    return plan


def identity(plan: SearchPlan, config: DictConfig) -> dict[str, Any]:
    """What makes a search this one, for ``sweep.json``; how many trials, and how they are chosen, is no part of it.

    Raises:
        UserError: a trial cannot be composed; or files of dialogues are missing, which all trials would lack.
    """
    lacks = Lacks()
    owners: dict[str, Sequence[str]] = {}
    cells = [cell_of(composed(config, plan.job(values)), owners, lacks) for values in _tried(plan)]
    HydraConfig.instance().cfg = None
    if told := lacks.told():
        raise UserError(f"Files are missing, and trials of this search would fail without them:\n{told}")
    changing = {key.partition("@")[0] for key in plan.space}
    settings = cells[0].get("settings", {})
    return {
        "space": {key: typed(override) for key, override in plan.space.items()},
        "fixed": settings_of(plan.fixed),
        "objective": {"objective": [goal.name for goal in plan.goals]},
        "settings": {key: value for key, value in settings.items() if not _is_below(key, changing)},
    }


def _is_below(key: str, groups: Iterable[str]) -> bool:
    return any(key == group or key.startswith(f"{group}.") for group in groups)


def _tried(plan: SearchPlan) -> Iterator[dict[str, str]]:
    """One trial with the first value of each key, and one for every other value at which a key ends."""
    values = {key: ends(override) for key, override in plan.space.items()}
    first = {key: each[0] for key, each in values.items()}
    yield first
    for key, each in values.items():
        for value in each[1:]:
            yield {**first, key: value}


def composed(config: DictConfig, job: Sequence[str], number: int = 0) -> DictConfig:
    """A trial's configuration.

    Raises:
        UserError: it cannot be composed.
    """
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException

    try:
        made: DictConfig = GlobalHydra.instance().config_loader().load_sweep_config(config, list(job))
    except HydraException as error:
        raise UserError(f"hydra/sweeper=optuna: {' '.join(job)}: {' '.join(str(error).split())}") from None
    with open_dict(made):
        made.hydra.job.num = number  # which hydra.sweep.subdir may contain
    HydraConfig.instance().set_config(made)  # which it does contain
    return made
