import datetime
import hashlib
import json
import math
import sys

import openpyxl
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ercsatz.errors import UserError
from ercsatz.ranking import Columns, pivot, read_records, read_scores
from ercsatz.ranking.spreadsheet import to_sheet

WIDE = "benchmark,test_set,compm_org,compm_nat\nmeld,org,65.4,65.5\nmeld,nat,48.0,50.9\n"
LONG = "classifier,variant,benchmark,test_set,seed,w_f1\ncompm,org,meld,org,1,65.4\ncompm,nat,meld,org,1,\n"
OTHERS = "dataset,run,bert,gpt 4\nsst2,1,0.91,0.93\nsst2,2,0.92,0.95\nqnli,1,0.88,\n"
OTHERS_LONG = "model,dataset,run,acc,note\nbert,sst2,1,0.91,ok\ngpt,sst2,1,0.93,\nbert,qnli,1,,down\n"
BY_NAME = Columns(("model",), ("dataset",), "acc", "run")


@pytest.fixture
def write(tmp_path):
    def write_file(content: str | bytes, name: str = "scores.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_file


def table(path, columns):
    """What a file gives in the end."""
    found = read_records(path, columns)
    return pivot(found.long, found.treatment, found.block, found.metric, found.seed)


def test_our_wide_file_is_read(write):
    long = read_scores(write(WIDE))
    assert long["w_f1"].tolist() == [65.4, 65.5, 48.0, 50.9]
    assert long["variant"].tolist() == ["org", "nat"] * 2
    assert long.index[2].endswith("scores.csv, line 3")


def test_classifier_name_may_have_underscores(write):
    long = read_scores(write("benchmark,test_set,my_model_org\nmeld,org,0.5\n"))
    assert long[["classifier", "variant"]].to_numpy().tolist() == [["my_model", "org"]]


def test_our_long_file_is_read_with_a_gap(write):
    found = read_records(write(LONG))
    assert found.long["seed"].tolist() == ["1", "1"]
    assert found.long["w_f1"].isna().tolist() == [False, True]
    assert found.metric == "w_f1"
    assert table(write(LONG), Columns()).missing == ("compm_nat",)


def test_wide_file_of_others_needs_no_option_but_the_seed(write):
    found = read_records(write(OTHERS), Columns(seed="run"))
    assert (found.treatment, found.block, found.metric) == (("treatment",), ("dataset",), "score")
    ranked = table(write(OTHERS), Columns(seed="run"))
    assert ranked.cells.columns.tolist() == ["bert", "gpt 4"]
    assert ranked.cells.loc["sst2"].tolist() == [0.915, 0.94]
    assert ranked.seeds.loc["sst2"].tolist() == [2, 2]
    assert ranked.dropped == ("qnli",)
    assert ranked.keys == {"bert": ("bert",), "gpt 4": ("gpt 4",)}


def test_wide_file_may_have_several_columns_of_names_and_a_named_metric(write):
    path = write("group,set,bert,gpt\nx,1,3,2\ny,1,5,4\n")
    found = read_records(path, Columns(block=("group", "set"), metric="loss"))
    assert (found.block, found.metric) == (("group", "set"), "loss")
    assert table(path, Columns(block=("group", "set"), metric="loss")).cells.index.tolist() == ["x_1", "y_1"]


def test_two_of_our_columns_do_not_make_a_file_ours(write):
    found = read_records(write(WIDE.replace("compm_nat", "bert")))
    assert (found.treatment, found.block, found.metric) == (("treatment",), ("benchmark", "test_set"), "score")


def test_long_file_of_others_is_read_by_its_column_names(write):
    ranked = table(write(OTHERS_LONG), BY_NAME)
    assert ranked.metric == "acc"
    assert ranked.cells.loc["sst2"].to_dict() == {"bert": 0.91, "gpt": 0.93}
    assert read_records(write(OTHERS_LONG), BY_NAME).long["note"].tolist() == ["ok", "", "down"]


def test_metric_of_a_long_file_is_w_f1_or_score_unless_named(write):
    columns = Columns(("model",), ("dataset",), seed="run")
    assert read_records(write(OTHERS_LONG.replace("acc", "score")), columns).metric == "score"
    both = "model,dataset,score,w_f1\nbert,sst2,1,2\n"
    assert read_records(write(both), Columns(("model",), ("dataset",))).metric == "w_f1"
    with pytest.raises(UserError, match=r"no column 'w_f1'\. The columns are: model, .* ranking\.metric names another"):
        read_records(write(OTHERS_LONG), columns)


def test_repeated_cell_is_told_by_its_lines_and_the_column_that_differs(write):
    path = write(OTHERS_LONG + "bert,sst2,2,0.94,ok\n")
    with pytest.raises(UserError, match=r"csv, line 2 and .*csv, line 5\. They differ in: run, acc\. .* ranking\.seed"):
        table(path, Columns(("model",), ("dataset",), "acc"))
    assert table(path, BY_NAME).cells.at["sst2", "bert"] == 0.925


def test_column_of_the_users_called_source_or_treatment_is_an_ordinary_one(write):
    path = write("treatment,source,score\na,x,1\nb,x,2\n")
    assert table(path, Columns(("treatment",), ("source",))).cells.loc["x"].tolist() == [1, 2]
    path = write("treatment,a,b\nx,1,2\n")
    assert table(path, Columns(block=("treatment",))).cells.loc["x"].tolist() == [1, 2]


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + WIDE,
        WIDE.replace(",", "\t"),
        WIDE.replace("\n", "\r\n\r\n"),
        WIDE + ",,,\n",
        "\n" + WIDE,
        WIDE.replace("\n", "\r"),
        WIDE.replace("meld", ' "meld"').replace(' "', '"'),
        WIDE.replace(",org", ", org"),
        WIDE.replace("\n", ",\n"),
    ],
)
def test_how_it_is_written_does_not_matter(write, text):
    assert read_scores(write(text)).reset_index(drop=True).equals(read_scores(write(WIDE)).reset_index(drop=True))


