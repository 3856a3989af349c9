from itertools import groupby

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ercsatz.errors import UserError
from ercsatz.ranking import pivot
from ercsatz.ranking.arrange import arrange

PARTS = {"classifier": ["compm", "todkat", "mine"], "variant": ["org", "nat", "bal"]}
BLOCKS = {"benchmark": ["meld", "iemocap"], "test_set": ["org", "bal"]}
SLOW = settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow], deadline=None)


def records(rows):
    return pd.DataFrame(rows, columns=["classifier", "variant", "benchmark", "test_set", "w_f1"])


def table_of(long):
    return pivot(long, list(PARTS), list(BLOCKS), "w_f1")


@st.composite
def tables(draw):
    cells = st.tuples(*(st.sampled_from(values) for values in (*PARTS.values(), *BLOCKS.values())))
    places = draw(st.lists(cells, unique=True, min_size=1, max_size=20))
    return table_of(records([(*place, 0.001 * number) for number, place in enumerate(places)]))


orders = st.lists(st.sampled_from([*PARTS["classifier"], *PARTS["variant"], *BLOCKS["benchmark"], "per"]), unique=True)


@SLOW
@given(tables(), orders)
def test_every_score_keeps_its_treatment_and_block(table, order):
    names = {"compm": "CoMPM", "org": "Org", "meld": "MELD"}
    shown, treatments, blocks = arrange(table, names, order)
    back = shown.cells.rename(columns={new: old for old, new in treatments.items()})
    back = back.rename(index={new: old for old, new in blocks.items()})
    pd.testing.assert_frame_equal(back.loc[table.cells.index, table.cells.columns], table.cells)
    assert list(shown.keys) == list(shown.cells.columns) == list(shown.seeds.columns) == list(shown.spread.columns)
    assert list(shown.block_keys) == list(shown.cells.index)
    assert all(" ".join(key) == name for name, key in (shown.keys | shown.block_keys).items())


@SLOW
@given(tables(), orders.filter(bool))
def test_named_parts_come_in_their_order_and_others_behind(table, order):
    firsts = [key[0] for key in arrange(table, {}, order).table.keys.values()]
    listed = [part for part in firsts if part in order]
    assert listed == sorted(listed, key=order.index)
    assert not any(part in order for part in firsts[len(listed) :])
    assert len(set(firsts)) == len(list(groupby(firsts)))


@SLOW
@given(tables())
def test_without_names_and_order_nothing_changes(table):
    shown = arrange(table, {}, []).table
    pd.testing.assert_frame_equal(shown.cells, table.cells)
    assert shown.keys == table.keys


def test_marks_move_with_their_cells():
    rows = [("compm", "nat", "meld", "org", 0.5), ("compm", "org", "meld", "org", 0.4)]
    long = records(rows).assign(learnt_nothing=["", "one label"])
    shown = arrange(table_of(long), {"org": "Org", "compm": "CoMPM"}, ["org"]).table
    assert shown.unlearnt == {("meld Org", "CoMPM Org")}
    assert list(shown.cells.columns) == ["CoMPM Org", "CoMPM nat"]


def test_two_treatments_under_one_name_are_refused():
    table = table_of(records([("compm", v, "meld", "org", 0.5) for v in ("nat", "bal")]))
    with pytest.raises(UserError, match="would show compm_nat and compm_bal under one name, 'compm Synthetic'"):
        arrange(table, {"nat": "Synthetic", "bal": "Synthetic"}, [])
