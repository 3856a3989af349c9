import csv
import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from ercsatz.assessment.figures import overview
from ercsatz.assessment.report import FILES, to_csv, to_html, to_markdown, write
from ercsatz.assessment.tables import emotion_tables

BAD = "<script>alert(1)</script>"
JUDGE = {
    "not_judged": "",
    "by": f"tgi {BAD}",
    "rubric": 1,
    "templates_sha256": "0" * 64,
    "trust": [
        {"name": "alpha_naturalness", "value": 0.5, "n": 9, "p": None, "undefined": ""},
        {"name": "first_called_more_natural", "value": 0.7, "n": 9, "p": 0.03, "undefined": ""},
    ],
    "preference": {"low": 0.1, "high": 0.3, "synthetic": 1, "real": 4, "tied": 0, "measure": "called_more_natural"},
    "funnel": {"pairs": 10, "judged": 9, "wanted": 40, "accepted": 37, "rejected": {"prose": 3}},
}


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.seen, self.told = [], []

    def handle_starttag(self, tag, attributes):
        self.seen.append(tag)
        self.told += [value for name, value in attributes if name.startswith("on") or name in ("src", "href")]


@pytest.fixture
def hostile(assessment, line):
    """Everything that may come from data is hostile."""
    counts = {split: {BAD: 5, "joy": 0} for split in ("train", "validation", "test")}
    row = {"split": "train", "dialogue": BAD, "turn": 3, "text": BAD * 30, "real_split": "test", "real_dialogue": BAD}
    lines = [
        line(),
        line(0.4, 0.5, family="labels", name="agreement_f1_words", emotion=BAD),
        line(None, None, family="human", name="naturalness", undefined=f"undefined because {BAD}"),
        line(0.4, 0.5, family="human", name="called_more_natural", better="higher", n=9, p=0.2),
    ]
    return assessment(
        BAD,
        lines,
        label_counts={"mini_org": counts, BAD: counts},
        confusion={"words": {"labels": [BAD, "joy"], "counts": [[4, 1], [0, 0]]}},
        offenders=[{**row, "real_text": BAD, "kind": "exact", "score": 1.0}] * 25,
        points={"real": [[0.0, 1.0, BAD]], "own": [[0.0, 1.0, BAD]]},
        examples=[[[BAD, BAD, BAD], [BAD, "=1+1", None]]],
        judge=JUDGE,
        provenance={"data": BAD},
    )


def _named(found, name):
    return replace(found, data=name, label_counts={**found.label_counts, name: found.label_counts[BAD]})


@pytest.mark.parametrize("several", [False, True])
def test_hostile_text_is_shown_and_does_nothing(hostile, several):
    page = to_html(
        [hostile, _named(hostile, BAD + "2")] if several else [hostile], failures=[f"Not assessed: other: {BAD}"]
    )
    tags = Tags()
    tags.feed(page)
    assert "script" not in tags.seen
    assert all(told.startswith("#") for told in tags.told)
    assert page.count("&lt;script&gt;alert(1)") > 20
    text = to_markdown([hostile], failures=[BAD])
    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_formulas_in_names_are_text_in_the_csv(assessment, line):
    found = assessment("=1+1", [line(emotion="@x"), line(None, None, undefined="undefined because of that")])
    first, second = csv.DictReader(io.StringIO(to_csv([found])))
    assert (first["data"], first["emotion"], first["value"]) == ("'=1+1", "'@x", "0.5")
    assert (second["value"], second["verdict"], second["undefined"]) == ("", "undefined", "undefined because of that")


def test_a_reason_stands_once_below_the_table_and_not_in_it(assessment, line):
    why = "undefined because the package is missing"
    lines = [line(), line(None, None, name="mauve", better="higher", undefined=why)]
    found = [assessment("a", lines), assessment("b", lines)]
    page = to_html(found)
    assert page.count(why) == 1
    assert not re.search(rf"<td[^>]*>(?:(?!</td>).)*{why}", page)
    assert to_markdown(found).count(why) == 1
    found = [assessment("a", lines), assessment("b", [line(), line(0.1, 0.2, name="mauve", better="higher")])]
    assert "MAUVE of a: undefined because" in to_markdown(found)
    assert "MAUVE: " in to_markdown(found)


