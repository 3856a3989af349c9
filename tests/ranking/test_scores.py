import math

import pandas as pd
import pytest

from ercsatz.errors import UserError
from ercsatz.ranking import ScoreTable, baseline_comparisons, pivot, read_scores

TREATMENT, BLOCK = ["classifier", "variant"], ["benchmark", "test_set"]
WIDE = "benchmark,test_set,compm_org,compm_nat\nmeld,org,65.4,65.5\nmeld,nat,48.0,50.9\n"
LONG = "classifier,variant,benchmark,test_set,seed,w_f1\ncompm,org,meld,org,1,65.4\ncompm,nat,meld,org,1,\n"


def table_of(records: pd.DataFrame) -> ScoreTable:
    return pivot(records, TREATMENT, BLOCK, "w_f1")


@pytest.fixture
def write(tmp_path):
    def write_file(content: str | bytes):
        path = tmp_path / "scores.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_file


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
    for left in (records.assign(w_f1=records["w_f1"].mask(failed)), records[~failed]):
        table = table_of(left)
        assert table.missing == ("todkat_bal",)
        assert table.dropped == ()
        assert "todkat_bal" not in table.cells


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
    assert table.missing == ("emoone_org", "emoone_bal")
    assert len(table.cells) == 3


@pytest.mark.parametrize("seed", [3, None])
def test_same_cell_and_seed_twice_is_refused(records, seed):
    records["seed"] = records["seed"].replace({3: seed}) if seed is None else records["seed"]
    records["backbone"] = "tiny"
    records["source"] = [f"run{i}/result.json" for i in range(len(records))]
    again = records.iloc[[1]].assign(backbone="roberta-base", source="other/result.json")
    with pytest.raises(UserError, match=r"run1/result\.json and other/result\.json.*differ in: backbone\."):
        table_of(pd.concat([records, again]))


def test_same_cell_twice_without_seeds_is_refused(records):
    with pytest.raises(UserError, match=r"Two scores for .*row 0 and row 1\. They differ in: w_f1\."):
        table_of(records.drop(columns="seed"))


def test_column_that_is_not_there_is_refused(records):
    with pytest.raises(UserError, match="no column 'accuracy'; they have: classifier"):
        pivot(records, TREATMENT, BLOCK, "accuracy")


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


def test_wide_file_is_read(write):
    long = read_scores(write(WIDE))
    assert long["w_f1"].tolist() == [65.4, 65.5, 48.0, 50.9]
    assert long["variant"].tolist() == ["org", "nat"] * 2
    assert long["source"].iloc[2].endswith("scores.csv, line 3")


def test_classifier_name_may_have_underscores(write):
    long = read_scores(write("benchmark,test_set,my_model_org\nmeld,org,0.5\n"))
    assert long[["classifier", "variant"]].to_numpy().tolist() == [["my_model", "org"]]


def test_long_file_is_read_with_a_gap(write):
    long = read_scores(write(LONG))
    assert long["seed"].tolist() == ["1", "1"]
    assert long["w_f1"].isna().tolist() == [False, True]
    assert table_of(long).missing == ("compm_nat",)


@pytest.mark.parametrize(
    "text", ["\ufeff" + WIDE, WIDE.replace(",", "\t"), WIDE.replace("\n", "\r\n\r\n"), WIDE + ",,,\n"]
)
def test_byte_order_mark_tabs_and_blank_lines_do_not_matter(write, text):
    assert read_scores(write(text)).drop(columns="source").equals(read_scores(write(WIDE)).drop(columns="source"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no scores"),
        (WIDE.splitlines()[0], "no scores"),
        (WIDE.replace("48.0", "4B"), r"line 3, column compm_org: '4B' is not a number"),
        (WIDE.replace("48.0", "nan"), r"line 3, column compm_org: 'nan' is not a number"),
        (WIDE.replace("48.0,", ""), r"line 3: 3 cells under 4 column names"),
        (WIDE.replace("compm_nat", "notes"), r"unknown column 'notes'\. Expected are benchmark, test_set, and <class"),
        (WIDE.replace("compm_nat", "compm_org"), r"'compm_org' occurs twice"),
        (WIDE.replace(",", ";"), r"no column 'benchmark'.*separated by commas or tabs"),
        (WIDE.replace("meld,nat", "meld,org"), r"line 2 and .*line 3"),
        (WIDE.replace("meld,nat", "meld,"), r"line 3, column test_set: empty"),
        ("benchmark,test_set\nmeld,org\n", "no column of scores"),
        (LONG.replace("seed", "fold"), r"unknown column 'fold'\. Expected are classifier, .*, and optionally seed"),
        (LONG.replace("variant", "data"), "no column 'variant'"),
        (LONG.replace("compm,nat", "compm,org"), r"Two scores for classifier=compm.*seed=1"),
        (WIDE.replace("meld", "m\u00e9ld").encode("cp1252"), "not UTF-8"),
    ],
)
def test_bad_file_is_refused_with_the_place(write, content, message):
    with pytest.raises(UserError, match=message) as error:
        read_scores(write(content))
    assert "scores.csv" in str(error.value)


def test_missing_file_and_folder_are_refused(tmp_path):
    with pytest.raises(UserError, match="There is no file"):
        read_scores(tmp_path / "none.csv")
    with pytest.raises(UserError, match="is a folder"):
        read_scores(tmp_path)
