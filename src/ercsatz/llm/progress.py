"""How far a run is: a panel on a terminal, JSON lines elsewhere; and at the end, where its time went."""

import asyncio
import json
import textwrap
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from types import TracebackType
from typing import Any, NamedTuple, Self

from rich.cells import cell_len, set_cell_size
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ercsatz.reporting.console import SafeConsole
from ercsatz.reporting.text import visible

LINE_EVERY = 30.0  # seconds between JSON lines
DRAW_EVERY = 0.25  # seconds between drawings, at least
BEAT_EVERY = 0.5  # seconds between looks at the clock where nothing happens
NOW, RECENTLY = 10.0, 60.0  # seconds that the speed, and the time left, are taken from
WIDTH = 88  # cells; the panel is narrower where the terminal is
LABEL_WIDTH = 16  # cells, of a label's name
TOP = 4  # retries and reasons shown
UNKNOWN = "\N{EM DASH}"

WAITS = {
    "full": "window full",
    "probe": "start-up probe",
    "server_down": "a server was down",
    "backing_off": "pausing after failures",
    "tail": "nothing left to ask",
    "own_work": "own work",
}


class Waits:
    """Adds up the time that a run spends in each of ``WAITS``; it begins with own work: probes, journal, checks, files.

    Args:
        clock: tells seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._kind, self._since = clock, "own_work", clock()
        self._seconds = dict.fromkeys(WAITS, 0.0)

    def switch(self, kind: str) -> None:
        """From now on, time is spent on ``kind``."""
        if kind == self._kind:
            return
        now = self._clock()
        self._seconds[self._kind] += now - self._since
        self._kind, self._since = kind, now

    def seconds(self) -> dict[str, float]:
        """By kind, up to now; together the wall time."""
        running = self._clock() - self._since
        return self._seconds | {self._kind: self._seconds[self._kind] + running}


@dataclass
class ProgressState:
    """What a run has done so far: the engine writes it, the panel reads it.

    Attributes:
        goal: how many ``goal_of`` are wanted.
        goal_of: ``dialogues``, ``dialogues kept`` or ``utterances kept``.
        labels: of the benchmark, in its order.
        reached: of the goal.
        taken: those that are kept or not for good: finished, as all before them.
        finished: dialogues of which it is known what became of them.
        asked: dialogues begun.
        answered: answers that servers gave.
        replayed: answers found in the journal.
        given_up: requests that got no answer, however often they were sent.
        kept: dialogues.
        utterances: in kept dialogues.
        kept_labels: utterances in kept dialogues by emotion.
        kept_targets: kept dialogues by the emotion that was asked for.
        target_goals: how many of these are wanted, by emotion; empty: no emotion is asked for, or none is counted.
        retries: failed requests by kind.
        rejected: answers by why they could not be used.
        prompt_tokens: of answered requests, where servers count them.
        new_tokens: of answers that servers gave, where they count them.
        in_flight: requests at the servers.
        limit: how many may be in flight at the moment.
        down: names of servers that are set aside.
        note: a line for the user.
        last_words: of the last request that failed, by its server.
        servers: answers of each, and how many requests it may have at the moment.
        waits: what time is spent on.
    """

    goal: int | None
    goal_of: str
    labels: tuple[str, ...]
    reached: int = 0
    taken: int = 0
    finished: int = 0
    asked: int = 0
    answered: int = 0
    replayed: int = 0
    given_up: int = 0
    kept: int = 0
    utterances: int = 0
    kept_labels: Counter[str] = field(default_factory=Counter)
    kept_targets: Counter[str] = field(default_factory=Counter)
    target_goals: Mapping[str, int] = field(default_factory=dict)
    retries: Counter[str] = field(default_factory=Counter)
    rejected: Counter[Any] = field(default_factory=Counter)
    prompt_tokens: int = 0
    new_tokens: int = 0
    in_flight: int = 0
    limit: int = 0
    down: tuple[str, ...] = ()
    note: str = ""
    last_words: str = ""
    servers: dict[str, tuple[int, int]] = field(default_factory=dict)
    waits: Waits = field(default_factory=Waits)

    def finish(self) -> None:
        """Count one dialogue of which it is known what became of it."""
        self.finished += 1
        if self.goal_of == "dialogues":
            self.reached = self.finished

    def summary(self) -> Table:
        """For the terminal at the end: what was asked, what came, and where the time went."""
        waits = self.waits.seconds()
        wall = sum(waits.values())
        table = Table("", "", title="The run", title_justify="left", show_header=False)
        table.add_row("wall time", _duration(wall))
        table.add_row("answers", f"{self.answered:,} asked for, {self.replayed:,} from the journal")
        table.add_row("tokens", f"{self.prompt_tokens:,} in prompts, {self.new_tokens:,} new")
        table.add_row("new tokens/s", f"{self.new_tokens / wall:,.1f}" if self.new_tokens else UNKNOWN)
        table.add_row("retries", _ranked(self.retries) or "none")
        if len(self.servers) > 1:
            table.add_section()
            for name, (answers, bound) in sorted(self.servers.items()):
                table.add_row(name, f"{answers:,} answers, {answers / wall:,.1f}/s, window {bound:,}")
        table.add_section()
        for kind, words in WAITS.items():
            if waits[kind] or kind == "full":
                table.add_row(words, f"{100 * waits[kind] / wall:5.1f} %  {_duration(waits[kind])}")
        return table


class Progress:
    """Shows a state while the context is open; ``tick`` and ``beat`` keep it up to date, there is no thread.

    Args:
        console: where to. A panel needs a terminal that can move its cursor and show UTF-8.
        state: is read, not copied.
        clock: tells seconds.
    """

    def __init__(self, console: SafeConsole, state: ProgressState, clock: Callable[[], float] = time.monotonic) -> None:
        self._console, self._state, self._clock = console, state, clock
        now = clock()
        self._pace = _Pace(state, now)
        self._due, self._line_due = now, now + LINE_EVERY
        self._live: Live | None = None
        if console.is_interactive and console.encoding.startswith("utf"):
            self._live = Live(console=console, auto_refresh=False, get_renderable=self._panel)

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start(refresh=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._state.waits.switch("own_work")
        self._pace.sample(self._clock())
        if self._live is not None:
            self._live.stop()
        else:
            self._print_line()

    def tick(self) -> None:
        """Show the state, if it is time to; costs next to nothing if it is not."""
        now = self._clock()
        if now < self._due:
            return
        self._due = now + DRAW_EVERY
        self._pace.sample(now)
        if self._live is not None:
            self._live.refresh()
        elif now >= self._line_due:
            self._line_due += LINE_EVERY
            self._print_line()

    async def beat(self) -> None:
        """Tick until cancelled, so that time goes on where nothing else happens."""
        while True:
            self.tick()
            await asyncio.sleep(BEAT_EVERY)

    def _print_line(self) -> None:
        with suppress(OSError):  # a run goes on when nobody listens any more
            self._console.file.write(f"{json.dumps(_record(self._state, self._pace))}\n")
            self._console.file.flush()

    def _panel(self) -> Panel:
        size = self._console.size
        width = min(size.width, WIDTH)
        lines = Text("\n", no_wrap=True, overflow="ellipsis").join(
            _lines(self._state, self._pace, width - 4, size.height - 2)
        )
        return Panel(lines, width=width, border_style="bright_black")


class _Sample(NamedTuple):
    time: float
    answered: int
    new_tokens: int


class _Pace:
    """How fast a state changes, from samples of the recent past."""

    def __init__(self, state: ProgressState, now: float) -> None:
        self._state, self._began = state, now
        self._samples = deque([_Sample(now, state.answered, state.new_tokens)])

    def sample(self, now: float) -> None:
        state, samples = self._state, self._samples
        if not (state.in_flight or state.answered):
            samples.clear()  # time before the first request says nothing about the servers
        samples.append(_Sample(now, state.answered, state.new_tokens))
        while samples[0].time < now - RECENTLY:
            samples.popleft()

    @property
    def elapsed(self) -> float:
        return self._samples[-1].time - self._began

    @property
    def answers(self) -> float:
        """A second, recently."""
        first, last = self._samples[0], self._samples[-1]
        return (last.answered - first.answered) / (last.time - first.time) if last.time > first.time else 0.0

    @property
    def tokens(self) -> float:
        """A second, now."""
        last = self._samples[-1]
        first = next(sample for sample in self._samples if sample.time >= last.time - NOW)
        return (last.new_tokens - first.new_tokens) / (last.time - first.time) if last.time > first.time else 0.0

    @property
    def left(self) -> float | None:
        """Seconds, if answers go on as recently and serve the goal as well as they did so far; ``None``: unknown.

        Reckoned in answers of servers, as replayed ones cost nothing and outcomes come in bursts.
        """
        state = self._state
        if state.goal is None or not state.reached:
            return None
        if state.reached >= state.goal:
            return 0.0
        answers_left = (state.goal - state.reached) * (state.answered + state.replayed) / state.reached
        return answers_left / self.answers if self.answers else None


def _record(state: ProgressState, pace: _Pace) -> Mapping[str, object]:
    left = pace.left
    return {
        "time_s": round(pace.elapsed, 1),
        "reached": state.reached,
        "goal": state.goal,
        "kept": state.kept,
        "utterances": state.utterances,
        "asked": state.asked,
        "answered": state.answered,
        "replayed": state.replayed,
        "in_flight": state.in_flight,
        "limit": state.limit,
        "down": state.down,
        "note": state.note,
        "new_tokens": state.new_tokens,
        "tokens_per_s": round(pace.tokens, 1),
        "retries": dict(state.retries),
        "rejected": {reason.name: count for reason, count in state.rejected.items()},
        "kept_targets": dict(state.kept_targets),
        "kept_labels": {label: state.kept_labels[label] for label in state.labels},
        "eta_s": None if left is None else round(left),
    }


def _lines(state: ProgressState, pace: _Pace, width: int, height: int) -> Iterator[Text]:
    """The panel's content, at most ``height`` lines of ``width`` cells where that can be."""
    rows = [line for row in _rows(state, pace) for line in _row(*row, width)]
    yield _goal(state, width)
    yield Text()
    yield from _labels(state, width, height - len(rows) - 3)
    yield Text()
    yield from rows


