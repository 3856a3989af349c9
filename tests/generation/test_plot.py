import itertools
import os
import subprocess
import sys

import pytest
from matplotlib.figure import Figure

from ercsatz.generation.plot import label_plot

LABELS = ["neutral", "joy", "fear"]
REAL, MADE = {"neutral": 4710, "joy": 1743, "fear": 268}, {"neutral": 900, "joy": 1000}


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """The figure that was saved."""
    figures, savefig = [], Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda figure, *a, **b: (figures.append(figure), savefig(figure, *a, **b)))

    def draw(labels, counts, title="MELD") -> Figure:
        label_plot(tmp_path / "labels.png", labels, counts, title)
        return figures[-1]

    return draw


def test_every_count_is_a_bar_on_a_log_axis_and_is_written_on_it(drawn):
    (axes,) = drawn(LABELS, {"org": REAL, "bal": MADE}).axes
    assert axes.get_yscale() == "log"
    heights = [[bar.get_height() for bar in bars] for bars in axes.containers]
    assert heights[0] == [4710, 1743, 268]
    assert heights[1][:2] == [900, 1000]
    assert heights[1][2] == axes.get_ylim()[0]  # no bar where there is nothing
    assert [text.get_text() for text in axes.texts] == ["4710", "1743", "268", "900", "1000", "0"]
    assert [text.get_text() for text in axes.get_xticklabels()] == LABELS
    assert [text.get_text() for text in axes.figure.legends[0].get_texts()] == ["org", "bal"]


def test_colours_differ_and_bars_do_not_overlap(drawn):
    figure = drawn(LABELS, dict.fromkeys(("org", "nat", "bal", "per"), REAL))
    bars = [bar for container in figure.axes[0].containers for bar in container]
    assert len({bar.get_facecolor() for bar in bars}) == 4
    spans = sorted((bar.get_x(), bar.get_x() + bar.get_width()) for bar in bars)
    assert all(right <= left for (_, right), (left, _) in itertools.pairwise(spans))


@pytest.mark.parametrize("count", [0, 1, 7, 10**6])
def test_least_bar_is_seen_and_greatest_has_room(drawn, count):
    low, high = drawn(["joy"], {"a": {"joy": count}}).axes[0].get_ylim()
    assert 0 < low < max(count, 1) < high


def test_formulas_in_names_are_shown_as_they_are(drawn):
    figure = drawn(["$\\frac$", "a$b$"], {"$\\x$": {"a$b$": 3}}, "$\\sqrt{$ & <b>")  # a formula would be an error
    assert figure.axes[0].get_title() == "$\\sqrt{$ & <b>"


def test_bytes_are_equal_in_another_process_and_say_no_time(tmp_path):
    label_plot(tmp_path / "a.png", LABELS, {"org": REAL, "bal": MADE}, "MELD")
    script = (
        "import sys; from pathlib import Path; from ercsatz.generation.plot import label_plot;"
        f"label_plot(Path(sys.argv[1]), {LABELS!r}, {{'org': {REAL!r}, 'bal': {MADE!r}}}, 'MELD')"
    )
    environment = os.environ | {"PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(sys.path), "TZ": "Asia/Tokyo"}
    subprocess.run([sys.executable, "-c", script, tmp_path / "b.png"], check=True, env=environment)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_pyplot_is_left_alone():
    script = "import sys, ercsatz.generation.plot; print('matplotlib.pyplot' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", script], check=True, env=environment, capture_output=True, text=True)
    assert done.stdout == "False\n"
