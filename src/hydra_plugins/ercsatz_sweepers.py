"""What Hydra's basic sweeper runs as, one that knows experiments; and what ``hydra/sweeper=optuna`` runs, a search.

Hydra makes sweepers only of classes in this namespace, and imports all of them before ``--help``; so this is thin.
"""

from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class ExperimentSweeper(BasicSweeper):
    """The jobs of the command line, or of the experiment that it names."""

    def split_arguments(  # type: ignore[override]  # Hydra's is static, and is called of an object
        self, overrides: list[Override], max_batch_size: int | None
    ) -> list[list[list[str]]]:
        """The overrides of every job, in batches."""
        from ercsatz.sweeps.experiment import jobs_of

        jobs: Any = [list(job) for job in jobs_of(overrides, self.config)]
        if max_batch_size is None:
            return [jobs]
        return list(self.split_overrides_to_chunks(jobs, max_batch_size))


class OptunaSweeper(Sweeper):
    """Asks Optuna for the next jobs, by what those before gave back.

    Args:
        settings: of ``hydra.sweeper``, which is read from the configuration.
    """

    def __init__(self, **settings: Any) -> None:
        pass

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """What is to be run; called once by Hydra."""
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )
        self._given = config, launcher

    def sweep(self, arguments: list[str]) -> None:
        """Run the search."""
        from ercsatz.errors import UserError
        from ercsatz.reporting.status import report
        from ercsatz.sweeps.search.run import run

        try:
            run(*self._given)
        except UserError as error:  # Hydra would print a traceback
            report(error)
            raise SystemExit(1) from None
