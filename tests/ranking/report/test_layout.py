"""The tables in the way of a paper, from scores to every kind of file."""

import csv
import io
import re

import pytest

from ercsatz.ranking import pivot, rank, to_csv, to_latex, to_markdown
from ercsatz.ranking.report import Background, Layout, Published, Slice, layout_tables, to_html
from ercsatz.ranking.report.cells import cut_off, p_notes

REAL = {"meld_org": "MELD", "emorynlp_org": "EmoryNLP", "iemocap_org": "IEMOCAP"}


@pytest.fixture
def published(table4) -> Published:
    """The published scores beside themselves, but for one that is missing and one that was 0.5 higher."""
    scores = table4.table.cells.copy()
    scores.loc["meld_org", "compm_nat"] += 0.5
    scores.loc["meld_nat", "todkat_bal"] = float("nan")
    return Published("Kaplan et al. (2025)", "Procedia", scores, 80, "Their data are not public.")


def texts(table):
    return [[cell.text for cell in row] for row in table.rows]


def test_slice_has_a_row_per_treatment_and_its_best_in_bold(table4):
    (table,) = layout_tables(table4, 1, Layout(("Classifier", "Data"), (Slice("Real", REAL),)))
    assert table.head == ("Classifier", "Data", "MELD", "EmoryNLP", "IEMOCAP")
    assert texts(table)[:2] == [["compm", "org", "65.43", "37.25", "65.21"], ["", "nat", "65.52", "39.50", "68.06"]]
    assert [cell.text for row in table.rows for cell in row if cell.best] == ["39.50", "69.28", "67.27"]
    assert table.starts == {3, 6}


def test_published_scores_stand_beside_with_their_differences(table4, published):
    real, beside = layout_tables(table4, 1, Layout((), (Slice("Real", REAL),), published))
    assert real.groups == (("MELD", 3), ("EmoryNLP", 3), ("IEMOCAP", 3))
    assert texts(real)[1][2:5] == ["65.52", "66.02", "\u22120.50"]
    assert [row[1] for row in texts(beside)[:3]] == ["here", "paper", "diff."]
    assert texts(beside)[2][2:5] == ["0.00", "\u22120.50", "0.00"]
    assert texts(beside)[4][-1] == texts(beside)[5][-1] == "-"
    told = " ".join(beside.notes)
    assert "80 scores here have a published one beside them; 80 were published." in told
    assert "from \u22120.50 (compm_nat on meld_org) to 0.00" in told
    assert "No test is made of the differences." in told
    assert told.endswith("Their data are not public. Source: Procedia")


def test_rank_sums_are_compared_over_the_same_pool_alone(table4, published):
    scores = table4.table.cells
    whole = Published("Paper", "", scores, scores.size)
    (same,) = layout_tables(table4, 1, Layout(published=whole))
    sums = ["63", "24", "29", "62", "28", "23", "76", "49", "51"]
    assert texts(same)[-3:] == [["rank sum", "here", *sums], ["", "paper", *sums], ["", "diff.", *["0"] * 9]]
    assert "They are the same." in " ".join(same.notes)
    fewer = rank(table4.table.cells.iloc[:, :6], [])
    for result, theirs in ((table4, published), (fewer, whole)):
        (table,) = layout_tables(result, 1, Layout(published=theirs))
        assert "rank sum" not in [row[0] for row in texts(table)]


def test_what_is_not_published_is_left_out(table4):
    few = Published("Paper", "", table4.table.cells.iloc[:1, :2], 2)
    (table,) = layout_tables(table4, 1, Layout(published=few))
    assert [row[0] for row in texts(table)] == ["meld_org", "", ""]
    assert len(table.head) == 4
    none = Published("Paper", "", table4.table.cells.iloc[:0], 2)
    assert layout_tables(table4, 1, Layout(published=none)) == []
    assert layout_tables(table4, 1, Layout(slices=(Slice("Real", {}),))) == []
    assert layout_tables("No job completed.", 1, Layout(slices=(Slice("Real", REAL),))) == []


def test_gaps_and_seeds_are_shown(records):
    records = records[~((records.classifier == "todkat") & (records.test_set == "org"))]
    table = pivot(records, ["classifier", "variant"], ["benchmark", "test_set"], "w_f1")
    (shown,) = layout_tables(table, 100, Layout(slices=(Slice("Real", {"meld_org": "MELD"}),)))
    assert texts(shown)[0][-1] == "52.00 \u00b1 1.41"
    assert texts(shown)[-1][-1] == "-"


def test_every_kind_of_file_has_the_tables(table4, published):
    layout = Layout(("Classifier", "Data"), (Slice("Real test sets", REAL),), published, 4)
    background = Background(layout=layout)
    page, text, tex = to_html(table4, 1, background), to_markdown(table4, 1, background), to_latex(table4, 1, layout)
    for heading in ("Real test sets", "Beside Kaplan et al. (2025)"):
        assert f"## {heading}" in text
        assert f"\\caption{{{heading}." in tex
        assert re.search(f"<h2>.*{re.escape(heading)}.*</h2>", page)
    assert "|  | nat | 65.52 | 66.02 | \u22120.50 |" in text
    assert r" & nat & 65.52 & 66.02 & $-$0.50 &" in tex
    assert re.search(r"<td>65\.52</td><td>66\.02</td><td>\u22120\.50</td>", page)
    rows = {row["treatment"]: row for row in csv.DictReader(io.StringIO(to_csv(table4, 1, published)))}
    assert float(rows["compm_nat"]["meld_org_published"]) == pytest.approx(66.02)
    assert float(rows["compm_nat"]["meld_org_difference"]) == pytest.approx(-0.5)
    assert rows["todkat_bal"]["meld_nat_published"] == ""
    for kind in (text, tex):
        assert ".0186" in kind
        assert "cut off after 4 digits and not rounded" in kind
    assert "cut off after 4 digits" in page


def test_p_values_are_explained_under_every_table(table4):
    (note,) = p_notes(table4)
    assert note == (
        "Exact p: of the pair by itself, two-sided. Bonferroni p: corrected for the 6 comparisons made "
        "(exact p \u00d7 6, at most 1)."
    )
    for text in (to_markdown(table4), to_html(table4)):
        assert note in text
    assert note.replace("\u00d7", r"$\times$").replace("two-sided", "two-{}sided") in to_latex(table4)
    assert p_notes(rank(table4.table, [])) == []


@pytest.mark.parametrize(
    ("p", "digits", "text"),
    [(0.0034299, 4, ".0034"), (0.2025918, 4, ".2025"), (0.05, 2, ".05"), (0.00009, 4, "<.0001"), (1.0, 4, "1.0000")],
)
def test_p_is_cut_off_and_not_rounded(p, digits, text):
    assert cut_off(p, digits) == text
