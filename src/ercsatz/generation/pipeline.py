"""Ask for what the journal does not have, keep what is good, write the data set."""

import asyncio
import json
import math
from contextlib import aclosing, closing
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from ercsatz.config import GenerateConfig
from ercsatz.errors import UserError
from ercsatz.generation.dataset import folder as dataset
from ercsatz.generation.dataset.files import write_files
from ercsatz.generation.dataset.filter import Keeper
from ercsatz.generation.guided import line_grammar
from ercsatz.generation.job import Job
from ercsatz.generation.leakage import LeakageReport
from ercsatz.generation.plan import Unit, plan, targets_of
from ercsatz.generation.write import Outcome
from ercsatz.llm.endpoint_pool import Lane, UnansweredError, Window
from ercsatz.llm.journal import Journal
from ercsatz.llm.probe import check_grammar, keeps_seed
from ercsatz.llm.progress import Progress, State
from ercsatz.llm.runner import drain, meet, model_of, open_window
from ercsatz.llm.scheduler import REACH, Engine
from ercsatz.llm.stopping import on_signal

ENOUGH = 20  # units from which the rate of success is taken
HOPELESS = 500  # units in a row, none of them kept, after which a run without a number of units stops


async def make(job: Job, journal: Journal, folder: Path, settings: dict[str, Any], console: Console) -> None:
    """Make one data set and print what became of the requests.

    Raises:
        UserError: the servers are not there or not right, nothing was kept, or the disk is full.
        KeyboardInterrupt: the user stopped it.
    """
    config, state = job.config, _state(job.config)
    window = open_window(job.generator, journal, state)
    try:
        model = await model_of(journal, window, config.overwrite)
        journal.answers_come_from(job.generator.settings, model, job.generator.sent, job.generator.dropped)
        engine = Engine(
            job.writer.write,
            journal,
            window,
            partial(_ready, job, journal, window),
            partial(_worth, config, state),
            state,
        )
        async with on_signal(partial(drain, window, state)):
            with dataset.new_folder(folder) as new:
                leakage = LeakageReport(job.reference, new / dataset.LEAKAGE_FILE)
                with closing(Keeper(new, config, job.writer, leakage, (job.generator.name, model))) as keeper:
                    with leakage, Progress(console, state) as progress:
                        await _collect(job, engine, keeper, state, progress)
                    _check_end(journal, window, keeper, state)
                    sizes = write_files(new, job, keeper, leakage, settings, model, journal.fact("seed_kept"))
    finally:
        await window.close()
    _tell(console, config, keeper, leakage, state)
    listed = ", ".join(f"{name} {size.dialogues}" for name, size in sizes.items())
    console.print(f"Wrote {folder} ({listed} dialogues).", soft_wrap=True, markup=False)
    if window.stopping:
        raise KeyboardInterrupt("The data set was complete and is written.")


def _tell(console: Console, config: GenerateConfig, keeper: Keeper, leakage: LeakageReport, state: State) -> None:
    console.print(keeper.funnel.table(f"{config.data.name}: from requests to data"))
    if leakage.unchecked is not None:
        console.print(f"Leakage was not checked. {leakage.unchecked}", soft_wrap=True, markup=False)
    elif leakage.left_out:
        console.print(f"{leakage.left_out} dialogues repeat the real validation or test set; see leakage.jsonl.")
    console.print(state.summary())
    if keeper.unanswered:
        console.print(f"{keeper.unanswered} dialogues got no answer. The same command asks for them again.")


def _state(config: GenerateConfig) -> State:
    plan = config.plan
    goals = {
        "dialogues": plan.n_dialogues,
        "dialogues kept": plan.n_kept,
        "utterances kept": plan.n_utterances,
    }
    goal_of, goal = next((name, goal) for name, goal in goals.items() if goal is not None)
    labels = tuple(config.benchmark.labels)
    targets = targets_of(config) if plan.n_utterances is None else ()
    return State(goal, goal_of, labels, target_goals={target: math.ceil(goal / len(targets)) for target in targets})


