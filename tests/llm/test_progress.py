import asyncio
import io
import json
import threading
import time
from collections import Counter

import pytest
from rich.console import Console

from ercsatz.generation.rejection import Reason
from ercsatz.llm.progress import DRAW_EVERY, LINE_EVERY, WAITS, Progress, ProgressState, Waits

LABELS = ("neutral", "joy", "surprise", "anger", "sadness", "disgust", "fear")


class Clock:
    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock():
    return Clock()


def make_state(clock, goal=1000, goal_of="dialogues", labels=LABELS, **counts):
    return ProgressState(goal=goal, goal_of=goal_of, labels=labels, waits=Waits(clock), **counts)


def busy(clock, **counts):
    """A state that has something to show in every row."""
    state = make_state(clock, reached=412, answered=453, replayed=7, kept=370, utterances=3348, **counts)
    state.new_tokens, state.prompt_tokens, state.in_flight, state.limit = 117_780, 181_200, 60, 64
    state.kept_labels = Counter(neutral=1512, joy=402, surprise=370, anger=311, sadness=281, disgust=230, fear=242)
    state.retries = Counter({"busy": 12, "timed out": 3})
    state.rejected = Counter({Reason.no_target: 31, Reason.duplicate: 6, Reason.cut_off: 2})
    return state


def terminal(width=80, height=40):
    return Console(file=io.StringIO(), force_terminal=True, width=width, height=height, color_system=None)


def draw(clock, state, width=80, height=40, run=lambda progress: None):
    """The lines of the last panel that a terminal of this size gets."""
    console = terminal(width, height)
    with Progress(console, state, clock) as progress:
        run(progress)
    return console.file.getvalue().rpartition("╭")[2].partition("╯")[0].split("\n")


def pipe(clock, state, run=lambda progress: None):
    """The JSON lines that something other than a terminal gets."""
    output = io.StringIO()
    with Progress(Console(file=output), state, clock) as progress:
        run(progress)
    return [json.loads(line) for line in output.getvalue().splitlines()]


def test_panel_shows_every_count(clock):
    shown = "\n".join(draw(clock, busy(clock, down=("http://a:80",), note="stopping")))
    assert "412 of 1,000 dialogues" in shown
    assert "41 %" in shown
    assert "370 dialogues, 3,348 utterances" in shown
    assert "453, 7 from the journal" in shown
    assert "60 of 64" in shown
    assert "busy 12, timed out 3" in shown
    assert "no_target 31, duplicate 6, cut_off 2" in shown
    assert "http://a:80" in shown
    assert "stopping" in shown
    for label, count in busy(clock).kept_labels.items():
        assert f"{label:8} {count:5,} ━" in shown


def test_dialogues_kept_are_shown_against_the_goal_of_each_emotion(clock):
    targets = Counter(neutral=143, joy=70)
    goals = dict.fromkeys(("neutral", "joy", "fear"), 143)
    lines = draw(clock, busy(clock, target_goals=goals, kept_targets=targets))
    neutral, joy, fear = (next(line for line in lines if f" {label}" in line) for label in ("neutral", "joy", "fear"))
    assert "143 of 143" in neutral
    assert " 70 of 143" in joy
    assert " 0 of 143" in fear
    assert abs(neutral.count("\u2501") - 2 * joy.count("\u2501")) <= 2
    assert fear.count("\u2501") == 0
    (anger,) = (line for line in lines if " anger" in line)
    assert " of " not in anger, "nobody asks for it"


def test_bars_are_as_long_as_their_counts(clock):
    lines = draw(clock, make_state(clock, labels=("joy", "fear", "none"), kept_labels=Counter(joy=100, fear=50)))
    joy, fear, none = (sum(line.count("━") for line in lines if label in line) for label in ("joy", "fear", "none"))
    assert joy - 2 * fear in (0, 1)  # half a cell is another character
    assert fear > 20
    assert none == 0


