"""Tables as W&B, data frames and papers have them: what is no score is left out and told, or refused; never ranked."""

import unicodedata

import pandas as pd
import pytest

from ercsatz.errors import UserError
from ercsatz.ranking import Columns, pivot, read_records

BASE = pd.DataFrame(
    {"bert": [91.0, 88.4, 61.2, 52.1], "gpt": [93.2, 89.0, 66.8, 51.3], "llama": [95.1, 93.3, 72.9, 58.8]},
    index=pd.Index(["sst2", "qnli", "rte", "cola"], name="dataset"),
)
BY_NAME = Columns(("model",), ("dataset",))


@pytest.fixture
def read(tmp_path):
    """Write a table, and read what is ranked of it and the sentences."""

    def read_back(content: pd.DataFrame | str, columns: Columns = Columns()):  # noqa: B008
        file = tmp_path / "scores.csv"
        file.write_text(content if isinstance(content, str) else content.to_csv(), encoding="utf-8")
        found = read_records(file, columns)
        return pivot(found.long, found.treatment, found.block, found.metric, found.seed).cells, " ".join(found.notes)

    return read_back


def beside(**columns) -> pd.DataFrame:
    return BASE.assign(**columns)


def below(**rows) -> pd.DataFrame:
    return pd.concat([BASE, pd.DataFrame(rows, index=BASE.columns).T]).rename_axis("dataset")


MADE = [
    beside(bert_std=[0.4, 1.0, 2.5, 0.8], gpt_sd=[1.0, 1.1, 0.9, 0.0], **{"llama (std)": [0.1, 0.2, 0.3, 0.4]}),
    beside(bert__MIN=BASE.bert - 1, bert__MAX=BASE.bert + 1),
    beside(bert_min=BASE.bert - 1, bert_max=BASE.bert + 1),
    beside(bert_rank=[3.0, 3.0, 3.0, 2.0]),
    beside(mean=BASE.mean(axis=1).round(1)),
    beside(Average=BASE.mean(axis=1), std=BASE.std(axis=1).round(2), best=BASE.max(axis=1)),
    beside(sem=BASE.sem(axis=1), median=BASE.median(axis=1), total=BASE.sum(axis=1)),
    beside(rank=[1, 2, 3, 4], n=[872, 5463, 277, 1043]),
    beside(Step=[100, 200, 300, 400], epoch=3),
    beside(Seed=42, fold=[0, 1, 0, 1], run=1, year=[2013, 2016, 2006, 2018]),
    BASE.reset_index(),
    BASE.reset_index().rename_axis("index"),
    pd.concat([BASE.reset_index()], keys=["x"]).droplevel(0).rename_axis("Unnamed: 0"),
    below(mean=BASE.mean(), std=BASE.std()),
    below(Average=BASE.mean().round(1)),
    below(min=BASE.min(), Max=BASE.max(), median=BASE.median()),
    below(rank=[3, 2, 1]),
    below(**{"Avg. rank": [2.75, 2.25, 1.0], "mean rank": [2.75, 2.25, 1.0]}),
    below(**{"Rank sum": [11.0, 9.0, 4.0]}),
]


@pytest.mark.parametrize(
    "table", MADE, ids=lambda table: " ".join([*map(str, table.columns[3:]), *map(str, table.index[4:])])
)
def test_what_is_made_of_the_scores_is_left_out_and_told(read, table):
    cells, told = read(table)
    assert cells.columns.tolist() == ["bert", "gpt", "llama"]
    assert cells.index.tolist() == BASE.index.tolist()
    assert (cells.to_numpy() == BASE.to_numpy()).all()
    assert "left out" in told
    for name in {*table.columns, *table.index} - {*BASE.columns, *BASE.index, "dataset", *range(4)}:
        assert repr(name) in told


def test_a_table_of_means_and_spreads_has_the_means(read):
    cells, told = read("data,bert_mean,bert_std,gpt_mean,gpt_std\na,61.5,2.5,73.5,1\nb,51.5,2.5,63.5,1\n")
    assert cells.columns.tolist() == ["bert_mean", "gpt_mean"]
    assert "'gpt_std' is left out: its values are the standard deviation of 'gpt_mean'" in told


def test_row_numbers_of_a_filtered_data_frame_are_no_treatment(read):
    cells, told = read(BASE.reset_index().iloc[[0, 2, 3]])
    assert cells.columns.tolist() == ["bert", "gpt", "llama"]
    assert "left out" in told


def test_our_own_table_keeps_its_form(read):
    cells, _ = read(
        "benchmark,test_set,compm_org,compm_nat,compm_org_std,mean\nmeld,org,65.4,65.5,0.5,65.45\n"
        "meld,nat,48,50.9,0.4,49.45\nmeld,mean,56.7,58.2,0.45,57.45\niemocap,org,60,61,1,60.5\n"
    )
    assert cells.index.tolist() == ["meld_org", "meld_nat", "iemocap_org"]
    assert cells.columns.tolist() == ["compm_org", "compm_nat"]


def test_summaries_in_a_table_of_a_row_a_score_are_left_out_and_told(read):
    table = below(mean=BASE.mean()).assign(average=lambda cells: cells.mean(axis=1))
    table["bert"] += 0.0
    long = table.reset_index().melt("dataset", var_name="model", value_name="score")
    cells, told = read(long.to_csv(index=False), BY_NAME)
    assert cells.shape == (4, 3)
    assert "The block 'mean' is left out" in told
    assert "The treatment 'average' is left out" in told


