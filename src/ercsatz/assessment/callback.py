"""The report of a sweep of assessments. Imported by Hydra before any job, so it imports nothing heavy."""

from pathlib import Path
from typing import Any, cast

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from ercsatz.config import WandbConfig
from ercsatz.reporting.status import Status, report


class AssessmentCallback(Callback):
    """Writes one report of all data sets of a sweep when it ends."""

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Read what the jobs left behind; Hydra swallows what is raised here, so that is reported."""
        folder = Path(config.hydra.sweep.dir)
        try:
            from ercsatz.assessment.sweep_report import merge

            since = (folder / "multirun.yaml").stat().st_mtime  # Hydra writes it before the first job
            if not merge(folder, since, cast(WandbConfig, OmegaConf.to_object(config.wandb))):
                Status.code = 1
        except Exception as error:
            report(error, "report")
