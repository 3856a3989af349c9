import math
import re
import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ercsatz.errors import UserError
from ercsatz.ranking import (
    ALPHA,
    RankResult,
    ScoreTable,
    baseline_comparisons,
    bayesian_signed_rank,
    benjamini_hochberg,
    bonferroni,
    conover_pairs,
    exact_pairs,
    holm,
    hommel,
    median_difference,
    nemenyi_pairs,
    pairwise_exact_p,
    pivot,
    rank,
    rank_biserial,
    read_scores,
    siegel_pairs,
    sign_pairs,
    wilcoxon_pairs,
)

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


def test_comparisons_hold_every_test_of_the_pair():
    rng = np.random.default_rng(0)
    scores = pd.DataFrame(rng.integers(40, 60, size=(8, 4)), columns=["org", "nat", "bal", "per"])
    made = [("nat", "org"), ("bal", "org"), ("per", "org")]
    result = rank(scores, made, rope=2.0)
    found = result.comparisons.set_index(["treatment", "baseline"])
    assert list(found.index) == made
    assert list(found.columns) == [
        *("rank_sum_difference", "p", "p_bonferroni", "p_holm", "p_hommel", "p_bh", "p_nemenyi", "p_conover_holm"),
        *("p_siegel_holm", "p_wilcoxon", "p_wilcoxon_holm", "p_sign", "p_sign_holm", "rank_biserial"),
        *("median_difference", "low", "high", "better", "equivalent", "worse"),
    ]
    uncorrected = {
        "p": exact_pairs(result.ranks),
        "p_nemenyi": nemenyi_pairs(result.ranks),
        "p_conover": conover_pairs(result.ranks),
        "p_siegel": siegel_pairs(result.ranks),
        "p_wilcoxon": wilcoxon_pairs(scores),
        "p_sign": sign_pairs(scores),
    }
    expected = {name: [matrix.loc[pair] for pair in made] for name, matrix in uncorrected.items()}
    for name in ("p_conover", "p_siegel", "p_wilcoxon", "p_sign"):
        expected[f"{name}_holm"] = holm(expected[name])
    expected |= {"p_bonferroni": bonferroni(expected["p"]), "p_holm": holm(expected["p"])}
    expected |= {"p_hommel": hommel(expected["p"]), "p_bh": benjamini_hochberg(expected["p"])}
    for name in set(expected) - {"p_conover", "p_siegel"}:
        assert found[name].tolist() == pytest.approx(list(expected[name]), rel=1e-12), name
    gains = scores["bal"] - scores["org"]
    row = found.loc[("bal", "org")]
    assert row["rank_biserial"] == rank_biserial(gains)
    assert tuple(row[["median_difference", "low", "high"]]) == median_difference(gains)
    assert tuple(row[["better", "equivalent", "worse"]]) == bayesian_signed_rank(gains, 2.0)


def test_lower_is_better_turns_every_difference_and_no_p():
    rng = np.random.default_rng(1)
    scores = pd.DataFrame(rng.integers(40, 60, size=(7, 3)), columns=["org", "nat", "bal"])
    made = [("nat", "org"), ("bal", "org")]
    up, down = rank(scores, made), rank(scores, made, higher_is_better=False)
    for column in ("rank_sum_difference", "median_difference", "rank_biserial"):
        assert down.comparisons[column].tolist() == (-up.comparisons[column]).tolist()
    assert down.comparisons["low"].tolist() == pytest.approx((-up.comparisons["high"]).tolist(), abs=1.5)
    assert down.comparisons["better"].tolist() == pytest.approx(up.comparisons["worse"].tolist(), abs=0.02)
    for column in (column for column in up.comparisons if column.startswith("p")):
        assert down.comparisons[column].tolist() == pytest.approx(up.comparisons[column].tolist()), column
    assert (up.higher_is_better, down.higher_is_better) == (True, False)
    assert "the lowest" in str(down)


def test_region_of_equivalence_takes_small_differences():
    scores = frame(org=[50.0] * 8, nat=[50.5] * 8)
    assert rank(scores, [("nat", "org")], rope=1.0).comparisons["equivalent"].tolist() == [1]
    assert rank(scores, [("nat", "org")]).comparisons["better"].tolist() == pytest.approx([1], abs=0.001)
    with pytest.raises(UserError, match="region of practical equivalence is -1"):
        rank(scores, [], rope=-1.0)


def test_critical_difference_is_the_first_that_is_significant_among_all_pairs(tmp_path, table4_csv):
    path = tmp_path / "table4.csv"
    path.write_text(table4_csv)
    result = rank_file(path)
    critical = result.critical_difference
    assert critical is not None
    p = [pairwise_exact_p(difference, k=9, n=9) * 36 for difference in (critical - 1, critical)]
    assert p[1] < ALPHA <= p[0]
    assert result.pairs.loc["compm_nat", "compm_org"] == result.comparisons["p"][0]
    assert result.kendalls_w == pytest.approx(45.8667 / 72, abs=1e-6)
    assert result.blocks_needed == 2


def test_small_table_has_no_critical_difference_and_says_how_many_blocks_it_needs():
    result = rank(frame(org=[0.4] * 2, nat=[0.5] * 2, bal=[0.6] * 2), [("nat", "org"), ("bal", "org")])
    assert result.critical_difference is None
    assert result.blocks_needed == 3


