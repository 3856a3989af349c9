"""What learnt nothing is marked everywhere, and nothing is claimed of a comparison with it, nor of ties."""

import io
import json
import re
from dataclasses import replace

import pandas as pd
import pytest
from rich.console import Console

from ercsatz.ranking import RankResult, ScoreTable, pivot, rank
from ercsatz.ranking.report import (
    Background,
    critical_difference_diagram,
    diagram,
    scores_to_rich,
    sentences,
    to_csv,
    to_html,
    to_latex,
    to_markdown,
    to_rich,
)
from ercsatz.ranking.report.sentences import methods
from tests.ranking.report.conftest import background_of, records
from tests.ranking.report.test_html import Page

BLOCKS = [("meld", f"t{i}") for i in range(6)]
PAIRS = [(f"{name}_{variant}", f"{name}_org") for name in ("compm", "todkat") for variant in ("nat", "bal")]


@pytest.fixture(scope="module")
def result() -> RankResult:
    """``compm_org``, a baseline, learnt nothing on half of the blocks, ``todkat_bal`` on another."""
    long = records([(c, v) for c in ("compm", "todkat") for v in ("org", "nat", "bal")], BLOCKS, seeds=2)
    long["learnt_nothing"] = ""
    for name, variant, block, reason in (
        *(("compm", "org", block, "one label") for block in ("t1", "t2", "t3")),
        ("todkat", "bal", "t4", "majority floor"),
    ):
        chosen = (long.classifier == name) & (long.variant == variant) & (long.test_set == block) & (long.seed == 1)
        long.loc[chosen, "learnt_nothing"] = reason
    return rank(pivot(long, ["classifier", "variant"], ["benchmark", "test_set"], "w_f1"), PAIRS, rope=0.01)


FIRST = "A baseline learnt nothing: compm_org † (on meld_t1, meld_t2, meld_t3)."
FOOTNOTE = "† learnt nothing (of one seed at least, where there are several): every prediction is the same label, or"


def terminal(*shown: object) -> str:
    console = Console(file=io.StringIO(), width=200)
    console.print(*shown)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_first_sentence_is_about_the_baseline_and_no_comparison_with_it_is_judged(result):
    first, compared, foot, *_ = sentences(result, 100)
    assert first.startswith(FIRST)
    assert re.search("p =", first) is None
    assert "todkat_bal † against todkat_org" in compared
    assert "compm_nat" not in compared
    assert foot.startswith(FOOTNOTE)
    assert not any("Friedman" in sentence for sentence in sentences(result, 100))
    assert methods(result).startswith(FIRST)


def test_where_no_baseline_is_left_nothing_is_claimed(result):
    alone = rank(result.table, [("compm_nat", "compm_org"), ("compm_bal", "compm_org")])
    told = sentences(alone, 100)
    assert told[0].startswith(FIRST)
    assert told[1].startswith(FOOTNOTE)
    assert not re.search(r"etter than|no difference shown|p = ", " ".join(told))


def test_a_baseline_that_learnt_nothing_on_some_blocks_is_named_first_and_compared(result):
    table = replace(result.table, unlearnt=frozenset({("meld_t1", "compm_org")}))
    first, friedman, compared, *_ = sentences(rank(table, PAIRS), 100)
    assert first == "A baseline learnt nothing on some blocks: compm_org † (on meld_t1)."
    assert friedman.startswith("Friedman's test over 6 blocks")
    assert "compm_nat against compm_org" in compared


def test_of_pairs_that_have_no_baseline_the_second_counts(result):
    pairs = rank(result.table, [("compm_nat", "compm_org"), ("compm_org", "todkat_org"), ("compm_bal", "compm_nat")])
    first, compared, *_ = sentences(pairs, 100)
    assert first.startswith("A treatment learnt nothing: compm_org † (on meld_t1, meld_t2, meld_t3). Nothing follows")
    assert "Worse: compm_org † than todkat_org" in compared
    assert "compm_bal against compm_nat" in compared
    assert "against compm_org" not in compared


def test_a_treatment_that_learnt_nothing_is_compared_and_marked(result):
    table = replace(result.table, unlearnt=frozenset({("meld_t4", "todkat_bal")}))
    friedman, compared, foot, *_ = sentences(rank(table, PAIRS), 100)
    assert friedman.startswith("Friedman's test over 6 blocks")
    assert "todkat_bal † against todkat_org" in compared
    assert "compm_nat against compm_org" in compared
    assert foot.startswith(FOOTNOTE)


def test_the_cells_are_marked_in_text_tables(result):
    for text in (to_markdown(result, 100), terminal(to_rich(result, 100))):
        rows = {
            line.split()[0 + line.startswith("|")]: line
            for line in text.splitlines()
            if "meld_t" in line and "±" in line
        }
        assert [row for row, line in rows.items() if "†" in line] == ["meld_t1", "meld_t2", "meld_t3", "meld_t4"]
        assert "± 0.07 † (6)" in rows["meld_t1"]
    comparisons = to_markdown(result, 100).partition("## Comparisons")[2]
    assert "| compm_nat | compm_org † |" in comparisons
    assert "| todkat_bal † | todkat_org |" in comparisons


