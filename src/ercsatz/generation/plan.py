"""The plan of a run: the requests in order, from the configuration and the run's seed alone."""

import random
from collections.abc import Iterator

from ercsatz.config import VARIANTS, GenerateConfig, PromptStyle
from ercsatz.errors import UserError
from ercsatz.generation.prompt import renderer
from ercsatz.generation.seeds import derive
from ercsatz.generators.interface import Request

# How often two, three and four of the cast talk to each other; roughly what scripted multi-party corpora have.
GROUP_SIZES = {2: 50, 3: 32, 4: 18}


def mode_of(config: GenerateConfig) -> str:
    """The mode that the chosen data is written in: ``natural`` or ``balanced``.

    Raises:
        UserError: the variant is the benchmark itself, or its mode cannot be written yet.
    """
    data, benchmark = config.data.name, config.benchmark.name
    mode = VARIANTS[config.data.variant]
    if mode is None:
        raise UserError(
            f"data={data} is the benchmark itself, so there is nothing to generate. "
            f"Choose data={benchmark}_nat or data={benchmark}_bal."
        )
    if mode == "persona":
        raise UserError(
            f"data={data}: persona mode is not available yet. Choose data={benchmark}_nat or data={benchmark}_bal."
        )
    return mode


def plan(config: GenerateConfig) -> Iterator[Request]:
    """The requests of a run, in order.

    A request depends on the configuration, the seed and its own index, not on ``plan.n_dialogues``: a longer run has
    all requests of a shorter one. In balanced mode the target goes round the labels in their order.

    Raises:
        UserError: the mode cannot be planned, or a count makes no sense.
    """
    mode = mode_of(config)
    _check_counts(config)
    return _requests(config, mode)


def request_seed(run_seed: int, data: str, index: int, attempt: int = 0) -> int:
    """The seed that a generator samples with, 0 to 2**63 - 1; every attempt at a request has its own."""
    return derive(run_seed, data, index, attempt)


def _requests(config: GenerateConfig, mode: str) -> Iterator[Request]:
    benchmark, render = config.benchmark, renderer(mode)
    labels = tuple(benchmark.labels)
    for index in range(config.plan.n_dialogues):
        rng = random.Random(derive(config.seed, config.data.name, index, "plan"))
        speakers = _speakers(rng, config)
        n_turns = rng.randint(max(config.plan.min_turns, len(speakers)), config.plan.max_turns)
        target = labels[index % len(labels)] if mode == "balanced" else None
        variables = {"style": benchmark.style.value, "speakers": speakers, "labels": labels, "n_turns": n_turns}
        yield Request(
            index=index,
            seed=request_seed(config.seed, config.data.name, index),
            prompt=render(**variables, target=target),
            mode=mode,
            style=benchmark.style,
            speakers=speakers,
            labels=labels,
            target=target,
            n_turns=n_turns,
        )


def _speakers(rng: random.Random, config: GenerateConfig) -> tuple[str, ...]:
    cast = tuple(config.benchmark.speakers)
    if config.benchmark.style is PromptStyle.pair:
        return cast
    sizes = [size for size in GROUP_SIZES if size <= min(len(cast), config.plan.max_turns)]
    (size,) = rng.choices(sizes, [GROUP_SIZES[size] for size in sizes])
    return tuple(rng.sample(cast, size))


def _check_counts(config: GenerateConfig) -> None:
    plan, benchmark = config.plan, config.benchmark
    if plan.n_dialogues < 1:
        raise UserError(f"plan.n_dialogues={plan.n_dialogues}: ask for at least one dialogue.")
    if not 2 <= plan.min_turns <= plan.max_turns:
        raise UserError(
            f"plan.min_turns={plan.min_turns} and plan.max_turns={plan.max_turns}: "
            "a dialogue has at least 2 turns, and the minimum may not exceed the maximum."
        )
    if len(benchmark.speakers) < 2:
        raise UserError(f"benchmark.speakers of {benchmark.name} names {len(benchmark.speakers)}; a dialogue needs 2.")
    if benchmark.style is PromptStyle.pair and list(benchmark.speakers) != ["M", "F"]:
        raise UserError(f"benchmark.speakers of {benchmark.name} must be [M, F], as benchmark.style is pair.")
    if config.generator.window < 1:
        raise UserError(f"generator.window={config.generator.window}: let at least one request be in flight.")
