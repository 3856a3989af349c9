"""The whole of ``assess.py``."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from ercsatz import judging, signals
from ercsatz.assessment.cache import measured
from ercsatz.assessment.clean import refuse_existing, write_clean, write_csv
from ercsatz.assessment.measures import Measured, Splits
from ercsatz.assessment.record import FAILURE_FILE, FILE, Assessment, Failure, Line, key_of, single
from ercsatz.assessment.report import FILES, write
from ercsatz.assessment.terminal import show
from ercsatz.assessment.wandb_report import log
from ercsatz.config import ORG, AssessConfig, synthetic_data, variants
from ercsatz.config.advice import advised
from ercsatz.config.rules import Rule, at_least_1, enforce, one_of
from ercsatz.data import benchmarks, shards
from ercsatz.data.checksums import refuse_changed
from ercsatz.data.dialogue import SPLITS, Dialogue, check_dialogues, fingerprint
from ercsatz.data.files import from_json, refuse_other_mode
from ercsatz.data.text_files import json_lines
from ercsatz.errors import MissingFiles, UserError, read_all
from ercsatz.generation.check_config import check_rules
from ercsatz.judging import Judgement, JudgementFunnel
from ercsatz.quality.agreement import PREFERENCE
from ercsatz.quality.leakage import COLUMNS
from ercsatz.reporting.console import SafeConsole, unfolded
from ercsatz.reporting.status import message, report_recorded
from ercsatz.tracking.lineage import data_hash

_LOG = logging.getLogger(__name__)

FEWEST_HALVES = 3
OFFENDERS, JUDGEMENTS, TURNS = "offenders.csv", "judgements.csv", "judged_turns.csv"


def run(config: AssessConfig) -> None:
    """Assess the data set that the configuration names, and write its report into the job's folder.

    In a sweep a failure is recorded there and is no exception, so that the other data sets get their table.

    Raises:
        UserError: data are missing or wrong, or the configuration makes no sense.
        KeyboardInterrupt: the user stopped it; what was measured and judged is kept.
    """
    hydra = HydraConfig.get()
    folder = Path(hydra.runtime.output_dir)
    for name in (FILE, FAILURE_FILE, OFFENDERS, JUDGEMENTS, TURNS, *FILES):  # of an earlier run in the same folder
        (folder / name).unlink(missing_ok=True)
    group, undone = hydra.sweep.dir if hydra.mode == RunMode.MULTIRUN else None, "Not assessed"
    try:
        done = _assess(config, folder, group)
        undone = "Not judged"
        if done.unjudged is not None:
            raise done.unjudged
        undone = "Not cleaned"
        if config.assess.fix:
            _LOG.info("%s", _fix(config, done))
    except Exception as error:
        signals.check()
        if group is None:
            raise
        failure = Failure(config.data.name, message(error), undone)
        report_recorded(error, config.data.name, partial(failure.write, folder))


@dataclass(frozen=True, slots=True)
class _Done:
    """What was assessed, what leaks, and why the judge gave no judgement, if it failed."""

    own: dict[str, tuple[Dialogue, ...]]
    offenders: pd.DataFrame
    unjudged: Exception | None


def _assess(config: AssessConfig, folder: Path, group: str | None) -> _Done:
    _check(config)
    console = SafeConsole() if config.judge.dry_run else unfolded()
    own, real = map(dict, read_all(partial(_synthetic, config), lambda: benchmarks.load(config.benchmark).splits))
    everything = [dialogue for split in SPLITS for dialogue in own[split]]
    ask = partial(
        judging.judge, everything, real["train"], config.judge, config.generator, config.data.name, config.seed, console
    )
    dry = ask() if config.judge.dry_run else None
    _LOG.info("%s: embeddings %s", config.data.name, config.assess.embedder)
    found = measured(config, real, own, lambda what: _LOG.info("  %s ...", what))
    judgement, unjudged = (dry, None) if dry else _judged(ask, len(everything))
    assessment = gather(config, real, own, found, judgement)
    assessment.write(folder / FILE)
    offenders = pd.DataFrame(assessment.offenders, columns=list(COLUMNS))
    for name, rows in ((OFFENDERS, offenders), (JUDGEMENTS, judgement.rows), (TURNS, judgement.turns)):
        if name == OFFENDERS or len(rows):
            write_csv(folder / name, rows)
    show([assessment], unfolded())
    _LOG.info("Written to %s: %s", folder, ", ".join(path.name for path in write([assessment], folder)))
    contents = {config.data.name: data_hash(own), f"{config.benchmark.name}_{ORG}": data_hash(real)}
    log(config.wandb, [assessment], folder, f"assess {config.data.name}", group, contents)
    return _Done(own, offenders, unjudged)


def _check(config: AssessConfig) -> None:
    """Refuse what makes no sense before anything is read or measured."""
    enforce(_rules(config))
    judging.check(config.judge, config.generator)
    if config.data.variant == ORG:
        raise UserError(
            f"data={config.data.name} is the benchmark itself, the mark that every report has beside synthetic data. "
            f"Take {synthetic_data(config.benchmark.name)}."
        )
    if config.assess.fix:
        refuse_existing(Path(config.data.path), _option(config))


def _judged(ask: Callable[[], Judgement], dialogues: int) -> tuple[Judgement, Exception | None]:
    """The judgement; if that fails, none, and why: what was measured is reported all the same."""
    try:
        return ask(), None
    except Exception as error:
        signals.check()
        return judging.unjudged(message(error).rstrip("."), JudgementFunnel(dialogues)), error


def _rules(config: AssessConfig) -> Iterator[Rule]:
    yield one_of("data.variant", config.data.variant, variants())
    chosen = config.assess
    halves = chosen.halves  # of fewer nobody can tell what is chance
    yield "assess.halves", halves, halves >= FEWEST_HALVES, f"{FEWEST_HALVES} or more"
    yield at_least_1("assess.sample", chosen.sample)
    if chosen.dialogues is not None:
        yield at_least_1("assess.dialogues", chosen.dialogues)
    yield from check_rules(config.checks)
    for measure in config.measure.values():
        yield from measure.problems()
    most = 2**32 - halves  # each halving has the next seed
    yield "seed", config.seed, 0 <= config.seed <= most, f"from 0 to {most}"


def _synthetic(config: AssessConfig) -> Mapping[str, tuple[Dialogue, ...]]:
    """The data set; a split may be empty, but not all three."""
    folder, name = Path(config.data.path), config.data.name
    if told := shards.instead_of(folder):
        raise MissingFiles(told)
    if not folder.is_dir():
        option = _option(config)
        named = [] if name == option else [f"data.name={name}"]
        command = advised("generate", f"data={option}", *named, keep=("data.path",))
        raise MissingFiles(f"There is no data set {name} in {folder}. Make it with: {command}")
    splits = {}
    for split in SPLITS:
        path = folder / f"{split}.jsonl"
        if not path.is_file():
            raise UserError(f"There is no file {path}. An empty one will do, if the data set has no such split.")
        refuse_changed(path)
        splits[split] = tuple(from_json(line, where) for where, line in json_lines(path))
        if splits[split]:
            check_dialogues(splits[split], config.benchmark.labels, str(path))
            refuse_other_mode(splits[split], config.data.variant, path)
    if not any(splits.values()):
        raise UserError(f"{folder}: all three splits are empty.")
    return splits


def _option(config: AssessConfig) -> str:
    """Of ``data=``: the name alone would leave it at its default."""
    return f"{config.benchmark.name}_{config.data.variant}"


def _fix(config: AssessConfig, done: _Done) -> str:
    if done.offenders.empty:
        return "assess.fix=true: nothing leaks, so there is no copy."
    target = write_clean(Path(config.data.path), done.own, done.offenders)
    return (
        f"A copy without the dialogues that leak is in {target}. "
        f"Use it with: data={_option(config)} data.name={target.name}"
    )


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
        lines=(*measured.lines, *_judged_lines(judgement)),
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
        targets=_targets(own, labels),
        provenance={
            "data": str(Path(config.data.path)),
            "SHA-256": _fingerprint(own),
            "benchmark's SHA-256": _fingerprint(real),
            **_settings(config),
            "ercsatz": version("ercsatz"),
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
        },
    )


def _targets(splits: Splits, labels: Sequence[str]) -> dict[str, int]:
    """Dialogues by the emotion that was wanted in them, in the order of the labels."""
    wanted = Counter(dialogue.provenance.get("target") for dialogues in splits.values() for dialogue in dialogues)
    return {label: wanted[label] for label in labels if wanted[label]}


def _settings(config: AssessConfig) -> dict[str, str]:
    leaks, most = config.checks.leakage, config.assess.dialogues
    return {
        "seed": str(config.seed),
        "random halvings": str(config.assess.halves),
        "sample": f"{config.assess.sample:,} turns",
        "dialogues compared": "all that can be" if most is None else f"{most:,} at the most",
        "a leak": f"{leaks.words} words, {leaks.containment:g} of {leaks.ngram}-grams, {leaks.dialogue:g} of turns",
    }


def _judged_lines(judgement: Judgement) -> list[Line]:
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
