"""Values that have the right type and still make no sense."""

import math
from collections.abc import Iterator
from typing import Any

from ercsatz.config import (
    PhaseConfig,
    RankingConfig,
    StageConfig,
    StageOverridesConfig,
    TrainConfig,
    TrainingConfig,
    variants,
)
from ercsatz.config.objective import goals_of
from ercsatz.config.registry import call_of
from ercsatz.config.rules import Rule, at_least_1, enforce, one_of
from ercsatz.errors import UserError
from ercsatz.threads import AUTO

ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps")
STRATEGIES = ("auto", "ddp")  # others keep weights in parts, and the best epoch's are kept whole
PRECISIONS = ("auto", "32-true", "bf16-mixed", "16-mixed")


def check(cfg: TrainConfig) -> None:
    """Refuse values that make no sense, before anything is read or trained.

    Raises:
        UserError: names the key and what it must be.
    """
    check_ranking(cfg.ranking)
    goals_of(cfg.objective)
    if cfg.test_sets == []:
        raise UserError("test_sets=[]: a job needs one at least, or null for all that are there.")
    rules = [("seed", cfg.seed, 0 <= cfg.seed < 2**32, "from 0 to 4294967295"), *_training_rules(cfg.training)]
    rules += [one_of("data.variant", cfg.data.variant, variants())]
    rules += [one_of("test_sets", variant, variants()) for variant in cfg.test_sets or ()]
    tokens = cfg.classifier.max_tokens
    rules.append(("classifier.max_tokens", tokens, tokens >= 2, "2 or more: one for the class token"))
    rules += [one_of("trainer.accelerator", cfg.trainer.accelerator, ACCELERATORS)]
    rules += [one_of("trainer.precision", cfg.trainer.precision, PRECISIONS)]
    rules += [at_least_1(f"trainer.{key}", getattr(cfg.trainer, key)) for key in ("devices", "nodes")]
    rules += [one_of("trainer.strategy", cfg.trainer.strategy, STRATEGIES)]
    rules.append(threads_rule(cfg.trainer.threads))
    rules.append(at_least_1("trainer.memory_tokens", cfg.trainer.memory_tokens))
    rules.append(("trainer.workers", cfg.trainer.workers, cfg.trainer.workers >= 0, "0 or more"))
    stands_in = [stage for stage in cfg.phase.stages.values() if not stage.scored]
    if cfg.training.checkpoint is not None and not stands_in:
        raise UserError(
            "training.checkpoint is where phase=finetune starts from, in the place of a stage that is not scored, but "
            f"phase={cfg.phase.name} has none."
        )
    rules += [*_phase_rules(cfg.phase), *cfg.classifier.problems(cfg), *cfg.backbone.problems("backbone")]
    twice = cfg.loss.rebalances and cfg.sampler.rebalances
    wanted = f"none, or take loss=cross_entropy: loss={cfg.loss.name} makes up for rare labels already"
    rules.append(("sampler", cfg.sampler.name, not twice, wanted))
    enforce([*rules, *cfg.loss.problems(), *cfg.sampler.problems()])
    for group in ("callbacks", "logger"):
        for name, node in getattr(cfg, group).items():
            call_of(node, f"{group}.{name}")
    if unknown := [stage for stage in cfg.ranking.stages or () if stage not in cfg.phase.stages]:
        raise UserError(
            f"ranking.stages: phase={cfg.phase.name} has no stage {unknown[0]}. It has: {', '.join(cfg.phase.stages)}."
        )


def threads_rule(threads: Any) -> Rule:
    """The rule of ``trainer.threads``."""
    number = isinstance(threads, int) and not isinstance(threads, bool) and threads >= 1
    return "trainer.threads", threads, number or threads == AUTO, "auto, or 1 or more"