def _goal(state: ProgressState, width: int) -> Text:
    if state.goal is None:
        return Text(f"{state.reached:,} {state.goal_of}", style="bold")
    share = min(state.reached / state.goal, 1.0)
    words, percent = f"{state.reached:,} of {state.goal:,} {state.goal_of}  ", f"  {int(100 * share)} %"
    room = max(width - len(words) - len(percent), 0)
    done = _bar(share, room)
    return Text.assemble((words, "bold"), (done, "green"), ("─" * (room - len(done)), "bright_black"), percent)


def _labels(state: ProgressState, width: int, height: int) -> Iterator[Text]:
    """A bar for each label; where there is no room for all, the last line is for the rest.

    Utterances, as parts of the most frequent label's; where an emotion was asked for, also dialogues, against the goal.
    """
    goals = state.target_goals
    rows = [(label, state.kept_labels[label], state.kept_targets[label], goals.get(label, 0)) for label in state.labels]
    room = max(height, 2)
    if len(rows) > room:
        rest = rows[room - 1 :]
        utterances, dialogues, goal = (sum(column) for column in list(zip(*rest, strict=True))[1:])
        rows[room - 1 :] = [(f"{len(rest)} others", utterances, dialogues, goal)]
    most = max(count for _, count, _, _ in rows)
    name_width = min(max(cell_len(name) for name, *_ in rows), LABEL_WIDTH)
    digits = len(f"{most:,}")
    goal_width = 2 * len(f"{max(goal for *_, goal in rows):,}") + 4
    for name, count, dialogues, goal in rows:
        start, share = f"{set_cell_size(name, name_width)} {count:>{digits},} ", count / most if most else 0.0
        if goals:
            start += f"{f'{dialogues:,} of {goal:,}' if goal else '':>{goal_width}} "
            share = min(dialogues / goal, 1.0) if goal else 0.0
        yield Text.assemble(start, (_bar(share, width - cell_len(start)), "cyan"))


