import re
from dataclasses import replace
from html.parser import HTMLParser

import pandas as pd
import pytest

from ercsatz.ranking import ScoreTable, rank
from ercsatz.ranking.report import Background, to_html

_VOID = {"meta", "br", "hr", "img", "link", "input"}


class Page(HTMLParser):
    """What a browser would make of a page: elements with their attributes, ids, the text of each, tables as rows."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.open: list[str] = []
        self.text = ""
        self.rows: dict[str, list[str]] = {}
        self._cells: list[str] | None = None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)
        if tag == "tr":
            self._cells = []
        if tag in {"td", "th"}:
            self._cells.append("")

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        if tag == "tr":
            self.rows.setdefault(self._cells[0].strip(), [cell.strip() for cell in self._cells[1:]])
            self._cells = None

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += data
        if self._cells:
            self._cells[-1] += data

    def count(self, tag):
        return sum(name == tag for name, _ in self.elements)

    @property
    def ids(self):
        return [attributes["id"] for _, attributes in self.elements if "id" in attributes]


def part(page: str, name: str) -> str:
    """The section of a page with this id."""
    return page[page.index(f'<section id="{name}">') :].partition("</section>")[0] + "</section>"


def test_page_of_table_4_has_every_figure(table4):
    page = Page(to_html(table4))
    assert page.open == []
    assert page.rows["meld_org"][:2] == ["65.43(6)", "65.52(4)"]
    assert page.rows["rank sum"] == ["63", "24", "29", "62", "28", "23", "76", "49", "51"]
    assert page.rows["difference from org"] == ["", "39", "34", "", "34", "39", "", "27", "25"]
    assert page.rows["exact p"] == ["", "0.00057", "0.00311", "", "0.00311", "0.00057", "", "0.02122", "0.03377"]
    assert page.rows["Bonferroni p"] == ["", "0.00343", "0.01868", "", "0.01868", "0.00343", "", "0.12732", "0.20259"]
    assert page.rows["Friedman, chi-square approximation"] == ["45.8667", "8", "2.5\u00d710\u207b\u2077"]
    assert "Better than the baseline: compm_nat against compm_org (median gain +2.89, p = 0.00343)" in page.text
    assert page.rows["W-F1 (rank)"] == ["compm", "emoone", "todkat"]


def test_best_of_each_block_is_marked_once(table4):
    page = Page(to_html(table4))
    assert sum("best" in attributes.get("class", "").split() for _, attributes in page.elements) == 9


def test_comparisons_have_mean_gain_effect_interval_and_posterior(table4):
    row = Page(to_html(table4)).rows["compm_natagainst compm_org"]
    assert row[:6] == ["51.73", "+6.76", "39", "0.00057", "\u25b2 0.00343", "0.00343"]
    assert row[6:9] == ["0.02344", "+2.89+2.11 to +19.84", "+1.00"]
    assert row[9].startswith("> 99 % / < 1 % /")
    unmarked = Page(to_html(table4)).rows["todkat_natagainst todkat_org"]
    assert unmarked[4] == "0.12732"


@pytest.fixture(scope="module")
def rich_page(rich) -> str:
    return to_html(rich[0], 100, rich[1])


def test_every_part_of_the_background_is_shown(rich_page):
    page = Page(rich_page)
    assert page.open == []
    for id in (
        "scores",
        "comparisons",
        "diagram",
        "tests",
        "classes",
        "confusion",
        "curves",
        "labels",
        "apart",
        "failures",
    ):
        assert id in page.ids
        assert ("a", {"href": f"#{id}"}) in page.elements
    assert page.count("svg") == 1 + 6 + 1  # diagram; 2 classifiers x 3 stages; label distributions
    assert "\u00b1 0.07" in page.text
    assert page.rows["compm_natagainst compm_org"] != []


def test_f1_of_classes_is_the_mean_of_seeds_with_its_change(make):
    result = make([("compm", "org"), ("compm", "nat")])
    rows = [
        {"treatment": t, "block": "meld_t0", "seed": s, "label": label, "f1": f1, "support": 7}
        for t, s, label, f1 in (
            ("compm_org", 1, "joy", 0.2), ("compm_org", 2, "joy", 0.4), ("compm_nat", 1, "joy", 0.5),
            ("compm_org", 1, "fear", 0.3), ("compm_nat", 1, "fear", 0.1),
        )
    ]  # fmt: skip
    section = part(to_html(result, 100, Background(per_class=pd.DataFrame(rows))), "classes")
    rows = Page(section).rows
    assert rows["compm_org"] == ["30.0", "30.0"]
    assert rows["compm_natagainst compm_org"] == ["50.0+20.0", "10.0\u221220.0"]
    heats = re.findall(r'class="heat( down)?" style="--h: (\d+)%"', section)
    assert heats == [("", "0"), ("", "0"), ("", "55"), (" down", "55")]


def test_confusion_matrix_is_in_per_cent_of_its_rows(make):
    result = make([("compm", "org"), ("compm", "nat")])
    counts = pd.DataFrame([[3, 1, 0], [0, 0, 0], [1, 1, 2]], list("abc"), list("abc"))
    rows = Page(part(to_html(result, 100, Background(confusions={("compm_org", "meld_t0"): counts})), "confusion")).rows
    assert rows["a4"] == ["75", "25", "0"]
    assert rows["b0"] == ["-", "-", "-"]
    assert rows["c4"] == ["25", "25", "50"]


def test_ids_are_unique_and_links_lead_somewhere(rich_page):
    page = Page(rich_page)
    assert len(page.ids) == len(set(page.ids))
    links = {attributes["href"].removeprefix("#") for _, attributes in page.elements if "href" in attributes}
    assert links <= set(page.ids)


def test_nothing_is_loaded_and_nothing_is_run(rich_page):
    page = Page(rich_page)
    assert {"script", "link", "iframe", "object", "embed", "img", "form", "base"}.isdisjoint(
        t for t, _ in page.elements
    )
    for _, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on") or name == "src"]
        assert attributes.get("href", "#").startswith("#")
    assert not re.search(r"url\((?!#)|@import", rich_page)


def test_hostile_names_are_text(hostile):
    result, background = hostile
    text = to_html(result, 100, background)
    text.encode("utf-8")
    page = Page(text)
    assert page.open == []
    assert {"script", "img"}.isdisjoint(tag for tag, _ in page.elements)
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert "<script>alert(1)</script>" in page.text
    assert r"\u202egnp.exe\u200f" in page.text
    assert "\u202e" not in page.text


@pytest.mark.parametrize(
    "ranked", ["No job completed.", ScoreTable.from_frame(pd.DataFrame({"org": [0.5, 0.6]}, index=["a", "b"]))]
)
def test_what_is_not_ranked_has_a_page_without_tests(ranked, rich):
    page = Page(to_html(ranked, 100, replace(rich[1], apart=None)))
    assert page.open == []
    assert not {"comparisons", "diagram", "tests", "reading"} & set(page.ids)
    assert {"failures", "provenance", "labels"} <= set(page.ids)
    assert "No job completed." in page.text or "org is the only treatment with scores" in page.text


@pytest.mark.parametrize(
    "scores",
    [{"org": [0.5] * 3, "nat": [0.5] * 3}, {"org": [0.5], "nat": [0.6]}, {"org": [0.5, 0.4], "nat": [0.6, 0.2]}],
)
def test_what_is_not_defined_is_never_a_nan(scores):
    page = Page(to_html(rank(pd.DataFrame(scores), [("nat", "org")])))
    assert page.open == []
    assert not re.search(r"\b(nan|None|inf)\b", page.text)
    assert "nothing to test" in page.text or "cannot be significant" in page.text


def test_where_lower_is_better_a_gain_is_a_fall():
    scores = pd.DataFrame({"org": [0.9, 0.8] * 3, "nat": [0.7, 0.5] * 3})
    page = Page(to_html(rank(scores, [("nat", "org")], higher_is_better=False)))
    row = page.rows["natagainst org"]
    assert row[:3] == ["0.6000", "+0.2500", "6"]
    assert row[4] == "\u25b2 0.03125"
    assert "A lower score is better" in page.text
    assert "Better than the baseline: nat against org" in page.text


def test_treatments_without_a_common_first_part_stand_ungrouped():
    scores = pd.DataFrame({"a": [0.5, 0.4, 0.3], "b": [0.6, 0.2, 0.4], "c": [0.1, 0.3, 0.2]})
    page = Page(to_html(rank(scores, [])))
    assert page.rows["score (rank)"] == ["a", "b", "c"]
    assert "none were compared" in page.text


def test_all_pairs_of_nine_are_counted(table4):
    names = list(table4.ranks.columns)
    pairs = [(a, b) for i, a in enumerate(names) for b in names[:i]]
    page = Page(to_html(rank(table4.table, pairs)))
    assert "Of 36 comparisons, better: 3, worse: 5, no difference shown: 28." in page.text
    assert "Better, 3 of 36: median gain +" in page.text
    assert "exact p" not in page.rows


@pytest.mark.parametrize(("n", "marked"), [(5, False), (6, True)])
def test_nothing_is_marked_where_nothing_can_be_significant(n, marked):
    """All blocks agree: Conover's p is 0, a limit and no evidence."""
    scores = pd.DataFrame({"org": [0.5] * n, "nat": [0.6] * n})
    page = Page(to_html(rank(scores, [("nat", "org")])))
    assert "0.0\u00d710" not in page.text
    assert page.rows["nat"][4] == "-"
    assert any("sure" in attributes.get("class", "").split() for _, attributes in page.elements) == marked


def test_one_block_marks_nothing(make):
    table = make().table
    one = pd.DataFrame(table.cells.iloc[:1])
    page = Page(to_html(rank(one, [(one.columns[1], one.columns[0])])))
    assert not [a for _, a in page.elements if "sure" in a.get("class", "").split()]


def test_pairs_are_not_called_baselines():
    scores = pd.DataFrame({"a": [0.50] * 9, "b": [0.40] * 9, "c": [0.60] * 9})
    every = Page(to_html(rank(scores, [("b", "a"), ("c", "a"), ("c", "b")])))
    assert "baseline" not in every.text
    assert "Each pair" in every.text
    assert "pairs differ, corrected" in every.text
    assert "Better: c than b (median gain +0.2000" in every.text
    assert "stricter than the table above" not in every.text
    assert "exact p" not in every.rows
    some = Page(to_html(rank(scores, [("b", "a"), ("c", "a")])))
    assert "Each treatment beside its baseline" in some.text
    assert "stricter than the table above" in some.text


def test_exact_p_tells_what_it_rests_on(table4):
    assert "if all treatments are exchangeable" in Page(to_html(table4)).text
