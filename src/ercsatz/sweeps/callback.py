"""The ranking at a sweep's end.

Imported by Hydra before any job, so it imports nothing heavy. Hydra 1.3 has three traps that shape this module: it
never calls ``on_multirun_end`` after a failed job, it swallows a callback's exceptions, and most launchers run jobs in
other processes, where a callback's state is lost. So a failed job records its failure and returns; the ranking reads
files only; and the exit status is kept where the entry point looks for it.
"""

import logging
import traceback
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from ercsatz import signals
from ercsatz.config import RankingConfig, WandbConfig
from ercsatz.config.objective import goals_of
from ercsatz.errors import UserError
from ercsatz.reporting.status import Status, message, report, report_recorded
from ercsatz.sweeps import sweep_file
from ercsatz.sweeps.experiment import summary
from ercsatz.sweeps.page.write import write_page
from ercsatz.sweeps.plan import foretell, planned_cells
from ercsatz.sweeps.search import plan
from ercsatz.sweeps.search.plan import SearchPlan
from ercsatz.training.pulse import renewed

if TYPE_CHECKING:
    from filelock import BaseFileLock

_LOG = logging.getLogger(__name__)
_SUFFIXES = ("html", "md", "csv", "tex", "png", "svg")


@dataclass(frozen=True)
class Sweep:
    """A sweep that this process runs, and what is done at its end; ``alive`` is closed when it ends."""

    id: str
    name: str
    folder: Path
    ranking: RankingConfig
    wandb: WandbConfig
    lock: "BaseFileLock"
    search: SearchPlan | None = None
    alive: ExitStack = field(default_factory=ExitStack)


class _Current:
    """The sweep that this process still has to rank."""

    sweep: Sweep | None = None


