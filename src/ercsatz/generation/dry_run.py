"""``dry_run=true``: what a run would ask for, before anything is asked."""

import asyncio
from itertools import islice

from rich.panel import Panel

from ercsatz.config import GenerateConfig, PersonaStep
from ercsatz.generation.job import GenerationJob
from ercsatz.generation.plan import is_text, mode_of, n_planned, plan
from ercsatz.generators.interface import Answer, FinishReason, Request, Step
from ercsatz.reporting.console import SafeConsole

SHOWN = 2  # units whose prompts are printed
SAMPLE = 100  # units from which lengths are estimated
CHARACTERS = 4  # of English text to a token, roughly
TOKENS = {Step.background: 90, Step.situation: 70}  # of an answer, roughly
TOKENS_A_TURN = 20
WRITTEN = {
    Step.background: "(here stands the background that the model writes)",
    Step.situation: "Situation: (here stands the situation that the model writes)\nRelation: (and this the relation)",
}


def dry_run(job: GenerationJob, console: SafeConsole) -> None:
    """Print the first prompts, the number of requests and a rough estimate of tokens."""
    config, generator = job.config, job.generator
    requests = asyncio.run(_requests(job))
    for request in [request for request in requests if request.index < SHOWN]:
        title = f"dialogue {request.index}, {request.step.value}, seed {request.seed}"
        console.print(Panel(request.prompt, title=title, title_align="left"))
    if generator.profile.language_model:
        console.print(f"Sent with each: {dict(generator.sent)}. Dropped: {dict(generator.dropped)}.")
    _estimate(console, config, requests)


async def _requests(job: GenerationJob) -> list[Request]:
    """The requests of the first units; what the model would write for a persona is stood in for."""
    requests = []

    async def stand_in(request: Request) -> Answer:
        requests.append(request)
        return Answer(WRITTEN.get(request.step, ""), FinishReason.stop)

    for unit in islice(plan(job.config, job.inventories), SAMPLE):
        before = len(requests)
        await job.writer.write(unit, stand_in)
        dialogues = [n for n in range(before, len(requests)) if requests[n].step is Step.dialogue]
        del requests[dialogues[0] + 1 :]  # an empty answer is asked for again
    return requests


def _estimate(console: SafeConsole, config: GenerateConfig, requests: list[Request]) -> None:
    units = len({request.index for request in requests})
    prompt = sum(len(request.prompt) for request in requests) / CHARACTERS / units
    answer = sum(TOKENS.get(request.step, TOKENS_A_TURN * request.n_turns) for request in requests) / units
    a_unit = len(requests) / units
    what = "text" if is_text(config) else "dialogue"
    n = n_planned(config.plan)
    if n is None:
        goal = config.plan.n_kept
        goal_of = "are kept" if goal is not None else "utterances are kept"
        console.print(f"Goes on until {goal or config.plan.n_utterances} {goal_of}; for each {what}, ", end="")
        n = 1
    steps = [s for s in (config.persona.background, config.persona.situation) if s is PersonaStep.write]
    chain = " (persona steps included)" if mode_of(config).personas and steps else ""
    console.print(
        f"{n * a_unit:,.0f} requests{chain} for {n:,} {what}{'s' * (n > 1)}; about {n * prompt:,.0f} prompt tokens "
        f"and {n * answer:,.0f} new ones ({CHARACTERS} characters to a token; what is asked for again not counted)."
    )
