"""Every pair of large tables, as people type it."""

import csv
import resource

import numpy as np
import pytest


def write_table(path, treatments, blocks):
    random = np.random.default_rng(0)
    scores = random.normal(60, 5, size=(blocks, treatments)) + random.normal(0, 3, size=treatments)
    lines = [",".join(["data", *(f"m{i:03}" for i in range(treatments))])]
    lines += [",".join([f"set {place}", *(f"{score:.2f}" for score in row)]) for place, row in enumerate(scores)]
    path.write_text("\n".join(lines) + "\n")


TABLES = [(50, 30), pytest.param(100, 30, marks=pytest.mark.slow), pytest.param(200, 50, marks=pytest.mark.slow)]


@pytest.mark.parametrize(("treatments", "blocks"), TABLES)
def test_every_pair_of_a_large_table_is_compared_and_written(command, tmp_path, treatments, blocks):
    write_table(tmp_path / "large.csv", treatments, blocks)
    done = command(tmp_path, "rank.py", "scores=large.csv", "ranking.comparisons=all", "ranking.rope=1", "output=out")
    assert done.returncode == 0, done.stderr
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 1_500_000  # KiB
    pairs = treatments * (treatments - 1) // 2
    with (tmp_path / "out" / "ranking.csv").open() as file:
        assert sum(row["baseline"] != "" for row in csv.DictReader(file)) == pairs
    assert (tmp_path / "out" / "ranking.html").stat().st_size < 10_000_000
    assert f"The report has all {treatments} treatments with every block and all {pairs:,} comparisons." in done.stdout
    assert len(done.stdout.splitlines()) < 70