def as_excel(frame, path):
    frame.to_excel(path, index=False)


def as_columns(frame, path):
    frame.to_json(path)  # {"column": {"0": cell}}


def as_lists(frame, path):
    path.write_text(json.dumps({name: [None if v != v else v for v in column] for name, column in frame.items()}))


FORMATS = {
    "scores.xlsx": as_excel,
    "scores.tsv": lambda frame, path: frame.to_csv(path, sep="\t", index=False),
    "with row numbers.csv": lambda frame, path: frame.to_csv(path),
    "with row numbers.xlsx": lambda frame, path: frame.to_excel(path),
    "columns.json": as_columns,
    "lists.JSON": as_lists,
    "records.json": lambda frame, path: frame.to_json(path, orient="records", indent=1),
    "scores.jsonl": lambda frame, path: frame.to_json(path, orient="records", lines=True),
    "scores.parquet": lambda frame, path: frame.to_parquet(path),
    "with row numbers.parquet": lambda frame, path: frame.set_index(pd.Index(list(range(len(frame))))).to_parquet(path),
    "without suffix": lambda frame, path: frame.to_csv(path, index=False),
}


@pytest.mark.parametrize(("text", "columns"), [(WIDE, Columns()), (LONG, Columns()), (OTHERS_LONG, BY_NAME)])
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_says_the_same(write, tmp_path, name, text, columns):
    FORMATS[name](pd.read_csv(write(text)), tmp_path / name)
    found = read_records(tmp_path / name, columns)
    expected = read_records(write(text), columns)
    assert found.long.reset_index(drop=True).equals(expected.long.reset_index(drop=True))
    assert found[1:5] == expected[1:5]
    assert found.sha256 == hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("name", "save"),
    [
        ("i.csv", lambda frame, path: frame.to_csv(path)),
        ("i.xlsx", lambda frame, path: frame.to_excel(path)),
        ("i.json", lambda frame, path: frame.to_json(path)),
        ("i.parquet", lambda frame, path: frame.to_parquet(path)),
    ],
)
def test_row_names_of_a_data_frame_are_the_blocks(tmp_path, name, save):
    frame = pd.DataFrame({"bert": [0.5, 0.6], "gpt": [0.7, 0.8]}, index=["sst2", "qnli"])
    save(frame, tmp_path / name)
    assert table(tmp_path / name, Columns()).cells.equals(frame)


def test_whole_numbers_as_names_have_no_decimal_point(tmp_path):
    pd.DataFrame({"model": [1.0, 2.0], "dataset": [7, 7], "score": [1, 2]}).to_parquet(tmp_path / "n.parquet")
    cells = table(tmp_path / "n.parquet", Columns(("model",), ("dataset",))).cells
    assert cells.to_dict() == {"1": {"7": 1}, "2": {"7": 2}}