class RankingCallback(Callback):
    """Ranks a sweep's results when it ends."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Claim the sweep's folder and write its cells there; say what will be ranked and where its jobs print to.

        Raises:
            SystemExit: it is refused, which has been reported; Hydra swallows any other exception.
        """
        try:
            _Current.sweep = _begun(config)
        except (UserError, OSError) as error:
            report(error)
            raise SystemExit(1) from None
        if logs := config.hydra.launcher.get("submitit_folder") or config.hydra.launcher.get("logs"):
            _LOG.info("What the jobs print is in %s", logs.partition("/%j")[0])

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Rank, print and write the tables."""
        finish()


def _begun(config: DictConfig) -> Sweep | None:
    """The sweep, claimed and written to its folder.

    None where Hydra cannot compose a job, and will say why; and of a dry run, of which only is told what it would miss
    and rank.
    """
    ranking, wandb = (OmegaConf.to_object(node) for node in (config.ranking, config.wandb))
    folder, ranking = Path(config.hydra.sweep.dir), cast(RankingConfig, ranking)
    goals_of(config.objective)
    search = plan.read(config) if plan.is_search(config) else None
    if ranking.published.scores is not None:
        from ercsatz.ranking.papers import published_file

        published_file(ranking.published.scores)  # now, and not when everything has run
    try:
        cells = [] if search else planned_cells(config)
    except UserError:
        raise
    except Exception:
        return None
    told = foretell(cells, ranking) if cells else None
    if told:
        _LOG.info("%s", told)
    if config.dry_run:
        return None
    lock = sweep_file.claim(folder)
    try:
        searched = plan.identity(search, config) if search else None
        started = sweep_file.start(folder, str(config.sweep), cells, search=searched, experiment=summary(config))
    except BaseException:
        sweep_file.release(lock)
        raise
    write_page(folder, alive=True)
    begun = Sweep(started.id, started.name, folder, ranking, cast(WandbConfig, wandb), lock, search)
    begun.alive.enter_context(renewed(folder / sweep_file.LOCK))
    return begun


def finish() -> None:
    """Rank the sweep that this process started, once; whatever goes wrong is reported, never raised.

    A sweep of which no job has started is not ranked: Hydra refused it and has said why. Nor is one that was stopped
    before a job was done.
    """
    sweep, _Current.sweep = _Current.sweep, None
    if sweep is None:
        return
    try:
        _conclude(sweep)
    finally:
        write_page(sweep.folder, alive=False)
        sweep.alive.close()
        sweep_file.release(sweep.lock)


def take_up(config: DictConfig) -> bool:
    """Have this process rank a sweep that another one started and left; False where one still has it.

    Args:
        config: of the sweep.

    Raises:
        UserError: its ``sweep.json`` cannot be read.
    """
    folder = Path(config.hydra.sweep.dir)
    try:
        lock = sweep_file.claim(folder)
    except UserError:
        return False
    ranking, wandb = (OmegaConf.to_object(node) for node in (config.ranking, config.wandb))
    id = sweep_file.id_of(folder) or ""
    _Current.sweep = Sweep(
        id, str(config.sweep), folder, cast(RankingConfig, ranking), cast(WandbConfig, wandb), lock, None
    )
    return True


def leave() -> None:
    """Let others rank the sweep that this process started: its jobs go on."""
    sweep, _Current.sweep = _Current.sweep, None
    if sweep is not None:
        sweep_file.release(sweep.lock)


def _conclude(sweep: Sweep) -> None:
    """Rank a sweep; of a search, which compares nothing, say what it found."""
    what = "ranking" if sweep.search is None else "search"
    problem = sweep.folder / f"{what}.error.txt"
    try:
        from ercsatz.sweeps.results import statuses

        if sweep_file.id_of(sweep.folder) != sweep.id:
            raise UserError(
                f"{sweep.folder / sweep_file.NAME} is gone, or another's: the folder was moved or cleared while the "
                "sweep ran, so not all of its results may be there. The same command again ranks them: what is trained "
                "is in the cache."
            )
        found = statuses(sweep.folder)
        if not found or (signals.asked() and "completed" not in found):
            return
        problem.unlink(missing_ok=True)
        if not _complete(sweep):
            Status.code = 1
    except Exception as error:
        what_was_raised = traceback.format_exc()

        def record() -> None:
            _set_aside(sweep.folder, what)
            problem.write_text(what_was_raised, encoding="utf-8")

        report_recorded(error, what, record)
    else:
        if sweep.search is None:
            _track(sweep)


def _complete(sweep: Sweep) -> bool:
    """Show and write the sweep's report; whether all of its jobs completed."""
    if sweep.search is not None:
        from ercsatz.sweeps.search.report import conclude

        return conclude(sweep.search, sweep.folder, sweep.name, sweep.id)
    from ercsatz.sweeps.rank import rank_sweeps

    return rank_sweeps([sweep.folder], sweep.ranking, sweep.folder)


def _set_aside(folder: Path, what: str) -> None:
    """Rename an earlier report of the sweep to ``*.old``: it would pass for this one's."""
    for file in (folder / name for name in ("scores.csv", *(f"{what}.{suffix}" for suffix in _SUFFIXES))):
        if file.is_file():
            file.replace(f"{file}.old")


def _track(sweep: Sweep) -> None:
    """Log the ranking to Weights & Biases; what goes wrong there costs a line, not the exit status."""
    try:
        from ercsatz.sweeps.results import collect
        from ercsatz.sweeps.wandb_ranking import lineage, log_ranking

        config = {"sweep": sweep.name, "ranking": asdict(sweep.ranking), **lineage(collect([sweep.folder]))}
        log_ranking(sweep.wandb, sweep.name, sweep.folder, config)
    except Exception as error:
        _LOG.warning("Weights & Biases has not got the ranking: %s", " ".join(message(error).split()))
    try:
        _save_workspace(sweep)
    except Exception as error:
        _LOG.warning("Weights & Biases has not got the sweep's workspace: %s", " ".join(message(error).split()))


def _save_workspace(sweep: Sweep) -> None:
    if not sweep.wandb.workspace or signals.asked():
        return
    from ercsatz.sweeps.results import collect
    from ercsatz.tracking.workspace import save_workspace, tracked_sweep

    page = sweep.folder / "ranking.md"
    ranking = page.read_text(encoding="utf-8") if page.is_file() else ""
    save_workspace(sweep.wandb, tracked_sweep(sweep.name, collect([sweep.folder]), ranking), sweep.folder)
