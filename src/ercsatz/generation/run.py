"""The whole of ``generate.py``: ask for what the journal does not have, keep what is good, write the data set."""

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from ercsatz.config import GenerateConfig
from ercsatz.errors import UserError
from ercsatz.generation.check_config import validate
from ercsatz.generation.dataset import folder as dataset
from ercsatz.generation.dataset.files import write_files
from ercsatz.generation.dataset.filter import Keeper
from ercsatz.generation.dataset.store import SplitSummary
from ercsatz.generation.dry_run import dry_run
from ercsatz.generation.job import GenerationJob
from ercsatz.generation.leakage import LeakageReport
from ercsatz.generation.plan import PlannedDialogue, plan, shard_of, targets_of
from ercsatz.generation.probing import start_up_probe
from ercsatz.generation.shard import run_shard
from ercsatz.generation.wandb_data_set import log_data_set
from ercsatz.generation.write import WrittenDialogue
from ercsatz.llm.journal import Journal
from ercsatz.llm.progress import Progress, ProgressState
from ercsatz.llm.runner import Runner
from ercsatz.llm.scheduler import REACH
from ercsatz.reporting.console import SafeConsole, unfolded

_LOG = logging.getLogger(__name__)

ENOUGH = 20  # units from which the rate of success is taken
HOPELESS = 500  # units in a row, none of them kept, after which a run without a number of units stops


def run(config: GenerateConfig) -> None:
    """Make the data set that the configuration describes, unless it is there already.

    Raises:
        UserError: the configuration cannot be run, the place cannot be written, or no dialogue was kept.
        KeyboardInterrupt: the user stopped it; what was answered is in the journal.
    """
    validate(config)
    job, console = GenerationJob(config), SafeConsole() if config.dry_run else unfolded()
    if config.dry_run:
        dry_run(job, console)
        return
    if (shard := shard_of(config.plan)) is not None:
        run_shard(job, shard, console)
        return
    folder, settings = Path(config.data.path), job.settings()
    if dataset.is_done(folder, settings, config.overwrite):
        _LOG.info("%s is there, made with these settings. Nothing to do.", folder)
    else:
        dataset.check_writable(folder)
        with closing(Journal(Path(config.journal))) as journal:
            journal.begin(job.request_settings(), config.overwrite)
            Generation(job, journal, settings, console).make(folder)
        log_data_set(config, folder)
    upload(config, folder)


def upload(config: GenerateConfig, folder: Path) -> None:
    """Upload a data set, where that is asked for.

    Raises:
        UserError: the hub does not take it.
    """
    if config.push_to_hub is not None:
        from ercsatz.artifacts.hub import push

        _LOG.info("Uploaded to %s.", push(folder, config.push_to_hub, "dataset", dataset.UPLOADED, "push_to_hub="))


