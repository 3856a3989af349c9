"""The whole of ``assess.py``."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from hydra.core.hydra_config import HydraConfig
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ercsatz import benchmarks
from ercsatz.assessment.clean import write_clean
from ercsatz.assessment.describe import FAMILIES, describe
from ercsatz.assessment.measures import Measured, Sizes, Splits, measure
from ercsatz.assessment.record import FILE, Assessment, Line, line, read
from ercsatz.assessment.report import write
from ercsatz.assessment.track import log_assessment
from ercsatz.assessment.verdict import number, sentences, verdict
from ercsatz.check import Rule, at_least_1, enforce
from ercsatz.code import code_sha256
from ercsatz.config import AssessConfig, Variant
from ercsatz.dialogue import SPLITS, Dialogue, atomic_write, fingerprint, read_jsonl, read_text
from ercsatz.errors import UserError
from ercsatz.generation.show import inert
from ercsatz.judging.result import Judgement
from ercsatz.judging.run import judge
from ercsatz.quality.embed import Embedder, lexical, pretrained, remembering
from ercsatz.training.stage import checkpoint_identity

LEXICAL = "lexical"
OFFENDERS, JUDGEMENTS = "offenders.csv", "judgements.csv"
_CODE = ("quality", "assessment/measures.py", "assessment/record.py", "leaks.py", "overlap.py", "embedding.py")


def run(config: AssessConfig) -> None:
    """Assess the data set that the configuration names, and write its report into the job's folder.

    Raises:
        UserError: data are missing or wrong, or the configuration makes no sense.
        KeyboardInterrupt: the user stopped it; what was measured and judged is kept.
    """
    enforce(_rules(config))
    console, folder = Console(highlight=False), Path(HydraConfig.get().runtime.output_dir)
    if config.data.variant is Variant.org:
        raise UserError(
            f"data={config.data.name} is the benchmark itself, the mark that every report has beside synthetic data. "
            f"Take data={config.benchmark.name}_nat, _bal or _per."
        )
    real, own = benchmarks.load(config.benchmark).splits, _synthetic(config)
    embedder = _embedder(config, real)
    _say(console, f"{config.data.name}: measured by {embedder.name}")
    measured = _measured(config, real, own, embedder, console)
    judgement = judge(
        [dialogue for split in SPLITS for dialogue in own[split]], real["train"], config.judge, config.generator,
        config.data.name, config.seed, console,
    )  # fmt: skip
    found = _assessment(config, real, own, embedder, measured, judgement)
    found.write(folder / FILE)
    offenders = pd.DataFrame(found.offenders)
    with atomic_write(folder / OFFENDERS) as file:
        offenders.to_csv(file, index=False, lineterminator="\n")
    if len(judgement.rows):
        with atomic_write(folder / JUDGEMENTS) as file:
            judgement.rows.to_csv(file, index=False, lineterminator="\n")
    _show([found], console)
    _say(console, f"Written to {folder}: {', '.join(path.name for path in write([found], folder))}")
    if config.assess.fix:
        _say(console, _fix(config, own, offenders))
    log_assessment(config.wandb, found, folder)


def merge(sweep: Path) -> None:
    """Write and show one report of all assessments in the folders of a sweep; of one alone there is one already."""
    found = [read(path) for path in sorted(sweep.glob(f"*/{FILE}"))]
    if len(found) > 1:
        console = Console(highlight=False)
        _show(found, console)
        _say(console, f"Written to {sweep}: {', '.join(path.name for path in write(found, sweep))}")


def _rules(config: AssessConfig) -> Iterator[Rule]:
    chosen = config.assess
    yield at_least_1("assess.halves", chosen.halves)
    yield at_least_1("assess.sample", chosen.sample)
    if chosen.dialogues is not None:
        yield at_least_1("assess.dialogues", chosen.dialogues)


def _synthetic(config: AssessConfig) -> dict[str, tuple[Dialogue, ...]]:
    folder, name = Path(config.data.path), config.data.name
    if not folder.is_dir():
        raise UserError(f"There is no data set {name} in {folder}. Make it with: python generate.py data={name}")
    splits = {split: read_jsonl(folder / f"{split}.jsonl") for split in SPLITS}
    known = set(config.benchmark.labels)
    for split, dialogues in splits.items():
        for dialogue in dialogues:
            for turn in dialogue.utterances:
                if turn.emotion is not None and turn.emotion not in known:
                    raise UserError(
                        f"{folder / split}.jsonl, dialogue {dialogue.id}: {turn.emotion!r} is no emotion of "
                        f"{config.benchmark.name}; it has {', '.join(config.benchmark.labels)}."
                    )
    return splits


def _embedder(config: AssessConfig, real: Splits) -> Embedder:
    chosen = config.assess.embedder
    if chosen != LEXICAL:
        return remembering(pretrained(chosen, "assess.embedder"))
    texts = [turn.text for dialogue in real["train"] for turn in dialogue.utterances]
    return remembering(lexical(texts, seed=config.seed))


def _measured(config: AssessConfig, real: Splits, own: Splits, embedder: Embedder, console: Console) -> Measured:
    """From the cache, where the same was measured before."""
    chosen, rules = config.assess, config.checks.leakage
    sizes = Sizes(chosen.dialogues, chosen.sample, chosen.halves, config.seed)
    package = Path(__file__).resolve().parents[1]
    files = [package / place for place in _CODE]
    description = {
        "real": {split: fingerprint(dialogues) for split, dialogues in real.items()},
        "own": {split: fingerprint(dialogues) for split, dialogues in own.items()},
        "embedder": checkpoint_identity(chosen.embedder),
        "labels": list(config.benchmark.labels),
        "rules": asdict(rules),
        "sizes": asdict(sizes),
        "code": code_sha256(f for path in files for f in (sorted(path.glob("*.py")) if path.is_dir() else [path])),
    }
    key = hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()[:16]
    path = Path(config.paths.cache) / "assessments" / f"{key}.json"
    if path.is_file():
        _say(console, f"  measured before ({key})")
        return _read(path)
    labels = list(config.benchmark.labels)
    found = measure(real, own, labels, embedder, rules, sizes, lambda family: _say(console, f"  {family} ..."))
    with atomic_write(path) as file:
        json.dump(asdict(found), file, ensure_ascii=False, allow_nan=False)
    return found


def _read(path: Path) -> Measured:
    found = json.loads(read_text(path))
    lines = (
        Line(**{**each, "values": tuple(each["values"]), "marks": tuple(each["marks"])}) for each in found["lines"]
    )
    return Measured(**{**found, "lines": tuple(lines)})


def _assessment(
    config: AssessConfig, real: Splits, own: Splits, embedder: Embedder, measured: Measured, judgement: Judgement
) -> Assessment:
    real_name = f"{config.benchmark.name}_org"
    marks = {(each.name, each.emotion): each for each in judgement.real}
    judged = [
        line([each], [marks[key]] if (key := (each.name, each.emotion)) in marks else []) for each in judgement.measures
    ]
    return Assessment(
        data=config.data.name,
        benchmark=config.benchmark.name,
        embedder=embedder.name,
        lexical=embedder.lexical,
        sizes={split: _size(dialogues) for split, dialogues in own.items()},
        compared=measured.compared,
        lines=(*measured.lines, *judged),
        label_counts={
            name: {split: _labels(dialogues, config.benchmark.labels) for split, dialogues in splits.items()}
            for name, splits in ((real_name, real), (config.data.name, own))
        },
        confusion=measured.confusion,
        offenders=measured.offenders,
        tests=measured.tests,
        points=measured.points,
        examples=measured.examples,
        judge=_judge_record(judgement),
        provenance={
            "data": str(Path(config.data.path)),
            "SHA-256": fingerprint(dialogue for split in SPLITS for dialogue in own[split])[:16],
            "seed": str(config.seed),
            "random draws": str(config.assess.halves),
            "judge": judgement.by or judgement.not_judged,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
        },
    )


def _judge_record(judgement: Judgement) -> dict[str, Any]:
    trust = {
        each.name: each.undefined if each.value is None else each.value
        for each in (*judgement.agreement, *judgement.bias)
    }
    about = {"not_judged": judgement.not_judged, "by": judgement.by, "rubric": judgement.rubric}
    preference = None if judgement.preference is None else asdict(replace(judgement.preference))
    return {**about, "templates_sha256": judgement.templates_sha256, "trust": trust, "preference": preference,
            "funnel": asdict(judgement.funnel)}  # fmt: skip


def _size(dialogues: Sequence[Dialogue]) -> dict[str, int]:
    return {"dialogues": len(dialogues), "utterances": sum(len(dialogue.utterances) for dialogue in dialogues)}


def _labels(dialogues: Sequence[Dialogue], labels: Sequence[str]) -> Mapping[str, int]:
    counts = Counter(turn.emotion for dialogue in dialogues for turn in dialogue.utterances)
    return {label: counts[label] for label in labels}


def _show(found: Sequence[Assessment], console: Console) -> None:
    """What was found: the main figures of all data sets side by side, then sentences about each."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    for each in found:
        table.add_column(Text(inert(each.data)), justify="right")
    table.add_column("real", justify="right")
    keyed = [{each.name + each.family: each for each in one.lines if each.emotion is None} for one in found]
    names = dict.fromkeys(name for lines in keyed for name in lines)
    family = ""
    for name in names:
        lines = [each.get(name) for each in keyed]
        first = next(each for each in lines if each is not None)
        if first.family != family:
            family = first.family
            table.add_section()
            table.add_row(Text(FAMILIES[family], "bold"))
        marks = dict.fromkeys(number(each.mark) for each in lines if each is not None and each.marks)
        table.add_row(f"  {describe(first).title}", *map(_shown, lines), " / ".join(marks))
    console.print(table)
    for each in found:
        for sentence in sentences(each):
            _say(console, f"- {sentence}")


def _shown(each: Line | None) -> Text:
    colours = {"worse": "red", "better": "green"}
    return Text("-") if each is None else Text(number(each.value), colours.get(verdict(each).word, ""))


def _fix(config: AssessConfig, own: Splits, offenders: pd.DataFrame) -> str:
    if offenders.empty:
        return "assess.fix=true: nothing leaks, so there is no copy."
    target = write_clean(Path(config.data.path), own, offenders)
    return f"A copy without leaks is in {target}. Use it with: data={config.data.name} data.path={target}"


def _say(console: Console, text: str) -> None:
    console.print(inert(text), markup=False, soft_wrap=True)
