"""How long the exact tests take.

    python benchmarks/ranking.py [--output FILE.json]

Each figure is the best of five runs, from the midranks on, without anything kept from one run to the next.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import scipy

from ercsatz.data.text_files import atomic_write
from ercsatz.ranking import exact_pairs, friedman_test, midranks, pairwise_exact_p, rank
from ercsatz.ranking.friedman import _null

RUNS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
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
    }
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.output:
        with atomic_write(arguments.output) as file:
            file.write(text + "\n")


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