def _phase_rules(phase: PhaseConfig) -> Iterator[Rule]:
    """Stages that can be: each starts from an earlier one, shares are shares, what is ranked is scored."""
    nodes = [("phase", phase), *((f"phase.stages.{name}", stage) for name, stage in phase.stages.items())]
    for key, node in nodes:
        for name in ("real_share", "synthetic_share"):
            share = getattr(node, name)
            yield f"{key}.{name}", share, share is None or 0 < share <= 1, "above 0, to 1"
    earlier: list[str] = []
    for name, stage in phase.stages.items():
        there = stage.start is None or stage.start in earlier
        yield f"phase.stages.{name}.start", stage.start, there, f"a stage before it: {', '.join(earlier) or 'none'}"
        yield from _stage_rules(f"phase.stages.{name}", stage)
        earlier.append(name)
    scored = [name for name, stage in phase.stages.items() if stage.scored]
    yield "phase.stages", list(phase.stages), bool(scored), "one that is scored at least"
    ranked = set(phase.ranked) <= set(scored)
    yield "phase.ranked", list(phase.ranked), ranked, f"among the scored stages: {', '.join(scored)}"


def check_ranking(ranking: RankingConfig) -> None:
    """Refuse a ranking of nothing.

    Raises:
        UserError: names the key and what it must be.
    """
    columns = [*ranking.treatment, *ranking.block]
    twice = [name for name in dict.fromkeys(columns) if columns.count(name) > 1]
    given = [(f"ranking.{key}", getattr(ranking, key)) for key in ("treatment", "block")]
    enforce([(key, value, bool(value), "a list of one name at least") for key, value in given])
    enforce([("ranking.stages", ranking.stages, ranking.stages != [], "a list of one name at least, or null")])
    enforce([("ranking.treatment and ranking.block", columns, not twice, "columns named once")])
    pairs = ranking.comparisons in ("baseline", "all") or _is_pairs(ranking.comparisons)
    enforce([("ranking.comparisons", ranking.comparisons, pairs, "baseline, all or [[treatment, baseline], ...]")])
    rope = ranking.rope is None or 0 <= ranking.rope < math.inf
    enforce([("ranking.rope", ranking.rope, rope, "0 or more, in the scores' own unit, or null")])
    cut = ranking.p_digits is None or ranking.p_digits >= 1
    enforce([("ranking.p_digits", ranking.p_digits, cut, "1 or more, or null")])
    for name, part in ranking.slices.items():
        known = set(part.where) <= set(ranking.block)
        enforce([(f"ranking.slices.{name}.where", part.where, known, f"of columns of ranking.block, {ranking.block}")])


def _is_pairs(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, list) and len(v) == 2 for v in value)


def _training_rules(training: TrainingConfig) -> list[Rule]:
    stages = ("original", "pretrain", "finetune", "topic")
    nodes = {"training": training, **{f"training.{n}": getattr(training, n) for n in stages}}
    return [
        *(rule for key, node in nodes.items() for rule in _stage_rules(key, node)),
        ("training.warmup", training.warmup, 0 <= training.warmup <= 1, "from 0 to 1"),
        ("training.weight_decay", training.weight_decay, training.weight_decay >= 0, "0 or more"),
        ("training.layer_decay", training.layer_decay, 0 < training.layer_decay <= 1, "above 0, to 1 (none)"),
        at_least_1("training.patience", 1 if training.patience is None else training.patience),
        ("training.clip", training.clip, training.clip >= 0, "0 (off) or more"),
        at_least_1("training.batch_tokens", training.batch_tokens),
        at_least_1("training.batch_targets", 1 if training.batch_targets is None else training.batch_targets),
    ]


def _stage_rules(key: str, node: TrainingConfig | StageOverridesConfig | StageConfig) -> Iterator[Rule]:
    if node.epochs is not None:
        yield at_least_1(f"{key}.epochs", node.epochs)
    if node.lr is not None:
        yield f"{key}.lr", node.lr, node.lr > 0, "above 0"
