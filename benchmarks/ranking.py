"""How long the exact tests take, and how long every test of every pair of a large table.

    python benchmarks/ranking.py [--before COMMIT] [--limit 600] [--output FILE.json]

Each figure is the best of five runs, from the midranks on, without anything kept from one run to the next. Large tables
are run once each, in a process of its own, whose peak memory is told; the p-values are compared with those of a plain
computation, one pair after the other, and the run fails where they differ by more than 1e-12. With --before the same is
run on an earlier commit of this repository, up to the limit, and the Bayesian probabilities are compared, too.
"""

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy
from ranking_pairs import table
from scipy import stats
from statsmodels.stats.multitest import multipletests

from ercsatz.data.text_files import atomic_write
from ercsatz.ranking import difference_distribution, exact_pairs, friedman_test, midranks, pairwise_exact_p, rank
from ercsatz.ranking.friedman import _null

RUNS = 5
LARGE = ((50, 30), (100, 30), (200, 50))
MOST_OFF = 1e-12
ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--before", metavar="COMMIT")
    parser.add_argument("--limit", type=int, default=600, help="seconds of CPU time for a table")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    result = {
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "exact p of one difference, seconds": {
            f"k={k}, n={n}": best(lambda k=k, n=n: pairwise_exact_p(k, k, n))
            for k, n in ((9, 9), (10, 30), (20, 100), (100, 100), (50, 1000))
        },
        "exact p of all pairs, seconds": {
            f"k={k}, n={n}, {pairs} pairs": best(lambda k=k, n=n: exact_pairs(random_ranks(k, n)))
            for k, n, pairs in ((9, 9, 36), (100, 100, 4950), (50, 1000, 1225))
        },
        "exact Friedman test, seconds": {
            f"k={k}, n={n}": best(lambda k=k, n=n: friedman_exactly(k, n))
            for k, n in ((3, 6), (3, 100), (4, 20), (5, 8), (6, 4), (9, 2))
        },
        "rank: every test of every pair, seconds": {"k=9, n=9, 36 pairs": best(lambda: rank_all_pairs(9, 9))},
        "rank: every test of every pair of large tables": large_tables(arguments.before, arguments.limit),
    }
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.output:
        with atomic_write(arguments.output) as file:
            file.write(text + "\n")


def large_tables(before: str | None, limit: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        earlier = Path(name) / "earlier"
        if before:
            archive = subprocess.run(["git", "archive", before, "src"], cwd=ROOT, capture_output=True, check=True)
            with tarfile.open(fileobj=BytesIO(archive.stdout)) as packed:
                packed.extractall(earlier, filter="data")
        for k, n in LARGE:
            row: dict[str, Any] = {}
            if before:
                row[f"before ({before})"] = in_process(earlier / "src", k, n, Path(name) / "before.csv", limit)
            row["now"] = in_process(ROOT / "src", k, n, Path(name) / "now.csv", limit)
            row |= compared(k, n, Path(name))
            found[f"k={k}, n={n}, {k * (k - 1) // 2} pairs"] = row
    return found


def in_process(source: Path, k: int, n: int, output: Path, limit: int) -> dict[str, float] | str:
    output.unlink(missing_ok=True)
    line = [sys.executable, str(ROOT / "benchmarks" / "ranking_pairs.py"), str(k), str(n), str(output), str(limit)]
    variables = {**os.environ, "PYTHONPATH": str(source)}
    done = subprocess.run(line, env=variables, capture_output=True, text=True)
    if done.returncode == -signal.SIGXCPU:
        return f"stopped after {limit} seconds of CPU time"
    done.check_returncode()
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


def compared(k: int, n: int, folder: Path) -> dict[str, float]:
    """How far the p-values are from the plain ones, at most, and all figures from the earlier ones."""
    now = pd.read_csv(folder / "now.csv", float_precision="round_trip")
    plain = one_by_one(table(k, n))
    off = {"p-values off by at most": float((now[plain.columns] - plain).abs().to_numpy().max())}
    if (folder / "before.csv").exists():
        before = pd.read_csv(folder / "before.csv", float_precision="round_trip")
        numbers = now.columns.drop(["treatment", "baseline"])
        off["all columns differ from before by at most"] = float(
            (now[numbers] - before[numbers]).abs().to_numpy().max()
        )
    assert max(off.values()) <= MOST_OFF, off
    return off


def one_by_one(scores: pd.DataFrame) -> pd.DataFrame:
    """The p-values of every pair, computed one after the other and corrected by statsmodels."""
    values, (n, k) = scores.to_numpy(), scores.shape
    ranks = midranks(values)
    sums, exact = ranks.sum(axis=0), difference_distribution(ranks)
    unit = np.sqrt(n * k * (k + 1) / 12)
    left = n * ((ranks - (k + 1) / 2) ** 2).sum() - ((sums - n * (k + 1) / 2) ** 2).sum()
    degrees = (n - 1) * (k - 1)
    rows = []
    for i, j in zip(*np.tril_indices(k, -1), strict=True):
        difference, gains = abs(sums[i] - sums[j]), np.round(values[:, i] - values[:, j], 10)
        t = difference * np.sqrt(degrees / (2 * left))
        rows.append(
            {
                "p": exact.p(difference),
                "p_nemenyi": stats.studentized_range.sf(difference / unit, k, np.inf),
                "p_conover": 2 * stats.t.sf(t, degrees),
                "p_siegel": 2 * stats.norm.sf(difference / unit / np.sqrt(2)),
                "p_wilcoxon": plain_wilcoxon(gains),
                "p_sign": stats.binomtest(int((gains > 0).sum()), int((gains != 0).sum())).pvalue,
            }
        )
    frame = pd.DataFrame(rows)
    for name, method in {"bonferroni": "bonferroni", "holm": "holm", "hommel": "hommel", "bh": "fdr_bh"}.items():
        frame[f"p_{name}"] = multipletests(frame.p, method=method)[1]
    for name in ("conover", "siegel", "wilcoxon", "sign"):
        frame[f"p_{name}_holm"] = multipletests(frame[f"p_{name}"], method="holm")[1]
    return frame.drop(columns=["p_conover", "p_siegel"])


def plain_wilcoxon(gains: np.ndarray) -> float:
    """The share of all signs that leave the signed ranks at least as far from balance."""
    gains = gains[gains != 0]
    steps = np.rint(2 * stats.rankdata(np.abs(gains))).astype(int)
    ways = np.ones(1)
    for step in steps:
        ways = (np.pad(ways, (0, step)) + np.pad(ways, (step, 0))) / 2
    distance = abs(2 * int(steps[gains > 0].sum()) - int(steps.sum()))
    return float(ways[np.abs(2 * np.arange(len(ways)) - steps.sum()) >= distance].sum())


def best(run: Callable[[], object]) -> float:
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return float(f"{min(times):.2g}")


def random_ranks(k: int, n: int) -> pd.DataFrame:
    return pd.DataFrame(midranks(np.random.default_rng(0).normal(size=(n, k))))


def friedman_exactly(k: int, n: int) -> None:
    _null.cache_clear()
    test = friedman_test(random_ranks(k, n))
    assert test is not None
    assert test.p_exact is not None


def rank_all_pairs(k: int, n: int) -> None:
    scores = pd.DataFrame(np.random.default_rng(0).uniform(50, 70, size=(n, k)))
    rank(scores, [(one, other) for one in range(k) for other in range(one)])


if __name__ == "__main__":
    main()
