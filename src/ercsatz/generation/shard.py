"""``plan.shard=K/N``: ask for a part of a plan on this machine; ``ercsatz merge`` makes the data set of all parts."""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from ercsatz.config import GenerateConfig
from ercsatz.data import shards
from ercsatz.data.shards import Shard
from ercsatz.data.text_files import atomic_write, read_json
from ercsatz.generation.dataset.folder import writing
from ercsatz.generation.job import VERSION, GenerationJob
from ercsatz.generation.plan import PlannedDialogue, n_planned, plan
from ercsatz.generation.probing import start_up_probe
from ercsatz.generation.rejection import Funnel, Reason
from ercsatz.generation.write import WrittenDialogue
from ercsatz.llm.journal import Journal
from ercsatz.llm.progress import Progress, ProgressState
from ercsatz.llm.runner import Runner
from ercsatz.reporting.console import SafeConsole

_LOG = logging.getLogger(__name__)


def run_shard(job: GenerationJob, shard: Shard, console: SafeConsole) -> None:
    """Ask for all units of a shard and keep the answers in its folder, with what is needed to make use of them.

    Args:
        job: the data set that the shard is a part of.
        shard: which part.
        console: told how far it is and what became of the requests.

    Raises:
        UserError: the servers are not there or not right, or the place cannot be written.
        KeyboardInterrupt: the user stopped it; what was answered is in the journal.
    """
    config, whole = job.config, Path(job.config.data.path)
    folder = shard.folder(whole)
    described = describe(job, shard)
    if read_description(folder) == {**described, "complete": True}:
        _LOG.info("%s is there, made with these settings. Nothing to do.", folder)
        return
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with closing(Journal(folder / shards.JOURNAL)) as journal:
        journal.begin(job.request_settings(), config.overwrite)
        unanswered, stopped = _ask(job, journal, str(shard), console)
    with writing(folder), atomic_write(folder / shards.FILE) as file:
        file.write(json.dumps({**described, "complete": not unanswered}, indent=2) + "\n")
    if unanswered:
        _LOG.warning("%d dialogues got no answer. The same command asks for them again.", unanswered)
    else:
        every = [Shard(number, shard.of).folder(whole) for number in range(shard.of)]
        _LOG.info("Wrote %s. When all %d are there: %s", folder, shard.of, shards.advised_merge(every))
    if stopped:
        raise KeyboardInterrupt("The shard was complete and is written.")


def describe(job: GenerationJob, shard: Shard) -> dict[str, Any]:
    """All that says what a shard's answers are and what they are for, as JSON values."""
    generator, config = job.generator, job.config
    made = {
        "shard": [shard.number, shard.of],
        "requests": job.request_settings(),
        "plan": {"n_dialogues": config.plan.n_dialogues, "attempts": config.plan.attempts},
        "version": VERSION,
        "generator": {
            "name": generator.name,
            "settings": generator.settings,
            "sent": generator.sent,
            "dropped": generator.dropped,
        },
        "config": _plain(config),
    }
    described: dict[str, Any] = json.loads(json.dumps(made))
    return described


def read_description(folder: Path) -> dict[str, Any] | None:
    """What ``describe`` said, and whether all was answered (``complete``); ``None`` where a shard was never finished.

    Raises:
        UserError: it is broken.
    """
    file = folder / shards.FILE
    if not file.is_file():
        return None
    found: dict[str, Any] = read_json(file, "Run the command of this shard again.")
    return found


def _plain(config: GenerateConfig) -> dict[str, Any]:
    """A configuration as plain values, from which the same can be made elsewhere."""
    generator = type(config.generator)
    plain: Any = OmegaConf.to_container(OmegaConf.structured(config), enum_to_str=True)
    plain["generator"]["_target_"] = f"{generator.__module__}.{generator.__qualname__}"
    plain["plan"]["shard"], plain["overwrite"] = None, False
    return dict(plain)


def _ask(job: GenerationJob, journal: Journal, name: str, console: SafeConsole) -> tuple[int, bool]:
    """Ask for all units that the journal does not have; how many got no answer, and whether the user stopped it."""
    config, funnel, n = job.config, Funnel(), n_planned(job.config.plan)
    del funnel.stages["kept"]  # which the merge says
    state = ProgressState(n, "dialogues", tuple(config.benchmark.labels))
    runner = Runner[PlannedDialogue, WrittenDialogue](
        job.generator, journal, config.overwrite, state, Progress(console, state), start_up_probe(job, journal, state)
    )

    @contextmanager
    def begin(model: str) -> Iterator[Callable[[WrittenDialogue], bool]]:
        def take(outcome: WrittenDialogue) -> bool:
            reason = outcome.result if isinstance(outcome.result, Reason) else None
            funnel.count(outcome.stage, reason)
            funnel.rejected.update(outcome.rejected)
            state.rejected, state.kept = funnel.rejected, funnel.stages["accepted"]
            return False

        yield take

    stopped = runner.run(job.writer.write, plan(config, job.inventories), n, begin)
    console.print(funnel.table(f"{config.data.name}, shard {name}: from requests to answers"))
    console.print(state.summary())
    return funnel.reasons[Reason.unanswered], stopped
