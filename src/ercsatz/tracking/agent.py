"""A job that an agent of Weights & Biases runs, for ``wandb sweep``: what it reached is logged to the agent's run.

W&B gives every run that a process opens the id that the agent has given it. So the stages of a job would all write into
one run, and the sweep would take the best epoch of any of them for what the job reached. Here the agent's run is kept
from the stages, which have runs of their own, and gets the objective alone.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ercsatz.config import WandbConfig
from ercsatz.tracking.wandb_run import RunName, open_run

_VARIABLES = ("WANDB_SWEEP_ID", "WANDB_RUN_ID", "WANDB_SWEEP_PARAM_PATH")


class _FailedError(Exception):
    """Ends the agent's run as failed."""


@dataclass(frozen=True)
class Agent:
    """What an agent has given its process: the variables by name."""

    given: Mapping[str, str]

    def log(self, settings: WandbConfig, group: str, reached: Mapping[str, float] | None, folder: Path) -> None:
        """Log what the job reached, by the objective's names, to the agent's run; None: it failed, and so does the run.

        Args:
            settings: of Weights & Biases.
            group: of the stages' runs.
            reached: a number for each objective.
            folder: of the job.

        Raises:
            UserError: it is to be online, but nobody is logged in; or W&B does not start.
        """
        import wandb

        wandb.teardown()  # else it goes by the environment that it was started in
        os.environ.update(self.given)
        run = RunName(self.given["WANDB_RUN_ID"], f"{group} objective", group, "search", ("search",))
        try:
            with open_run(settings, run, {}, folder) as live:
                if live is not None and reached is None:
                    raise _FailedError
                if live is not None:
                    live.log(dict(reached or {}))
        except _FailedError:
            pass
        finally:
            _take()


def _take() -> dict[str, str]:
    return {name: os.environ.pop(name) for name in _VARIABLES if name in os.environ}


def take_over() -> Agent | None:
    """Keep the agent's run from the runs that this process opens; None where no agent has started it."""
    if not {"WANDB_SWEEP_ID", "WANDB_RUN_ID"} <= {*os.environ}:
        return None
    return Agent(_take())
