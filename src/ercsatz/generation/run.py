"""The whole of ``generate.py``: plan, ask, parse, check, write."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from ercsatz.code import code_sha256
from ercsatz.config import GenerateConfig
from ercsatz.dialogue import Dialogue, Utterance
from ercsatz.errors import UserError
from ercsatz.generation import dataset
from ercsatz.generation.card import card
from ercsatz.generation.check import Duplicates, check
from ercsatz.generation.funnel import Funnel
from ercsatz.generation.parse import parse
from ercsatz.generation.plan import mode_of, plan
from ercsatz.generation.progress import progress
from ercsatz.generation.prompt import templates_sha256
from ercsatz.generation.reasons import Reason
from ercsatz.generators import PROFILES, build
from ercsatz.generators.interface import Answer, Generator, Request

# The modules here that decide what the dialogues of a data set are; a change in any of them is another data set.
_CODE = ("check", "dataset", "parse", "plan", "prompt", "run", "seeds")


def run(config: GenerateConfig) -> None:
    """Make the data set that the configuration describes, unless it is there already.

    Raises:
        UserError: the configuration cannot be run, the place cannot be written, or no dialogue was kept.
    """
    console = Console()
    folder = Path(config.data.path)
    requests, generator = plan(config), build(config.generator)
    settings = settings_of(config, generator)
    dataset.check_shares(config.split.validation, config.split.test)
    if dataset.is_done(folder, settings, config.overwrite):
        console.print(f"{folder} is there, made with these settings. Nothing to do.", soft_wrap=True)
        return
    dataset.check_writable(folder)
    answered = asyncio.run(_ask(generator, requests, config, console))
    dialogues, funnel = _keep(answered, config)
    console.print(funnel.table(f"{config.data.name}: from requests to data"))
    if not dialogues:
        (reason, count), *_ = funnel.by_frequency()
        raise UserError(f"No dialogue was kept, so nothing was written. Most frequent: {reason.value} ({count} times).")
    splits = dataset.split(dialogues, config.split.validation, config.split.test, config.seed)
    dataset.write(folder, splits, card(settings, splits, funnel, PROFILES[config.generator.name]), settings)
    sizes = ", ".join(f"{name} {len(members)}" for name, members in splits.items())
    console.print(f"Wrote {folder} ({sizes} dialogues).", soft_wrap=True)


def settings_of(config: GenerateConfig, generator: Generator) -> dict[str, Any]:
    """All that the dialogues depend on, and nothing else: two runs with equal settings write the same ones."""
    benchmark = config.benchmark
    return {
        "data": config.data.name,
        "mode": mode_of(config),
        "benchmark": {
            "title": benchmark.title,
            "labels": list(benchmark.labels),
            "speakers": list(benchmark.speakers),
            "style": benchmark.style.value,
        },
        "generator": {"name": config.generator.name, **generator.settings},
        "plan": vars(config.plan).copy(),
        "split": vars(config.split).copy(),
        "seed": config.seed,
        "templates_sha256": templates_sha256(mode_of(config)),
        "code_sha256": code_sha256(Path(__file__).with_name(f"{module}.py") for module in _CODE),
    }


async def answers(
    generator: Generator, requests: Iterable[Request], window: int
) -> AsyncIterator[tuple[Request, Answer]]:
    """Ask for all requests, ``window`` at a time; a new one starts the moment another ends.

    Yields:
        A request and its answer, in the order in which answers arrive.
    """

    async def ask(request: Request) -> tuple[Request, Answer]:
        return request, await generator.answer(request)

    waiting = iter(requests)
    running: set[asyncio.Task[tuple[Request, Answer]]] = set()
    try:
        while True:
            while len(running) < window and (request := next(waiting, None)):
                running.add(asyncio.create_task(ask(request)))
            if not running:
                return
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                yield task.result()
    finally:
        for task in running:
            task.cancel()


async def _ask(
    generator: Generator, requests: Iterable[Request], config: GenerateConfig, console: Console
) -> list[tuple[Request, Answer]]:
    """Requests with their answers, in the plan's order, so that nothing later depends on which came first."""
    answered = []
    with progress(console, "answers", config.plan.n_dialogues) as advance:
        async for pair in answers(generator, requests, config.generator.window):
            answered.append(pair)
            advance()
    return sorted(answered, key=lambda pair: pair[0].index)


def _keep(answered: Iterable[tuple[Request, Answer]], config: GenerateConfig) -> tuple[list[Dialogue], Funnel]:
    funnel, duplicates = Funnel(), Duplicates()
    funnel.stages["asked"] = config.plan.n_dialogues
    dialogues = []
    for request, answer in answered:
        stage, result = _judge(request, answer, config, duplicates)
        for passed in ("answered", "parsed", "accepted", "kept"):
            funnel.stages[passed] += 1
            if passed == stage:
                break
        if isinstance(result, Reason):
            funnel.reasons[result] += 1
        else:
            provenance = _provenance(request, config.generator.name)
            dialogues.append(Dialogue(f"{request.index:06d}", result, provenance))
    return dialogues, funnel


def _judge(
    request: Request, answer: Answer, config: GenerateConfig, duplicates: Duplicates
) -> tuple[str, tuple[Utterance, ...] | Reason]:
    """How far an answer gets in the funnel, and its turns or what stopped it."""
    turns = parse(answer, request.speakers, request.labels)
    if isinstance(turns, Reason):
        return "answered", turns
    if reason := check(turns, request, config.plan):
        return "parsed", reason
    return ("accepted", Reason.duplicate) if duplicates.add(turns) else ("kept", turns)


def _provenance(request: Request, generator: str) -> Mapping[str, Any]:
    return {
        "index": request.index,
        "seed": request.seed,
        "generator": generator,
        "mode": request.mode,
        "target": request.target,
        "prompt_sha256": request.prompt_sha256,
    }