def test_all_data_sets_are_columns_of_one_table(assessment, line):
    found = [assessment(name, [line(value, chance=0.1)]) for name, value in (("x_b", 0.7), ("x_a", 0.45), ("x_c", 0.2))]
    (row,) = [text for text in to_markdown(found).splitlines() if text.startswith("| Fréchet distance")]
    assert row.split(" | ")[1:] == ["0.700 (worse)", "0.450 (as real)", "0.200 (no worse)", "0.500 ± 0.100 |"]
    page = to_html(found)
    assert page.index("x_b") < page.index("x_a") < page.index("x_c")
    assert 'class="bad">0.700' in page
    assert 'class="">0.200<' in page, "no praise"
    found = [assessment(lines=[line(0.7, family="labels", name="tstr_w_f1_words", better="higher", chance=0.1)])]
    assert 'class="good">0.700' in to_html(found)


def test_each_data_set_has_its_own_bar_of_what_is_no_difference(assessment, line):
    """One bar for all would be too wide for most of them."""
    from matplotlib.patches import Rectangle

    def bars(*chances):
        found = [assessment(f"x{n}", [line(0.5, 0.5, chance=chance)]) for n, chance in enumerate(chances)]
        patches = overview(found).axes[0].patches
        return sorted((bar.get_y(), bar.get_height(), bar.get_width()) for bar in patches if isinstance(bar, Rectangle))

    (low, first, narrow), (high, second, wide) = bars(0.1, 0.2)
    assert (narrow, wide) == pytest.approx((0.4, 0.8))
    assert low + first <= high + 1e-9
    assert first == pytest.approx(second)
    assert len(bars(0.1)) == 1


def test_marks_of_single_emotions_are_those_of_all_data_sets(assessment, line):
    found = [
        assessment(name, [line(0.4, mark, family="labels", name="agreement_f1_words", emotion="joy")])
        for name, mark in (("a", 0.5), ("b", 0.6))
    ]
    (table,) = emotion_tables(found)
    assert table[1][-1] == ("real", {"joy": "0.500 to 0.600"})


def test_distances_to_the_nearest_held_out_turns_are_on_the_page(assessment):
    own, real = ([scale * n / 100 for n in range(101)] for scale in (0.5, 0.8))
    found = assessment(nearest={"own": own, "real": real})
    text = to_markdown([found])
    assert "| the nearest 1 % of turns are within | 0.005 | 0.008 |" in text
    assert "| the nearest 50 % of turns are within | 0.250 | 0.400 |" in text
    page = to_html(
        [
            found,
            replace(found, data="other", label_counts={**found.label_counts, "other": found.label_counts["mini_bal"]}),
        ]
    )
    assert "Distance to the nearest held-out turn" in page
    assert "0.250" in page
    assert "Distance to the nearest held-out turn" not in to_html([assessment()])


def test_samples_are_told(assessment, line):
    assert "10 of 500 for Fréchet distance" in to_html([assessment(lines=[line(of=500)])])
    assert "measured on samples" not in to_html([assessment()])


def test_failures_are_told_at_the_top(assessment):
    page = to_html([assessment()], failures=["Not assessed: mini_per: there is no data set"])
    assert page.index("<bdi>Not assessed: mini_per: there is no data set</bdi>") < page.index("How many figures")
    assert "**Not cleaned: mini_per: no**" in to_markdown([assessment()], ["Not cleaned: mini_per: no"])


def test_the_judge_is_told_with_what_tells_whether_to_trust_it(hostile):
    page = to_html([hostile])
    for words in (
        "s alpha of naturalness",
        "10 drawn, 9 judged in both orders",
        "prose 3",
        "p = 0.030",
    ):
        assert words in page, words


def test_every_file_is_written(assessment, tmp_path):
    paths = write([assessment()], tmp_path / "new" / "folder")
    assert [path.name for path in paths] == list(FILES)
    for path in paths:
        assert path.stat().st_size > 100
    assert paths[3].read_bytes().startswith(b"\x89PNG")
    before = [path.read_bytes() for path in paths]
    assert [path.read_bytes() for path in write([assessment()], tmp_path / "other")] == before


def test_a_data_set_without_any_figure_has_a_page(assessment, line):
    nothing = [line(None, None, undefined="undefined because there are no dialogues")]
    counts = {"mini_org": {split: {"joy": 0} for split in ("train", "validation", "test")}}
    empty = assessment(
        lines=nothing,
        label_counts=counts | {"mini_bal": counts["mini_org"]},
        points={"real": [], "own": []},
        examples=[],
    )
    assert "undefined because there are no dialogues" in to_html([empty])
