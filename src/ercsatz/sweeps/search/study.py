"""The trials of a search, in Optuna's storage: in the sweep's folder, unless another is given."""

import hashlib
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ercsatz.config import Sampler
from ercsatz.config.objective import Goal
from ercsatz.errors import UserError

if TYPE_CHECKING:
    from optuna import Study
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial, Trial

FILE = "search.db"
_OWNER = "sweep_id"
_AGAIN = "again"  # of a trial that is another try: the number of the earlier one


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Optuna's own lines: trials are told by our jobs, and nothing of what is experimental."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)


def open_study(settings: Any, folder: Path | None, name: str, sweep_id: str | None, goals: Sequence[Goal]) -> "Study":
    """Begin a search's trials, or go on with them.

    Args:
        settings: of ``hydra.sweeper``.
        folder: of the sweep; None: nothing is kept.
        name: of the sweep.
        sweep_id: of the sweep.
        goals: give the directions.

    Raises:
        UserError: the storage cannot be opened, or holds a study of this name that is another sweep's.
    """
    import optuna

    place = settings.storage or (None if folder is None else f"sqlite:///{(folder / FILE).absolute()}")
    kinds = optuna.study.StudyDirection
    directions = [kinds.MAXIMIZE if goal.maximise else kinds.MINIMIZE for goal in goals]
    called = settings.study_name or name
    with _quiet():
        try:
            study = optuna.create_study(
                storage=place if folder is not None else None,
                study_name=called,
                directions=directions,
                load_if_exists=True,
            )
        except Exception as error:  # whatever a driver of a data base raises
            reason = " ".join(str(error).split())
            raise UserError(f"{place}: the search's storage cannot be opened ({reason}).") from error
        if (owner := study.user_attrs.setdefault(_OWNER, sweep_id)) != sweep_id:
            raise UserError(
                f"{place}: the study {called} is that of another sweep ({owner}). Give this one a name of its own: "
                "hydra.sweeper.study_name=NAME"
            )
        study.set_user_attr(_OWNER, sweep_id)
    return study


def counted(study: "Study") -> "list[FrozenTrial]":
    """The trials that count, in their order: of several tries at the same one the last."""
    trials = study.get_trials(deepcopy=False)
    again = {trial.user_attrs.get(_AGAIN) for trial in trials}
    return [trial for trial in trials if trial.number not in again]


def try_again(study: "Study") -> None:
    """Have what failed, and what a process that is dead had begun, asked for once more, with the same values."""
    from optuna.trial import TrialState

    with _quiet():
        for trial in counted(study):
            if trial.state == TrialState.RUNNING:
                study.tell(trial.number, state=TrialState.FAIL)
            if trial.state in (TrialState.RUNNING, TrialState.FAIL):
                study.enqueue_trial(trial.params, user_attrs={_AGAIN: trial.number})


def ask(study: "Study", settings: Any, distributions: dict[str, Any]) -> "Trial":
    """The next trial; the same one in a search that was never interrupted."""
    from optuna.trial import TrialState

    begun = [trial for trial in counted(study) if trial.state != TrialState.WAITING]
    with _quiet():
        study.sampler = _sampler(settings, len(begun))
        return study.ask(distributions)


def _sampler(settings: Any, number: int) -> "BaseSampler":
    """A sampler for one trial.

    One for all trials would begin with its first random numbers again where a search goes on.
    """
    from optuna.samplers import RandomSampler, TPESampler

    seed = int.from_bytes(hashlib.sha256(f"{settings.seed} {number}".encode()).digest()[:4])
    if settings.sampler == Sampler.random:
        return RandomSampler(seed=seed)
    return TPESampler(seed=seed, n_startup_trials=settings.n_startup_trials, constant_liar=True)


def tell(study: "Study", trial: "Trial", values: Sequence[float] | None) -> None:
    """What became of a trial; None: it failed."""
    from optuna.trial import TrialState

    with _quiet():
        if values is None:
            study.tell(trial, state=TrialState.FAIL)
        else:
            study.tell(trial, list(values))
