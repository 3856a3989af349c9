import io
from dataclasses import replace

import pandas as pd
import pytest
from rich.console import Console
from rich.text import Text

from ercsatz.ranking import (
    RankResult,
    ScoreTable,
    baseline_comparisons,
    pivot,
    rank,
    read_scores,
    sentences,
    to_csv,
    to_markdown,
    to_rich,
)
from ercsatz.ranking.report import Background

TREATMENT, BLOCK = ["classifier", "variant"], ["benchmark", "test_set"]


@pytest.fixture
def table4(tmp_path, table4_csv) -> RankResult:
    path = tmp_path / "table4.csv"
    path.write_text(table4_csv)
    return ranked(read_scores(path))


def ranked(records: pd.DataFrame) -> RankResult:
    table = pivot(records, TREATMENT, BLOCK, "w_f1")
    return rank(table, baseline_comparisons(table, "org"))


def terminal(result: RankResult, width: int) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(to_rich(result))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def lines_of(markdown: str) -> dict[str, list[str]]:
    rows = [line.strip("| ").split(" | ") for line in markdown.splitlines() if line.startswith("| ")]
    return {row[0].strip(): [cell.strip() for cell in row[1:]] for row in rows}


def test_markdown_of_table_4(table4):
    lines = lines_of(to_markdown(table4))
    assert lines["W-F1 (rank)"][:2] == ["compm_org", "compm_nat"]
    assert lines["meld_org"][:6] == ["65.43 (6)", "65.52 (4)", "66.16 (3)", "65.46 (5)", "66.50 (2)", "**67.27 (1)**"]
    assert lines["rank sum"] == ["63", "24", "29", "62", "28", "23", "76", "49", "51"]
    assert lines["difference from org"] == ["", "39", "34", "", "34", "39", "", "27", "25"]
    assert lines["exact p"] == ["", "0.00057", "0.00311", "", "0.00311", "0.00057", "", "0.02122", "0.03377"]
    assert lines["Bonferroni p"] == ["", "0.00343", "0.01868", "", "0.01868", "0.00343", "", "0.12732", "0.20259"]


def test_sentences_of_table_4(table4):
    friedman, comparisons, size, seeds, pool = sentences(table4)
    assert "over 9 blocks and 9 treatments shows" in friedman
    assert "chi-square 45.8667, 8 degrees of freedom, p = 2.5e-07" in friedman
    better, not_shown = comparisons.split("; no difference shown: ")
    assert "Better than the baseline: compm_nat against compm_org (median gain +2.89, p = 0.00343)" in better
    assert "todkat" not in better
    assert not_shown.startswith("todkat_nat against todkat_org (median gain +2.85, p = 0.12732), todkat_bal")
    assert "worse" not in comparisons
    assert "rank sums differ significantly from 31 apart" in size
    assert "under one point" in seeds
    assert "Benavoli" in pool


def test_exact_p_of_friedman_is_preferred_and_named():
    scores = pd.DataFrame({"org": [0.5, 0.4, 0.3], "nat": [0.6, 0.5, 0.4], "bal": [0.7, 0.6, 0.5]}, index=list("xyz"))
    (friedman, *_) = sentences(rank(scores, [("nat", "org")]))
    assert friedman.endswith("shows that the treatments differ (exact p = 0.02778).")  # 6 of 6^3 orders


def test_sentence_says_how_many_blocks_would_be_needed():
    scores = pd.DataFrame({"org": [0.5, 0.4], "nat": [0.6, 0.5]}, index=["x", "y"])
    assert "From 6 blocks on, a table like this can show a difference." in sentences(rank(scores, [("nat", "org")]))


def test_notes_of_the_table_and_its_direction_are_told():
    table = replace(
        ScoreTable.from_frame(pd.DataFrame({"a": [2.5, 3.5], "b": [2.0, 4.0]}), "loss"), notes=("Note this.",)
    )
    told = sentences(rank(table, [], higher_is_better=False))
    assert "Note this." in told
    assert "A lower loss is better: rank 1 is the lowest." in told
    assert "One score stands in each cell: how far it would move with another seed is not known." in told


