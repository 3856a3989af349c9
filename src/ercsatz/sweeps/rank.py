"""From finished jobs or a table of scores to a ranking: rank, print, write."""

import logging
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
from rich.table import Table
from rich.text import Text

from ercsatz import ranking
from ercsatz.config import Missing, RankConfig, RankingConfig, variants
from ercsatz.config.command_line import refuse_blocked
from ercsatz.data.text_files import atomic_write
from ercsatz.errors import UserError
from ercsatz.ranking import metrics, report
from ercsatz.ranking.arrange import Arranged, arrange
from ercsatz.ranking.report import Background
from ercsatz.ranking.report.terminal import MOST_COLUMNS, MOST_LINES
from ercsatz.ranking.scores import METRIC
from ercsatz.reporting.console import unfolded
from ercsatz.reporting.status import together
from ercsatz.reporting.text import csv_text, plain
from ercsatz.sweeps.layout import layout_of, shown_under, unmatched
from ercsatz.sweeps.progress import comparing
from ercsatz.sweeps.provenance import background
from ercsatz.sweeps.results import ANY, collect, differing, is_ranked, records, refuse_mixed, swept, told_apart, unique
from ercsatz.training.check_config import check_ranking

_LOG = logging.getLogger(__name__)

_APART = "pretrain"
_NAMED = 4  # treatments, in a sentence
_COMPARISONS_TOLD = 30  # more do not stand in the sentences, nor in a table as wide as a terminal


def rank_sweeps(sweeps: Sequence[Path], settings: RankingConfig, output: Path | None) -> bool:
    """Rank finished sweeps: print the tables, and write them if ``output`` is given.

    Returns:
        Whether every job completed.

    Raises:
        UserError: no job completed, which is written too; or as for ``collect`` and ``ranking.rank``.
    """
    results = collect(sweeps)
    settings = replace(settings, metric=settings.metric or METRIC)
    long = records(results)
    settings = told_apart(long, settings, swept(results))
    beside = background(results, settings)
    if all(result["status"] != "completed" for result in results):
        reason = "No job of the sweep completed, so there is nothing to rank."
        _publish(reason, long, 100.0, output, _with_settings(beside, reason, settings))
        raise UserError(reason)
    ranked = is_ranked(long, settings)
    apart = unique(long[(long.stage == _APART) & ~ranked], settings)
    if len(apart):
        table = _pivot(apart, settings)
        beside = replace(beside, apart=arrange(table, settings.names, settings.order).table)
    left = unique(long[ranked], settings)
    refuse_mixed(left, results, settings)
    publish(left, settings, 100.0, output, beside, differing(left, results, settings))
    return not beside.failures


def rank_command(cfg: RankConfig) -> None:
    """What ``rank.py`` does: rank a table of scores, or finished sweeps."""
    if (cfg.scores is None) == (not cfg.sweeps):
        raise UserError("Give either scores=FILE.csv or sweeps=[multirun/a,multirun/b].")
    check_ranking(cfg.ranking)
    output = Path(cfg.output) if cfg.output else None
    refuse_blocked([output] if output else [])
    sweeps = [Path(folder) for folder in cfg.sweeps]
    whole = _rank_file(cfg.scores, cfg.ranking, output) if cfg.scores else rank_sweeps(sweeps, cfg.ranking, output)
    if output is not None:
        _track(cfg, sweeps, output)
    if not whole:
        raise UserError("Some jobs did not complete; they are named above. The others are ranked.")


def _track(cfg: RankConfig, sweeps: Sequence[Path], output: Path) -> None:
    """Log the ranking to Weights & Biases; what goes wrong there costs a line."""
    try:
        from ercsatz.sweeps.wandb_ranking import lineage, log_ranking

        made_of = lineage(collect(sweeps)) if sweeps else {"scores": cfg.scores}
        config = {"ranking": asdict(cfg.ranking), "sweeps": [folder.name for folder in sweeps], **made_of}
        log_ranking(cfg.wandb, output.resolve().name, output, config, str(output.resolve()))
    except Exception as error:
        _LOG.warning("Weights & Biases has not got the ranking: %s", " ".join(str(error).split()))


def _rank_file(name: str, settings: RankingConfig, output: Path | None) -> bool:
    given = ranking.Columns(tuple(settings.treatment), tuple(settings.block), settings.metric, settings.seed)
    # A variant is the baseline of our own tables, whose rows may well be named by variants.
    baseline = None if settings.baseline in variants() else settings.baseline
    found = ranking.read_records(Path(name), given, baseline)
    settings = replace(
        settings, treatment=list(found.treatment), block=list(found.block), metric=found.metric, seed=found.seed
    )
    for note in found.notes:
        _LOG.info("%s", note)
    source = {"scores": name, "SHA-256": found.sha256, "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"}
    source |= {"left out or read": " ".join(found.notes)} if found.notes else {}
    scale = metrics.shown_scale(found.metric, found.long[[found.metric]])
    publish(found.long, settings, scale, output, Background(provenance=source))
    return True


