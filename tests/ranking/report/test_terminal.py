import io

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from ercsatz.ranking import ScoreTable, rank, scores_to_rich, to_rich
from ercsatz.ranking.report import fitted, groups
from ercsatz.reporting.console import SafeConsole


def shown(tables, width=10_000):
    file = io.StringIO()
    SafeConsole(file=file, width=width).print(*tables, sep="\n")
    return file.getvalue()


@settings(deadline=None)
@given(st.integers(1, 12), st.integers(24, 120), st.integers(3, 12))
def test_no_line_is_wider_and_no_cell_is_lost_or_broken(columns, width, name):
    frame = pd.DataFrame([[0.1 + place / 100 for place in range(columns)]], index=["b" * 4])
    frame.columns = [f"{place:0{name}d}" for place in range(columns)]
    parts = fitted(scores_to_rich(ScoreTable.from_frame(frame)), width)
    text = shown(parts, width)
    assert max(map(len, text.splitlines())) <= width
    words = text.split()
    for column, score in frame.iloc[0].items():
        assert words.count(column) == words.count(f"{score:.4f}") == 1


def test_groups_stay_together_and_each_part_has_all_rows(table4):
    runs = [len(group.members) for group in groups(table4.table, list(table4.ranks.columns))]
    parts = fitted(to_rich(table4), 80, runs=runs)
    assert [len(part.columns) for part in parts] == [4, 4, 4]
    assert [part.row_count for part in parts] == [13, 13, 13]
    text = shown(parts, 80)
    assert text.count("rank sum") == 3
    assert "compm_org" in text
    assert "todkat_bal" in text


def test_what_fits_stays_whole(table4):
    table = to_rich(table4)
    assert fitted(table, 200) == [table]


def test_a_name_wider_than_the_terminal_folds():
    table = to_rich(rank(pd.DataFrame({"z" * 50: [0.5, 0.4], "b": [0.6, 0.5]}, index=["x", "y"]), []))
    assert fitted(table, 30) == [table]
    assert shown([table], 30).count("z") == 50
