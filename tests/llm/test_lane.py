from statistics import fmean

import pytest

from ercsatz.generators.interface import Identity
from ercsatz.llm import lane as lane_module
from ercsatz.llm.lane import Lane


class Server:
    name = "a"


def lane(wanted: int = 64) -> Lane:
    return Lane(Server(), wanted)  # type: ignore[arg-type]


@pytest.mark.parametrize("slots", [2, 5, 16, 60])
def test_a_server_that_takes_so_many_and_no_more_is_kept_full(slots):
    """Each full bound of answers is a round; where one request too many is sent, it is refused."""
    made, used, refused = lane(), [], 0
    for now in range(400):
        if int(made.bound) > slots:
            refused += 1
            made.shrink(now, now, refused=True)
        used.append(min(int(made.bound), slots) / slots)
        for _ in range(min(int(made.bound), slots)):
            made.hear(float(now), 1.0)
    assert fmean(used[50:]) > 0.95
    assert 10 < refused < 50  # it is asked for more now and then, and not often


def test_a_server_that_takes_more_than_before_gets_more():
    made = lane()
    for now in range(8):
        made.shrink(now, now, refused=True)
    for now in range(100):
        for _ in range(int(made.bound)):
            made.hear(float(now), 1.0)
    assert made.bound == 64


def test_time_outs_are_not_run_into_again_at_once():
    late, full = lane(), lane()
    late.shrink(0.0, 0.0, refused=False)
    full.shrink(0.0, 0.0, refused=True)
    for _ in range(64):
        late.hear(0.0, 1.0)
        full.hear(0.0, 1.0)
    assert 48 < late.bound < 50 < full.bound < 64


def test_speed_is_the_mean_of_the_latest_answers():
    made = lane()
    assert made.rate == made.cost() == 0
    made.hear(1.0, 2.0)
    assert made.seconds == 2.0
    for _ in range(200):
        made.hear(1.0, 0.5)
    assert made.seconds == pytest.approx(0.5, abs=0.01)
    for _ in range(8):
        made.take()
    assert made.rate == pytest.approx(16, rel=0.02)
    before = made.cost()
    made.give_back()
    assert made.cost() < before


def test_silence_is_measured_by_what_it_used_to_need():
    made = lane()
    made.hear(0.0, 2.0)
    with made.sending(100.0):
        assert not made.is_silent(100.0 + 2.0 * lane_module.SILENT, usual=0.01)
        assert made.is_silent(100.1 + 2.0 * lane_module.SILENT, usual=0.01)
        made.hear(110.0, 2.0)
        assert not made.is_silent(117.0, usual=0.01)
    assert not made.is_silent(1000.0, usual=0.01)  # nothing is with it


def test_a_server_that_never_answered_is_measured_by_the_others():
    made = lane()
    with made.sending(0.0):
        assert not made.is_silent(lane_module.LEAST_SILENCE, usual=0.01)
        assert made.is_silent(lane_module.LEAST_SILENCE + 0.1, usual=0.01)
        assert not made.is_silent(lane_module.LEAST_SILENCE + 0.1, usual=10.0)


def test_one_that_was_left_out_gets_its_window_back_with_answers():
    made = lane()
    made.leave_out()
    made.take()
    assert not made.free(0.0)
    answers = 0
    while made.bound < 0.9 * 64:
        made.hear(0.0, 1.0)
        answers += 1
    assert 64 < answers < 1000


def test_a_server_takes_no_more_than_it_says():
    made = lane()
    made.apply(Identity("m", 16))
    for _ in range(2000):
        made.hear(0.0, 1.0)
    assert made.bound == made.cap == 16