def _rows(state: ProgressState, pace: _Pace) -> Iterator[tuple[str, str, str]]:
    """Name, words and style."""
    yield "kept", f"{state.kept:,} dialogues, {state.utterances:,} utterances", ""
    yield "answers", f"{state.answered:,}" + (f", {state.replayed:,} from the journal" if state.replayed else ""), ""
    yield "in flight", f"{state.in_flight:,} of {state.limit:,}", ""
    speed = f"{pace.answers:,.1f} answers/s"
    if state.new_tokens:
        speed += f", {pace.tokens:,.0f} tokens/s ({state.new_tokens / (pace.elapsed or 1):,.0f} overall)"
    yield "speed", speed, ""
    left = pace.left
    yield "time", f"{_duration(pace.elapsed)}, {UNKNOWN if left is None else _duration(left)} left", ""
    if state.retries:
        yield "retries", _ranked(state.retries), "yellow"
    if state.rejected:
        yield "rejected", _ranked(Counter({reason.name: n for reason, n in state.rejected.items()})), "yellow"
    if state.down:
        yield "down", ", ".join(state.down), "bold red"
    if state.note:
        yield "", state.note, "bold yellow"


def _row(name: str, words: str, style: str, width: int) -> Iterator[Text]:
    """Two lines at most."""
    room = max(width - 11, 10)
    for line in textwrap.wrap(visible(words), room, max_lines=2, placeholder=" …", break_on_hyphens=False):
        yield Text.assemble((f"{name:11}", "bright_black"), (line, style))
        name = ""


def _bar(share: float, width: int) -> str:
    halves = round(2 * share * max(width, 0))
    return "━" * (halves // 2) + "╸" * (halves % 2)


def _ranked(counts: Counter[str]) -> str:
    shown = ", ".join(f"{name} {count:,}" for name, count in counts.most_common(TOP))
    others = counts.total() - sum(count for _, count in counts.most_common(TOP))
    return f"{shown}, others {others:,}" if others else shown


def _duration(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
