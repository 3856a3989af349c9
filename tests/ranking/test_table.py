import math
from decimal import Decimal

import pandas as pd
import pytest

from ercsatz.errors import UserError
from ercsatz.ranking import RankResult, baseline_comparisons, pivot, rank, read_scores

TREATMENT, BLOCK = ["classifier", "variant"], ["benchmark", "test_set"]


def frame(**columns: list[float]) -> pd.DataFrame:
    length = len(next(iter(columns.values())))
    return pd.DataFrame(columns, index=[f"block{i}" for i in range(length)])


def rank_file(path) -> RankResult:
    table = pivot(read_scores(path), TREATMENT, BLOCK, "w_f1")
    return rank(table, baseline_comparisons(table, "org"))


def check_table4(result: RankResult) -> None:
    assert result.rank_sums.tolist() == [63, 24, 29, 62, 28, 23, 76, 49, 51]
    assert result.comparisons["rank_sum_difference"].tolist() == [39, 34, 34, 39, 27, 25]
    assert result.comparisons["treatment"].tolist() == [f"{c}_{v}" for c in CLASSIFIERS for v in ("nat", "bal")]
    assert result.comparisons["baseline"].tolist() == [f"{c}_org" for c in CLASSIFIERS for _ in range(2)]
    p = [0.0005716492, 0.0031136778, 0.0031136778, 0.0005716492, 0.0212199305, 0.0337653081]
    assert result.comparisons["p"].tolist() == pytest.approx(p, abs=5e-11)
    corrected = [0.0034299, 0.0186821, 0.0186821, 0.0034299, 0.1273196, 0.2025918]
    assert result.comparisons["p_bonferroni"].tolist() == pytest.approx(corrected, abs=5e-8)
    cut = [math.floor(p * 10_000) for p in result.comparisons["p_bonferroni"]]
    assert cut == [34, 186, 186, 34, 1273, 2025]  # as the paper prints them: .0034 .0186 ...
    assert result.friedman is not None
    assert result.friedman.chi2 == pytest.approx(45.8667, abs=5e-5)
    assert result.friedman.df == 8


CLASSIFIERS = ("compm", "emoone", "todkat")


def test_table_4_comes_out_as_published(tmp_path, table4_csv):
    path = tmp_path / "table4.csv"
    path.write_text(table4_csv)
    check_table4(rank_file(path))


def test_table_4_comes_out_as_published_from_the_kept_file(shared):
    check_table4(rank_file(shared("published/kaplan2025_table4_wf1.csv")))


def test_positive_difference_is_better_than_the_baseline_in_either_direction():
    scores = frame(org=[1.0, 2.0, 3.0], nat=[1.5, 2.5, 3.5])
    assert rank(scores, [("nat", "org")]).comparisons["rank_sum_difference"].tolist() == [3]
    assert rank(scores, [("nat", "org")], higher_is_better=False).comparisons["rank_sum_difference"].tolist() == [-3]


def test_ties_share_ranks_and_condition_the_test():
    result = rank(frame(a=[0.5, 0.5, 0.4], b=[0.5, 0.4, 0.3], c=[0.6, 0.3, 0.2]), [("a", "c")])
    assert result.ranks.loc["block0"].tolist() == [2.5, 2.5, 1]
    assert result.tied_blocks == 1
    assert result.comparisons["rank_sum_difference"].tolist() == [2.5]
    assert result.comparisons["p"].tolist() == pytest.approx([brute_force_2_5()])


def brute_force_2_5() -> float:
    one = [a - b for i, a in enumerate((1, 2.5, 2.5)) for j, b in enumerate((1, 2.5, 2.5)) if i != j]
    two = [a - b for a in (1, 2, 3) for b in (1, 2, 3) if a != b]
    sums = [x + y + z for x in one for y in two for z in two]
    return sum(abs(s) >= 2.5 for s in sums) / len(sums)


def test_all_tied_table_says_so_and_has_no_nan():
    result = rank(frame(org=[0.5, 0.4], nat=[0.5, 0.4]), [("nat", "org")])
    assert result.friedman is None
    assert result.limit == "All treatments are tied in every block: there is nothing to test."
    assert result.comparisons[["p", "p_bonferroni"]].to_numpy().tolist() == [[1, 1]]
    assert "nothing to test" in str(result)
    assert "nan" not in str(result).lower()


def test_two_treatments_need_six_blocks():
    def sign_test(n: int) -> RankResult:
        return rank(frame(org=[0.4] * n, nat=[0.5] * n), [("nat", "org")])

    five, six = sign_test(5), sign_test(6)
    assert not five.can_be_significant
    assert five.limit is not None
    assert "cannot be significant at this size (smallest attainable corrected p = 0.0625)" in five.limit
    assert six.can_be_significant
    assert six.limit is None
    assert six.comparisons["p"].tolist() == [0.03125]