@pytest.mark.parametrize("name", ["Average", "AVG", "avg.", "mean", "Overall", "total", "Macro average", "macro-avg"])
def test_average_is_no_block_and_no_treatment(write, name):
    with pytest.raises(UserError, match=r"csv, line 4: data '.*' is no test set of its own\. Leave it out"):
        read_records(write(f"data,a,b\nx,1,2\ny,3,5\n{name},7,9\n"))
    with pytest.raises(UserError, match="is no treatment of its own"):
        read_records(write(f"data,a,{name}\nx,1,2\ny,3,5\n"))
    with pytest.raises(UserError, match=r"line 3: data '.*' is no test set"):
        read_records(write(f"model,data,score\na,x,1\na,{name},2\n"), Columns(("model",), ("data",)))
    assert not read_records(write(f"data,a,b\nx,1,2\n{name} pooling,3,5\n")).long.empty


SCORES = "data,a,b\nx,61.2,70.5\ny,48.9,52.3\nz,80.0,81.4\n"


def test_last_row_that_is_the_mean_of_the_others_is_no_block(write):
    with pytest.raises(UserError, match="the last row, all, is the mean of the others in every column"):
        read_records(write(SCORES + "all,63.4,68.1\n"))
    melted = pd.read_csv(write(SCORES + "all,63.37,68.07\n")).melt("data", var_name="model", value_name="score")
    with pytest.raises(UserError, match="the last row, all"):
        read_records(write(melted.to_csv(index=False)), Columns(("model",), ("data",)))
    assert len(read_records(write(SCORES + "all,63.4,68.9\n")).long) == 8


def test_first_row_that_is_the_mean_of_the_others_is_no_block(write):
    head, *rows = SCORES.splitlines()
    with pytest.raises(UserError, match="the first row, all, is the mean of the others in every column"):
        read_records(write("\n".join([head, "all,63.4,68.1", *rows])))


def test_a_seed_is_one_however_it_is_written(write):
    table = "model,data,seed,acc\na,x,1,0.5\na,x,1.0,0.7\nb,x,01,0.6\nb,x,first,0.6\n"
    found = read_records(write(table), Columns(("model",), ("data",), "acc"))
    assert found.long.seed.tolist() == ["1", "1", "1", "first"]
    with pytest.raises(UserError, match="Two scores for model=a, data=x, seed=1: "):
        pivot(found.long, found.treatment, found.block, found.metric, found.seed)


def test_middle_row_of_coarse_or_equal_scores_is_a_block(write):
    assert len(read_records(write("data,a,b\nx,1,2\ny,3,6\nz,2,4\n")).long) == 6
    assert len(read_records(write("data,a,b\nx,50,50\ny,50,50\nz,50,50\n")).long) == 6


@pytest.mark.parametrize("name", ["model", "Method", "system", "classifier", "Model name"])
def test_models_in_rows_are_refused(write, name):
    path = write(f"{name},sst2,qnli\nbert,0.5,0.6\ngpt,0.7,0.8\n")
    with pytest.raises(UserError, match=rf"its rows are models.*Transpose it.*ranking\.treatment=\[{name}\]"):
        read_records(path)
    assert len(read_records(path, Columns(block=(name,))).long) == 4


def test_baseline_among_the_rows_says_that_they_are_models(write):
    path = write("who,sst2,qnli\nbert,0.5,0.6\ngpt,0.7,0.8\n")
    with pytest.raises(UserError, match=r"its rows are models \(ranking\.baseline=bert is one of its rows\)"):
        read_records(path, baseline="bert")
    assert len(read_records(path, baseline="sst2").long) == 4


def test_percent_signs_at_some_scores_are_told_to_be_removed(write):
    with pytest.raises(UserError, match=r"line 2, column a: '91%' is not a number as others are, .*Remove the %"):
        read_records(write("data,a,b\nx,91%,2\ny,3,5\n"))


def test_first_column_may_have_numbers_among_its_names(write):
    assert table(write("data,a,b\n20news,1,2\n20,3,4\n"), Columns()).cells.index.tolist() == ["20news", "20"]


