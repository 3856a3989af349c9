"""What ``hydra/launcher=joblib``, ``submitit_...`` and ``ray`` run: a cell that dies is that cell alone.

Hydra makes launchers only of classes in this namespace, and imports all of them before ``--help``; so these are thin.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class ErcsatzLauncher(Launcher):
    """Keeps what the launchers are made with.

    Args:
        settings: of ``hydra.launcher``, as the plugin of the same name has them.
    """

    def __init__(self, **settings: Any) -> None:
        self._settings = settings

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """What is to be run; called once by Hydra."""
        self._given = hydra_context, config, task_function


class ProcessLauncher(ErcsatzLauncher):
    """Some jobs at a time, each in a process of this machine."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run a job for each list of overrides."""
        from ercsatz.sweeps.jobs import Sweep
        from ercsatz.sweeps.processes import run

        return run(Sweep(*self._given), job_overrides, initial_job_idx, self._settings["n_jobs"])


class SubmititLauncher(ErcsatzLauncher):
    """All jobs at once, on this machine."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run a job for each list of overrides."""
        from ercsatz.sweeps.jobs import Sweep
        from ercsatz.sweeps.submitted import run

        with _told():
            return run(Sweep(*self._given), job_overrides, initial_job_idx, self._settings)


class SlurmLauncher(ErcsatzLauncher):
    """All jobs on Slurm, as many at a time as it has room for."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Submit a job for each list of overrides, and wait for them unless ``cluster.wait`` is false."""
        from ercsatz.sweeps.jobs import Sweep
        from ercsatz.sweeps.slurm import run

        with _told():
            return run(Sweep(*self._given), job_overrides, initial_job_idx, self._settings)


class RayLauncher(ErcsatzLauncher):
    """All jobs at once, as many as find room on Ray's machines."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run a job for each list of overrides."""
        from ercsatz.sweeps.jobs import Sweep
        from ercsatz.sweeps.on_ray import run

        with _told():
            return run(Sweep(*self._given), job_overrides, initial_job_idx, self._settings)


@contextmanager
def _told() -> Iterator[None]:
    """Tell what is wrong with the settings in a line; Hydra would print a traceback."""
    from ercsatz.errors import UserError
    from ercsatz.reporting.status import report

    try:
        yield
    except UserError as error:
        report(error)
        raise SystemExit(1) from None
