"""Every test of every pair of one large table, in a process of its own; started by benchmarks/ranking.py.

python benchmarks/ranking_pairs.py TREATMENTS BLOCKS COMPARISONS.csv LIMIT

LIMIT is in seconds of CPU time.
"""

import json
import resource
import sys
import time

import numpy as np
import pandas as pd

ROPE = 1.0


def table(treatments: int, blocks: int) -> pd.DataFrame:
    """Scores in points of a hundred, some treatments better than others, with ties in the differences."""
    random = np.random.default_rng(0)
    scores = random.normal(60, 5, size=(blocks, treatments)) + random.normal(0, 3, size=treatments)
    return pd.DataFrame(scores.round(2), columns=[f"m{place:03}" for place in range(treatments)])


def pairs(scores: pd.DataFrame) -> list[tuple[str, str]]:
    return [(later, earlier) for place, later in enumerate(scores) for earlier in scores.columns[:place]]


def main() -> None:
    from ercsatz.ranking import rank

    resource.setrlimit(resource.RLIMIT_CPU, (int(sys.argv[4]), resource.RLIM_INFINITY))
    scores = table(int(sys.argv[1]), int(sys.argv[2]))
    began, cpu = time.perf_counter(), time.process_time()
    result = rank(scores, pairs(scores), rope=ROPE)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    result.comparisons.to_csv(sys.argv[3], index=False)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024  # of the whole process, libraries included
    print(json.dumps({"seconds": round(seconds, 2), "CPU seconds": round(cpu, 2), "peak MiB": peak}))


if __name__ == "__main__":
    main()
