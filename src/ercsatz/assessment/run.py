"""The whole of ``assess.py``."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from rich.console import Console

from ercsatz import benchmarks, sweep
from ercsatz.assessment.cache import measured
from ercsatz.assessment.clean import refuse_existing, write_clean, write_csv
from ercsatz.assessment.gather import gather
from ercsatz.assessment.record import FILE
from ercsatz.assessment.report import FILES, write
from ercsatz.assessment.terminal import say, show
from ercsatz.assessment.track import log
from ercsatz.check import Rule, at_least_1, enforce
from ercsatz.config import AssessConfig, Variant
from ercsatz.dialogue import SPLITS, Dialogue, atomic_write, check_dialogues, from_json, json_lines
from ercsatz.errors import UserError
from ercsatz.generation.validate import check_rules
from ercsatz.judging.run import judge
from ercsatz.quality.leakage import COLUMNS

FAILURE = "failure.json"
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
    for name in (FILE, FAILURE, OFFENDERS, JUDGEMENTS, TURNS, *FILES):  # of an earlier run in the same folder
        (folder / name).unlink(missing_ok=True)
    try:
        _assess(config, folder, group=hydra.sweep.dir if hydra.mode == RunMode.MULTIRUN else None)
    except Exception as error:
        if hydra.mode != RunMode.MULTIRUN:
            raise
        with atomic_write(folder / FAILURE) as file:
            json.dump({"data": config.data.name, "error": sweep.message(error)}, file, ensure_ascii=False)
        sweep.report(error, config.data.name)


def _assess(config: AssessConfig, folder: Path, group: str | None) -> None:
    enforce(_rules(config))
    console, data = Console(highlight=False), Path(config.data.path)
    if config.data.variant is Variant.org:
        raise UserError(
            f"data={config.data.name} is the benchmark itself, the mark that every report has beside synthetic data. "
            f"Take data={config.benchmark.name}_nat, _bal or _per."
        )
    if config.assess.fix:
        refuse_existing(data)
    own, real = _synthetic(config), benchmarks.load(config.benchmark).splits
    say(console, f"{config.data.name}: embeddings {config.assess.embedder}")
    found = measured(config, real, own, lambda what: say(console, f"  {what} ..."))
    judgement = judge(
        [dialogue for split in SPLITS for dialogue in own[split]], real["train"], config.judge, config.generator,
        config.data.name, config.seed, console,
    )  # fmt: skip
    assessment = gather(config, real, own, found, judgement)
    assessment.write(folder / FILE)
    offenders = pd.DataFrame(assessment.offenders, columns=list(COLUMNS))
    for name, rows in ((OFFENDERS, offenders), (JUDGEMENTS, judgement.rows), (TURNS, judgement.turns)):
        if name == OFFENDERS or len(rows):
            write_csv(folder / name, rows)
    show([assessment], console)
    say(console, f"Written to {folder}: {', '.join(path.name for path in write([assessment], folder))}")
    log(config.wandb, [assessment], folder, f"assess {config.data.name}", group)
    if config.assess.fix:
        say(console, _fix(data, own, offenders))


def _rules(config: AssessConfig) -> Iterator[Rule]:
    chosen = config.assess
    yield at_least_1("assess.halves", chosen.halves)
    yield at_least_1("assess.sample", chosen.sample)
    if chosen.dialogues is not None:
        yield at_least_1("assess.dialogues", chosen.dialogues)
    yield from check_rules(config.checks)
    most = 2**32 - chosen.halves  # each halving has the next seed
    yield "seed", config.seed, 0 <= config.seed <= most, f"from 0 to {most}"


def _synthetic(config: AssessConfig) -> dict[str, tuple[Dialogue, ...]]:
    """The data set; a split may be empty, but not all three."""
    folder, name = Path(config.data.path), config.data.name
    if not folder.is_dir():
        option = f"{config.benchmark.name}_{config.data.variant.value}"
        named = "" if name == option else f" data.name={name}"
        raise UserError(
            f"There is no data set {name} in {folder}. Make it with: python generate.py data={option}{named}"
        )
    splits = {}
    for split in SPLITS:
        path = folder / f"{split}.jsonl"
        splits[split] = tuple(from_json(line, where) for where, line in json_lines(path))
        if splits[split]:
            check_dialogues(splits[split], config.benchmark.labels, str(path))
    if not any(splits.values()):
        raise UserError(f"{folder}: all three splits are empty.")
    return splits


def _fix(data: Path, own: Mapping[str, Sequence[Dialogue]], offenders: pd.DataFrame) -> str:
    if offenders.empty:
        return "assess.fix=true: nothing leaks, so there is no copy."
    target = write_clean(data, own, offenders)
    return f"A copy without the dialogues that leak is in {target}. Use it with: data.name={target.name}"
