"""Values of a configuration that have the right type and still make no sense, found before anything is asked."""

import math
import os
import sys
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from pathlib import Path

from ercsatz.config import (
    BenchmarkConfig,
    ChecksConfig,
    GenerateConfig,
    PersonaStep,
    PlanConfig,
    PromptStyle,
    SplitConfig,
)
from ercsatz.config.rules import Rule, at_least_1, enforce
from ercsatz.data.dialogue import Utterance
from ercsatz.errors import UserError
from ercsatz.generation.parse import MAX_NAME, parse
from ercsatz.generation.plan import mode_of, shard_of, targets_of
from ercsatz.generators.interface import Answer, FinishReason
from ercsatz.reporting.text import printable

# A turn as the prompt asks for it, and as the tolerant reading has to take it
_TURNS = ("{name}: Hello there. ({number})", "{name}: Hello there. [{number}]")


def validate(config: GenerateConfig) -> None:
    """Refuse values with which a run would fail, whatever is answered.

    Nothing is written. What servers, models and files have to say is found out later.

    Raises:
        UserError: names the key, what is wrong with it, and what it must be.
    """
    enforce(_rules(config))


def fewest_dialogues(split: SplitConfig) -> int:
    """How many kept dialogues are needed for every split to get one; more do as well.

    Args:
        split: shares above 0, together below 1.
    """

    def do(n: int) -> bool:  # the same rounding as in shelf.assign
        held_out = math.floor(n * (split.validation + split.test) + 0.5)
        tested = math.floor(held_out * (split.test / (split.validation + split.test)) + 0.5)
        return 0 < tested < held_out < n

    return bisect_left(range(sys.maxsize), True, key=do)


def _rules(config: GenerateConfig) -> Iterator[Rule]:
    """All rules, in an order in which each may rely on those before it."""
    yield from _plan_rules(config.plan)
    yield from _split_rules(config.split, config.plan)
    yield from _label_rules(config.benchmark.labels)
    yield from _speaker_rules(config.benchmark)
    _check_mode(config)
    if mode_of(config).personas:
        yield from _gender_rules(config.benchmark)
    base = config.persona.base
    yield "persona.base", base, base is not PersonaStep.write, "sample or off: base personas come from the inventories"
    yield from config.generator.problems()
    yield from check_rules(config.checks)
    yield from _place_rules(config)


def _plan_rules(plan: PlanConfig) -> Iterator[Rule]:
    goals = {f"plan.{key}": getattr(plan, key) for key in ("n_dialogues", "n_kept", "n_utterances")}
    given = {key: value for key, value in goals.items() if value is not None}
    if len(given) != 1:
        said = " and ".join(f"{key}={value}" for key, value in given.items()) or "None of them"
        raise UserError(
            f"{said} given: give one of plan.n_dialogues, plan.n_kept and plan.n_utterances, and null for the others."
        )
    for key, value in given.items():
        yield at_least_1(key, value)
    if (shard := shard_of(plan)) is not None:
        n = plan.n_dialogues
        wanted = "null: how many units it takes is known to no shard alone, so that plan.n_dialogues has to be given"
        yield "plan.shard", plan.shard, n is not None, wanted
        yield "plan.shard", plan.shard, n is None or shard.of <= n, f"of {n} parts at most: plan.n_dialogues={n}"
    yield at_least_1("plan.attempts", plan.attempts)
    yield "plan.min_turns", plan.min_turns, plan.min_turns >= 2, "2 or more"
    at_least = f"plan.min_turns={plan.min_turns} or more"
    yield "plan.max_turns", plan.max_turns, plan.max_turns >= plan.min_turns, at_least


def _split_rules(split: SplitConfig, plan: PlanConfig) -> Iterator[Rule]:
    shares = {f"split.{key}": getattr(split, key) for key in ("validation", "test")}
    for key, share in shares.items():
        yield key, share, 0 < share < 1, "above 0 and below 1"
    both = sum(shares.values())
    yield " + ".join(shares), both, both < 1, "below 1, so that something is left for training"
    fewest = fewest_dialogues(split)
    said = " and ".join(f"{key}={share:g}" for key, share in shares.items())
    wanted = f"{fewest} or more: of fewer dialogues {said} leave a split empty"
    for key in ("n_dialogues", "n_kept"):
        value = getattr(plan, key)
        yield f"plan.{key}", value, value is None or value >= fewest, wanted


