"""Jobs of a sweep through submitit, all at once on this machine; one that dies costs itself."""

import os
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import psutil
from hydra.core.utils import JobReturn
from omegaconf import OmegaConf

from ercsatz import signals, threads
from ercsatz.errors import UserError
from ercsatz.sweeps.jobs import Outcome, Sweep, returned

_LOOK = 1.0  # seconds


@dataclass(frozen=True)
class Job:
    """What is pickled; submitit calls it, or ``checkpoint`` where the job is put off.

    Attributes:
        sweep: whose job it is.
        owner: the process without which a job on this machine is for nothing; None on a cluster.
        environment: that it adds to its own.
    """

    sweep: Sweep
    owner: int | None
    environment: Mapping[str, str]

    def __call__(self, overrides: Sequence[str], number: int) -> Outcome:
        """Run the job of these overrides."""
        os.environ.update(self.environment)
        if self.owner is not None:
            signals.serve()
            threading.Thread(target=_die_with, args=(psutil.Process(self.owner), os.getppid()), daemon=True).start()
        return self.sweep.run(overrides, number)

    def checkpoint(self, *given: Any) -> Any:
        """The same again: a stage goes on from where it was."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, *given)


def _die_with(owner: psutil.Process, parent: int) -> None:
    while owner.is_running() and os.getppid() == parent:
        time.sleep(_LOOK)
    os._exit(1)


def run(
    sweep: Sweep, job_overrides: Sequence[Sequence[str]], first: int, settings: Mapping[str, Any]
) -> list[JobReturn]:
    """Start the jobs on this machine, all at once, and wait for them.

    Args:
        sweep: whose jobs they are.
        job_overrides: of each job.
        first: number of the first.
        settings: of ``hydra.launcher``.

    Raises:
        UserError: submitit does not take them.
    """
    Path(str(sweep.config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
    numbers = range(first, first + len(job_overrides))
    executor = executor_of("local", settings)
    job = Job(sweep, os.getpid(), threads.share(len(job_overrides)))
    with signals.kept_from_children():
        jobs = executor.map_array(job, [list(overrides) for overrides in job_overrides], numbers)
    try:
        outcomes = [outcome_of(sweep, *each) for each in zip(jobs, job_overrides, numbers, strict=True)]
    except BaseException:
        for each in jobs:
            with suppress(OSError):  # it is done
                os.kill(int(each.job_id), signal.SIGTERM)  # at submitit's SIGINT its own process prints a traceback
        raise
    return [returned(overrides, outcome) for overrides, outcome in zip(job_overrides, outcomes, strict=True)]


def executor_of(cluster: str, settings: Mapping[str, Any]) -> Any:
    """The executor, its parameters named as submitit wants them: those of one cluster begin with its name.

    Args:
        cluster: submitit's name of what runs the jobs: ``slurm`` or ``local``.
        settings: of ``hydra.launcher``, and more of submitit's own.

    Raises:
        UserError: submitit does not take them.
    """
    import submitit
    from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf

    plain: dict[str, Any] = {
        key: OmegaConf.to_container(value) if OmegaConf.is_config(value) else value for key, value in settings.items()
    }
    folder, tries = plain.pop("submitit_folder"), plain.pop("max_num_timeout", None)
    common = {each.name for each in fields(BaseQueueConf)}
    begun = {} if tries is None else {f"{cluster}_max_num_timeout": tries}
    try:
        executor = submitit.AutoExecutor(folder=folder, cluster=cluster, **begun)
        executor.update_parameters(**{key if key in common else f"{cluster}_{key}": v for key, v in plain.items()})
    except (RuntimeError, ValueError, NameError, TypeError) as error:
        raise UserError(f"hydra/launcher=submitit_{cluster}: {error}") from error
    return executor


def outcome_of(sweep: Sweep, job: Any, overrides: Sequence[str], number: int) -> Outcome:
    """What a job gave back, once it has ended; a dead one is told and recorded."""
    from submitit.core.utils import FailedJobError, UncompletedJobError

    try:
        outcome = job.results()[0]
    except (UncompletedJobError, FailedJobError):
        return sweep.died(overrides, number, f"what it printed is in {job.paths.stderr}")
    assert isinstance(outcome, Outcome)
    return outcome
