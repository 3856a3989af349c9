"""The start-up probe of a data set's servers: do they keep a seed, and hold to the grammar?"""

import asyncio
import json

from ercsatz.errors import UserError
from ercsatz.generation.guided import line_grammar
from ercsatz.generation.job import GenerationJob
from ercsatz.llm.endpoint_pool import UnansweredError, Window
from ercsatz.llm.journal import Journal
from ercsatz.llm.lane import Lane
from ercsatz.llm.probe import check_grammar, keeps_seed
from ercsatz.llm.progress import ProgressState
from ercsatz.llm.runner import Probe


def start_up_probe(job: GenerationJob, journal: Journal, state: ProgressState) -> Probe | None:
    """What tries out seed and grammar on every server that is up, once for the same model and settings.

    Returns:
        ``None`` where no language model answers: then there is nothing to find out.
    """
    if not job.generator.profile.language_model:
        return None

    async def probe(window: Window) -> None:
        made = json.loads(json.dumps([window.model, job.generator.settings]))
        if journal.fact("probed") == made:
            return
        window.probing = True
        try:
            lanes = [lane for lane in window.lanes if lane.up]
            kept = await asyncio.gather(*(_probe_lane(job, window, lane) for lane in lanes))
        finally:
            window.probing = False
        if not any(answer is not None for answer in kept):
            raise UserError(f"No server answers the start-up probe. The last words: {state.last_words}")
        journal.set_fact("seed_kept", all(answer is not False for answer in kept))
        journal.set_fact("probed", made)

    return probe


async def _probe_lane(job: GenerationJob, window: Window, lane: Lane) -> bool | None:
    """Whether a server keeps the seed; ``None`` if it does not answer."""
    try:
        kept = await keeps_seed(window, job.example, lane)
        if job.grammar is not None:
            await check_grammar(window, job.example, lane, line_grammar(len(job.config.benchmark.labels)))
    except UnansweredError:
        return None
    return kept
