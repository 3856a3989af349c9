"""The plan of a run: what is to be written, in order, from the configuration and the run's seed alone."""

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass

from ercsatz.config import (
    GenerateConfig,
    ModeConfig,
    PersonaStep,
    PersonaUnit,
    PlanConfig,
    PromptStyle,
    synthetic_data,
)
from ercsatz.data.shards import Shard
from ercsatz.errors import UserError
from ercsatz.generation.personas import Inventories, Persona, Situation
from ercsatz.llm.seeds import derive

PAIR = {"M": "male", "F": "female"}
# How often two, three and four of the cast talk to each other; roughly what scripted multi-party corpora have.
GROUP_SIZES = {2: 50, 3: 32, 4: 18}


@dataclass(frozen=True, slots=True)
class PlannedDialogue:
    """One dialogue (or single text) of the plan.

    Attributes:
        index: its place, from 0.
        speakers: who may speak.
        target: the emotion that has to occur; ``None`` where the mode has no targets.
        n_turns: how many utterances the prompt asks for.
        personas: one for each speaker where the mode has personas, with what the inventories give.
        situation: where the mode has personas, what the inventories give.
    """

    index: int
    speakers: tuple[str, ...]
    target: str | None
    n_turns: int
    personas: tuple[Persona, ...] = ()
    situation: Situation | None = None


def mode_of(config: GenerateConfig) -> ModeConfig:
    """The mode that the chosen data is written in.

    Raises:
        UserError: the variant is the benchmark itself.
    """
    if config.mode is None:
        raise UserError(
            f"data={config.data.name} is the benchmark itself, so there is nothing to generate. "
            f"Choose {synthetic_data(config.benchmark.name)}."
        )
    return config.mode


def targets_of(config: GenerateConfig) -> tuple[str, ...]:
    """The emotions that requests ask for in turn; empty where the mode asks for none.

    Raises:
        UserError: ``mode.targets`` is not what it must be.
    """
    targets, labels = mode_of(config).targets, config.benchmark.labels
    if targets is None:
        return ()
    if targets == "all":
        return tuple(labels)
    if isinstance(targets, list) and targets and all(t in labels and targets.count(t) == 1 for t in targets):
        return tuple(targets)
    raise UserError(
        f"mode.targets={targets}: must be all, null, or a list of different labels of the benchmark, some of "
        f"{', '.join(labels)}."
    )


def is_text(config: GenerateConfig) -> bool:
    """Whether single texts of single speakers are written, not dialogues."""
    return mode_of(config).personas and config.persona.unit is PersonaUnit.text


def shard_of(plan: PlanConfig) -> Shard | None:
    """The part of the plan that is asked for here; ``None``: all of it.

    Raises:
        UserError: ``plan.shard`` is no part of anything.
    """
    return None if plan.shard is None else Shard.parse(plan.shard)


def n_planned(plan: PlanConfig) -> int | None:
    """How many units are asked for here; ``None``: as many as it takes."""
    shard = shard_of(plan)
    return plan.n_dialogues if shard is None or plan.n_dialogues is None else len(shard.indices(plan.n_dialogues))


def plan(config: GenerateConfig, inventories: Inventories | None) -> Iterator[PlannedDialogue]:
    """The units of a run, in order; without an end unless ``plan.n_dialogues`` is given.

    A unit depends on the configuration, the seed and its own index, not on how many there are: a longer run has all
    units of a shorter one. The mode's targets take turns in their order. Inventories are for a mode with personas.
    A shard's are those of its own indices.
    """
    targets = targets_of(config)
    n, shard = config.plan.n_dialogues, shard_of(config.plan) or Shard(0, 1)
    for index in itertools.count() if n is None else shard.indices(n):
        rng = random.Random(derive(config.seed, config.data.name, index, "plan"))
        speakers = _speakers(rng, config)
        n_turns = 1
        if not is_text(config):
            n_turns = rng.randint(max(config.plan.min_turns, len(speakers)), config.plan.max_turns)
        unit = PlannedDialogue(index, speakers, targets[index % len(targets)] if targets else None, n_turns)
        yield unit if inventories is None else _with_personas(unit, config, inventories)


def _speakers(rng: random.Random, config: GenerateConfig) -> tuple[str, ...]:
    cast = tuple(config.benchmark.speakers)
    if is_text(config):
        return (rng.choice(cast),)
    if config.benchmark.style is PromptStyle.pair:
        return cast
    sizes = [size for size in GROUP_SIZES if size <= min(len(cast), config.plan.max_turns)]
    (size,) = rng.choices(sizes, [GROUP_SIZES[size] for size in sizes])
    return tuple(rng.sample(cast, size))


def _with_personas(unit: PlannedDialogue, config: GenerateConfig, inventories: Inventories) -> PlannedDialogue:
    """Each step draws from a generator of its own, so that switching one off leaves the others as they are."""
    steps, genders = config.persona, dict(config.benchmark.genders)
    pair = config.benchmark.style is PromptStyle.pair
    if pair:
        genders = PAIR

    def rng(*name: str | int) -> random.Random:
        return random.Random(derive(config.seed, config.data.name, unit.index, *name))

    personas = []
    for place, speaker in enumerate(unit.speakers):
        persona = Persona(speaker, gender=PAIR.get(speaker) if pair else None)
        if steps.base is PersonaStep.sample:
            persona = inventories.base(rng("base", place), speaker, genders.get(speaker))
        if steps.background is PersonaStep.sample:
            persona = persona.with_background(inventories.background(rng("background", place), persona))
        personas.append(persona)
    situation = None
    if steps.situation is PersonaStep.sample:
        situation = inventories.situation(rng("situation"), len(unit.speakers))
    return PlannedDialogue(unit.index, unit.speakers, unit.target, unit.n_turns, tuple(personas), situation)
