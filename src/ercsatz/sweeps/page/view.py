"""The page of a sweep, ``index.html``: one file that loads nothing and runs nothing. Imports nothing heavy."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from markupsafe import Markup

from ercsatz.reporting.html import render
from ercsatz.reporting.secrets import hidden
from ercsatz.reporting.status import together
from ercsatz.sweeps.page import charts, scores
from ercsatz.sweeps.page.state import LOST, CellState, StageState, State, SweepState
from ercsatz.sweeps.result_file import settings_of

MOST_MATRICES, MOST_PANELS, MOST_ROWS, MOST_SETTINGS, MOST_VALUES = 24, 48, 120, 40, 8
_MOST_WORDS = 600  # characters of an error
_REFRESH = 20  # seconds, of the page of a running sweep
_OF_CELL = ("result.json", "train.log", ".hydra/overrides.yaml", ".hydra/config.yaml", "predictions")
_OF_RANKING = ("ranking.html", "ranking.md", "ranking.csv", "ranking.tex", "ranking.png", "scores.csv")


class Link(NamedTuple):
    """A file beside the page."""

    name: str
    href: str


class StageItem(NamedTuple):
    """A stage in a cell's row."""

    name: str
    state: str
    seconds: str
    pace: str


class CellRow(NamedTuple):
    """A cell as a row of the page's table."""

    number: int
    name: str
    state: str
    stages: list["StageItem"]
    score: str
    seconds: str
    links: list[Link]
    id: str
    where: str
    last_words: str


def page(sweep: SweepState, now: float) -> str:
    """The page as it stands at a time, in seconds since 1970."""
    found, rows = scores.treatments(sweep.cells), cell_rows(sweep)
    shown = found[:MOST_ROWS]
    matrices, more_matrices = scores.matrices(shown, MOST_MATRICES)
    return render(
        "ercsatz.sweeps.page",
        "sweep.html",
        title=f"Sweep {sweep.name}",
        sweep=sweep,
        refresh=_REFRESH if sweep.running else 0,
        headline=headline(sweep),
        written=f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d %H:%M:%S} UTC",
        who=owner(sweep),
        counts=[(state.value, n) for state in State if (n := sweep.count(state))],
        total=len(sweep.cells),
        cells=rows,
        now=[row for row in rows if row.state == State.running],
        failures=[(cell_name(c), c.state.value, shortened(c.error)) for c in sweep.cells if c.error],
        reasons=together(f"{cell_name(c)} failed: {shortened(c.error)}" for c in sweep.cells if c.error),
        ranking=_links(sweep.folder, sweep.folder, _OF_RANKING),
        tables=scores.score_tables(shown),
        left_out=len(found) - len(shown),
        labels=scores.label_tables(shown),
        matrices=matrices,
        more_matrices=more_matrices,
        **_curves(shown),
        settings=differing(sweep.cells),
        provenance=_provenance(sweep),
    )  # fmt: skip


def headline(sweep: SweepState) -> str:
    """How far the sweep is, in a sentence."""
    done, total = sweep.count(State.done), len(sweep.cells)
    of = f"{done} of {total} cells are done" if total != 1 else f"{'The cell is' if done else 'The cell is not'} done"
    lost = sweep.count(*LOST)
    bad = f"; {lost} {'has' if lost == 1 else 'have'} no result" if lost else ""
    if sweep.alive or sweep.running:
        return f"The sweep is running: {of[0].lower() if total == 1 else of[0]}{of[1:]}{bad}."
    if sweep.alive is False and sweep.count(State.stopped, State.missing):
        return f"The sweep was stopped before its end: {of[0].lower()}{of[1:]}{bad}. The same command does the rest."
    return f"{of}{bad}."


def owner(sweep: SweepState) -> str:
    """Who runs the sweep, or ran it last."""
    if sweep.file is None:
        return ""
    about = sweep.file.owner
    lives = {True: "runs it", False: "ran it, and has ended", None: "runs or ran it: the lock cannot be read"}
    return "process {} of {} on {}, since {}, {}".format(
        *(about.get(key, "?") for key in ("pid", "user", "host", "started")), lives[sweep.alive]
    )


def cell_name(cell: CellState) -> str:
    """What tells a cell from the others, as it is typed."""
    settings = settings_of(cell.overrides)
    name = " ".join(f"{key}={value}" for key, value in settings.items())
    return name or (cell.folder.name if cell.folder else "the defaults")


def cell_rows(sweep: SweepState) -> list[CellRow]:
    """Every cell; what all have in common is left out of their names."""
    names = short_names(sweep.cells)
    return [
        CellRow(
            number,
            names[number - 1],
            cell.state.value,
            [StageItem(s.name, s.state.value, seconds_text(s.seconds), pace_text(s)) for s in cell.stages],
            last_score(cell.stages),
            seconds_text(cell.result.get("seconds")),
            _links(sweep.folder, cell.folder, _OF_CELL) if cell.folder else [],
            f"cell-{number}",
            where(cell),
            shortened(cell.last_words),
        )
        for number, cell in enumerate(sweep.cells, 1)
    ]