async def _ready(job: Job, journal: Journal, window: Window) -> None:
    """Before the first request is sent: are the servers there, and are they what they should be?"""
    model = await meet(journal, window)
    if job.generator.profile.language_model:
        await _probe(job, journal, window, model)


async def _probe(job: Job, journal: Journal, window: Window, model: str) -> None:
    """Try out seed and grammar on every server that is up, once for the same model and settings."""
    made = json.loads(json.dumps([model, job.generator.settings]))
    if journal.fact("probed") == made:
        return
    window.probing = True
    try:
        lanes = [lane for lane in window.lanes if lane.up]
        kept = await asyncio.gather(*(_probe_lane(job, window, lane) for lane in lanes))
    finally:
        window.probing = False
    if not any(answer is not None for answer in kept):
        raise UserError(f"No server answers the start-up probe. The last words: {window.last_words}")
    journal.set_fact("seed_kept", all(answer is not False for answer in kept))
    journal.set_fact("probed", made)


async def _probe_lane(job: Job, window: Window, lane: Lane) -> bool | None:
    """Whether a server keeps the seed; ``None`` if it does not answer."""
    try:
        kept = await keeps_seed(window, job.example, lane)
        if job.grammar is not None:
            await check_grammar(window, job.example, lane, line_grammar(len(job.config.benchmark.labels)))
    except UnansweredError:
        return None
    return kept


async def _collect(job: Job, engine: Engine[Unit, Outcome], keeper: Keeper, state: State, progress: Progress) -> None:
    """Take outcomes until the goal is reached or the plan is at its end."""
    beat = asyncio.create_task(progress.beat())
    idle = before = 0
    try:
        async with aclosing(engine.outcomes(plan(job.config, job.inventories))) as outcomes:
            async for outcome in outcomes:
                sent = state.answered + state.given_up
                kept = keeper.take(outcome)
                idle, before = (0, sent) if kept else (idle + 1, before)
                _count(outcome, kept, keeper, state)
                progress.tick()
                hopeless = min(idle, sent - before) >= HOPELESS  # what the journal has is taken to its end first
                if job.config.plan.n_dialogues is None and (hopeless or state.reached >= (state.goal or 0)):
                    return
    finally:
        beat.cancel()


def _count(outcome: Outcome, kept: bool, keeper: Keeper, state: State) -> None:
    state.kept, state.utterances = len(keeper.shelf), keeper.shelf.n_utterances
    state.kept_labels, state.rejected = keeper.shelf.labels, keeper.funnel.rejected
    if kept and outcome.unit.target is not None:
        state.kept_targets[outcome.unit.target] += 1
    state.taken = outcome.unit.index + 1
    counted = {"dialogues kept": state.kept, "utterances kept": state.utterances}
    state.reached = counted.get(state.goal_of, state.reached)


def _worth(config: GenerateConfig, state: State) -> int:
    """How many more units are worth starting: what is missing to the goal, at the rate of success so far."""
    plan = config.plan
    if state.goal is None or plan.n_dialogues is not None:
        return REACH
    missing = state.goal - state.reached
    one = 1 if plan.n_utterances is None else (plan.min_turns + plan.max_turns) / 2  # unless there is more to go by
    rate = state.reached / state.taken if state.taken >= ENOUGH else one
    return math.ceil(1.1 * missing / rate) + 1 if rate else REACH


def _check_end(journal: Journal, window: Window, keeper: Keeper, state: State) -> None:
    goes_on = f"{journal.n_answers} answers are in the journal; the same command goes on from there."
    if window.error is not None:
        raise UserError(f"{window.error}\n{goes_on}") from window.error
    if window.stopping:
        raise KeyboardInterrupt(goes_on)
    if not len(keeper.shelf):
        (reason, count), *_ = keeper.funnel.by_frequency()
        raise UserError(f"No dialogue was kept, so nothing was written. Most frequent: {reason.value} ({count} times).")
    if state.reached < (state.goal or 0):
        raise UserError(f"The last {HOPELESS} dialogues were all rejected, so the run stopped. {goes_on}")