@pytest.mark.parametrize("width", [20, 40, 60, 80, 200])
def test_panel_fits_the_terminal(clock, width):
    state = busy(clock, down=("http://a-server-with-a-long-name.example.org:8080",) * 5, note="n" * 300)
    lines = draw(clock, state, width=width)
    assert {len(line) for line in lines[1:-1]} == {min(width, 88)}


def test_panel_with_many_labels_fits_a_small_terminal(clock):
    labels = tuple(f"emotion{number}" for number in range(28))
    state = make_state(clock, labels=labels, kept_labels=Counter(dict.fromkeys(labels, 3)))
    lines = draw(clock, state, height=24)
    assert len(lines) == 24
    (others,) = [line for line in lines if "others" in line]
    hidden = 28 - sum("emotion" in line for line in lines)
    assert f"{hidden} others" in others
    assert f" {3 * hidden} " in others


def test_wide_and_marked_up_names_stay_names(clock):
    labels = ("[red]joy[/]", "喜びと驚きと怒りと悲しみ", "ok")
    lines = draw(clock, make_state(clock, labels=labels, down=("[link=x]a[/link]",)), width=60)
    shown = "\n".join(lines)
    assert "[red]joy[/]" in shown
    assert "[link=x]a[/link]" in shown
    assert "喜びと" in shown


@pytest.mark.parametrize("goal", [None, 10])
def test_panel_draws_before_anything_came_and_without_a_goal(clock, goal):
    shown = "\n".join(draw(clock, make_state(clock, goal=goal)))
    assert "0 dialogues" in shown
    assert "— left" in shown


def test_panel_needs_no_thread_and_gives_the_cursor_back(clock):
    console, before = terminal(), threading.active_count()
    with Progress(console, busy(clock), clock):
        assert threading.active_count() == before
        assert console.file.getvalue().startswith("\x1b[?25l")
    assert console.file.getvalue().endswith("\x1b[?25h")


def test_panel_is_drawn_four_times_a_second_at_most(clock):
    console = terminal()
    with Progress(console, make_state(clock), clock) as progress:
        progress.tick()
        drawn = len(console.file.getvalue())
        clock.time += DRAW_EVERY * 0.9
        progress.tick()
        assert len(console.file.getvalue()) == drawn
        clock.time += DRAW_EVERY * 0.2
        progress.tick()
        assert len(console.file.getvalue()) > drawn


def test_beat_ticks_where_nothing_happens(monkeypatch):
    monkeypatch.setattr("ercsatz.llm.progress.BEAT_EVERY", 0.0)
    monkeypatch.setattr("ercsatz.llm.progress.LINE_EVERY", 0.0)
    output = io.StringIO()

    async def run() -> None:
        with Progress(Console(file=output), make_state(time.monotonic)) as progress:
            beat = asyncio.create_task(progress.beat())
            while not output.getvalue():
                await asyncio.sleep(0)
            beat.cancel()

    asyncio.run(asyncio.wait_for(run(), 10))
    assert json.loads(output.getvalue().splitlines()[0])["kept"] == 0


def test_a_tick_between_drawings_costs_next_to_nothing():
    with Progress(terminal(), make_state(time.monotonic)) as progress:
        progress.tick()
        start = time.process_time()
        for _ in range(10_000):
            progress.tick()
        assert (time.process_time() - start) / 10_000 < 1e-5


def test_lines_come_every_half_minute_and_at_the_end(clock):
    def run(progress: Progress) -> None:
        for _ in range(100):
            clock.time += 1
            progress.tick()

    assert [line["time_s"] for line in pipe(clock, make_state(clock), run)] == [30, 60, 90, 100]
    assert LINE_EVERY == 30


def test_a_line_has_all_counts(clock):
    (line,) = pipe(clock, busy(clock))
    assert line == {
        "time_s": 0,
        "reached": 412,
        "goal": 1000,
        "kept": 370,
        "utterances": 3348,
        "asked": 0,
        "answered": 453,
        "replayed": 7,
        "in_flight": 60,
        "limit": 64,
        "down": [],
        "note": "",
        "new_tokens": 117_780,
        "tokens_per_s": 0,
        "retries": {"busy": 12, "timed out": 3},
        "rejected": {"no_target": 31, "duplicate": 6, "cut_off": 2},
        "kept_targets": {},
        "kept_labels": busy(clock).kept_labels,
        "eta_s": None,
    }