def test_what_is_not_ranked_has_its_sentences():
    assert sentences("No job completed.") == ["No job completed."]
    alone = ScoreTable.from_frame(pd.DataFrame({"org": [0.5, 0.6]}, index=["x", "y"]), "w_f1")
    assert sentences(alone)[0] == "org is the only treatment with scores, so there is nothing to rank."
    gaps = ScoreTable.from_frame(pd.DataFrame({"org": [0.5, None], "nat": [None, 0.6]}, index=["x", "y"]), "w_f1")
    assert sentences(gaps)[0] == "No block has a score for every treatment, so nothing is ranked."
    assert "| x | 0.5000 | - |" in to_markdown(gaps)


def test_markdown_has_comparisons_tests_and_background(table4):
    page = to_markdown(table4, 1.0, Background(failures=("a|b failed",), provenance={"seed": "1"}), "ranking.svg")
    lines = lines_of(page)
    assert lines["compm_nat"][:6] == ["compm_org", "51.73", "+6.76", "39", "0.00343", "0.00343"]
    assert lines["compm_org"][:2] == ["", "44.97"]
    assert lines["Iman-Davenport F"] == ["14.0408", "8, 64", "1.5e-11"]
    assert "![Mean ranks; a bar joins what is not told apart](ranking.svg)" in page
    assert r"- a\|b failed" in page
    assert lines["seed"] == ["1"]


def test_csv_has_every_column_of_the_comparisons(table4):
    frame = pd.read_csv(io.StringIO(to_csv(table4)), index_col="treatment")
    for column in table4.comparisons.columns[2:]:
        expected = table4.comparisons.set_index("treatment")[column]
        assert frame[column].dropna().to_dict() == pytest.approx(expected.to_dict(), abs=1e-9), column


def test_csv_runs_no_formula_and_scales_differences():
    scores = pd.DataFrame({"org": [0.5] * 2, "=1+1": [0.6] * 2}, index=["@SUM(A1)", "y"])
    frame = pd.read_csv(io.StringIO(to_csv(rank(scores, [("=1+1", "org")]), 100)), index_col="treatment")
    assert frame.index.tolist() == ["org", "'=1+1"]
    assert {"'@SUM(A1)", "'@SUM(A1)_rank", "y"} <= set(frame.columns)
    assert frame.at["'=1+1", "median_difference"] == 10


def test_worse_treatment_is_called_worse():
    scores = pd.DataFrame({"org": [0.5] * 6, "nat": [0.4] * 6}, index=list("abcdef"))
    told = sentences(rank(scores, [("nat", "org")]))[1]
    assert "Worse than the baseline: nat against org (median gain -10.00, p = 0.03125)" in told


def test_terminal_table_has_the_same_cells(table4):
    wide = terminal(table4, 160)
    for cell in ("65.43 (6)", "67.27 (1)", "0.12732", "difference from org"):
        assert cell in wide


def test_narrow_terminal_loses_no_digit(table4):
    text = terminal(table4, 80)
    assert "\u2026" not in text
    assert sum(c.isdigit() for c in text) == sum(c.isdigit() for c in terminal(table4, 160))


def test_csv_of_table_4_holds_every_figure(table4):
    frame = pd.read_csv(io.StringIO(to_csv(table4)), index_col="treatment")
    assert frame["rank_sum"].tolist() == table4.rank_sums.tolist()
    assert frame.at["compm_nat", "baseline"] == "compm_org"
    assert frame.at["compm_nat", "rank_sum_difference"] == 39
    assert frame["p"].dropna().tolist() == table4.comparisons["p"].tolist()
    assert frame["p_bonferroni"].dropna().tolist() == table4.comparisons["p_bonferroni"].tolist()
    assert frame.at["compm_org", "meld_org"] == 65.43
    assert frame.at["compm_org", "meld_org_rank"] == 6
    assert not [column for column in frame if column.endswith(("_std", "_seeds"))]


def test_scores_from_0_to_1_are_shown_from_0_to_100_with_their_spread(records):
    result = ranked(records)
    assert lines_of(to_markdown(result, scale=100))["meld_org"][:2] == ["52.00 ± 1.41 (2)", "**57.00 ± 1.41 (1)**"]
    frame = pd.read_csv(io.StringIO(to_csv(result, scale=100)), index_col="treatment")
    assert frame.at["compm_org", "meld_org"] == 52.0
    assert frame.at["compm_org", "meld_org_seeds"] == 2
    assert frame.at["compm_org", "meld_org_std"] == pytest.approx(2**0.5)
    assert "means over 2 seeds" in " ".join(sentences(result))
    assert "under one point" not in " ".join(sentences(result))