def publish(
    long: pd.DataFrame,
    settings: RankingConfig,
    scale: float,
    output: Path | None,
    background: Background = Background(),  # noqa: B008 - frozen
    notes: Sequence[str] = (),
) -> None:
    """Rank score records; print the tables, and write the report and ``scores.csv`` to ``output``.

    Where there is a single treatment, no block without a gap or nothing but scores apart, nothing is ranked.

    Args:
        long: what is ranked.
        settings: treatments, blocks, the metric and what is compared.
        scale: what scores are multiplied with in tables; 100 for scores from 0 to 1.
        output: a folder, or None to print only.
        background: what is shown beside the ranking.
        notes: sentences on the treatments.
    """
    if settings.metric in long.columns and long[settings.metric].isna().all():
        reason = (
            "No completed job ran a stage that is ranked, so there is nothing to rank. ranking.stages can name the "
            "stages that ran."
        )
        return _publish(reason, long, scale, output, _with_settings(background, reason, settings))
    table = _pivot(long, settings)
    arranged = arrange(replace(table, notes=(*table.notes, *notes)), settings.names, settings.order)
    layout = layout_of(table, arranged, settings, scale)
    arranged = arranged._replace(table=replace(arranged.table, notes=(*arranged.table.notes, *unmatched(layout))))
    ranked = _rank(table, arranged, settings)
    background = replace(shown_under(background, arranged), layout=layout)
    return _publish(ranked, long, scale, output, _with_settings(background, ranked, settings))


_Ranked = ranking.RankResult | ranking.ScoreTable | str


def _publish(ranked: _Ranked, long: pd.DataFrame, scale: float, output: Path | None, background: Background) -> None:
    console = unfolded()
    sentences = ranking.sentences(ranked, scale, background.apart)
    if not isinstance(ranked, str):
        sentences += report.sentences_by_label(ranked, background)
    told = [Text(plain(sentence)) for sentence in (*sentences, *together(background.failures))]
    tables = _tables(ranked, scale, background, console.width)
    console.print(*tables, *told, *_elsewhere(ranked, output), sep="\n")
    if output is None:
        return
    written = report.write(ranked, background, scale, output)
    with atomic_write(output / "scores.csv") as file:
        harmless = long.map(lambda cell: csv_text(cell) if isinstance(cell, str) else cell)
        harmless.rename(columns=csv_text).to_csv(file, index=False)
    _LOG.info("Written to %s: %s", output, ", ".join([*(path.name for path in written), "scores.csv"]))


def _tables(ranked: _Ranked, scale: float, background: Background, width: int) -> list[Table | Text]:
    """The tables for a terminal of this width, with what stands below each."""
    shown: list[Table | Text] = []
    if not isinstance(ranked, str):
        table = ranked.table if isinstance(ranked, ranking.RankResult) else ranked
        runs = [len(group.members) for group in report.groups(table, list(table.cells.columns))]
        if isinstance(ranked, ranking.RankResult):
            shown += report.fitted(ranking.to_rich(ranked, scale, background.layout), width, runs=runs)
            shown += map(Text, report.p_notes(ranked, background.layout.p_digits))
        else:
            shown += report.fitted(ranking.scores_to_rich(ranked, scale), width, runs=runs)
    for part in report.layout_tables(ranked, scale, background.layout):
        runs = [span for _, span in part.groups]
        shown += report.fitted(report.text_table_to_rich(part), width, part.names, runs)
        shown += [Text(plain(note)) for note in part.notes]
    if background.apart is not None:
        shown += [Text(f"{report.APART}:"), *report.fitted(ranking.scores_to_rich(background.apart, scale), width)]
    return shown


def _elsewhere(ranked: _Ranked, output: Path | None) -> list[Text]:
    """What the terminal has no room for, and where it is."""
    if not isinstance(ranked, ranking.RankResult):
        return []
    best = f"Above are the {MOST_LINES} best treatments. " if ranked.k > MOST_LINES else ""
    rest = [f"all {ranked.k} treatments with every block"] if ranked.k > MOST_COLUMNS else []
    if (made := len(ranked.comparisons)) > _COMPARISONS_TOLD:
        rest.append(f"all {made:,} comparisons")
    writes = ", which output=FOLDER writes," if output is None else ""
    return [Text(f"{best}The report{writes} has {' and '.join(rest)}.")] if rest else []


