import itertools
import json
import os
import subprocess
import sys

import pytest
from matplotlib.figure import Figure

from ercsatz.generation.dataset.plot import label_plot, main

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
        "import sys; from pathlib import Path; from ercsatz.generation.dataset.plot import label_plot, main;"
        f"label_plot(Path(sys.argv[1]), {LABELS!r}, {{'org': {REAL!r}, 'bal': {MADE!r}}}, 'MELD')"
    )
    environment = os.environ | {"PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(sys.path), "TZ": "Asia/Tokyo"}
    subprocess.run([sys.executable, "-c", script, tmp_path / "b.png"], check=True, env=environment)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_pyplot_is_left_alone():
    script = "import sys, ercsatz.generation.dataset.plot; print('matplotlib.pyplot' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", script], check=True, env=environment, capture_output=True, text=True)
    assert done.stdout == "False\n"


def folder(path, data, title="MELD", labels=("joy", "fear")):
    path.mkdir()
    settings = {"data": data, "benchmark": {"title": title, "labels": list(labels)}}
    counts = {"benchmark": {"joy": 50, "fear": 5}, "data": {"joy": 30, "fear": 20}}
    (path / "config.json").write_text(json.dumps({"settings": settings, "labels": counts}))
    return str(path)


def test_data_sets_of_one_benchmark_are_drawn_together(tmp_path, capsys):
    folders = [folder(tmp_path / name, name) for name in ("meld_nat", "meld_bal")]
    assert main([*folders, "--output", str(tmp_path / "labels.png")]) == 0
    assert (tmp_path / "labels.png").read_bytes().startswith(b"\x89PNG")
    assert "labels.png" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("others", "words"),
    [
        ([("iemocap_nat", "IEMOCAP")], "different benchmarks (MELD, IEMOCAP)"),
        ([(f"meld_{n}", "MELD") for n in range(5)], "too many"),
    ],
)
def test_what_does_not_fit_one_picture_is_refused(tmp_path, capsys, others, words):
    folders = [folder(tmp_path / name, name, title) for name, title in [("meld_nat", "MELD"), *others]]
    assert main([*folders, "--output", str(tmp_path / "labels.png")]) == 1
    assert words in capsys.readouterr().err
    assert not (tmp_path / "labels.png").exists()


def test_folder_that_is_no_data_set_is_told(tmp_path, capsys):
    assert main([str(tmp_path)]) == 1
    assert "config.json" in capsys.readouterr().err
