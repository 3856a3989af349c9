"""All figures of a job as one CSV file, ``metrics.csv``: what every logger gets, without any logger."""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ercsatz.data.text_files import atomic_write
from ercsatz.reporting.text import csv_text
from ercsatz.tracking.figures import Scored, best_metrics, curve_metrics, score_metrics

METRICS = "metrics.csv"


class MetricRow(NamedTuple):
    """A figure of a stage; ``epoch`` (from 1) only where it is one of a curve."""

    stage: str
    epoch: int | None
    metric: str
    value: float


def metric_rows(stage: str, record: Mapping[str, Any], tests: Mapping[str, Scored]) -> list[MetricRow]:
    """A stage's curve, its best epoch and its scores."""
    curve = [
        MetricRow(stage, epoch + 1, metric, value)
        for epoch, _, figures in curve_metrics(record)
        for metric, value in figures.items()
    ]
    figures = {**best_metrics(record), **score_metrics(tests)}
    return curve + [MetricRow(stage, None, metric, value) for metric, value in figures.items()]


def write_metrics(file: Path, rows: Iterable[MetricRow]) -> None:
    """Write rows as CSV, whole or not at all."""
    with atomic_write(file) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(MetricRow._fields)
        writer.writerows([csv_text(row.stage), row.epoch, csv_text(row.metric), row.value] for row in rows)
