"""What a report shows beside the ranking."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from ercsatz.ranking.report.layout import Layout
from ercsatz.ranking.scores import ScoreTable


@dataclass(frozen=True, eq=False)
class Background:
    """Where the scores come from, as plain values. Whatever is empty is left out of the report.

    Attributes:
        apart: scores that are shown and not ranked: classifiers trained on synthetic data alone.
        failures: a sentence for each job that did not complete.
        curves: columns ``treatment, benchmark, stage, seed, epoch, loss, w_f1``; ``loss`` is the training loss and
            ``w_f1`` that of validation, 0 to 1.
        per_class: columns ``treatment, block, seed, label, f1, support`` and ``share``; ``f1`` from 0 to 1, ``share``
            that of the label in the real training split, NaN where it is not known.
        confusions: (treatment, block) to counts, the gold label (index) by the predicted (columns), summed over seeds.
            They are shown in their order.
        label_counts: columns ``data, split, label, count``.
        provenance: what to what, e.g. ``{"seeds": "1, 2"}``, shown in its order. ``benchmarks`` and ``date`` are
            also shown under the title.
        layout: tables in the way of a paper.

    Example:
        >>> Background(failures=("compm_nat failed: out of memory.",)).curves.empty
        True
    """

    apart: ScoreTable | None = None
    failures: tuple[str, ...] = ()
    curves: pd.DataFrame = field(default_factory=pd.DataFrame)
    per_class: pd.DataFrame = field(default_factory=pd.DataFrame)
    confusions: Mapping[tuple[str, str], pd.DataFrame] = field(default_factory=dict)
    label_counts: pd.DataFrame = field(default_factory=pd.DataFrame)
    provenance: Mapping[str, str] = field(default_factory=dict)
    layout: Layout = field(default_factory=Layout)