def test_smallest_p_is_corrected_for_the_comparisons_made():
    result = rank(frame(org=[0.4] * 2, nat=[0.5] * 2, bal=[0.6] * 2), [("nat", "org"), ("bal", "org")])
    assert result.smallest_p == pytest.approx(2 / 36)
    assert result.smallest_p_bonferroni == pytest.approx(4 / 36)
    assert result.comparisons["p"].min() == pytest.approx(2 / 36)


def test_one_block_is_ranked_and_never_significant():
    scores = pd.DataFrame([range(0, 100, 10)], columns=list("abcdefghij"), index=["meld"])
    result = rank(scores, [("j", "a")])
    assert result.comparisons["p"].tolist() == pytest.approx([2 / 90])
    assert not result.can_be_significant
    assert "one block" in str(result.limit)


def test_table_with_a_gap_is_ranked_without_its_block(records):
    gap = (records["classifier"] == "todkat") & (records["test_set"] == "nat") & (records["variant"] == "bal")
    table = pivot(records[~gap], TREATMENT, BLOCK, "w_f1")
    result = rank(table, baseline_comparisons(table, "org"))
    assert result.n == 2
    assert result.table.dropped == ("meld_nat",)
    assert "Dropped blocks: meld_nat" in str(result)


def test_table_without_a_whole_block_is_refused(records):
    whole = (records["classifier"] == "todkat") & (records["variant"] == "bal") & (records["test_set"] == "nat")
    left = records[(records["classifier"] == "compm") & (records["test_set"] != "nat") | whole]
    with pytest.raises(UserError, match=r"todkat_bal has the fewest: 1 of 3"):
        rank(pivot(left, TREATMENT, BLOCK, "w_f1"), [])


def test_table_without_comparisons_is_ranked():
    result = rank(frame(org=[0.4, 0.5], nat=[0.5, 0.6]), [])
    assert len(result.comparisons) == 0
    assert result.rank_sums.tolist() == [4, 2]


@pytest.mark.parametrize("value", [math.nan, math.inf, "0.5", None, pd.NA, Decimal("NaN")])
def test_cell_that_is_not_a_finite_number_is_refused(value):
    scores = frame(org=[0.4, 0.5], nat=[0.5, 0.6]).astype(object)
    scores.loc["block1", "nat"] = value
    with pytest.raises(UserError, match=r"Block block1, treatment nat: .* is not a finite number"):
        rank(scores, [])


def test_whole_numbers_are_scores():
    assert rank(frame(org=[4, 5], nat=[6, 7]), []).rank_sums.tolist() == [4, 2]


@pytest.mark.parametrize(
    "scores",
    [frame(org=[0.5, 50.0], nat=[0.6, 60.0]), frame(org=[50.0, 51.0], nat=[0.6, 0.7])],
    ids=["by block", "by treatment"],
)
def test_two_scales_in_one_table_are_refused(scores):
    with pytest.raises(UserError, match="two scales"):
        rank(scores, [])


def test_losses_may_be_on_both_sides_of_one():
    assert rank(frame(org=[0.5, 2.0], nat=[0.6, 3.0]), [], higher_is_better=False).rank_sums.tolist() == [2, 4]


def test_too_small_tables_are_refused():
    with pytest.raises(UserError, match="at least two treatments; there is org"):
        rank(frame(org=[0.5]), [])
    with pytest.raises(UserError, match="at least one row"):
        rank(pd.DataFrame({"org": [], "nat": []}), [])


def test_names_that_occur_twice_are_refused():
    scores = frame(org=[0.5, 0.6], nat=[0.5, 0.7])
    with pytest.raises(UserError, match="treatment 'org' occurs twice"):
        rank(scores.set_axis(["org", "org"], axis=1), [])
    with pytest.raises(UserError, match="block 'meld' occurs twice"):
        rank(scores.set_axis(["meld", "meld"], axis=0), [])


def test_unknown_comparison_is_refused():
    with pytest.raises(UserError, match=r"'per', which is not in the table\. The treatments are: org, nat"):
        rank(frame(org=[0.5], nat=[0.6]), [("nat", "org"), ("per", "org")])


def test_result_reads_as_text(tmp_path, table4_csv):
    path = tmp_path / "table4.csv"
    path.write_text(table4_csv)
    text = str(rank_file(path))
    assert "Friedman chi-square 45.8667, 8 degrees of freedom, p = 2.52e-07" in text
    assert "compm_nat  compm_org" in text