def short_names(cells: Sequence[CellState]) -> list[str]:
    """The settings of each cell that are not those of all."""
    given = [settings_of(cell.overrides) for cell in cells]
    common = set.intersection(*(set(each.items()) for each in given)) if len(given) > 1 else set()
    names = [" ".join(f"{k}={v}" for k, v in each.items() if (k, v) not in common) for each in given]
    return [name or cell_name(cell) for name, cell in zip(names, cells, strict=True)]


def last_score(stages: Sequence[StageState]) -> str:
    """W-F1 of the latest stage that has one, on the real test set if there is one."""
    for stage in reversed(stages):
        if stage.record and (tests := stage.record.get("test")):
            name = "org" if "org" in tests else next(iter(tests))
            return f"{100 * tests[name]['w_f1']:.2f}"
    return ""


def pace_text(stage: StageState) -> str:
    """How far a stage is, or was when it ended: ``epoch 3 of 10, 4.1 steps/s, 12 min 05 s left``."""
    told = stage.pulse or {}
    if "epoch" not in told:
        return ""
    steps = "" if stage.state is State.running else f", step {told['step']} of {told['steps']}"
    said = [f"epoch {told['epoch']} of {told['epochs']}{steps}"]
    if stage.state is State.running and "rate" in told:
        said += [f"{told['rate']:.3g} steps/s", f"{seconds_text(told['left'])} left"]
    return ", ".join(said)


def where(cell: CellState) -> str:
    """Where a stage of it is trained, or was when it ended: ``node3, NVIDIA H200``."""
    told = next((stage.pulse for stage in cell.stages if stage.pulse), {})
    device = str(told.get("device", ""))
    return ", ".join(filter(None, (str(told.get("host", "")), device.upper() if device == "cpu" else device)))


def seconds_text(seconds: Any) -> str:
    """A duration for people.

    >>> seconds_text(4.2), seconds_text(75), seconds_text(7260), seconds_text(None)
    ('4 s', '1 min 15 s', '2 h 01 min', '')
    """
    if not isinstance(seconds, int | float):
        return ""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return (
        f"{whole // 60} min {whole % 60:02d} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    )


def _links(root: Path, folder: Path, names: Iterable[str]) -> list[Link]:
    there = [(name, (folder / name).relative_to(root)) for name in names if (folder / name).exists()]
    return [Link(name, quote(f"./{place.as_posix()}")) for name, place in there]


def shortened(error: str) -> str:
    """An error on one line of bounded length, without passwords."""
    line = hidden(" ".join(error.split()))
    return line if len(line) <= _MOST_WORDS else f"{line[:_MOST_WORDS]} ..."


def _curves(found: Sequence[scores.Treatment]) -> dict[str, Any]:
    panels, names = scores.curves(found)
    shown: list[Markup] = []
    if panels:
        span = charts.limits(panels)
        shown = [charts.draw(each, f"curve-{n}", span, names) for n, each in enumerate(panels[:MOST_PANELS])]
    return {
        "panels": [(panel.title, drawn) for panel, drawn in zip(panels, shown, strict=False)],
        "more_panels": max(0, len(panels) - MOST_PANELS),
        "key": [(charts.swatch(number), name) for number, name in names.items()],
    }


def differing(cells: Sequence[CellState]) -> list[tuple[str, list[tuple[str, int]], int]]:
    """The settings in which cells differ: key, its most frequent values with their number of cells, values left out."""
    known = [cell.settings for cell in cells if cell.settings]
    found = []
    for key in dict.fromkeys(key for settings in known for key in settings):
        values: dict[str, int] = {}
        for settings in known:
            text = json.dumps(settings.get(key), ensure_ascii=False)
            values[text] = values.get(text, 0) + 1
        if len(values) > 1:
            ordered = sorted(values.items(), key=lambda pair: -pair[1])
            found.append((key, ordered[:MOST_VALUES], max(0, len(ordered) - MOST_VALUES)))
    return found


def _provenance(sweep: SweepState) -> dict[str, str]:
    results = [cell.result for cell in sweep.cells if cell.result.get("status") == "completed"]
    versions: dict[str, dict[str, None]] = {}
    for result in results:
        for package, number in result.get("versions", {}).items():
            versions.setdefault(package, {})[str(number)] = None
    stages = [stage for result in results for stage in result["stages"]]
    command = hidden(" ".join(sweep.file.arguments)) if sweep.file else ""
    told = {
        "command": command,
        "who": owner(sweep),
        "started": _span(results),
        "computed": seconds_text(sum(result.get("seconds", 0) for result in results)) if results else "",
        "machines": _counted(result["host"] for result in results if "host" in result),
        "devices": _counted(f"{s['accelerator']} ({s['precision']})" for s in stages if "accelerator" in s),
        "versions": ", ".join(f"{package} {' or '.join(numbers)}" for package, numbers in versions.items()),
        "test sets": ", ".join(sorted({_short(name, h) for r in results for name, h in r.get("hashes", {}).items()})),
    }
    return {what: text for what, text in told.items() if text}


def _short(name: str, content: str) -> str:
    return f"{name} {content[:12]}"


def _span(results: Iterable[Mapping[str, Any]]) -> str:
    starts = sorted({str(result["started"]) for result in results if "started" in result})
    return " (first cell) to ".join([*starts[:1], *starts[1:][-1:]])


def _counted(texts: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(texts))
