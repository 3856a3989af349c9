"""Values that have the right type and still make no sense."""

import math
from typing import Any

from ercsatz.config import (
    TODKAT,
    Backbone,
    Classifier,
    CoMPM,
    EmoOne,
    Gray,
    Phase,
    Ranking,
    TrainConfig,
    Training,
    variants,
)
from ercsatz.config.rules import Rule, at_least_1, enforce, one_of
from ercsatz.errors import UserError

ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps")
PRECISIONS = ("auto", "32-true", "bf16-mixed", "16-mixed")

MEMORY_KEY = "classifier.memory_backbone"


def check(cfg: TrainConfig) -> None:
    """Refuse values that make no sense, before anything is read or trained.

    Raises:
        UserError: names the key and what it must be.
    """
    check_ranking(cfg.ranking)
    backbone = cfg.backbone
    if cfg.test_sets == []:
        raise UserError("test_sets=[]: a job needs one at least, or null for all that are there.")
    rules = [("seed", cfg.seed, 0 <= cfg.seed < 2**32, "from 0 to 4294967295"), *_training_rules(cfg.training)]
    rules += [one_of("data.variant", cfg.data.variant, variants())]
    rules += [one_of("test_sets", variant, variants()) for variant in cfg.test_sets or ()]
    tokens = cfg.classifier.max_tokens
    rules.append(("classifier.max_tokens", tokens, tokens >= 2, "2 or more: one for the class token"))
    rules += [one_of("trainer.accelerator", cfg.trainer.accelerator, ACCELERATORS)]
    rules += [one_of("trainer.precision", cfg.trainer.precision, PRECISIONS)]
    rules.append(at_least_1("trainer.memory_tokens", cfg.trainer.memory_tokens))
    rules.append(("trainer.workers", cfg.trainer.workers, cfg.trainer.workers >= 0, "0 or more"))
    if cfg.training.checkpoint is not None and cfg.phase != Phase.finetune:
        raise UserError(f"training.checkpoint is where phase=finetune starts from, but phase={cfg.phase.value}.")
    rules += _classifier_rules(cfg.classifier)
    if isinstance(cfg.classifier, EmoOne) and cfg.classifier.gray == Gray.category:
        alike = dict(cfg.benchmark.sentiments)
        rules.append(("benchmark.sentiments", alike, set(cfg.benchmark.labels) <= alike.keys(), "given of every label"))
    if isinstance(cfg.classifier, TODKAT) and cfg.training.batch_targets is not None:
        raise UserError("training.batch_targets: todkat reads whole dialogues. Leave it null; batch_tokens counts.")
    for encoder, key in ((backbone, "backbone"), (getattr(cfg.classifier, "memory_backbone", None), MEMORY_KEY)):
        rules += _encoder_rules(encoder, key) if encoder else []
    enforce(rules)


def _classifier_rules(classifier: Classifier) -> list[Rule]:
    if isinstance(classifier, CoMPM):
        dropout = classifier.memory_dropout
        return [
            at_least_1("classifier.memory_layers", classifier.memory_layers),
            ("classifier.memory_dropout", dropout, 0 <= dropout < 1, "from 0 to below 1"),
        ]
    if isinstance(classifier, EmoOne):
        worded = classifier.gray in {Gray.word, Gray.word_softmax}
        vectors = classifier.word_vectors
        return [
            ("classifier.w1", classifier.w1, classifier.w1 >= 0, "0 or more"),
            ("classifier.w2", classifier.w2, classifier.w2 >= 0, "0 or more"),
            ("classifier.w1 + w2", classifier.w1 + classifier.w2, classifier.w1 + classifier.w2 > 0, "above 0"),
            ("classifier.future_turns", classifier.future_turns, classifier.future_turns >= 0, "0 or more"),
            ("classifier.word_vectors", vectors, not worded or vectors is not None, "a file, for this classifier.gray"),
        ]
    return _todkat_rules(classifier) if isinstance(classifier, TODKAT) else []


def _todkat_rules(classifier: TODKAT) -> list[Rule]:
    counts = ("topic_width", "layers", "heads", "feedforward", "knowledge_width")
    given = {name: value for name in counts if (value := getattr(classifier, name)) is not None}
    return [
        *(at_least_1(f"classifier.{name}", value) for name, value in given.items()),
        ("classifier.kl_weight", classifier.kl_weight, classifier.kl_weight >= 0, "0 or more"),
        ("classifier.dropout", classifier.dropout, 0 <= classifier.dropout < 1, "from 0 to below 1"),
    ]


def _encoder_rules(backbone: Backbone, key: str) -> list[Rule]:
    if backbone.size is None:
        value = backbone.checkpoint
        return [(f"{key}.checkpoint", value, value is not None, f"a folder or a hub name: {key}.checkpoint=FOLDER")]
    hidden, heads = backbone.size.hidden, backbone.size.heads
    return [
        *(at_least_1(f"{key}.size.{name}", value) for name, value in vars(backbone.size).items()),
        (f"{key}.size.hidden", hidden, hidden % max(heads, 1) == 0, f"a multiple of the {heads} heads"),
    ]


def check_ranking(ranking: Ranking) -> None:
    """Refuse a ranking of nothing.

    Raises:
        UserError: names the key and what it must be.
    """
    stages = ("original", "pretrain", "finetune")
    columns = [*ranking.treatment, *ranking.block]
    twice = [name for name in dict.fromkeys(columns) if columns.count(name) > 1]
    given = [(f"ranking.{key}", getattr(ranking, key)) for key in ("treatment", "block", "stages")]
    known = set(ranking.stages) <= set(stages)
    enforce([(key, value, bool(value), "a list of one name at least") for key, value in given])
    enforce([("ranking.stages", list(ranking.stages), known, f"among {', '.join(stages)}")])
    enforce([("ranking.treatment and ranking.block", columns, not twice, "columns named once")])
    pairs = ranking.comparisons in ("baseline", "all") or _is_pairs(ranking.comparisons)
    enforce([("ranking.comparisons", ranking.comparisons, pairs, "baseline, all or [[treatment, baseline], ...]")])
    rope = ranking.rope is None or 0 <= ranking.rope < math.inf
    enforce([("ranking.rope", ranking.rope, rope, "0 or more, in the scores' own unit, or null")])


def _is_pairs(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, list) and len(v) == 2 for v in value)


def _training_rules(training: Training) -> list[Rule]:
    stages = ("original", "pretrain", "finetune", "topic")
    nodes = {"training": training, **{f"training.{n}": getattr(training, n) for n in stages}}
    rules = [at_least_1(f"{n}.epochs", node.epochs) for n, node in nodes.items() if node.epochs is not None]
    rules += [(f"{n}.lr", node.lr, node.lr > 0, "above 0") for n, node in nodes.items() if node.lr is not None]
    return [
        *rules,
        ("training.warmup", training.warmup, 0 <= training.warmup <= 1, "from 0 to 1"),
        ("training.weight_decay", training.weight_decay, training.weight_decay >= 0, "0 or more"),
        ("training.clip", training.clip, training.clip >= 0, "0 (off) or more"),
        at_least_1("training.batch_tokens", training.batch_tokens),
        at_least_1("training.batch_targets", 1 if training.batch_targets is None else training.batch_targets),
    ]