def _with_settings(beside: Background, ranked: _Ranked, settings: RankingConfig) -> Background:
    """With what decides how scores are ranked in the provenance; the rope as it was used."""
    rope = ranked.rope if isinstance(ranked, ranking.RankResult) else settings.rope
    stages = {} if "scores" in beside.provenance else {"stages": _typed(settings.stages or "as each phase says")}
    used = {"comparisons": _typed(settings.comparisons), "baseline": settings.baseline}
    used |= {"rope": "null" if rope is None else f"{rope:g}"}
    used |= {"repeats": settings.repeats.value, "missing": settings.missing.value}
    told = {"ranking": " ".join(f"{key}={value}" for key, value in (stages | used).items())}
    return replace(beside, provenance={**beside.provenance, **told, "ranked by": f"ercsatz {version('ercsatz')}"})


def _typed(value: Any) -> str:
    """A list as one would type it."""
    return value if isinstance(value, str) else f"[{','.join(map(_typed, value))}]"


def _rank(own: ranking.ScoreTable, arranged: Arranged, settings: RankingConfig) -> _Ranked:
    """Rank the arranged table; the settings are of its own names."""
    table = arranged.table
    if settings.missing == Missing.refuse:
        ranking.refuse_gaps(own)
    if len(table.cells.columns) == 1 or table.scores.empty:
        return table
    higher = metrics.direction(table.metric, settings.higher_is_better)
    chosen = ranking.choose_comparisons(own, _comparisons(own, settings), settings.baseline)
    shown = {pair: (arranged.treatments[pair[0]], arranged.treatments[pair[1]]) for pair in chosen}
    places = {name: place for place, name in enumerate(table.cells.columns)}
    pairs = sorted(shown.values(), key=lambda pair: places[pair[0]]) if settings.order else list(shown.values())
    rope = metrics.one_point(table.metric, table.cells) if settings.rope is None else settings.rope
    noted = _noted(table, settings.block, higher, rope if pairs else None)
    with comparing(unfolded()) as progress:
        return ranking.rank(noted, pairs, higher_is_better=higher, rope=rope, progress=progress)


def _comparisons(table: ranking.ScoreTable, settings: RankingConfig) -> Any:
    """What ``ranking.comparisons`` asks for; a baseline that several phases or swept values share is that of each."""
    if settings.comparisons != "baseline":
        return settings.comparisons
    pairs = ranking.choose_comparisons(table, "baseline", settings.baseline)
    done = {treatment for treatment, _ in pairs}
    bases = {name: key for name, key in table.keys.items() if settings.baseline in key}
    for name, key in table.keys.items():
        if name not in done and name not in bases:
            wanted = [(*key[:i], settings.baseline, *key[i + 1 :]) for i in range(len(key))]
            shared = [base for base, its in bases.items() if any(_stands_for(its, w, settings) for w in wanted)]
            pairs += [(name, shared[0])] if shared else []
    return [list(pair) for pair in pairs] or "baseline"


def _stands_for(base: Sequence[str], wanted: Sequence[str], settings: RankingConfig) -> bool:
    """Whether a baseline is the one that is wanted, of whichever phase, or of any value of a swept key."""
    parts = zip(settings.treatment, base, wanted, strict=True)
    return all(one in {other, ANY} or name == "phase" for name, one, other in parts)


def _noted(table: ranking.ScoreTable, block: Sequence[str], higher: bool, rope: float | None) -> ranking.ScoreTable:
    """The table with sentences on what is ranked, the direction, unless it is lower, which the report tells, and more.

    The rope is told where treatments are compared, else what to compare.
    """
    names = list(table.cells.columns)
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    over = f"Ranked are the treatments {', '.join(names[:_NAMED])}{more}, over the blocks of {' and '.join(block)}."
    direction = (f"A higher {report.title(table.metric)} is better: rank 1 is the highest.",) if higher else ()
    compare = (
        "Say what to compare: ranking.baseline=TREATMENT or ranking.comparisons=all."
        if rope is None
        else f"Scores up to {rope:g} apart, in their own unit, count as practically equal (ranking.rope={rope:g})."
        if rope
        else "Only scores that are the same count as practically equal (ranking.rope=0)."
    )
    return replace(table, notes=(*table.notes, over, *direction, compare))


def _pivot(long: pd.DataFrame, settings: RankingConfig) -> ranking.ScoreTable:
    assert settings.metric is not None
    treatment, block = list(settings.treatment), list(settings.block)
    return ranking.pivot(long, treatment, block, settings.metric, settings.seed, settings.repeats.value)
