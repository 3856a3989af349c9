from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from ercsatz.ranking import RankResult, baseline_comparisons, pivot, rank, read_scores
from ercsatz.ranking.report import Background

SCRIPT, IMAGE, TEX = "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', r"$x_1$ & 50% \input{/etc/passwd}"
HOSTILE = (
    SCRIPT,
    IMAGE,
    TEX,
    "two\nlines",
    "\u202egnp.exe\u200f",
    "=1+1 \U0001f642",
    "[x](javascript:alert(1))|`y`",
)
"""Names that some kind of file would obey."""


def records(treatments: Any, blocks: Any, seeds: int = 1) -> pd.DataFrame:
    """Score records that differ everywhere: (classifier, variant) on (benchmark, test set)."""
    names = ["classifier", "variant", "benchmark", "test_set", "seed", "w_f1"]
    rows = [
        (*treatment, *block, seed, 0.3 + 0.05 * i + 0.01 * j + 0.001 * seed)
        for i, treatment in enumerate(treatments)
        for j, block in enumerate(blocks)
        for seed in range(seeds)
    ]
    return pd.DataFrame(rows, columns=names)


def ranked(long: pd.DataFrame, baseline: str = "org") -> RankResult:
    table = pivot(long, ["classifier", "variant"], ["benchmark", "test_set"], "w_f1")
    return rank(table, baseline_comparisons(table, baseline), rope=0.01)


def background_of(result: RankResult, labels: Any, note: str = "a sentence") -> Background:
    """A background with something of everything for the treatments and blocks of a result."""
    treatments, blocks = list(result.table.cells.columns), list(result.table.cells.index)
    counts = pd.DataFrame([[5 + i + j for j in range(len(labels))] for i in range(len(labels))], labels, labels)
    curves = [
        (t, note, stage, seed, epoch, 1 / epoch, 0.3 + 0.1 * epoch + 0.01 * seed)
        for t in treatments for stage in ("original", "pretrain", "finetune") for seed in (1, 2) for epoch in (1, 2, 3)
    ]  # fmt: skip
    per_class = [
        {"treatment": t, "block": b, "seed": s, "label": label, "f1": (1 + i + j) / 40, "support": 10 + j}
        for i, t in enumerate(treatments) for b in blocks for s in (1, 2) for j, label in enumerate(labels)
    ]  # fmt: skip
    data = [
        {"data": f"{note}_{variant}", "split": split, "label": label, "count": 10 ** (i + 1)}
        for variant in ("org", note) for split in ("train", "test") for i, label in enumerate(labels)
    ]  # fmt: skip
    return Background(
        apart=result.table,
        failures=(note,),
        curves=pd.DataFrame(curves, columns=["treatment", "benchmark", "stage", "seed", "epoch", "loss", "w_f1"]),
        per_class=pd.DataFrame(per_class),
        confusions={(t, b): counts for b in blocks for t in treatments},
        label_counts=pd.DataFrame(data),
        provenance={"benchmarks": note, "date": note, note: note},
    )


@pytest.fixture
def table4(tmp_path, table4_csv) -> RankResult:
    path = tmp_path / "table4.csv"
    path.write_text(table4_csv)
    return ranked(read_scores(path))


@pytest.fixture(scope="session")
def make() -> Callable[..., RankResult]:
    """``records`` ranked against ``org``: two classifiers, three variants, six blocks unless said otherwise."""

    def make(treatments: Any = None, seeds: int = 1) -> RankResult:
        treatments = treatments or [(c, v) for c in ("compm", "todkat") for v in ("org", "nat", "bal")]
        return ranked(records(treatments, [("meld", f"t{i}") for i in range(6)], seeds))

    return make


@pytest.fixture(scope="session")
def rich(make) -> tuple[RankResult, Background]:
    """Two seeds, and something in every part of the background."""
    result = make(seeds=2)
    return result, background_of(result, ("neutral", "joy", "anger"))


@pytest.fixture(scope="session")
def hostile() -> tuple[RankResult, Background]:
    """A result and a background in which every name is hostile."""
    treatments = [(c, v) for c in HOSTILE[:2] for v in ("org", *HOSTILE[2:])]
    result = ranked(records(treatments, [("meld", name) for name in HOSTILE], seeds=2))
    return result, background_of(result, HOSTILE[:5], IMAGE)
