from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from ercsatz.data.dialogue import Dialogue, Utterance
from ercsatz.judging.pairs import SLACK_SHARE, SLACK_TURNS, draw


def dialogues(sizes, mark):
    return [
        Dialogue(f"{mark}{n}", tuple(Utterance("A", f"{mark} {n} {t}", "joy") for t in range(size)))
        for n, size in enumerate(sizes)
    ]


sizes = st.lists(st.integers(1, 30), max_size=12)


@settings(deadline=None)
@given(sizes, sizes, st.integers(1, 12), st.integers(1, 25), st.integers(0, 3))
def test_pairs_are_close_in_length_and_share_no_dialogue(ours, theirs, n, turns, seed):
    synthetic, real = dialogues(ours, "s"), dialogues(theirs, "r")
    drawn = draw(synthetic, real, n, turns, seed)
    assert [pair.index for pair in drawn.pairs] == list(range(len(drawn.pairs)))
    assert len(drawn.pairs) <= min(n, len(ours), len(theirs))
    for side, every in (("synthetic", synthetic), ("real", real)):
        ids = [getattr(pair, side).id for pair in drawn.pairs]
        assert len(set(ids)) == len(ids)
        assert set(ids) <= {each.id for each in every}
    for pair in drawn.pairs:
        ours_shown, theirs_shown = (min(len(d.utterances), turns) for d in (pair.synthetic, pair.real))
        assert abs(ours_shown - theirs_shown) <= max(SLACK_TURNS, SLACK_SHARE * ours_shown)
    if len(drawn.pairs) < n:
        assert drawn.passed_over == len(synthetic) - len(drawn.pairs)


@settings(deadline=None)
@given(sizes, sizes, st.integers(1, 6))
def test_more_pairs_begin_with_the_same(ours, theirs, n):
    synthetic, real = dialogues(ours, "s"), dialogues(theirs, "r")
    fewer, more = (draw(synthetic, real, wanted, 20, 0).pairs for wanted in (n, n + 4))
    assert more[: len(fewer)] == fewer


def test_the_draw_depends_on_the_seed_and_not_on_the_order():
    synthetic, real = dialogues([5] * 20, "s"), dialogues([5] * 20, "r")
    pairs = draw(synthetic, real, 8, 20, 0).pairs
    assert draw(synthetic[::-1], real[::-1], 8, 20, 0).pairs == pairs
    assert draw(synthetic, real, 8, 20, 1).pairs != pairs
    assert [pair.synthetic.id for pair in pairs] != [f"s{n}" for n in range(8)]


def test_the_closest_is_taken_and_the_lonely_are_counted():
    synthetic, real = dialogues([6, 30], "s"), dialogues([4, 7, 9, 12], "r")
    drawn = draw(synthetic, real, 2, 100, 0)
    assert [(len(p.synthetic.utterances), len(p.real.utterances)) for p in drawn.pairs] == [(6, 7)]
    assert drawn.passed_over == 1
    assert draw(synthetic, [], 2, 100, 0).pairs == ()


def test_long_dialogues_count_as_long_as_they_are_shown():
    synthetic, real = dialogues([14], "s"), dialogues([60], "r")
    assert not draw(synthetic, real, 1, 60, 0).pairs
    (pair,) = draw(synthetic, real, 1, 14, 0).pairs
    assert replace(pair, index=0).real.id == "r0"
