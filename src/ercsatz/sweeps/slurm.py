"""Jobs of a sweep on Slurm: submitted, waited for or left alone, and ranked when the last has ended, whoever is there.

Slurm itself sees to the end: beside the jobs one more is submitted that depends on them (``afterany``), so that it is
run once, however they ended. It ranks, unless a command still waits for the jobs, which then ranks itself. Who ranks
holds the sweep's lock and takes away ``.submitit/submitted.json``, so there is one.

A job that is out of time or preempted is queued again by submitit, in its place of the array; one whose process is
killed by the last line of its shell script, since nothing else of it lives. What it had trained is there.
"""

import json
import logging
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, setup_globals
from omegaconf import DictConfig
from submitit import SlurmJob
from submitit.core.utils import FailedJobError
from submitit.slurm.slurm import SlurmInfoWatcher

from ercsatz import signals
from ercsatz.data.text_files import atomic_write, parse_json, read_text
from ercsatz.errors import UserError
from ercsatz.reporting.terminal import show_log
from ercsatz.sweeps import callback
from ercsatz.sweeps.jobs import Outcome, Sweep, returned
from ercsatz.sweeps.search.plan import is_search
from ercsatz.sweeps.submitted import Job, executor_of, outcome_of
from ercsatz.sweeps.sweep_file import SUBMITTED

_LOG = logging.getLogger(__name__)
_Job = SlurmJob[Outcome]
_Made = tuple[_Job, Sequence[str], int]  # a job with its overrides and its number