def test_numbers_in_the_first_column_with_a_gap_are_no_names(write):
    with pytest.raises(UserError, match="no column holds the names of blocks"):
        read_records(write("a,b\n1,2\n,3\n"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no scores"),
        ("\n\n", "no scores"),
        (WIDE.splitlines()[0], "no scores"),
        (WIDE.replace("48.0", "4B"), r"line 3, column compm_org: '4B' is not a number"),
        (WIDE.replace("48.0", "nan"), r"line 3, column compm_org: 'nan' is not a number"),
        (WIDE.replace("48.0", "-inf"), r"line 3, column compm_org: '-inf' is not a number"),
        (WIDE.replace("65.4", "high").replace("48.0", "low"), r"line 2, column compm_org: 'high' is not a number"),
        (WIDE.replace("48.0,", ""), r"line 3: 3 cells under 4 column names"),
        (WIDE.replace("compm_nat", "compm_org"), r"'compm_org' occurs twice"),
        (WIDE.replace("compm_nat", ""), r"column 4 has no name"),
        (WIDE.replace("meld,nat", "meld,"), r"line 3, column test_set: empty"),
        ("benchmark,test_set\nmeld,org\n", "no column of scores beside benchmark, test_set"),
        ("benchmark,test_set,compm_org\nmeld,org,\n", "there is no score in it"),
        (LONG.replace("variant", "data"), "no column 'variant'.*The columns are: classifier, data.*ranking.treatment"),
        (LONG.replace("compm,nat", ",nat"), r"line 3, column classifier: empty"),
        (OTHERS_LONG, r"the column 'dataset' holds text, where each column beside model.*ranking\.treatment=\[NAME\]"),
        (WIDE.replace("meld", "m\u00e9ld").encode("cp1252"), "not UTF-8 at byte 40"),
        (WIDE.encode("utf-16"), "not UTF-8 at byte 0"),
        (WIDE.replace("meld,nat", '"meld,nat'), "line 3: unexpected end of data"),
        (WIDE.replace("meld", "x" * 200_000), "field larger than field limit"),
        (WIDE.replace("meld", "me\x1b[2Jld"), r"line 2, column benchmark: the text has the control character U\+001B"),
        (WIDE.replace("test_set", "test\x00set"), r"name of column 2: the text has the control character U\+0000"),
        (WIDE.replace("meld", "\u202edlem"), r"control character U\+202E"),
    ],
)
def test_bad_file_is_refused_with_the_place(write, content, message):
    with pytest.raises(UserError, match=message) as error:
        read_scores(write(content))
    assert "scores.csv" in str(error.value)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (Columns(block=("data",)), "no column 'data'. The columns are: dataset, run, bert"),
        (Columns(seed="fold"), "no column 'fold'"),
        (Columns(("modle",)), r"no column 'modle' \(ranking\.treatment\).*leave ranking\.treatment out"),
    ],
)
def test_column_that_was_named_and_is_not_there_is_refused(write, columns, message):
    with pytest.raises(UserError, match=message):
        read_records(write(OTHERS), columns)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("s.json", "", r"s\.json, line 1: not JSON"),
        ("s.json", '[{"a": 1},\n{]', r"s\.json, line 2: not JSON"),
        ("s.json", "3", "expected records"),
        ("s.json", "{}", "expected records"),
        ("s.json", "[]", "no scores"),
        ("s.json", "[3]", "record 1: expected an object"),
        ("s.json", '{"a": [1, 2], "b": [1]}', "of different lengths"),
        ("s.json", '[{"data": "x", "a": 1, "a": 2}]', "the key 'a' occurs twice"),
        ("s.json", '[{"data": "x", "a": [1]}]', "record 1, column a: a list or an object"),
        ("s.json", '[{"data": "x", "a": true}]', "the column 'a' holds text"),
        ("s.json", '[{"data": "x", "a": NaN}]', "record 1, column a: 'nan' is not a number"),
        ("s.json", '[{"data": "x", "a": 1e999}]', "record 1, column a: 'inf' is not a number"),
        ("s.json", f'[{{"data": "x", "a": 1{"0" * 400}}}, {{"data": "y", "a": 1}}]', "column a: '10+' is not a number"),
        ("s.json", f'[{{"data": "x", "a": 1{"0" * 5000}}}]', "not JSON .Exceeds the limit"),
        ("s.json", "[" * 100_000, "not JSON"),
        ("s.json", '[{"data": "\\ud83d", "a": 1}]', r"control character U\+D83D"),
        ("s.jsonl", '{"data": "x", "a": 1}\n\n{"data": "y", "a": 2', r"s\.jsonl, line 3: not JSON"),
        (
            "s.jsonl",
            '{"data": "x", "a": 1}\n{"data": "y", "a": "?"}',
            r"s\.jsonl, line 2, column a: '\?' is not a number",
        ),
        ("s.jsonl", '{"data": "x", "a": 1, "a": 1}', r"s\.jsonl, line 1: the key 'a' occurs twice"),
        ("s.parquet", "PAR1", "not a Parquet file"),
        ("s.parquet", WIDE, "not a Parquet file"),
        ("s.xlsx", WIDE, "not an Excel workbook"),
        ("s.xls", WIDE, r"cannot read \.xls files. The name must end in one of \.csv, .*\.xlsx.*\.parquet\."),
    ],
)
def test_bad_file_of_another_format_is_refused_with_the_place(write, name, content, message):
    with pytest.raises(UserError, match=message) as error:
        read_scores(write(content, name))
    assert name in str(error.value)


