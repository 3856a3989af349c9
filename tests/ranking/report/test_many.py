"""A ranking with more comparisons and treatments than anybody reads."""

import csv
import io
import re

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from ercsatz.ranking import RankResult, rank, sentences, to_csv, to_html, to_latex, to_markdown, to_rich
from ercsatz.ranking.report import Background
from ercsatz.ranking.report.comparisons import MOST_SHOWN

K, MADE = 46, 1035
LEFT_OUT = "Shown are the 1,000 comparisons with the smallest p; all 1,035 are in ranking.csv."


@pytest.fixture(scope="module")
def many() -> RankResult:
    names = [f"m{i:02}" for i in range(K)]
    scores = np.random.default_rng(0).normal(60, 2, size=(8, K)) + np.arange(K)
    pairs = [(later, earlier) for i, later in enumerate(names) for earlier in names[:i]]
    return rank(pd.DataFrame(scores, index=[f"set {i}" for i in range(8)], columns=names), pairs)


def test_pages_show_the_comparisons_with_the_smallest_p_and_say_so(many):
    shown = many.comparisons.sort_values("p", kind="stable")[:MOST_SHOWN]
    page = to_html(many)
    assert page.count('class="sub">against ') == MOST_SHOWN
    assert page.count(LEFT_OUT) == 2
    assert f"corrected for {MADE}" in " ".join(page.split())
    lines = to_markdown(many).partition("## Comparisons")[2].partition("## ")[0].strip().splitlines()
    assert lines[0] == LEFT_OUT
    assert lines[-1].startswith(f"All p-values are two-sided and corrected for {MADE} comparisons")
    assert [tuple(line.split(" | ")[:2]) for line in lines[4:-2]] == [
        (f"| {row.treatment}", row.baseline) for row in shown.itertuples()
    ]
    latex = to_latex(many)
    assert sum(line.startswith("m") for line in latex.splitlines()) == MOST_SHOWN
    assert LEFT_OUT in latex


def test_classes_have_a_line_for_each_treatment_alone(many):
    per_class = pd.DataFrame(
        {"treatment": name, "block": "set 0", "seed": 0, "label": "joy", "f1": 0.5, "support": 9} for name in many.ranks
    )
    page = (
        to_html(many, background=Background(per_class=per_class))
        .partition('id="classes"')[2]
        .partition("</section>")[0]
    )
    assert page.count('<th scope="row">') == K


def test_csv_has_all_comparisons(many):
    rows = list(csv.DictReader(io.StringIO(to_csv(many))))
    assert sum(row["baseline"] != "" for row in rows) == MADE


def test_all_differences_are_counted(many):
    found = int((many.comparisons.p_bonferroni < 0.05).sum())
    assert 0 < found < MADE
    assert f"<b>{found} of {MADE}</b>" in to_html(many)
    told = sentences(many)[1]
    counts = [int(count) for count in re.findall(r": (\d+)[,.]", told.partition("This is by")[0])]
    assert sum(counts) == MADE
    assert sum(counts[:-1]) == found


def test_terminal_has_a_line_for_each_of_the_best(many):
    console = Console(file=io.StringIO(), width=80)
    console.print(to_rich(many))
    lines = [line.split() for line in console.file.getvalue().splitlines()[3:] if line.strip()]
    best = many.rank_sums.sort_values(kind="stable")[:40]
    assert [line[0] for line in lines] == list(best.index)
    assert [float(line[2]) for line in lines] == best.tolist()


def test_text_has_a_hundred_comparisons_and_says_how_many_more(many):
    text = str(many)
    assert "935 more comparisons, with larger p, are in the attribute comparisons." in text
    assert len(text.splitlines()) < 280