_ASK = 10.0  # seconds between two questions to Slurm's controller
_ENDED = frozenset(
    ("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "REVOKED", "TIMEOUT")
)
_GONE = "GONE"  # Slurm forgets a job some minutes after its end

# The last line of a job's script: a process that a signal ended is run again. Who is cancelled does not get there.
_AGAIN = (
    "code=$?; if [ $code -gt 128 ] && [ $code -lt 192 ] && [ ${SLURM_RESTART_COUNT:-0} -lt %s ]; "
    "then scontrol requeue $SLURM_JOB_ID; fi; exit $code"
)


class Queue(SlurmInfoWatcher):
    """What Slurm's controller says of jobs, in place of its accounting, which not every cluster has."""

    def __init__(self) -> None:
        super().__init__()
        self._states: dict[str, str] | None = None
        self._asked = float("-inf")

    def get_state(self, job_id: str, mode: str = "standard") -> str:
        """The state of a job; UNKNOWN while the controller does not answer.

        Args:
            job_id: as submitit has it: ``12`` or, in an array, ``12_3``.
            mode: force asks the controller now, standard now and then, cache not at all.
        """
        due = time.monotonic() - self._asked > _ASK
        if mode == "force" or (mode == "standard" and due):
            self._states, self._asked = states(), time.monotonic()
        return "UNKNOWN" if self._states is None else self._states.get(job_id, _GONE)

    def is_done(self, job_id: str, mode: str = "standard") -> bool:
        """Whether a job will not run any more."""
        return self.get_state(job_id, mode) in {*_ENDED, _GONE}


def states() -> dict[str, str] | None:
    """The state of every job of the user that Slurm remembers; None where its controller does not answer."""
    command = ["squeue", "--me", "--array", "--noheader", "--states=all", "--format=%i %T"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return None
    return dict(line.split(maxsplit=1) for line in done.stdout.splitlines() if " " in line)


@dataclass(frozen=True)
class _Ranking:
    """What the job does that comes after the others; submitit pickles and calls it.

    Attributes:
        sweep: whose jobs they are.
        jobs: submitit's, each with its overrides and its number.
    """

    sweep: Sweep
    jobs: Sequence[_Made]

    def __call__(self) -> None:
        show_log()
        Singleton.set_state(self.sweep.state)
        setup_globals()
        folder, array = _folder(self.sweep.config), _array([job for job, *_ in self.jobs])
        while _submitted(folder).get("jobs") == array:
            if callback.take_up(self.sweep.config):
                return self._rank(folder)
            time.sleep(_ASK)  # who has the sweep waits for its jobs, and ranks; or is refused, and lets it go
        return _LOG.info("The sweep %s has been ranked by a command that waited for it.", folder)

    def _rank(self, folder: Path) -> None:
        if not _taken(folder):
            return callback.leave()
        for job, overrides, number in self.jobs:
            if not job.paths.result_pickle.exists():
                self.sweep.died(overrides, number, _where(job))
        HydraConfig.instance().cfg = None
        return callback.finish()


def run(
    sweep: Sweep, job_overrides: Sequence[Sequence[str]], first: int, settings: Mapping[str, Any]
) -> list[JobReturn]:
    """Submit the jobs, and what ranks them; wait for them, unless ``cluster.wait`` is false.

    Args:
        sweep: whose jobs they are.
        job_overrides: of each job.
        first: number of the first.
        settings: of ``hydra.launcher``.

    Raises:
        UserError: submitit does not take them, jobs of the sweep are there already, or nobody can wait for their end.
    """
    numbers = range(first, first + len(job_overrides))
    if sweep.config.get("dry_run"):
        return [
            returned(overrides, sweep.run(overrides, n)) for overrides, n in zip(job_overrides, numbers, strict=True)
        ]
    folder, waits = _folder(sweep.config), _waits(sweep.config)
    _refuse_twice(folder)
    folder.mkdir(parents=True, exist_ok=True)
    SlurmJob.watcher = Queue()
    executor = executor_of("slurm", _with_retries(settings))
    try:
        jobs: list[_Job] = executor.map_array(Job(sweep, None, {}), list(map(list, job_overrides)), numbers)
    except FailedJobError as error:
        raise UserError(f"Slurm does not take the jobs: {' '.join(str(error).split())}") from error
    made = list(zip(jobs, job_overrides, numbers, strict=True))
    ranking = _submit_ranking(sweep, made, settings) if _is_ranked(sweep.config) else None
    if ranking is not None:
        with atomic_write(folder / SUBMITTED) as file:
            json.dump({"jobs": _array(jobs), "ranking": ranking.job_id}, file)
    _LOG.info("Slurm has %s: %s", _counted(jobs), _array(jobs))
    if not waits:
        assert ranking is not None
        _LOG.info("They are ranked when the last has ended, by Slurm's job %s, in %s", ranking.job_id, folder)
        callback.leave()
        return [returned(overrides, Outcome(0)) for overrides in job_overrides]
    outcomes = _waited(sweep, made, ranking)
    return [returned(overrides, outcome) for overrides, outcome in zip(job_overrides, outcomes, strict=True)]


def _waited(sweep: Sweep, made: Sequence[_Made], ranking: SlurmJob[None] | None) -> list[Outcome]:
    """What the jobs gave back; a closed terminal leaves them alone, any other end of the command cancels them."""
    try:
        outcomes = [outcome_of(sweep, *each) for each in made]
    except BaseException:
        if ranking is not None and signals.hung_up():
            callback.leave()
        else:
            _taken(_folder(sweep.config))
            _cancel([job for job, *_ in made], ranking)
        raise
    if ranking is not None:
        _taken(_folder(sweep.config))
        _cancel([], ranking)
    return outcomes


def _folder(config: DictConfig) -> Path:
    return Path(str(config.hydra.sweep.dir))


def _waits(config: DictConfig) -> bool:
    """Whether the command waits.

    Raises:
        UserError: it is to leave, and what comes next needs it.
    """
    if config.get("cluster") is None or config.cluster.wait:
        return True
    if is_search(config):
        raise UserError("cluster.wait=false: a search chooses its next trials by the last ones. Leave it true.")
    if config.hydra.sweeper.get("max_batch_size") is not None:
        raise UserError(
            "cluster.wait=false: with hydra.sweeper.max_batch_size the command submits one batch after the other. "
            "cluster.parallel=N limits how many jobs run at once, too."
        )
    return False


def _is_ranked(config: DictConfig) -> bool:
    """Whether it is a sweep of ``train.py`` that compares: neither a search nor one of another command."""
    return "ranking" in config and not is_search(config)


def _refuse_twice(folder: Path) -> None:
    """Refuse to submit jobs that are still there.

    Raises:
        UserError: names them.
    """
    ids = {*_submitted(folder).values()}
    found = states() if ids else None
    alive = {id.partition("_")[0] for id, state in (found or {}).items() if state not in _ENDED}
    if there := sorted(ids & alive):
        callback.leave()  # to those jobs
        raise UserError(
            f"Jobs of the sweep {folder} are still on Slurm: {', '.join(there)}. Wait for them, as "
            f"squeue --job={','.join(there)} shows them, or end them: scancel {' '.join(there)}"
        )


def _with_retries(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with what has Slurm run a job again, as it does of itself where a node fails."""
    more = {"requeue": True, **(settings["additional_parameters"] or {})}
    return {**settings, "teardown": [_AGAIN % settings["max_num_timeout"]], "additional_parameters": more}


def _submit_ranking(sweep: Sweep, made: Sequence[_Made], settings: Mapping[str, Any]) -> SlurmJob[None]:
    """Submit what ranks when all others have ended, well or not; it needs no GPU."""
    wanted = {"gpus_per_node", "gpus_per_task", "cpus_per_gpu", "mem_per_gpu", "gres", "array_parallelism"}
    plain = {key: value for key, value in settings.items() if key not in wanted}
    ids = _array([job for job, *_ in made])
    executor = executor_of("slurm", {**plain, "name": "rank", "dependency": f"afterany:{ids}"})
    job: SlurmJob[None] = executor.submit(_Ranking(sweep, made))
    return job


def _submitted(folder: Path) -> dict[str, str]:
    """The array of the sweep's ``jobs`` on Slurm and the job of its ``ranking``, until somebody has taken that over."""
    try:
        found = parse_json(read_text(folder / SUBMITTED))
        return {name: str(found[name]) for name in ("jobs", "ranking")}
    except (UserError, OSError, ValueError, KeyError, TypeError):
        return {}


def _taken(folder: Path) -> bool:
    """Take the ranking over; False where somebody has."""
    try:
        (folder / SUBMITTED).unlink()
    except FileNotFoundError:
        return False
    return True


def _cancel(jobs: Sequence[_Job], ranking: SlurmJob[None] | None) -> None:
    ids = [*({_array(jobs)} if jobs else ()), *([ranking.job_id] if ranking else [])]
    with suppress(OSError, subprocess.SubprocessError):  # the cluster is out of reach
        subprocess.run(["scancel", "--quiet", *ids], capture_output=True, check=False, timeout=60)


def _array(jobs: Sequence[_Job]) -> str:
    """The number of the array; of a single job it is its own."""
    return jobs[0].job_id.partition("_")[0]


def _counted(jobs: Sequence[Any]) -> str:
    return "the job" if len(jobs) == 1 else f"the {len(jobs)} jobs of the array"


def _where(job: _Job) -> str:
    return f"what it printed is in {job.paths.stderr}"