def save_excel(path, *rows):
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(path)
    return path


def test_excel_cells_are_named_by_their_row(tmp_path):
    head = ["data", "bert"]
    path = save_excel(tmp_path / "s.xlsx", [], head, ["x", 0.5], [], ["y", datetime.date(2025, 5, 3)])
    with pytest.raises(UserError, match=r"s\.xlsx, row 5, column bert: '2025-05-03 00:00:00' is not a number"):
        read_records(path)
    path = save_excel(tmp_path / "s.xlsx", head, ["x", 0.5], ["y", "#N/A"])
    with pytest.raises(UserError, match=r"row 3, column bert: '#N/A' is not a number"):
        read_records(path)


def test_formula_that_was_never_computed_is_no_gap(tmp_path):
    path = save_excel(tmp_path / "s.xlsx", ["data", "a", "b"], ["x", 0.5, "=B2+1"], ["y", 0.5, 0.6])
    with pytest.raises(UserError, match=r"row 2: a formula that was never computed"):
        read_records(path)


def test_missing_excel_reader_is_told_with_the_command(tmp_path, monkeypatch):
    path = save_excel(tmp_path / "s.xlsx", ["data", "a"], ["x", 0.5])
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(UserError, match=r"pip install 'ercsatz\[excel\]'"):
        read_records(path)


def test_missing_file_and_folder_are_refused(tmp_path):
    with pytest.raises(UserError, match="There is no file"):
        read_scores(tmp_path / "none.csv")
    with pytest.raises(UserError, match="is a folder"):
        read_scores(tmp_path)


def test_hostile_names_are_kept_as_they_are_on_one_line(write):
    name = "<script>alert(1)</script>"
    cells = table(write(f'data,{name},"=HYPERLINK(""x"")"\n"a\nb",1,2\n'), Columns()).cells
    assert cells.columns.tolist() == [name, '=HYPERLINK("x")']
    assert cells.index.tolist() == ["a b"]


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["s.csv", "s.json", "s.jsonl", "s.parquet", "s.xlsx"]), st.text() | st.binary())
def test_nonsense_is_refused_or_read_and_never_breaks(write, name, content):
    data = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
    try:
        sheet = to_sheet(write(data, name), data)
    except UserError:
        return
    assert sheet.rows
    assert not any("" in row for _, row in sheet.rows)


numbers = st.floats(0, 100) | st.none()


@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(numbers, numbers), min_size=2, max_size=6).filter(lambda rows: any(rows[0])))
def test_long_and_wide_give_the_same_table(tmp_path, rows):
    frame = pd.DataFrame(rows, columns=["a", "b"], dtype=float).assign(data=[f"d{i}" for i in range(len(rows))])
    frame[["data", "a", "b"]].to_csv(tmp_path / "wide.csv", index=False)
    frame.melt("data", var_name="model", value_name="score").to_csv(tmp_path / "long.csv", index=False)
    try:
        wide = table(tmp_path / "wide.csv", Columns())
    except UserError:
        assert frame[["a", "b"]].isna().all(axis=None)
        return
    long = table(tmp_path / "long.csv", Columns(("model",), ("data",)))
    assert long.cells.sort_index(axis=1).sort_index().equals(wide.cells.sort_index(axis=1).sort_index())
    assert long.missing == wide.missing
    assert math.isclose(wide.cells.sum(axis=None), frame[["a", "b"]].sum(axis=None), rel_tol=1e-9)
