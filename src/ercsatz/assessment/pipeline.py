"""Put together all that is known of one data set."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ercsatz.assessment.measures import Measured, Splits
from ercsatz.assessment.record import Assessment, Line, key_of, single
from ercsatz.config import AssessConfig
from ercsatz.data.dialogue import SPLITS, Dialogue, fingerprint
from ercsatz.judging.result import Judgement
from ercsatz.quality.agreement import PREFERENCE

SETTINGS = ("seed", "random halvings", "sample", "dialogues compared", "a leak")
"""Keys of ``provenance`` that decide figures: data sets of different ones are measured otherwise."""


def gather(config: AssessConfig, real: Splits, own: Splits, measured: Measured, judgement: Judgement) -> Assessment:
    """One record of what was measured, what was judged, and what both come from."""
    labels = config.benchmark.labels
    return Assessment(
        data=config.data.name,
        benchmark=config.benchmark.name,
        embedder=measured.embedder,
        lexical=measured.lexical,
        sizes={split: _size(dialogues) for split, dialogues in own.items()},
        compared=measured.compared,
        lines=(*measured.lines, *_judged(judgement)),
        label_counts={
            name: {split: _labels(dialogues, labels) for split, dialogues in splits.items()}
            for name, splits in ((f"{config.benchmark.name}_org", real), (config.data.name, own))
        },
        confusion=measured.confusion,
        offenders=measured.offenders,
        tests=measured.tests,
        points=measured.points,
        examples=measured.examples,
        judge=_judge(judgement),
        nearest=measured.nearest,
        provenance={
            "data": str(Path(config.data.path)),
            "SHA-256": _fingerprint(own),
            "benchmark's SHA-256": _fingerprint(real),
            **_settings(config),
            "ercsatz": version("ercsatz"),
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
        },
    )


def _settings(config: AssessConfig) -> dict[str, str]:
    leaks, most = config.checks.leakage, config.assess.dialogues
    return {
        "seed": str(config.seed),
        "random halvings": str(config.assess.halves),
        "sample": f"{config.assess.sample:,} turns",
        "dialogues compared": "all that can be" if most is None else f"{most:,} at the most",
        "a leak": f"{leaks.words} words, {leaks.containment:g} of {leaks.ngram}-grams, {leaks.dialogue:g} of turns",
    }


def _judged(judgement: Judgement) -> list[Line]:
    """The real dialogues' scores are the marks; a preference's mark is to be preferred as often as not."""
    marks = {key_of(each): each for each in judgement.real}
    marks |= {key_of(each): replace(each, value=0.5) for each in judgement.measures if each.name == PREFERENCE}
    return [single(each, marks.get(key_of(each))) for each in judgement.measures]


def _judge(judgement: Judgement) -> dict[str, Any]:
    preference = judgement.preference
    return {
        "not_judged": judgement.not_judged,
        "by": judgement.by,
        "rubric": judgement.rubric,
        "templates_sha256": judgement.templates_sha256,
        "trust": [
            {"name": each.name, "value": each.value, "n": each.n, "p": each.p, "undefined": each.undefined}
            for each in (*judgement.agreement, *judgement.bias)
        ],
        "preference": None if preference is None else {**asdict(preference), "measure": preference.measure.name},
        "funnel": asdict(judgement.funnel),
    }


def _fingerprint(splits: Splits) -> str:
    return fingerprint(dialogue for split in SPLITS for dialogue in splits[split])[:16]


def _size(dialogues: Sequence[Dialogue]) -> dict[str, int]:
    return {"dialogues": len(dialogues), "utterances": sum(len(dialogue.utterances) for dialogue in dialogues)}


def _labels(dialogues: Sequence[Dialogue], labels: Sequence[str]) -> Mapping[str, int]:
    counts = Counter(turn.emotion for dialogue in dialogues for turn in dialogue.utterances)
    return {label: counts[label] for label in labels}