def test_the_last_line_comes_after_an_error_too(clock):
    output = io.StringIO()
    with pytest.raises(KeyboardInterrupt), Progress(Console(file=output), make_state(clock), clock):
        raise KeyboardInterrupt
    assert output.getvalue().count("\n") == 1


def test_what_cannot_draw_a_panel_gets_lines(clock, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    console = terminal()
    with Progress(console, make_state(clock), clock):
        pass
    assert json.loads(console.file.getvalue())["kept"] == 0


def answer(state, clock, seconds, per_second, tokens=100, then=lambda: None):
    """Let servers answer evenly; every second answer brings the goal nearer."""
    for _ in range(seconds):
        clock.time += 1
        state.in_flight = 8
        state.answered += per_second
        state.new_tokens += per_second * tokens
        state.reached = state.answered // 2
        then()


def test_time_left_is_from_the_recent_minute(clock):
    state = make_state(clock)

    def run(progress: Progress) -> None:
        answer(state, clock, 100, 1, then=progress.tick)
        answer(state, clock, 100, 4, then=progress.tick)

    (*_, line) = pipe(clock, state, run)
    assert state.reached == 250
    assert line["eta_s"] == pytest.approx(750 * 2 / 4, rel=0.02)
    assert line["tokens_per_s"] == pytest.approx(400)


def test_tokens_a_second_are_of_now_and_overall(clock):
    state = make_state(clock)

    def run(progress: Progress) -> None:
        answer(state, clock, 50, 1, then=progress.tick)
        answer(state, clock, 50, 3, then=progress.tick)

    assert "300 tokens/s (200 overall)" in "\n".join(draw(clock, state, run=run))


def test_replayed_answers_do_not_count_as_speed(clock):
    state = make_state(clock)

    def run(progress: Progress) -> None:
        for _ in range(40):
            clock.time += 1
            state.replayed += 20
            state.reached = state.replayed // 2
            progress.tick()
        assert state.reached == 400
        for _ in range(20):
            clock.time += 1
            state.in_flight = 8
            state.answered += 2
            state.reached = (state.replayed + state.answered) // 2
            progress.tick()

    *_, line = pipe(clock, state, run)
    assert line["eta_s"] == pytest.approx((1000 - 420) * 2 / 2, rel=0.02)


def test_nothing_is_left_when_the_goal_is_reached(clock):
    (line,) = pipe(clock, make_state(clock, reached=1000))
    assert line["eta_s"] == 0


def test_waits_add_up_to_the_wall_time(clock):
    waits = Waits(clock)
    for kind, seconds in (("full", 5), ("tail", 1), ("full", 3), ("full", 1), ("server_down", 2)):
        clock.time += 0.5
        waits.switch(kind)
        clock.time += seconds
    seconds = waits.seconds()
    expected = {"full": 10.5, "tail": 1.5, "server_down": 2.0, "own_work": 0.5}
    assert seconds == dict.fromkeys(WAITS, 0.0) | expected
    assert sum(seconds.values()) == clock.time - 100


def test_summary_says_where_the_time_went(clock):
    state = busy(clock)
    state.waits.switch("full")
    clock.time += 1425
    state.waits.switch("backing_off")
    clock.time += 75
    console = terminal(60)
    console.print(state.summary())
    shown = console.file.getvalue()
    assert "0:25:00" in shown
    assert "453 asked for, 7 from the" in shown
    assert "78.5" in shown
    assert "busy 12, timed out 3" in shown
    assert "95.0 %  0:23:45" in shown
    assert "5.0 %  0:01:15" in shown
    assert "a server was down" not in shown
    assert max(map(len, shown.split("\n"))) <= 60


def test_time_after_the_panel_is_own_work(clock):
    state = make_state(clock)
    with Progress(Console(file=io.StringIO()), state, clock):
        state.waits.switch("full")
        clock.time += 3
    clock.time += 1
    assert state.waits.seconds()["own_work"] == 1
