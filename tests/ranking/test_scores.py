import math
import time

import pandas as pd
import pytest

from ercsatz.errors import UserError
from ercsatz.ranking import ScoreTable, baseline_comparisons, choose_comparisons, pivot, refuse_gaps

TREATMENT, BLOCK = ["classifier", "variant"], ["benchmark", "test_set"]


def table_of(records: pd.DataFrame) -> ScoreTable:
    return pivot(records, TREATMENT, BLOCK, "w_f1")


def test_seeds_are_averaged_inside_a_cell(records):
    table = table_of(records)
    assert table.cells.at["meld_org", "compm_bal"] == 0.57
    assert (table.seeds == 2).all(axis=None)
    assert table.spread.at["meld_org", "compm_bal"] == pytest.approx(math.sqrt(2) / 100)
    assert table.cells.shape == (3, 4)


def test_means_of_the_same_scores_in_another_order_are_tied(records):
    scores = [0.1, 0.2, 0.3, 0.7]
    rows = [(v, s, x) for v, xs in (("org", scores), ("bal", scores[::-1])) for s, x in enumerate(xs)]
    records = pd.DataFrame(rows, columns=["variant", "seed", "w_f1"]).assign(test_set="org")
    cells = pivot(records, ["variant"], ["test_set"], "w_f1").cells
    assert cells.at["org", "org"] == cells.at["org", "bal"]


def test_order_is_that_of_the_records(records):
    table = table_of(records.iloc[::-1])
    assert list(table.cells.columns) == ["todkat_bal", "todkat_org", "compm_bal", "compm_org"]
    assert list(table.cells.index) == ["meld_bal", "meld_nat", "meld_org"]


def test_treatment_that_failed_everywhere_is_missing_and_costs_no_block(records):
    failed = (records["classifier"] == "todkat") & (records["variant"] == "bal")
    table = table_of(records.assign(w_f1=records["w_f1"].mask(failed)))
    assert table.missing == ("todkat_bal",)
    assert table.dropped == ()
    assert "todkat_bal" not in table.cells


def test_what_no_record_names_is_not_missing(records):
    never = (records["classifier"] == "todkat") & (records["variant"] == "bal")
    assert table_of(records[~never]).missing == ()


def test_block_with_a_gap_is_dropped_and_still_shown(records):
    gap = (records["classifier"] == "todkat") & (records["test_set"] == "nat") & (records["variant"] == "bal")
    table = table_of(records[~gap])
    assert table.dropped == ("meld_nat",)
    assert list(table.scores.index) == ["meld_org", "meld_bal"]
    assert math.isnan(table.cells.at["meld_nat", "todkat_bal"])
    assert table.seeds.at["meld_nat", "todkat_bal"] == 0


def test_failed_seed_leaves_the_other_seeds(records):
    records.loc[0, "w_f1"] = math.nan
    table = table_of(records)
    assert table.seeds.at["meld_org", "compm_org"] == 1
    assert table.cells.at["meld_org", "compm_org"] == 0.53


def test_failed_run_without_a_block_only_names_its_treatment(records):
    failed = pd.DataFrame([{"classifier": "emoone", "variant": "org", "benchmark": None, "test_set": None, "seed": 1}])
    table = table_of(pd.concat([records, failed]))
    assert table.missing == ("emoone_org",)
    assert len(table.cells) == 3


@pytest.fixture(params=[3, None], ids=["seed", "no seed"])
def repeated(records, request):
    """Records of which the second is there again, with another score; of the same seed, or where no seed is told."""
    records["seed"] = records["seed"].replace({3: None}) if request.param is None else records["seed"]
    records = records.assign(backbone="tiny", source=[f"run{i}/result.json" for i in range(len(records))])
    again = records.iloc[[1]].assign(backbone="roberta-base", source="other/result.json", w_f1=0.9)
    merged = pd.concat([records, again])
    return merged.set_index(pd.Index(merged["source"], name=None))


def test_same_cell_and_seed_twice_is_refused(repeated):
    with pytest.raises(UserError, match=r"run1/result\.json and other/result\.json.*differ in: w_f1, backbone\."):
        table_of(repeated)


