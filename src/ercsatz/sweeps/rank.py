"""From finished jobs or a table of scores to a ranking: rank, print, write."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
from rich.table import Table
from rich.text import Text

from ercsatz import ranking
from ercsatz.config import Missing, RankConfig, RankingConfig, variants
from ercsatz.data.text_files import atomic_write
from ercsatz.errors import UserError
from ercsatz.ranking import metrics, report
from ercsatz.ranking.report import Background
from ercsatz.ranking.scores import METRIC
from ercsatz.reporting.console import unfolded
from ercsatz.reporting.text import csv_text, plain
from ercsatz.sweeps.provenance import background
from ercsatz.sweeps.results import collect, is_ranked, records, told_apart, unique
from ercsatz.training.check_config import check_ranking

_LOG = logging.getLogger(__name__)

_APART = "pretrain"
_NAMED = 4  # treatments, in a sentence


def rank_sweeps(sweeps: Sequence[Path], settings: RankingConfig, output: Path | None, since: float = 0.0) -> bool:
    """Rank finished sweeps: print the tables, and write them if ``output`` is given; ``since`` as for ``collect``.

    Returns:
        Whether every job completed.

    Raises:
        UserError: no job completed, which is written too; or as for ``collect`` and ``ranking.rank``.
    """
    results = collect(sweeps, since)
    settings = replace(settings, metric=settings.metric or METRIC)
    long = records(results)
    settings = told_apart(long, settings)
    beside = background(results, settings)
    if all(result["status"] != "completed" for result in results):
        reason = "No job of the sweep completed, so there is nothing to rank."
        _publish(reason, long, 100.0, output, _with_settings(beside, reason, settings))
        raise UserError(reason)
    ranked = is_ranked(long, settings)
    apart = unique(long[(long.stage == _APART) & ~ranked], settings)
    if len(apart):
        beside = replace(beside, apart=_pivot(apart, settings))
    publish(unique(long[ranked], settings), settings, 100.0, output, beside)
    return not beside.failures


def rank_command(cfg: RankConfig) -> None:
    """What ``rank.py`` does: rank a table of scores, or finished sweeps."""
    if (cfg.scores is None) == (not cfg.sweeps):
        raise UserError("Give either scores=FILE.csv or sweeps=[multirun/a,multirun/b].")
    check_ranking(cfg.ranking)
    output = Path(cfg.output) if cfg.output else None
    if cfg.scores is not None:
        _rank_file(cfg.scores, cfg.ranking, output)
    elif not rank_sweeps([Path(folder) for folder in cfg.sweeps], cfg.ranking, output):
        raise UserError("Some jobs did not complete; they are named above. The others are ranked.")


def _rank_file(name: str, settings: RankingConfig, output: Path | None) -> None:
    given = ranking.Columns(tuple(settings.treatment), tuple(settings.block), settings.metric, settings.seed)
    # A variant is the baseline of our own tables, whose rows may well be named by variants.
    baseline = None if settings.baseline in variants() else settings.baseline
    found = ranking.read_records(Path(name), given, baseline)
    settings = replace(
        settings, treatment=list(found.treatment), block=list(found.block), metric=found.metric, seed=found.seed
    )
    source = {"scores": name, "SHA-256": found.sha256, "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"}
    scale = metrics.shown_scale(found.metric, found.long[[found.metric]])
    publish(found.long, settings, scale, output, Background(provenance=source))


def publish(
    long: pd.DataFrame,
    settings: RankingConfig,
    scale: float,
    output: Path | None,
    background: Background = Background(),  # noqa: B008 - frozen
) -> None:
    """Rank score records; print the tables, and write the report and ``scores.csv`` to ``output``.

    Where there is a single treatment, no block without a gap or nothing but scores apart, nothing is ranked.

    Args:
        long: what is ranked.
        settings: treatments, blocks, the metric and what is compared.
        scale: what scores are multiplied with in tables; 100 for scores from 0 to 1.
        output: a folder, or None to print only.
        background: what is shown beside the ranking.
    """
    ranked = _rank(long, settings)
    _publish(ranked, long, scale, output, _with_settings(background, ranked, settings))


_Ranked = ranking.RankResult | ranking.ScoreTable | str


def _publish(ranked: _Ranked, long: pd.DataFrame, scale: float, output: Path | None, background: Background) -> None:
    shown: list[Table | Text] = []
    if isinstance(ranked, ranking.RankResult):
        shown.append(ranking.to_rich(ranked, scale))
    elif isinstance(ranked, ranking.ScoreTable):
        shown.append(ranking.scores_to_rich(ranked, scale))
    if background.apart is not None:
        shown += [Text(f"{report.APART}:"), ranking.scores_to_rich(background.apart, scale)]
    told = [Text(plain(sentence)) for sentence in (*ranking.sentences(ranked, scale), *background.failures)]
    unfolded().print(*shown, *told, sep="\n")
    if output is None:
        return
    written = report.write(ranked, background, scale, output)
    with atomic_write(output / "scores.csv") as file:
        harmless = long.map(lambda cell: csv_text(cell) if isinstance(cell, str) else cell)
        harmless.rename(columns=csv_text).to_csv(file, index=False)
    _LOG.info("Written to %s: %s", output, ", ".join([*(path.name for path in written), "scores.csv"]))


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


def _rank(long: pd.DataFrame, settings: RankingConfig) -> _Ranked:
    if settings.metric in long.columns and long[settings.metric].isna().all():
        return (
            "No completed job ran a stage that is ranked, so there is nothing to rank. ranking.stages can name the "
            "stages that ran."
        )
    table = _pivot(long, settings)
    if settings.missing == Missing.refuse:
        ranking.refuse_gaps(table)
    if len(table.cells.columns) == 1 or table.scores.empty:
        return table
    higher = metrics.direction(table.metric, settings.higher_is_better)
    pairs = ranking.choose_comparisons(table, _comparisons(table, settings), settings.baseline)
    rope = metrics.one_point(table.metric, table.cells) if settings.rope is None else settings.rope
    noted = _noted(table, settings.block, higher, rope if pairs else None)
    return ranking.rank(noted, pairs, higher_is_better=higher, rope=rope)


def _comparisons(table: ranking.ScoreTable, settings: RankingConfig) -> Any:
    """What ``ranking.comparisons`` asks for; the baseline of a phase that shares it with another is that one's."""
    if settings.comparisons != "baseline" or "phase" not in settings.treatment:
        return settings.comparisons
    pairs = ranking.choose_comparisons(table, "baseline", settings.baseline)
    place, done = list(settings.treatment).index("phase"), {treatment for treatment, _ in pairs}
    bases = {name: key for name, key in table.keys.items() if settings.baseline in key}
    for name, key in table.keys.items():
        if name in done or name in bases:
            continue
        wanted = {(*key[:i], settings.baseline, *key[i + 1 :]) for i in range(len(key)) if i != place}
        shared = [base for base, its in bases.items() if any(_but(its, place) == _but(w, place) for w in wanted)]
        pairs += [(name, shared[0])] if shared else []
    return [list(pair) for pair in pairs] or "baseline"


def _but(key: Sequence[str], place: int) -> tuple[str, ...]:
    return (*key[:place], *key[place + 1 :])


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
