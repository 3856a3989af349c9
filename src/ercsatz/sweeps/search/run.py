"""Ask for trials, run them, tell what they reached, until there are enough."""

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf
from optuna.trial import TrialState

from ercsatz.reporting.status import report
from ercsatz.sweeps import sweep_file
from ercsatz.sweeps.lacks import Lacks
from ercsatz.sweeps.plan import cell_of
from ercsatz.sweeps.search import plan as planned
from ercsatz.sweeps.search import study as studies
from ercsatz.sweeps.search.plan import SearchPlan
from ercsatz.sweeps.search.sentences import number

_LOG = logging.getLogger(__name__)


def run(config: DictConfig, launcher: Launcher) -> None:
    """Run a search; its sweep has been started. With ``dry_run`` one batch of trials shows what it would do.

    Raises:
        UserError: the search makes no sense, or its storage cannot be opened.
    """
    plan = planned.read(config)
    folder = None if config.dry_run else Path(str(config.hydra.sweep.dir))
    if folder is not None:
        OmegaConf.save(config, folder / "multirun.yaml")
    id = None if folder is None else sweep_file.id_of(folder)
    study = studies.open_study(plan.settings, folder, str(config.sweep), id, plan.goals)
    studies.try_again(study)
    _say_start(plan, done := _done(study))
    first = 0
    while done < plan.settings.n_trials:
        wanted = min(plan.settings.n_jobs, plan.settings.n_trials - done)
        trials = [studies.ask(study, plan.settings, plan.distributions()) for _ in range(wanted)]
        jobs = [plan.job(trial.params) for trial in trials]
        if folder is not None:
            _add_cells(config, folder, jobs, trials)
        for place, trial in enumerate(trials, done + 1):
            told = " ".join(f"{key}={number(trial.params[key])}" for key in plan.space)
            _LOG.info("Trial %s (%s of %s): %s", trial.number, place, plan.settings.n_trials, told)
        for trial, returned in zip(trials, launcher.launch(jobs, initial_job_idx=first), strict=True):
            studies.tell(study, trial, _reached(returned))
        first += len(trials)
        done = plan.settings.n_trials if folder is None else _done(study)


def _done(study: Any) -> int:
    return sum(trial.state in (TrialState.COMPLETE, TrialState.FAIL) for trial in studies.counted(study))


def _say_start(plan: SearchPlan, done: int) -> None:
    goals = " and ".join(f"the {'highest' if goal.maximise else 'lowest'} {goal.title}" for goal in plan.goals)
    there = f" {done} are there already." if done else ""
    _LOG.info("A search over %s for %s, in %s trials.%s", ", ".join(plan.space), goals, plan.settings.n_trials, there)


def _add_cells(config: DictConfig, folder: Path, jobs: Sequence[Sequence[str]], trials: Sequence[Any]) -> None:
    owners: dict[str, Sequence[str]] = {}
    cells = []
    for job, trial in zip(jobs, trials, strict=True):
        made = planned.composed(config, job, trial.number)
        trial.set_user_attr("folder", str(made.hydra.sweep.subdir))
        cells.append(cell_of(made, owners, Lacks()))
    HydraConfig.instance().cfg = None
    sweep_file.add(folder, cells)


def _reached(returned: JobReturn) -> list[float] | None:
    """What a job gave back, a number for each objective; None where it failed."""
    try:
        value = returned.return_value
    except Exception as error:  # Hydra could not run it
        report(error, " ".join(returned.overrides or ()))
        return None
    values = [math.nan] if value is None else value if isinstance(value, list) else [value]
    return values if all(math.isfinite(each) for each in values) else None
