"""The report of a sweep of assessments. Imported by Hydra before any job, so it imports nothing heavy."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from ercsatz.config import WandbConfig
from ercsatz.errors import UserError
from ercsatz.reporting.status import Status, report
from ercsatz.sweeps import sweep_file
from ercsatz.sweeps.plan import planned_jobs

if TYPE_CHECKING:
    from filelock import BaseFileLock

_NUMBER = "${hydra.job.num}-"


@dataclass(frozen=True)
class _Sweep:
    folder: Path
    jobs: list[list[str]] | None
    wandb: WandbConfig
    lock: "BaseFileLock"


class _Current:
    """The sweep that this process still has to report on."""

    sweep: _Sweep | None = None


class AssessmentCallback(Callback):
    """Writes one report of all data sets of a sweep when it ends."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Claim the sweep's folder, and remove from it what an earlier sweep left: the figures of another day.

        Raises:
            SystemExit: it is refused, which has been reported; Hydra swallows any other exception.
        """
        try:
            jobs = planned_jobs(config)
        except UserError as error:
            report(error)
            raise SystemExit(1) from None
        except Exception:
            return  # Hydra will say the same
        try:
            _refuse_unnumbered(config)
            folder = Path(config.hydra.sweep.dir)
            lock = sweep_file.claim(folder)
            for file in earlier(folder):
                file.unlink()
        except (UserError, OSError) as error:
            report(error)
            raise SystemExit(1) from None
        _Current.sweep = _Sweep(folder, jobs, cast(WandbConfig, OmegaConf.to_object(config.wandb)), lock)

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Read what the jobs left behind, and report on it."""
        finish()


def _refuse_unnumbered(config: DictConfig) -> None:
    """Refuse names of the jobs' folders by which their records could not be told apart, or found."""
    given = OmegaConf.to_container(config.hydra.sweep, resolve=False)
    assert isinstance(given, dict)
    if not str(given["subdir"]).startswith(_NUMBER):
        raise UserError(
            f"hydra.sweep.subdir={given['subdir']} must begin with {_NUMBER}, by which the report finds what each job "
            "has measured. Leave it out."
        )


def earlier(folder: Path) -> list[Path]:
    """The records of jobs in a sweep's folder, and the sweep's own report."""
    from ercsatz.assessment.record import FAILURE_FILE, FILE
    from ercsatz.assessment.report import FILES

    records = [file for name in (FILE, FAILURE_FILE) for file in folder.glob(f"[0-9]*-*/{name}")]
    return [*records, *(folder / name for name in FILES if (folder / name).is_file())]


def finish() -> None:
    """Report on the sweep that this process started, once; whatever goes wrong is reported, never raised."""
    sweep, _Current.sweep = _Current.sweep, None
    if sweep is None:
        return
    try:
        from ercsatz.assessment.sweep_report import merge

        if not merge(sweep.folder, sweep.jobs or [], sweep.wandb):
            Status.code = 1
    except Exception as error:
        report(error, "report")
    finally:
        sweep_file.release(sweep.lock)