def test_summaries_over_seeds_are_no_seeds(read):
    rows = "a,1,61.5,62.5\na,2,62.5,63.5\na,mean,62.0,63.0\na,std,0.7,0.7\nb,1,51.5,52.5\nb,2,52.5,53.5\n"
    cells, told = read("dataset,seed,bert,gpt\n" + rows)
    assert cells.loc["a"].tolist() == [62.0, 63.0]
    assert "The seed 'std' is left out" in told


REAL = "dataset,bert,gpt,{}\na,61.5,62.5,73.5\nb,51.5,52.5,63.5\nc,41.5,32.5,35.5\n"


@pytest.mark.parametrize(
    "name", ["bert_std", "bert_max", "bert_mean", "mean_pooling", "std", "rank", "best", "max pooling", "gpt.2", "n"]
)
def test_a_treatment_that_only_has_such_a_name_is_ranked(read, name):
    table = REAL.replace("gpt", "gpt-4").format(name.replace("gpt", "gpt-4"))
    cells, told = read(table)
    assert cells.shape == (3, 3)
    assert "left out" not in told
    assert not told or f"The column {name!r} is ranked: its values are not" in told


def test_a_block_that_only_has_such_a_name_is_ranked_and_told(read):
    cells, told = read("dataset,bert,gpt\na,61.5,62.5\nb,51.5,52.5\nstd,51.5,53.5\n")
    assert cells.index.tolist() == ["a", "b", "std"]
    assert "The block 'std' is ranked" in told


@pytest.mark.parametrize(
    ("written", "value", "told"),
    [
        ("{} ± 0.4", 91.0, "Only the first number of scores such as '91.0 ± 0.4' is read"),
        ("{}±.4", 91.0, "Only the first number"),
        ("{} +/- 0.4", 91.0, "Only the first number"),
        ("{} (0.4)", 91.0, "Only the first number"),
        ("{} ± 0.4 (3)", 91.0, "Only the first number"),
        ("{} [90.1, 92.0]", 91.0, "Only the first number"),
        ("{}%", 0.91, "Scores in per cent, as '91.0%', are read as shares of 1"),
        ("{}% ± 0.4%", 0.91, "Scores in per cent"),
        ("**{}**", 91.0, "Marks at scores, as in '**91.0**', are passed over"),
        ("{}*", 91.0, "Marks at scores"),
        (r"$\textbf{{{}}} \pm 0.4$", 91.0, "Only the first number"),
    ],
)
def test_scores_are_read_as_papers_write_them(read, written, value, told):
    cells, sentences = read(BASE.map(written.format))
    assert cells.loc["sst2", "bert"] == value
    assert cells.shape == (4, 3)
    assert told in sentences


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_decimal_commas_are_read(read, separator):
    cells, told = read(BASE.to_csv(sep=separator, decimal=","))
    assert (cells.to_numpy() == BASE.to_numpy()).all()
    assert "Commas, as in '91,0', are read as decimal points." in told


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('d,a,b\nx,"1,234","5,678"\n', "line 2, column a: '1,234' is not a number that can be told from thousands"),
        ('d,a,b\nx,"61,5",62.5\n', "line 2, column a: '61,5' has a comma where '62.5' has a point"),
        ("d,a,b\nx,1,2024_11\ny,1,2\n", "line 2, column b: '2024_11' is not a number"),
        ("d,a,b\nx,1,n/a\ny,1,2\n", "line 2, column b: 'n/a' is not a number"),
        ("d,a,a.1,b\nx,1,2,3\n", "the columns 'a' and 'a.1' are of one name, twice"),
        ("d,gpt4,gpt4.1,b\nx,1,1,3\n", "the columns 'gpt4' and 'gpt4.1' are of one name, twice"),
        ("d,a,b\nx,1,2\nnan,2,3\n", "line 3, column d: nan is how data frames write a missing value"),
        ("d,Average,b\nx,1,2\n", "the column 'Average' is no treatment of its own"),
    ],
)
def test_what_cannot_be_told_is_refused_with_its_place(read, content, told):
    with pytest.raises(UserError) as caught:
        read(content)
    assert "scores.csv" in str(caught.value)
    assert told in str(caught.value)


def test_a_repeated_column_of_a_long_table_is_refused(read):
    with pytest.raises(UserError, match=r"'score' and 'score\.1' are of one name"):
        read("model,dataset,score,score.1\nbert,a,1,2\n", BY_NAME)


def test_many_columns_are_told_in_few_lines(read):
    spreads = {f"m{i}": [60.5 + i, 50.0] for i in range(40)}
    spreads |= {f"m{i}_std": [0.5, 0.25] for i in range(40)}
    cells, told = read(pd.DataFrame(spreads, index=pd.Index(["a", "b"], name="data")))
    assert cells.shape == (2, 40)
    assert told.count("is left out:") == 6
    assert "m39_std" in told


def test_names_are_the_same_however_their_accents_are_composed(read):
    rows = "".join(f"{unicodedata.normalize(form, 'gêné')},{i},{i}.5\n" for i, form in enumerate(("NFC", "NFD")))
    cells, _ = read("model,dataset,score\n" + rows, BY_NAME)
    assert cells.columns.tolist() == ["gêné"]