@pytest.mark.parametrize(("repeats", "score"), [("first", 0.53), ("last", 0.9)])
def test_one_of_two_scores_of_a_cell_and_seed_is_chosen_and_told(repeated, repeats, score):
    table = pivot(repeated, TREATMENT, BLOCK, "w_f1", repeats=repeats)
    assert table.cells.at["meld_org", "compm_org"] == pytest.approx((0.51 + score) / 2)
    assert table.seeds.at["meld_org", "compm_org"] == 2
    note = f"1 score is left out because the same cell and seed has another: the {repeats} one counts."
    assert table.notes == (note,)


def test_a_failed_run_is_no_first_score(records):
    failed = records.iloc[[1]].assign(w_f1=math.nan)
    table = pivot(pd.concat([failed, records]), TREATMENT, BLOCK, "w_f1", repeats="first")
    assert table.cells.equals(table_of(records).cells)
    assert table.notes == ()


def test_seeds_may_have_another_name(records):
    renamed = records.rename(columns={"seed": "run"})
    table = pivot(renamed, TREATMENT, BLOCK, "w_f1", seed="run")
    assert table.cells.equals(table_of(records).cells)
    with pytest.raises(UserError, match="no column 'fold'"):
        pivot(renamed, TREATMENT, BLOCK, "w_f1", seed="fold")


@pytest.mark.parametrize("factor", [1e-15, 1.0, 1e9])
def test_means_are_told_apart_and_tied_whatever_their_size(factor):
    scores = [0.1, 0.2, 0.3, 0.7]
    runs = {"org": scores, "bal": scores[::-1], "nat": [0.1, 0.2, 0.3, 0.700001]}
    rows = [(name, seed, x * factor) for name, xs in runs.items() for seed, x in enumerate(xs)]
    records = pd.DataFrame(rows, columns=["variant", "seed", "loss"]).assign(test_set="org")
    org, bal, nat = pivot(records, ["variant"], ["test_set"], "loss").cells.iloc[0]
    assert org == bal < nat


def test_same_cell_twice_without_seeds_is_refused(records):
    with pytest.raises(UserError, match=r"Two scores for .*row 0 and row 1\. They differ in: w_f1\."):
        table_of(records.drop(columns="seed"))


def test_column_that_is_not_there_is_refused(records):
    with pytest.raises(UserError, match="no column 'accuracy'; they have: classifier"):
        pivot(records, TREATMENT, BLOCK, "accuracy")


def test_column_that_is_there_twice_is_refused(records):
    with pytest.raises(UserError, match="column 'w_f1' twice"):
        table_of(pd.concat([records, records[["w_f1"]]], axis=1))


def test_scores_that_are_not_numbers_are_refused(records):
    with pytest.raises(UserError, match="'w_f1' are not all numbers"):
        table_of(records.assign(w_f1="high"))


def test_table_without_any_score_is_refused(records):
    with pytest.raises(UserError, match="no score in column 'w_f1'"):
        table_of(records.assign(w_f1=math.nan))


def test_score_without_a_block_is_refused(records):
    records.loc[3, "test_set"] = None
    with pytest.raises(UserError, match="has no test_set"):
        table_of(records)


def test_names_that_look_the_same_are_refused():
    rows = [("a_b", "c", 1), ("a", "b_c", 2)]
    records = pd.DataFrame(rows, columns=["classifier", "variant", "seed"]).assign(test_set="org", w_f1=0.5)
    with pytest.raises(UserError, match="both called a_b_c"):
        pivot(records, TREATMENT, ["test_set"], "w_f1")


def test_default_comparisons_keep_the_classifier(records):
    assert baseline_comparisons(table_of(records), "org") == [("compm_bal", "compm_org"), ("todkat_bal", "todkat_org")]


def test_treatment_without_its_baseline_is_not_compared(records):
    left = records[(records["classifier"] == "compm") | (records["variant"] == "bal")]
    assert baseline_comparisons(table_of(left), "org") == [("compm_bal", "compm_org")]


