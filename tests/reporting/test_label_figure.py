import io
import itertools
import os
import re
import subprocess
import sys

import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from ercsatz.reporting.figures import pdf, png, svg
from ercsatz.reporting.label_figure import COLUMN, STYLES, TEXT, LabelPanel, label_figure

LABELS = ["neutral", "joy", "fear"]
REAL, MADE = {"neutral": 4710, "joy": 1743, "fear": 268}, {"neutral": 900, "joy": 1000}


def panel(counts, labels=LABELS, title="MELD"):
    return LabelPanel(title, labels, counts)


def dots(figure):
    """By panel, the values of each data set."""
    return [[line.get_xdata() for line in axes.lines if line.get_linestyle() == "None"] for axes in figure.axes]


def test_every_count_is_a_dot_at_its_value_in_the_order_of_the_labels():
    figure = label_figure([panel({"org": REAL, "bal": REAL | {"fear": 20}})], COLUMN)
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"
    assert [list(row) for row in dots(figure)[0]] == [[4710, 1743, 268], [4710, 1743, 20]]
    assert [text.get_text() for text in axes.get_yticklabels()] == LABELS
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first label is at the top
    assert "0" not in [text.get_text() for text in axes.get_xticklabels()]


def test_what_does_not_occur_is_at_zero_left_of_the_axis():
    figure = label_figure([panel({"org": REAL, "bal": MADE})], COLUMN)
    (axes,) = figure.axes
    ticks = dict(zip([text.get_text() for text in axes.get_xticklabels()], axes.get_xticks(), strict=True))
    assert dots(figure)[0][1][2] == ticks["0"]
    (line,) = [line for line in axes.lines if line.get_linestyle() == "--" and len(set(line.get_xdata())) == 1]
    assert axes.get_xlim()[0] < ticks["0"] < line.get_xdata()[0] < 268


def test_shares_are_of_each_data_set_alone():
    figure = label_figure(
        [panel({"org": {"joy": 30, "fear": 10}, "bal": {"joy": 5, "fear": 5}}, LABELS[1:])], TEXT, True
    )
    assert [list(row) for row in dots(figure)[0]] == [[75, 25], [50, 50]]
    assert "per cent" in figure.axes[0].get_xlabel()


def test_looks_differ_in_shape_and_nearly_all_in_lightness():
    assert len({shape for shape, _, _ in STYLES}) == len(STYLES)
    grey = [sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), to_rgb(face), strict=True)) for _, face, _ in STYLES]
    assert min(abs(a - b) for a, b in itertools.combinations(grey[:4], 2)) > 0.12  # org, nat, bal, per


@pytest.mark.parametrize("width", [COLUMN, TEXT])
def test_all_is_inside_of_the_figure_and_no_letter_is_small(width):
    names = ["org", "nat", "bal", "per"]
    panels = [panel(dict.fromkeys(names, REAL), title=title) for title in ("MELD", "EmoryNLP", "IEMOCAP")]
    figure = label_figure(panels, width)
    assert figure.get_figwidth() == pytest.approx(width)
    png(figure)
    everything = figure.get_tightbbox()
    assert min(everything.x0, everything.y0) >= 0
    assert everything.x1 <= width
    assert everything.y1 <= figure.get_figheight()
    sizes = [float(size) for size in re.findall(r"font: (?:\w+ )?([\d.]+)px", svg(figure))]
    sizes += [float(size) for size in re.findall(r"font-size: ([\d.]+)px", svg(figure))]
    assert min(sizes) >= 7
    places = [axes.get_position() for axes in figure.axes]
    assert not any(one.overlaps(other) for one, other in itertools.combinations(places, 2))
    (key,) = figure.legends
    assert [text.get_text() for text in key.get_texts()] == names


def test_data_sets_of_one_name_look_alike_in_all_panels():
    figure = label_figure([panel({"org": REAL, "bal": MADE}), panel({"bal": MADE}, title="EmoryNLP")], TEXT)
    first, second = ([line for line in axes.lines if line.get_linestyle() == "None"] for axes in figure.axes)
    assert first[1].get_marker() == second[0].get_marker() != first[0].get_marker()


@pytest.mark.parametrize("count", [0, 1, 7, 10**6])
def test_any_count_alone_is_on_the_axis(count):
    figure = label_figure([panel({"a": {"joy": count}}, ["joy"])], COLUMN)
    low, high = figure.axes[0].get_xlim()
    assert 0 < low < dots(figure)[0][0][0] < high


def test_formulas_in_names_are_shown_as_they_are():
    figure = label_figure([panel({"$\\x$": {"a$b$": 3}}, ["$\\frac$", "a$b$"], "$\\sqrt{$ & <b>")], COLUMN)
    png(figure)  # a formula would be an error
    assert figure.axes[0].get_title(loc="left") == "$\\sqrt{$ & <b>"


def test_bytes_are_equal_in_another_process_and_say_no_time(tmp_path):
    script = (
        "import sys; from pathlib import Path; from ercsatz.reporting.figures import pdf, png, svg;"
        "from ercsatz.reporting.label_figure import LabelPanel, label_figure;"
        f"figure = label_figure([LabelPanel('MELD', {LABELS!r}, {{'org': {REAL!r}, 'bal': {MADE!r}}})], 3.5);"
        "Path(sys.argv[1]).write_bytes(png(figure) + pdf(figure) + svg(figure).encode());"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    environment = os.environ | {"PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(sys.path), "TZ": "Asia/Tokyo"}
    subprocess.run([sys.executable, "-c", script, tmp_path / "b"], check=True, env=environment)
    figure = label_figure([panel({"org": REAL, "bal": MADE})], COLUMN)
    assert (tmp_path / "b").read_bytes() == png(figure) + pdf(figure) + svg(figure).encode()


def test_png_has_the_width_that_it_says():
    picture = Image.open(io.BytesIO(png(label_figure([panel({"org": REAL})], COLUMN), 300)))
    assert picture.width == round(COLUMN * 300)
