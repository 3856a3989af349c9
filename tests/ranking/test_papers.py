import pandas as pd
import pytest

from ercsatz.errors import UserError
from ercsatz.ranking import baseline_comparisons, pivot, rank, read_scores
from ercsatz.ranking.papers import published_file

NAMES = ["classifier", "variant", "benchmark", "test_set"]


def scores_of(path):
    return read_scores(path).set_index(NAMES)["w_f1"].sort_index()


def test_shipped_scores_are_the_published_ones(shared):
    published = scores_of(shared("published/kaplan2025_table4_wf1.csv"))
    assert len(published) == 81
    pd.testing.assert_series_equal(scores_of(published_file("kaplan2025")), published)


def test_rank_sums_and_differences_are_those_that_the_paper_prints():
    table = pivot(read_scores(published_file("kaplan2025")), NAMES[:2], NAMES[2:], "w_f1")
    result = rank(table, baseline_comparisons(table, "org"))
    assert result.rank_sums.tolist() == [63, 24, 29, 62, 28, 23, 76, 49, 51]
    assert result.comparisons["rank_sum_difference"].tolist() == [39, 34, 34, 39, 27, 25]


def test_any_file_may_be_given(tmp_path):
    file = tmp_path / "other.csv"
    file.write_text("")
    assert published_file(str(file)) == file
    with pytest.raises(UserError, match=r"ranking\.published\.scores=nobody2020: .* Shipped are: kaplan2025"):
        published_file("nobody2020")