def _label_rules(labels: Sequence[str]) -> Iterator[Rule]:
    yield "benchmark.labels", list(labels), bool(labels), "a list of one label at least"
    yield "benchmark.labels", list(labels), _differ(labels), "different from each other, upper and lower case aside"
    for place, label in enumerate(labels):
        key = f"benchmark.labels[{place}]"
        yield key, repr(label), _is_plain(label), "text on one line, with no control characters or blanks around it"
        carried = all(_read(form, "A", place + 1, ["A"], labels) == ("A", label) for form in _TURNS)
        yield key, repr(label), carried, "one of the first 999: an answer can give no greater number"


def _speaker_rules(benchmark: BenchmarkConfig) -> Iterator[Rule]:
    speakers, labels = benchmark.speakers, benchmark.labels
    yield "benchmark.speakers", list(speakers), len(speakers) >= 2, "a list of two speakers at least"
    yield (
        "benchmark.speakers",
        list(speakers),
        _differ(speakers),
        "different from each other, upper and lower case aside",
    )
    for place, name in enumerate(speakers):
        carried = all(_read(form, name, 1, speakers, labels) == (name, labels[0]) for form in _TURNS)
        wanted = (
            f"a name that an answer can carry: at most {MAX_NAME} characters on one line, without a colon, and at its "
            "ends no blanks, list marks, *, _, or label in brackets, which are not read as part of a name"
        )
        yield f"benchmark.speakers[{place}]", repr(name), carried, wanted
    pair = benchmark.style is not PromptStyle.pair or list(speakers) == ["M", "F"]
    yield "benchmark.speakers", list(speakers), pair, "[M, F], as benchmark.style is pair"


def _check_mode(config: GenerateConfig) -> None:
    mode, variant = mode_of(config), config.data.variant
    if variant != mode.short:
        raise UserError(
            f"data.variant={variant}, but mode={mode.name} writes the variant {mode.short}. "
            f"Choose both at once: data={config.benchmark.name}_{mode.short}"
        )
    targets_of(config)  # refuses what it cannot be


def _gender_rules(benchmark: BenchmarkConfig) -> Iterator[Rule]:
    for name, gender in benchmark.genders.items():
        key = f"benchmark.genders.{name}"
        yield key, gender, name in benchmark.speakers, f"of one of benchmark.speakers; leave it out with ~{key}"
        yield key, repr(gender), _is_plain(gender), "female, male or another word"


def check_rules(checks: ChecksConfig) -> Iterator[Rule]:
    """What holds of the checks on dialogues."""
    leakage = checks.leakage
    yield "checks.near_duplicate", checks.near_duplicate, 0.5 <= checks.near_duplicate <= 1, "from 0.5 to 1"
    for key in ("words", "ngram"):
        yield at_least_1(f"checks.leakage.{key}", getattr(leakage, key))
    for key in ("containment", "dialogue"):
        share = getattr(leakage, key)
        yield f"checks.leakage.{key}", share, 0 < share <= 1, "above 0 and at most 1"


def _place_rules(config: GenerateConfig) -> Iterator[Rule]:
    journal, folder = Path(config.journal).resolve(), Path(config.data.path).resolve()
    apart = not journal.is_relative_to(folder) and not folder.is_relative_to(journal)
    yield "journal", config.journal, apart, f"a file outside {config.data.path}, which holds the data set alone"
    own = config.plan.shard is None or config.journal == f"{config.data.path}.journal.sqlite"
    yield "journal", config.journal, own, "left out: a shard has its journal in its own folder"
    yield "journal", config.journal, _can_be_file(journal), "a file, in a folder that can be made and written"
    if config.push_to_hub is not None:
        possible = _is_repository(config.push_to_hub)
        wanted = "NAME/REPOSITORY, of letters, digits, dashes, underscores and dots"
        yield "push_to_hub", config.push_to_hub, possible, wanted


def _differ(names: Sequence[str]) -> bool:
    return len({name.casefold() for name in names}) == len(names)


def _is_plain(text: str) -> bool:
    return bool(text) and " ".join(printable(text).split()) == text


def _read(
    form: str, name: str, number: int, speakers: Sequence[str], labels: Sequence[str]
) -> tuple[str, str | None] | None:
    """Speaker and label that the parser finds in a turn, or ``None``."""
    answer = Answer(form.format(name=name, number=number), FinishReason.stop)
    match parse(answer, speakers, labels):
        case (Utterance(speaker=speaker, emotion=label),):
            return speaker, label
    return None


def _can_be_file(path: Path) -> bool:
    """Whether a file is there or can be made, as far as can be told without making it."""
    try:
        folder = next(parent for parent in path.parents if parent.exists())
        return not path.is_dir() and folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
    except OSError:  # a name that is too long, a folder that may not be looked into
        return False


def _is_repository(name: str) -> bool:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return name.count("/") == 1
