"""What a run finds out about its servers before it asks them for anything."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import replace

from ercsatz.errors import UserError
from ercsatz.generators.interface import FinishReason, Identity, Request, ServerError
from ercsatz.llm.endpoint_pool import Window
from ercsatz.llm.lane import Lane

TOKENS = 64  # of each answer to the probe for the seed
SEEDS = 4


async def identify(lanes: Sequence[Lane]) -> tuple[str, dict[str, object]]:
    """Ask all servers who they are; sets each lane's bound, and sets aside those that do not answer.

    Returns:
        The model that all have, and what each server says about itself, by its name.

    Raises:
        UserError: none answers, or they have different models.
    """
    found = await asyncio.gather(*(lane.server.identify() for lane in lanes), return_exceptions=True)
    models: dict[str, str] = {}
    details: dict[str, object] = {}
    silent = []
    for lane, identity in zip(lanes, found, strict=True):
        name = lane.server.name
        if isinstance(identity, Identity):
            models[name], details[name] = identity.model, dict(identity.details)
            lane.apply(identity)
        elif isinstance(identity, ServerError):
            silent.append(f"{name}: {identity}")
        else:
            raise identity
        lane.up = name in models
    if not models:
        said = "\n  ".join(silent)
        raise UserError(f"No server answers:\n  {said}\nStart it, or mend generator.url.")
    if len(set(models.values())) > 1:
        said = "\n  ".join(f"{name}: {model}" for name, model in models.items())
        raise UserError(f"The servers have different models, so their dialogues are not one data set:\n  {said}")
    return next(iter(models.values())), details


async def keeps_seed(window: Window, request: Request, lane: Lane) -> bool:
    """Whether the same seed gives the same text on one server.

    Args:
        window: of the run.
        request: like any of the run's.
        lane: of the server.

    Raises:
        UserError: all seeds give the same text, so that the server does not sample.
        UnansweredError: the server does not answer.
    """
    seeds = [request.seed, *(request.seed ^ number for number in range(SEEDS))]
    texts = []
    for seed in seeds:  # one after the other: some servers keep a seed only as long as nothing else is running
        answer, _, _ = await window.ask(replace(request, seed=seed, max_new_tokens=TOKENS), lane)
        texts.append(answer.text)
    if len(set(texts)) == 1 and texts[0]:
        raise UserError(
            f"{lane.server.name}: {SEEDS} seeds gave the same {TOKENS} tokens, so it does not sample. Give its model a "
            "generation_config.json with do_sample=true, or raise generator.sampling.temperature."
        )
    return texts[0] == texts[1]


async def check_grammar(window: Window, request: Request, lane: Lane, line: str) -> None:
    """Make sure that one server holds an answer to the grammar; some take one and ignore it.

    Args:
        window: of the run.
        request: like any of the run's.
        lane: of the server.
        line: the regular expression that every line must match.

    Raises:
        UserError: a line of the answer does not match; of one that was cut off, the last line does not count.
        UnansweredError: the server does not answer.
    """
    answer, _, _ = await window.ask(request, lane)
    lines = answer.text.strip().split("\n")
    if answer.finish_reason is FinishReason.length and len(lines) > 1:
        lines.pop()
    if not all(re.fullmatch(line, each) for each in lines):
        raise UserError(
            f"{lane.server.name} ignores the grammar; it answered {answer.text[:200]!r}. Choose generator.guided=false."
        )