def test_gap_is_shown_and_told(records):
    gap = (records["classifier"] == "todkat") & (records["test_set"] == "nat") & (records["variant"] == "bal")
    records = records[(records["seed"] == 1) & ~gap]
    failed = records.iloc[[0]].assign(classifier="emoone", w_f1=None)
    result = ranked(pd.concat([records, failed.astype({"w_f1": float})]))
    assert lines_of(to_markdown(result, scale=100))["meld_nat"] == ["51.00", "56.00", "41.00", "-"]
    assert " - " in terminal(result, 120)
    told = " ".join(sentences(result))
    assert "No scores, so left out: emoone_org." in told
    assert "Not ranked, because a score is missing: meld_nat." in told
    frame = pd.read_csv(io.StringIO(to_csv(result)), index_col="treatment")
    assert frame["meld_nat"].isna().tolist() == [False, False, False, True]
    assert frame["meld_nat_rank"].isna().all()


def test_ties_and_best_of_the_row_are_shown():
    scores = pd.DataFrame({"a": [0.6, 0.5], "b": [0.6, 0.4], "c": [0.2, 0.3]}, index=["x", "y"])
    assert lines_of(to_markdown(rank(scores, []), 100))["x"] == ["**60.00 (1.5)**", "**60.00 (1.5)**", "20.00 (3)"]


def test_table_where_nothing_can_be_significant_says_so_and_claims_nothing():
    scores = pd.DataFrame({"org": [0.5, 0.4], "nat": [0.6, 0.5]}, index=["x", "y"])
    told = " ".join(sentences(rank(scores, [("nat", "org")])))
    assert "cannot be significant at this size (smallest attainable corrected p = 0.5)" in told
    assert "better than" not in told


def test_all_tied_table_has_no_nan():
    scores = pd.DataFrame({"org": [0.5, 0.4], "nat": [0.5, 0.4]}, index=["x", "y"])
    page = to_markdown(rank(scores, [("nat", "org")]))
    assert "nothing to test" in page
    assert "nan" not in page


def test_small_p_is_shown_in_powers_of_ten():
    scores = pd.DataFrame({"org": [0.5] * 30, "nat": [0.6] * 30}, index=[f"b{i}" for i in range(30)])
    assert lines_of(to_markdown(rank(scores, [("nat", "org")])))["exact p"][1] == "1.9e-09"


def test_treatment_with_two_baselines_keeps_both_comparisons():
    scores = pd.DataFrame({"a": [0.5] * 3, "b": [0.4] * 3, "c": [0.6] * 3}, index=["x", "y", "z"])
    result = rank(scores, [("c", "a"), ("c", "b")])
    assert not [label for label in lines_of(to_markdown(result)) if label.startswith("difference")]
    assert to_csv(result).count("\nc,") == 2


def test_text_from_data_cannot_break_the_page():
    odd = "a|b<img>`x`\n[red]y[/red]"
    scores = pd.DataFrame({"org": [0.5] * 2, odd: [0.6] * 2}, index=["[bold]m[/bold]", "y"])
    result = rank(scores, [(odd, "org")])
    page = to_markdown(result)
    assert r"a\|b&lt;img&gt;\`x\` \[red\]y\[/red\]" in page
    assert "<img>" not in page
    for table in page.split("\n\n"):
        lines = [line.replace(r"\|", "") for line in table.splitlines() if line.startswith("|")]
        assert len({line.count("|") for line in lines}) <= 1
    shown = terminal(result, 120)
    assert "[red]y[/red]" in shown
    assert "[bold]m[/bold]" in shown


def found(gain: float, seeds: int = 1, metric: str = "w_f1") -> str:
    """What is said of six blocks in which ``nat`` is ahead of ``org`` by ``gain``."""
    scores = pd.DataFrame({"org": [0.5] * 6, "nat": [0.5 + gain] * 6}, index=list("abcdef"))
    table = ScoreTable.from_frame(scores, metric)
    return sentences(rank(replace(table, seeds=table.seeds * seeds), [("nat", "org")]))[1]


