"""``hydra/sweeper=optuna``: a search for good settings."""

from dataclasses import dataclass, field
from enum import StrEnum


class Sampler(StrEnum):
    """How settings are chosen: by what has been tried (a tree-structured Parzen estimator), or at random."""

    tpe = "tpe"
    random = "random"


@dataclass
class SearchConfig:
    """What ``hydra.sweeper`` has under ``hydra/sweeper=optuna``.

    ``params`` are more of the search space, by key, in the syntax of the command line, which goes before them.
    """

    _target_: str = "hydra_plugins.ercsatz_sweepers.OptunaSweeper"
    n_trials: int = 20
    n_jobs: int = 1
    sampler: Sampler = Sampler.tpe
    n_startup_trials: int = 10
    seed: int = 0
    storage: str | None = None
    study_name: str | None = None
    params: dict[str, str] = field(default_factory=dict)
