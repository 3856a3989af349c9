"""A job of a sweep in a process of its own, for Hydra's launchers; and what becomes of one whose process dies."""

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from ercsatz import threads
from ercsatz.config.ray_launcher import RayConfig
from ercsatz.errors import UserError
from ercsatz.reporting.status import Status, report
from ercsatz.reporting.terminal import show_log
from ercsatz.sweeps import result_file
from ercsatz.sweeps.result_file import read_result, write_result

if TYPE_CHECKING:
    from ercsatz.sweeps.others import SweepStages

_LOG = logging.getLogger(__name__)
_OWN = {"joblib": "ProcessLauncher", "submitit_local": "SubmititLauncher", "submitit_slurm": "SlurmLauncher"}


def use_own_launchers() -> None:
    """Have the launchers that are installed run as ours, with the settings that they have; and Ray by ours alone.

    A pool of joblib breaks whole when one of its processes dies, and submitit's launcher gives up all jobs for one.
    """
    store = ConfigStore.instance()
    installed = store.list("hydra/launcher")
    for name, own in _OWN.items():
        if f"{name}.yaml" in installed:
            settings = store.load(f"hydra/launcher/{name}.yaml").node
            settings._target_ = f"hydra_plugins.ercsatz_launchers.{own}"
            store.store(group="hydra/launcher", name=name, node=settings, provider="ercsatz")
    store.store(group="hydra/launcher", name="ray", node=RayConfig, provider="ercsatz")


@dataclass(frozen=True)
class Outcome:
    """What a job gives back: the exit status that it deserves, and its value."""

    status: int
    value: Any = None


@dataclass(frozen=True)
class Sweep:
    """All that the jobs of a sweep have in common, to be pickled.

    Attributes:
        context: Hydra's.
        config: of the sweep.
        task: what a job does.
        state: Hydra's, as it is here.
    """

    context: HydraContext
    config: DictConfig
    task: TaskFunction
    state: Any = field(default_factory=Singleton.get_state)

    def run(self, overrides: Sequence[str], number: int) -> Outcome:
        """Run a job; nothing is raised but what ends a process.

        Args:
            overrides: that make it.
            number: its place in the sweep.
        """
        show_log()
        threads.wait_politely()
        Status.code = 0
        try:
            Singleton.set_state(self.state)
            setup_globals()
            returned = run_job(
                hydra_context=self.context,
                task_function=self.task,
                config=self.composed(overrides, number),
                job_dir_key="hydra.sweep.dir",
                job_subdir_key="hydra.sweep.subdir",
            )
        except Exception as error:
            report(error, " ".join(overrides))
            return Outcome(1)
        if returned.status == JobStatus.COMPLETED:
            return Outcome(Status.code, returned.return_value)
        return Outcome(1)  # the command has said why

    def help(self) -> Outcome:
        """Make stages of the sweep's jobs in a process that has no job; nothing is raised but what ends a process."""
        from ercsatz.sweeps.others import assist
        from ercsatz.training.stage_cache import StageCache

        show_log()
        Singleton.set_state(self.state)
        setup_globals()
        if others := self.stages():
            assist(others, StageCache(Path(str(self.config.paths.cache))))
        return Outcome(0)

    def stages(self) -> "SweepStages | None":
        """Those of its jobs, where it trains and they are known beforehand."""
        from ercsatz.sweeps.others import stages_of

        HydraConfig.instance().set_config(self.config)
        return stages_of(Path(str(self.config.hydra.sweep.dir)), self.config, str(self.config.get("sweep")))

    def composed(self, overrides: Sequence[str], number: int) -> DictConfig:
        """A job's configuration; it is Hydra's from now on."""
        config = self.context.config_loader.load_sweep_config(self.config, list(overrides))
        with open_dict(config):
            config.hydra.job.id = f"{config.hydra.job.name}_{number}"
            config.hydra.job.num = number
        HydraConfig.instance().set_config(config)
        return config

    def died(self, overrides: Sequence[str], number: int, how: str) -> Outcome:
        """Say that a job's process died, and record it where the job's result is looked for."""
        words = f"its process died ({how}). The same command again does what is missing."
        config = self.composed(overrides, number)
        folder = Path(config.hydra.sweep.dir) / config.hydra.sweep.subdir
        _record(folder, words)
        report(UserError(words), " ".join(config.hydra.overrides.task))
        return Outcome(1)


def _record(folder: Path, words: str) -> None:
    """A job that had begun has failed now; one that had not is missing from its sweep, which says so."""
    with suppress(UserError, OSError):  # of a result that cannot be read or written the sweep says so, too
        file = folder / result_file.NAME
        if file.is_file() and (result := read_result(file))["status"] == "running":
            write_result(folder, {**result, "status": "failed", "error": words, "traceback": ""})


def returned(overrides: Sequence[str], outcome: Outcome) -> JobReturn:
    """What Hydra wants of a job.

    Never a failed one: Hydra would print it once more and leave out the end of the sweep.
    """
    Status.code = max(Status.code, outcome.status)
    return JobReturn(overrides=list(overrides), status=JobStatus.COMPLETED, _return_value=outcome.value)
