"""The report of a sweep of assessments. Imported by Hydra before any job, so it imports nothing heavy."""

from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from ercsatz import sweep


class AssessmentCallback(Callback):
    """Writes one report of all data sets of a sweep when it ends."""

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Read what the jobs left behind; Hydra swallows what is raised here, so that is reported."""
        try:
            from ercsatz.assessment.run import merge

            merge(Path(config.hydra.sweep.dir))
        except Exception as error:
            sweep.report(error, "report")
