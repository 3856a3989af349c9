import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_hex

from ercsatz.ranking import rank
from ercsatz.ranking.report import critical_difference_diagram, diagram
from ercsatz.ranking.report.critical_difference import cliques
from ercsatz.reporting.figures import SERIES, drawing


def largest_groups(alike) -> list[list[int]]:
    """By going through all subsets."""
    k = len(alike)
    groups = [
        set(group)
        for size in range(2, k + 1)
        for group in itertools.combinations(range(k), size)
        if all(alike[i][j] for i, j in itertools.combinations(group, 2))
    ]
    return sorted(sorted(group) for group in groups if not any(group < other for other in groups))


@given(st.integers(2, 7).flatmap(lambda k: st.lists(st.booleans(), min_size=k * k, max_size=k * k)))
def test_cliques_are_those_of_going_through_all_subsets(flat):
    k = round(len(flat) ** 0.5)
    upper = np.triu(np.array(flat).reshape(k, k))
    alike = upper | upper.T
    assert cliques(alike) == largest_groups(alike)


def bars(figure) -> list[tuple[float, float, float]]:
    """Beginning, end and height of each bar."""
    lines = [line for line in figure.axes[0].lines if to_hex(line.get_color()) == SERIES[1]]
    return [(*sorted(line.get_xdata()), line.get_ydata()[0]) for line in lines]


def matrix(names, apart) -> pd.DataFrame:
    p = pd.DataFrame(1.0, names, names)
    for a, b in apart:
        p.loc[a, b] = p.loc[b, a] = 0.001
    return p


def test_bars_join_what_is_not_told_apart():
    ranks = pd.Series({"d": 3.6, "a": 1.2, "c": 2.9, "b": 2.3})
    figure = critical_difference_diagram(ranks, matrix(ranks.index, [("a", "c"), ("a", "d")]))
    axis = figure.axes[0].lines[0].get_xdata()

    def rank_at(x):
        return 1 + 3 * (x - axis[0]) / (axis[1] - axis[0])

    first, second = bars(figure)
    assert [rank_at(x) for x in first[:2]] == pytest.approx([1.2, 2.3], abs=0.1)
    assert [rank_at(x) for x in second[:2]] == pytest.approx([2.3, 3.6], abs=0.1)
    assert first[2] != second[2]


def test_no_bar_where_all_are_told_apart():
    names = list("abc")
    figure = critical_difference_diagram(
        pd.Series([1.0, 2.0, 3.0], names), matrix(names, itertools.combinations(names, 2))
    )
    assert bars(figure) == []


def test_bars_of_table_4_and_its_ruler(table4):
    figure = diagram(table4)
    assert len(bars(figure)) == 3
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert "critical difference 4.11" in texts  # 37 of 9 blocks
    assert texts.count("2.56") == 1
    assert {"emoone_bal", "todkat_org"} <= set(texts)


def test_no_ruler_where_nothing_could_be_told_apart():
    result = rank(pd.DataFrame({"a": [0.1], "b": [0.2]}), [])
    assert not [text for text in diagram(result).axes[0].texts if "critical" in text.get_text()]


@pytest.mark.parametrize("k", [2, 3, 20])
@pytest.mark.parametrize(
    "name", ["m", "a long name that goes on for a while, with its recipe 🙂", "x" * 70, "$a_1$\n&"]
)
def test_all_names_are_inside_the_picture_and_apart(k, name):
    names = [f"{name}{i}" for i in range(k)]
    ranks = pd.Series(np.linspace(1, k, k), names)
    figure = critical_difference_diagram(ranks, matrix(names, []), ruler=k - 1.0)
    frame = figure.bbox
    with drawing():
        boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert len(boxes) >= 2 * k
    for box in boxes:
        assert frame.x0 <= box.x0
        assert frame.y0 <= box.y0
        assert box.x1 <= frame.x1
        assert box.y1 <= frame.y1
    for a, b in itertools.combinations(boxes, 2):
        width, height = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
        assert width <= 0 or height <= 1.5


def test_equal_mean_ranks_are_drawn():
    names = list("abc")
    figure = critical_difference_diagram(pd.Series([2.0, 2.0, 2.0], names), matrix(names, []))
    assert len(bars(figure)) == 1


def numbers(figure) -> list[int]:
    """Those of the axis."""
    return [int(text.get_text()) for text in figure.axes[0].texts if text.get_text().isdigit()]


def test_axis_of_many_spans_their_ranks_and_the_ruler():
    names = [f"m{i}" for i in range(40)]
    ranks = pd.Series(np.linspace(18.2, 22.8, 40), names)
    assert numbers(critical_difference_diagram(ranks, matrix(names, []))) == [18, 19, 20, 21, 22, 23]
    figure = critical_difference_diagram(ranks, matrix(names, []), ruler=30.5)
    assert numbers(figure) == list(range(9, 41))
    axis = figure.axes[0].lines[0].get_xdata()
    assert max(max(line.get_xdata()) for line in figure.axes[0].lines if len(line.get_xdata()) == 2) <= axis[1]
    few = critical_difference_diagram(ranks[:12] - 13, matrix(names[:12], []))
    assert numbers(few) == list(range(1, 13))
