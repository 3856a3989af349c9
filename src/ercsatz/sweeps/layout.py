"""What ``ranking.names``, ``order``, ``slices``, ``published`` and ``p_digits`` make of a ranking's tables."""

import logging
from collections.abc import Mapping
from dataclasses import replace

import pandas as pd

from ercsatz.config import PublishedConfig, RankingConfig, SliceConfig
from ercsatz.ranking import Columns, ScoreTable, metrics, pivot, read_records
from ercsatz.ranking.arrange import Arranged
from ercsatz.ranking.papers import published_file
from ercsatz.ranking.read import OURS, Records
from ercsatz.ranking.report import Background, Layout, Published, Slice
from ercsatz.ranking.spreadsheet import read_bytes, to_sheet

_LOG = logging.getLogger(__name__)


def shown_under(background: Background, arranged: Arranged) -> Background:
    """The background with treatments and blocks under the names that they have in the table."""
    names = {"treatment": arranged.treatments, "block": arranged.blocks}

    def renamed(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.replace({column: dict(new) for column, new in names.items() if column in frame})

    return replace(
        background,
        curves=renamed(background.curves),
        per_class=renamed(background.per_class),
        confusions={
            (arranged.treatments.get(treatment, treatment), arranged.blocks.get(block, block)): counts
            for (treatment, block), counts in background.confusions.items()
        },
    )


def layout_of(table: ScoreTable, arranged: Arranged, settings: RankingConfig, scale: float) -> Layout:
    """The tables that the settings ask for.

    Args:
        table: the scores under their own names.
        arranged: the same under the names that are shown.
        settings: which tables; treatments and blocks are those of the table.
        scale: what its scores are multiplied with; 100 for scores from 0 to 1.

    Raises:
        UserError: the published scores cannot be read.
    """
    return Layout(
        parts=tuple(settings.names.get(column, column) for column in settings.treatment),
        slices=tuple(_slice(part, arranged, settings) for part in settings.slices.values()),
        published=_published(settings.published, table, arranged, settings, scale),
        p_digits=settings.p_digits,
    )


def unmatched(layout: Layout) -> list[str]:
    """A sentence where there are published scores, and none is of a treatment and a block of the table."""
    published = layout.published
    if published is None or not published.scores.empty:
        return []
    return [f"No published score of {published.name} is of a treatment and a block of this table."]


def _slice(part: SliceConfig, arranged: Arranged, settings: RankingConfig) -> Slice:
    """The blocks of a slice, each headed by the parts of its name that the slice does not fix."""
    where = {settings.block.index(column): settings.names.get(value, value) for column, value in part.where.items()}
    heads = {}
    for block in arranged.table.cells.index:
        key = arranged.table.block_keys[block]
        if all(key[place] == value for place, value in where.items()):
            heads[block] = " ".join(name for place, name in enumerate(key) if place not in where) or block
    return Slice(part.title, heads)


def _published(
    given: PublishedConfig, table: ScoreTable, arranged: Arranged, settings: RankingConfig, scale: float
) -> Published | None:
    if given.scores is None:
        return None
    found = _read(given.scores, settings)
    if found.metric != table.metric:
        _LOG.info("%s: its scores are %s and not %s, so they are not shown.", given.scores, found.metric, table.metric)
        return None
    theirs = pivot(found.long, found.treatment, found.block, found.metric, found.seed)
    theirs_scale = metrics.shown_scale(found.metric, theirs.cells)
    treatments = _counterparts(table.keys, settings.treatment, found.treatment)
    blocks = _counterparts(table.block_keys, settings.block, found.block)
    scores = theirs.cells.reindex(index=list(blocks.values()), columns=list(treatments.values())) * theirs_scale / scale
    scores.index, scores.columns = (pd.Index(list(names)) for names in (blocks, treatments))
    shown = scores.rename(index=arranged.blocks, columns=arranged.treatments)
    shown = shown.loc[arranged.table.cells.index, arranged.table.cells.columns]
    total = int(theirs.cells.notna().to_numpy().sum())
    return Published(given.name or given.scores, given.source, shown[shown.notna().any(axis=1)], total, given.note)


def _read(scores: str, settings: RankingConfig) -> Records:
    """The published scores, by those of the ranking's columns that they have."""
    file = published_file(scores)
    there = to_sheet(file, read_bytes(file)).columns
    treatment, block = (
        tuple(name for name in names if name in there) for names in (settings.treatment, settings.block)
    )
    metric = settings.metric if settings.metric in there else None
    return read_records(file, Columns(treatment or OURS.treatment, block or OURS.block, metric))


def _counterparts(keys: Mapping[str, tuple[str, ...]], columns: list[str], theirs: tuple[str, ...]) -> dict[str, str]:
    """Name to the name of its published counterpart, by the columns that both have; all else is not compared."""
    if not set(theirs) <= set(columns):
        return {name: name for name in keys}
    places = [columns.index(column) for column in theirs]
    return {name: "_".join(key[place] for place in places) for name, key in keys.items()}
