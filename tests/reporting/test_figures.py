import re
import subprocess
import sys
from xml.etree import ElementTree

import matplotlib as mpl
import pytest

from ercsatz.reporting.figures import INK, SERIES, drawing, inline_svg, new_figure, png, svg, text_size

HOSTILE = "<script>alert(1)</script> $x_1$ & ]]> 🙂"


def figure():
    with drawing():
        drawn = new_figure(200, 100)
        axes = drawn.add_subplot()
        axes.plot([0, 1], [0, 1], "o-", color=SERIES[1])
        axes.set_title(HOSTILE)
        return drawn


def test_inline_figure_is_one_element_with_its_text_as_text():
    root = ElementTree.fromstring(inline_svg(figure(), "curve", "A <title>", "What & why"))
    assert root.tag == "svg"
    assert HOSTILE in [element.text for element in root.iter("text")]
    assert [root.find(tag).text for tag in ("title", "desc")] == ["A <title>", "What & why"]
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-labelledby"].split() == [root.find(tag).attrib["id"] for tag in ("title", "desc")]
    assert not [element for element in root.iter() if element.tag in {"script", "style", "metadata"}]


def test_two_figures_share_no_id_and_refer_to_their_own():
    pages = [inline_svg(figure(), name, "t") for name in ("first", "second")]
    ids = [set(re.findall(r' id="([^"]*)"', page)) for page in pages]
    assert not ids[0] & ids[1]
    for page, own in zip(pages, ids, strict=True):
        assert set(re.findall(r'(?:url\(|href=")#([\w-]+)', page)) <= own


def test_colours_and_font_of_an_inline_figure_are_the_page_s():
    page = inline_svg(figure(), "curve", "t")
    assert "var(--series-1)" in page
    assert "currentColor" in page
    assert not re.search("#[0-9a-f]{6}|font-family|white", page)


def test_equal_figures_give_equal_bytes():
    for save in (svg, png, lambda drawn: inline_svg(drawn, "curve", "t")):
        assert save(figure()) == save(figure())
    assert "<dc:date>" not in svg(figure())


def test_file_stands_on_white_in_its_own_colours():
    file = svg(figure())
    assert "fill: #ffffff" in file
    assert INK in file
    ElementTree.fromstring(file)


def test_settings_of_the_user_do_not_matter_and_are_left_alone():
    expected = svg(figure())
    with mpl.rc_context({"axes.facecolor": "red", "font.size": 30, "svg.fonttype": "path"}):
        assert svg(figure()) == expected
        assert mpl.rcParams["font.size"] == 30


def test_matplotlib_is_not_loaded_before_something_is_drawn():
    code = "import sys, ercsatz.ranking.report; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_text_size_grows_with_the_text():
    with drawing():
        drawn = new_figure(200, 100)
        short, long = (text_size(drawn.text(0, 0, text)) for text in ("i", "wwwwwwwwww"))
    assert long[0] > 10 * short[0]
    assert long[1] == pytest.approx(short[1], rel=0.5)