def test_gain_of_a_point_from_one_seed_is_not_called_better():
    small = "head in rank, but by no more than one point, which one seed cannot carry: nat against org (median gain +"
    assert small in found(0.01)
    assert "ehind in rank, but by no more than one point" in found(-0.01)
    assert "better" not in found(0.01)
    for carried in (found(0.011), found(0.01, seeds=2), found(0.01, metric="kappa")):
        assert carried.startswith("Better than the baseline: nat against org")


def test_finding_beside_a_silent_friedman_is_called_weak():
    """One of 15 treatments is last in each of 6 blocks, the others balance."""
    columns = {f"m{i}": [((i + 5 * j) % 14) / 20 + 0.2 for j in range(6)] for i in range(14)}
    silent = rank(pd.DataFrame({**columns, "org": [0.1] * 6}), [("m0", "org")])
    assert silent.friedman is not None
    assert silent.friedman.p > 0.05
    assert "Better than the baseline: m0 against org" in sentences(silent)[1]
    assert "with Friedman's test silent, what they show is weak evidence" in sentences(silent)[2]
    loud = replace(silent, friedman=silent.friedman._replace(p=0.04))
    assert "weak evidence" not in " ".join(sentences(loud))
    undecided = rank(silent.table, [("m1", "m0")])
    assert "weak evidence" not in " ".join(sentences(undecided))


def test_blocks_of_one_benchmark_are_told():
    def told(blocks: list[str]) -> bool:
        scores = pd.DataFrame({"a": [0.5, 0.4], "b": [0.6, 0.3]}, index=blocks)
        return "All blocks are test sets of meld: nothing follows" in " ".join(sentences(rank(scores, [])))

    assert told(["meld_org", "meld_nat"])
    assert not told(["meld_org", "iemocap_org"])
    assert not told(["meld", "iemocap"])
    numbered = pd.DataFrame({"a": [0.5, 0.4], "b": [0.6, 0.3]}, index=["fold_1", "fold_2"])
    assert "test sets of" not in " ".join(sentences(rank(numbered, [])))


def test_scale_is_told_where_points_are_not_usual():
    scores = pd.DataFrame({"org": [0.5, 0.4], "nat": [0.6, 0.3]}, index=["x", "y"])
    errors = rank(ScoreTable.from_frame(scores, "error_rate"), [("nat", "org")], higher_is_better=False)
    assert "error_rate \u00d7 100 (rank)" in lines_of(to_markdown(errors, 100))
    assert "mean error_rate \u00d7 100" in to_markdown(errors, 100)
    assert to_rich(errors, 100).columns[0].header == Text("error_rate \u00d7 100 (rank)")
    assert "error_rate (rank)" in lines_of(to_markdown(errors))
    assert "W-F1 (rank)" in lines_of(to_markdown(rank(ScoreTable.from_frame(scores, "w_f1"), []), 100))


def test_csv_columns_are_unique_and_each_has_its_own_scores():
    blocks = ["p", "low", "treatment", "baseline", "x", "x_rank", "x_rank_rank", "block:p"]
    scores = pd.DataFrame({"org": [0.1] * 8, "nat": [0.2 + i / 100 for i in range(8)]}, index=blocks)
    result = rank(scores, [("nat", "org")])
    header = to_csv(result).splitlines()[0].split(",")
    assert len(header) == len(set(header))
    row = pd.read_csv(io.StringIO(to_csv(result)), index_col="treatment").loc["nat"]
    assert row["p"] == result.comparisons["p"].item()
    columns = ["block:low", "block:treatment", "block:baseline", "x", "block:x_rank", "block:x_rank_rank", "block:p"]
    assert row[["block:block:p", *columns]].tolist() == pytest.approx(scores["nat"].tolist())
    assert row["x_rank"] == row["x_rank_rank"] == row["p_rank"] == 1


def test_csv_has_no_p_of_conover_where_all_blocks_agree():
    scores = pd.DataFrame({"org": [0.5] * 6, "nat": [0.6] * 6}, index=list("abcdef"))
    result = rank(scores, [("nat", "org")])
    assert result.comparisons["p_conover_holm"].item() == 0
    frame = pd.read_csv(io.StringIO(to_csv(result)), index_col="treatment")
    assert frame["p_conover_holm"].isna().all()
    assert frame.at["nat", "p"] == 0.03125