def test_scores_that_are_not_ranked_are_marked_with_their_footnote(result):
    plain = replace(result.table, unlearnt=frozenset())
    apart = Background(apart=result.table)
    page = to_markdown(rank(plain, PAIRS), 100, apart)
    assert page.count("every prediction is the same label") == 1
    assert page.count("†") == 5
    assert "†" in terminal(scores_to_rich(result.table, 100))
    assert sentences("Nothing to rank.", apart=result.table)[1].startswith(FOOTNOTE)
    assert FOOTNOTE in Page(to_html(rank(plain, PAIRS), 100, apart)).text
    assert "†" not in to_markdown(rank(plain, PAIRS), 100, Background(apart=plain))


def test_the_page_marks_cells_comparisons_classes_and_matrices(result):
    text = to_html(result, 100, background_of(result, ("neutral", "joy")))
    page = Page(text)
    leads = re.findall(r'<p class="lead">(.*?)</p>', text)
    assert FIRST in re.sub("<[^>]+>", "", leads[0])
    assert page.rows["meld_t1"][0].startswith("30.00 †") or "†" in page.rows["meld_t1"][0]
    assert "†" not in "".join(page.rows["meld_t0"])
    assert "compm_natagainst compm_org †" in page.rows
    assert "todkat_bal †against todkat_org" in page.rows
    assert "▲" not in "".join(page.rows["compm_natagainst compm_org †"])
    assert "do they differ at all" not in page.text
    assert "differ from their baseline" not in page.text
    assert "<caption>" in text
    assert re.search(r"<caption>(<[^>]+>)*org †", text)
    assert page.text.count(FOOTNOTE) >= 1


def test_latex_marks_cells_names_and_tells_it_first(result):
    text = to_latex(result, 100)
    caption = next(line for line in text.splitlines() if line.startswith(r"\caption{"))
    first = r"\caption{A baseline learnt nothing: compm\_org $^{\dagger}$ (on meld\_t1, meld\_t2, meld\_t3)."
    assert caption.startswith(first)
    assert "every prediction is the same label" in caption
    (row,) = (line for line in text.splitlines() if line.startswith(r"meld\_t1"))
    assert row.count(r"$^{\dagger}$") == 1
    assert r"compm\_nat & org $^{\dagger}$" in text
    (bonferroni,) = (line for line in text.splitlines() if line.startswith("Bonferroni p"))
    assert text.isascii()
    assert "textbf" not in bonferroni.split("&")[2]


def test_csv_has_columns_of_marks_only_where_there_are_any(result):
    frame = pd.read_csv(io.StringIO(to_csv(result, 100)), index_col="treatment")
    marks = frame[[column for column in frame if column.endswith("_learnt_nothing")]]
    assert list(marks) == ["baseline_learnt_nothing", *(f"meld_t{i}_learnt_nothing" for i in range(6))]
    assert marks["meld_t1_learnt_nothing"].to_dict() == {t: t == "compm_org" for t in frame.index}
    found = marks["baseline_learnt_nothing"]
    assert found[["compm_nat", "todkat_nat"]].tolist() == [True, False]
    assert found[["compm_org", "todkat_org"]].isna().all()
    plain = rank(replace(result.table, unlearnt=frozenset()), PAIRS)
    assert "learnt_nothing" not in to_csv(plain)


def test_the_picture_marks_names_and_has_the_footnote_inside(result):
    figure = diagram(result)
    (axes,) = figure.axes
    texts = [text.get_text() for text in axes.texts]
    assert {"compm_org †", "todkat_bal †", "compm_nat"} <= set(texts)
    note = " ".join(texts)
    assert "A baseline learnt nothing: compm_org †" in note
    assert "most frequent label." in note
    width, height = figure.get_size_inches() * figure.dpi
    for text in axes.texts:
        box = text.get_window_extent()
        assert 0 <= box.x0 <= box.x1 <= width, text
        assert 0 <= box.y0 <= box.y1 <= height, text
    ranks, p_values = result.rank_sums / result.n, result.pairs
    assert len(critical_difference_diagram(ranks, p_values).axes[0].texts) < len(texts)


@pytest.mark.parametrize("tied", [1, 5, 6])
def test_blocks_of_ties_are_told_first_in_every_format(tied):
    scores = pd.DataFrame({"org": [0.4] * 6, "nat": [0.4] * tied + [0.5] * (6 - tied)}, [f"b{i}" for i in range(6)])
    ranked = rank(scores, [("nat", "org")])
    first, *rest = sentences(ranked)
    whole = "All treatments are tied in every block: there is nothing to test."
    assert first == (whole if tied == 6 else f"All treatments have the same score in {tied} of 6 blocks, which say "
                     f"nothing of them: {', '.join(scores.index[:tied])}.")  # fmt: skip
    assert "than the baseline" not in " ".join(rest)
    if tied > 1:  # nothing could be shown
        assert "Friedman" not in " ".join(rest)
    page, text = to_html(ranked), to_markdown(ranked)
    assert first in re.sub("<[^>]+>", "", re.findall(r'<p class="lead">(.*?)</p>', page)[0])
    assert text.partition("## What was found\n\n- ")[2].startswith(first)
    assert first in to_latex(ranked).partition(r"\caption{")[2]
    assert json.dumps(to_csv(ranked))


def test_old_tables_are_left_as_they_are():
    scores = pd.DataFrame({"org": [0.4] * 6, "nat": [0.5] * 6}, [f"b{i}" for i in range(6)])
    ranked = rank(ScoreTable.from_frame(scores), [("nat", "org")])
    for text in (to_markdown(ranked), to_html(ranked), to_latex(ranked), to_csv(ranked), "".join(sentences(ranked))):
        assert "†" not in text
        assert "dagger" not in text
        assert "learnt" not in text