def test_all_blocks_agreeing_is_told_without_an_infinite_number():
    text = str(rank(frame(org=[0.4] * 4, nat=[0.5] * 4, bal=[0.6] * 4), [("nat", "org")]))
    assert "Iman-Davenport F is infinite: all blocks agree" in text
    assert "Friedman exact p = 0.00463" in text
    assert "Kendall's W 1.000" in text


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
    p = [column for column in result.comparisons if column.startswith("p")]
    assert (result.comparisons[p] == 1).all(axis=None)
    assert result.comparisons["rank_biserial"].isna().all()
    assert result.kendalls_w is None
    assert result.critical_difference is None
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
    assert result.comparisons["p_conover_holm"].isna().all()
    assert result.critical_difference is None
    assert "nan" not in str(result).lower()
    assert "inf" not in str(result).lower()


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
    assert list(result.comparisons) == list(rank(frame(org=[0.4], nat=[0.5]), [("nat", "org")]).comparisons)
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


def test_single_score_on_another_scale_is_refused():
    scores = frame(org=[50.0, 61.0, 42.0], nat=[0.55, 64.0, 47.0], bal=[56.0, 62.0, 45.0])
    with pytest.raises(UserError, match=r"block block0 has 0\.55 for nat and 50 for org.*give all from 0 to 1"):
        rank(scores, [])
    assert rank(scores / 100, []).rank_sums.tolist() == [8, 5, 5]


def test_poor_score_in_per_cent_is_no_other_scale():
    scores = frame(org=[12.0, 61.0], nat=[0.9, 64.0])
    assert rank(scores, []).rank_sums.tolist() == [3, 3]


def test_scores_that_are_no_shares_have_no_such_scale():
    assert rank(frame(org=[1, 2, 3], nat=[2, 1, 2]), []).rank_sums.tolist() == [4, 5]
    rewards = frame(org=[0.8, 2.3, 61.0], nat=[55.0, 3.1, 64.0])
    assert rank(ScoreTable.from_frame(rewards, "reward"), []).rank_sums.tolist() == [6, 3]
    with pytest.raises(UserError, match=r"two scales.*name what they are, as by ranking\.metric=reward"):
        rank(ScoreTable.from_frame(rewards, "accuracy"), [])


def test_losses_may_be_on_both_sides_of_one():
    assert rank(frame(org=[0.5, 2.0], nat=[0.6, 3.0]), [], higher_is_better=False).rank_sums.tolist() == [2, 4]
    units = frame(org=[0.12, 40.0], nat=[0.11, 41.0])
    assert rank(units, [], higher_is_better=False).rank_sums.tolist() == [3, 3]
    diverged = frame(org=[0.12, 0.2, 0.5], nat=[12.0, 3.0, 9.0])
    assert rank(diverged, [], higher_is_better=False).rank_sums.tolist() == [3, 6]


def test_error_rates_on_two_scales_are_refused():
    scores = frame(org=[0.12, 0.2], nat=[11.0, 22.0])
    with pytest.raises(UserError, match=r"treatment org has at most 0\.2, treatment nat about 100 times as much"):
        rank(scores, [], higher_is_better=False)


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
    assert "Iman-Davenport F 14.0408, 8 and 64 degrees of freedom, p = 1.47e-11" in text
    assert "compm_nat  compm_org" in text
    assert "Rank sums of any two treatments differ significantly from 37 on." in text


def test_page_on_statistics_runs_and_quotes_what_was_measured(capsys):
    root = Path(__file__).resolve().parents[2]
    page = (root / "docs/ranking-statistics.md").read_text(encoding="utf-8")
    exec(re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0], {})
    assert "p_exact=0.0" in capsys.readouterr().out
    measured = (root / "benchmarks/results/type-one-error.md").read_text(encoding="utf-8")
    rows = [line for line in measured.splitlines() if line.startswith("|")]
    assert len(rows) > 10
    assert "\n".join(rows) in page


def test_statistics_come_without_the_libraries_of_the_report():
    heavy = "matplotlib jinja2 rich torch"
    code = f"import sys, ercsatz.ranking; print([name for name in {heavy.split()!r} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


def test_a_baseline_that_learnt_nothing_is_named_and_costs_friedman():
    blocks = ["block1", "block2", "block4"]
    whole = ScoreTable.from_frame(frame(org=[0.4] * 6, nat=[0.5] * 6))
    table = replace(whole, unlearnt=frozenset((block, "org") for block in blocks))
    result = rank(table, [("nat", "org")])
    assert result.unlearnt_baselines == {"org": blocks}
    assert result.void_baselines == ["org"]
    assert not result.tests_differences
    assert str(result).startswith("Baselines that learnt nothing: org\n")
    assert "Friedman" not in str(result)
    few = {("block1", "org"), ("block2", "org"), ("block3", "nat"), ("block9", "org")}
    other = rank(replace(whole, unlearnt=frozenset(few)), [("nat", "org")])
    assert other.unlearnt_baselines == {"org": ["block1", "block2"]}
    assert other.void_baselines == []
    assert other.tests_differences


def test_blocks_in_which_all_are_tied_are_named():
    result = rank(frame(org=[0.4] * 8, nat=[0.4, *[0.5] * 7], bal=[0.4, 0.4, *[0.6] * 6]), [("nat", "org")])
    assert result.tied_throughout == ["block0"]
    assert result.tests_differences
    few = rank(frame(org=[0.4] * 3, nat=[0.4, 0.4, 0.5]), [("nat", "org")])
    assert len(few.tied_throughout) == 2
    assert not few.tests_differences
