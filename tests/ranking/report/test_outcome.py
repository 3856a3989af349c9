import re

import numpy as np
import pandas as pd
import pytest

from ercsatz.ranking import baseline_comparisons, pivot, rank
from ercsatz.ranking.report.outcome import comparison_sentences
from ercsatz.ranking.scores import BLOCK, TREATMENT


@pytest.fixture
def wide():
    """Two classifiers with nine variants each on ten blocks; some variants of one are better."""
    rng = np.random.default_rng(0)
    gains = {"compm": 0.04, "todkat": 0.004}
    rows = [
        (classifier, f"v{v}" if v else "org", "meld", f"t{t}", 0.3 + gain * v + rng.normal(0, 0.02))
        for classifier, gain in gains.items()
        for v in range(9)
        for t in range(10)
    ]
    table = pivot(pd.DataFrame(rows, columns=[*TREATMENT, *BLOCK, "w_f1"]), TREATMENT, BLOCK, "w_f1")
    return rank(table, baseline_comparisons(table, "org"), rope=0.01)


def test_fifteen_comparisons_and_more_are_counted_by_outcome_and_classifier(wide):
    first, *groups = comparison_sentences(wide, 100)
    counts = dict(re.findall(r"(better than the baseline|worse than the baseline|no difference shown): (\d+)", first))
    verdicts = wide.comparisons.p_bonferroni < 0.05
    assert int(counts["better than the baseline"]) == verdicts.sum() > 0
    assert sum(map(int, counts.values())) == 16
    assert "Bonferroni-corrected for 16 comparisons" in first
    better = groups[0]
    found = wide.comparisons[verdicts]
    low, high = 100 * found.median_difference.min(), 100 * found.median_difference.max()
    assert better.startswith(
        f"Better than the baseline, {len(found)} of 16: median gain {low:+.2f} to {high:+.2f}, p = "
    )
    of = found.treatment.str.split("_").str[0].value_counts()
    assert f"Of compm: {of.get('compm', 0)} of 8, of todkat: {of.get('todkat', 0)} of 8." in better
    strongest = found.loc[found.p.idxmin()]
    assert f"the smallest p has {strongest.treatment} against {strongest.baseline} (median gain" in better
    assert groups[-1].endswith("A difference that is not shown may still be there.")


def test_one_outcome_alone_is_not_counted_twice(wide):
    flat = wide.table.cells * 0 + 0.5
    flat.iloc[0, 0], flat.iloc[1, 1] = 0.6, 0.6
    names = list(flat.columns)
    first, *_ = comparison_sentences(rank(pd.DataFrame(flat), [(name, names[0]) for name in names[1:16]]), 100)
    assert first.startswith("No difference shown, 15 of 15: median gain ")
    assert "This is by the exact test" in first


def test_fewer_are_listed(table4):
    (told,) = comparison_sentences(table4, 1)
    assert told.count(" against ") == 6