def test_only_pairs_of_the_list_are_compared_and_what_failed_is_left_out(records):
    failed = (records["classifier"] == "todkat") & (records["variant"] == "bal")
    table = table_of(records.assign(w_f1=records["w_f1"].mask(failed)))
    pairs = [["compm_bal", "todkat_org"], ["todkat_bal", "todkat_org"]]
    assert choose_comparisons(table, pairs, "org") == [("compm_bal", "todkat_org")]


def test_all_pairs_are_compared_once(records):
    table = table_of(records)
    pairs = choose_comparisons(table, "all", "org")
    assert len(pairs) == len({frozenset(pair) for pair in pairs}) == 6
    assert ("compm_bal", "compm_org") in pairs


def test_long_list_of_pairs_is_checked_at_once():
    names = [f"m{place}" for place in range(200)]
    table = ScoreTable.from_frame(pd.DataFrame(1.0, index=["meld"], columns=names))
    pairs = [[later, earlier] for place, later in enumerate(names) for earlier in names[:place]]
    began = time.process_time()
    assert choose_comparisons(table, pairs, "org") == [tuple(pair) for pair in pairs]
    assert time.process_time() - began < 5
    with pytest.raises(UserError, match="The comparison of m0 with m199 is one with itself, or there twice"):
        choose_comparisons(table, [*pairs, ["m0", "m199"]], "org")


def test_treatments_of_one_part_are_compared_with_the_one_of_that_name():
    table = ScoreTable.from_frame(pd.DataFrame({"bert": [0.5], "gpt": [0.6], "llama": [0.7]}))
    assert choose_comparisons(table, "baseline", "gpt") == [("bert", "gpt"), ("llama", "gpt")]
    assert choose_comparisons(table, "baseline", "org") == []


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([["compm_bal", "compm_ogr"]], "name 'compm_ogr', which is not in the table. The treatments are: compm_org, c"),
        ([["compm_bal", "compm_bal"]], "compm_bal with compm_bal is one with itself"),
        ([["compm_bal", "compm_org"], ["compm_org", "compm_bal"]], "compm_org with compm_bal is .* there twice"),
    ],
)
def test_comparisons_that_make_no_sense_are_refused(records, pairs, message):
    with pytest.raises(UserError, match=message):
        choose_comparisons(table_of(records), pairs, "org")


def test_a_full_table_has_no_gaps(records):
    assert table_of(records).gaps == ()
    refuse_gaps(table_of(records))


def test_gaps_are_refused_by_name(records):
    gap = (records["classifier"] == "todkat") & (records["test_set"] == "nat") & (records["variant"] == "bal")
    table = table_of(records[~gap])
    assert table.gaps == (("meld_nat", "todkat_bal"),)
    with pytest.raises(UserError, match=r"1 cell has no score: todkat_bal on meld_nat\. ranking\.missing=drop"):
        refuse_gaps(table)


def test_cells_of_missing_treatments_are_gaps_and_a_long_list_is_cut(records):
    table = table_of(records.assign(w_f1=records["w_f1"].where(records["variant"] == "org")))
    assert len(table.gaps) == 6
    many = pd.concat([records.assign(benchmark=name) for name in ("meld", "emorynlp")])
    table = table_of(many.assign(w_f1=many["w_f1"].where(many["variant"] == "org")))
    with pytest.raises(UserError, match=r"12 cells have no score: compm_bal on meld_org, .* and 2 more\."):
        refuse_gaps(table)


def test_a_cell_is_marked_where_one_of_its_runs_learnt_nothing(records):
    table = pivot(records, TREATMENT, BLOCK, "w_f1")
    assert not table.unlearnt
    told = records.assign(learnt_nothing=None)
    told.loc[(told.classifier == "compm") & (told.variant == "org") & (told.seed == 3), "learnt_nothing"] = "one label"
    table = pivot(told, TREATMENT, BLOCK, "w_f1")
    assert table.unlearnt == {(f"meld_{test_set}", "compm_org") for test_set in ("org", "nat", "bal")}
    assert pivot(told.fillna({"learnt_nothing": ""}), TREATMENT, BLOCK, "w_f1").unlearnt == table.unlearnt