class Generation:
    """One data set in the making.

    Args:
        job: what is to be made.
        journal: what was answered before, and will be.
        settings: all that the data set depends on.
        console: told how far it is and what became of the requests.
    """

    def __init__(self, job: GenerationJob, journal: Journal, settings: dict[str, Any], console: SafeConsole) -> None:
        self._job, self._journal, self._settings, self._console = job, journal, settings, console
        self._config, self._state = job.config, _state(job.config)
        self._idle = self._sent_before = 0  # units taken, and requests sent before them, since one was kept

    def make(self, folder: Path) -> None:
        """Make it.

        Raises:
            UserError: the servers are not there or not right, nothing was kept, or the disk is full.
            KeyboardInterrupt: the user stopped it.
        """
        job, config, state = self._job, self._config, self._state
        probe = start_up_probe(job, self._journal, state)
        progress = Progress(self._console, state)
        runner = Runner[PlannedDialogue, WrittenDialogue](
            job.generator, self._journal, config.overwrite, state, progress, probe
        )
        sizes: dict[str, SplitSummary] = {}

        @contextmanager
        def begin(model: str) -> Iterator[Callable[[WrittenDialogue], bool]]:
            with dataset.new_folder(folder) as new:
                self._leakage = leakage = LeakageReport(job.reference, new / dataset.LEAKAGE_FILE)
                with closing(Keeper(new, config, job.writer, leakage, (job.generator.name, model))) as self._keeper:
                    with leakage:
                        yield self._take
                    self._check_kept()
                    seed_kept = self._journal.fact("seed_kept")
                    sizes.update(write_files(new, job, self._keeper, leakage, self._settings, model, seed_kept))

        units = plan(config, job.inventories)
        stopped = runner.run(job.writer.write, units, config.plan.n_dialogues, begin, self._worth)
        self._tell()
        listed = ", ".join(f"{name} {size.dialogues}" for name, size in sizes.items())
        _LOG.info("Wrote %s (%s dialogues).", folder, listed)
        if stopped:
            raise KeyboardInterrupt("The data set was complete and is written.")

    def _take(self, outcome: WrittenDialogue) -> bool:
        """Whether the goal is reached, or out of reach."""
        state, keeper = self._state, self._keeper
        sent = state.answered + state.given_up
        kept = keeper.take(outcome)
        self._idle, self._sent_before = (0, sent) if kept else (self._idle + 1, self._sent_before)
        state.kept, state.utterances = len(keeper.shelf), keeper.shelf.n_utterances
        state.kept_labels, state.rejected = keeper.shelf.labels, keeper.funnel.rejected
        if kept and outcome.unit.target is not None:
            state.kept_targets[outcome.unit.target] += 1
        state.taken = outcome.unit.index + 1
        counted = {"dialogues kept": state.kept, "utterances kept": state.utterances}
        state.reached = counted.get(state.goal_of, state.reached)
        # what the journal has is taken to its end first
        hopeless = min(self._idle, sent - self._sent_before) >= HOPELESS
        return self._config.plan.n_dialogues is None and (hopeless or state.reached >= (state.goal or 0))

    def _worth(self) -> int:
        """How many more units are worth starting: what is missing to the goal, at the rate of success so far."""
        plan, state = self._config.plan, self._state
        if state.goal is None or plan.n_dialogues is not None:
            return REACH
        missing = state.goal - state.reached
        one = 1 if plan.n_utterances is None else (plan.min_turns + plan.max_turns) / 2  # unless there is more to go by
        rate = state.reached / state.taken if state.taken >= ENOUGH else one
        return math.ceil(1.1 * missing / rate) + 1 if rate else REACH

    def _check_kept(self) -> None:
        keeper, state = self._keeper, self._state
        if not len(keeper.shelf):
            (reason, count), *_ = keeper.funnel.by_frequency()
            told = f" The last words: {state.last_words}" if state.given_up else ""
            raise UserError(
                f"No dialogue was kept, so nothing was written. Most frequent: {reason.value} ({count} times).{told}"
            )
        if state.reached < (state.goal or 0):
            raise UserError(
                f"The last {HOPELESS} dialogues were all rejected, so the run stopped. {self._journal.n_answers} "
                "answers are in the journal; the same command goes on from there."
            )

    def _tell(self) -> None:
        console, leakage, keeper = self._console, self._leakage, self._keeper
        console.print(keeper.funnel.table(f"{self._config.data.name}: from requests to data"))
        if leakage.unchecked is not None:
            _LOG.warning("Leakage was not checked. %s", leakage.unchecked)
        elif leakage.left_out:
            _LOG.info("%d dialogues repeat the real validation or test set; see leakage.jsonl.", leakage.left_out)
        console.print(self._state.summary())
        if keeper.unanswered:
            _LOG.warning("%d dialogues got no answer. The same command asks for them again.", keeper.unanswered)


def _state(config: GenerateConfig) -> ProgressState:
    plan = config.plan
    goals = {
        "dialogues": plan.n_dialogues,
        "dialogues kept": plan.n_kept,
        "utterances kept": plan.n_utterances,
    }
    goal_of, goal = next((name, goal) for name, goal in goals.items() if goal is not None)
    labels = tuple(config.benchmark.labels)
    targets = targets_of(config) if plan.n_utterances is None else ()
    return ProgressState(
        goal, goal_of, labels, target_goals={target: math.ceil(goal / len(targets)) for target in targets}
    )
