"""What a search has found, on the terminal and as ``search.md``, ``.html``, ``.csv`` and ``.png``."""

import csv
import io
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from ercsatz.data.text_files import atomic_write
from ercsatz.disk import whole
from ercsatz.reporting.console import unfolded
from ercsatz.reporting.figures import inline_svg, png
from ercsatz.reporting.html import render
from ercsatz.reporting.text import csv_text, markdown, plain
from ercsatz.sweeps.search import figures, sentences
from ercsatz.sweeps.search.plan import SearchPlan
from ercsatz.sweeps.search.study import open_study
from ercsatz.sweeps.search.summary import Summary, Trial, summarise

_LOG = logging.getLogger(__name__)
FILES = ("search.html", "search.md", "search.csv", "search.png")
_LINES = 10  # trials on the terminal


def conclude(plan: SearchPlan, folder: Path, name: str, sweep_id: str) -> bool:
    """Show what a search has found, and write it into its folder.

    Returns:
        Whether every trial completed.

    Raises:
        UserError: its storage cannot be opened.
    """
    study = open_study(plan.settings, folder, name, sweep_id, plan.goals)
    program = Path(sys.argv[0]).name
    program = f"python {program}" if program.endswith(".py") else program
    summary = summarise(study, plan, folder, name, sys.argv[1:], program)
    show(summary)
    write(summary, folder)
    _LOG.info("Written to %s: %s", folder, ", ".join(FILES))
    return not summary.of("failed") and not summary.of("stopped")


def show(summary: Summary) -> None:
    """The best trials and what there is to say, on the terminal."""
    table = Table(box=SIMPLE_HEAD)
    for name in _head(summary):
        table.add_column(Text(plain(name)), justify="right")
    for trial in summary.trials[:_LINES]:
        style = "bold" if trial.number in summary.best else ""
        table.add_row(*(Text(plain(cell), style) for cell in _row(trial, summary)))
    left = len(summary.trials) - _LINES
    told = [f"Above are the {_LINES} best; search.html has all {len(summary.trials)}."] if left > 0 else []
    told += [*sentences.findings(summary), *sentences.limits(summary)]
    told += [sentences.repeat(summary), f"  {summary.command}"] if summary.command else []
    unfolded().print(table, *(Text(line if line.startswith("  ") else plain(line)) for line in told), sep="\n")


def write(summary: Summary, folder: Path) -> None:
    """Write the report's files."""
    for name, text in (
        ("search.md", to_markdown(summary)),
        ("search.html", to_html(summary)),
        ("search.csv", to_csv(summary)),
    ):
        with atomic_write(folder / name) as file:
            file.write(text)
    with whole(folder / "search.png") as new:
        new.write_bytes(png(figures.both(summary)))


def _head(summary: Summary) -> list[str]:
    return ["trial", *(goal.title for goal in summary.goals), *summary.keys]


def _row(trial: Trial, summary: Summary) -> list[str]:
    reached = [sentences.score(*pair) for pair in zip(trial.values, summary.goals, strict=False)]
    reached = reached or [trial.state, *[""] * (len(summary.goals) - 1)]
    return [str(trial.number), *reached, *(sentences.number(trial.params.get(key, "")) for key in summary.keys)]


def to_markdown(summary: Summary) -> str:
    """The report as Markdown."""
    head = _head(summary)
    lines = [f"# Search {markdown(summary.name)}", "", *_paragraphs(sentences.findings(summary))]
    if summary.command:
        lines += [sentences.repeat(summary), "", "```", summary.command, "```", ""]
    lines += ["## Trials", "", _line(head), f"|{'|'.join(['--:'] * len(head))}|"]
    lines += [_line(_row(trial, summary)) for trial in summary.trials]
    lines += ["", "![What the trials reached](search.png)", ""]
    if summary.importance:
        lines += ["## Which keys mattered", "", "| objective | key | importance |", "|:--|:--|--:|"]
        each = [(goal, key, f"{share:.2f}") for goal, keys in summary.importance.items() for key, share in keys.items()]
        lines += [*map(_line, each), "", sentences.IMPORTANCE, ""]
    if summary.of("failed"):
        lines += ["## What failed", "", *(f"- {markdown(each)}" for each in sentences.failures(summary)), ""]
    if told := sentences.limits(summary):
        lines += ["## Bear in mind", "", *(f"- {markdown(each)}" for each in told), ""]
    lines += [f"- {markdown(key)}: {markdown(value)}" for key, value in summary.provenance.items()]
    return "\n".join(lines) + "\n"


def _paragraphs(texts: Sequence[str]) -> list[str]:
    return [line for text in texts for line in (markdown(text), "")]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(markdown, cells))} |"


def to_html(summary: Summary) -> str:
    """The report as one page that loads nothing and runs nothing."""
    names = ", ".join(goal.title for goal in summary.goals)
    shares = [f"{goal}: {key} {share:.2f}" for goal, keys in summary.importance.items() for key, share in keys.items()]
    drawn = summary.importance and inline_svg(
        figures.importance(summary), "importance", "Which keys mattered", ", ".join(shares)
    )
    said = " ".join(sentences.findings(summary))
    return render(
        "ercsatz.sweeps.search",
        "search.html",
        title=f"Search {summary.name}: {names}",
        findings=sentences.findings(summary),
        limits=sentences.limits(summary),
        failures=sentences.failures(summary),
        repeat=sentences.repeat(summary) if summary.command else "",
        command=summary.command,
        head=_head(summary),
        rows=[(trial.number in summary.best, _row(trial, summary)) for trial in summary.trials],
        history=inline_svg(figures.history(summary), "history", "What the trials reached", said),
        importance=drawn,
        caption=sentences.HISTORY if len(summary.goals) == 1 else sentences.FRONT,
        caveat=sentences.IMPORTANCE,
        provenance=summary.provenance,
    )


def to_csv(summary: Summary) -> str:
    """A row a trial, in full precision: number, state, the objectives, the keys, the folder and why it failed."""
    file = io.StringIO()
    table = csv.writer(file, lineterminator="\n")
    objectives = [goal.name for goal in summary.goals]
    table.writerow(["trial", "state", "best", *objectives, *map(csv_text, summary.keys), "folder", "reason"])
    for trial in summary.trials:
        reached = trial.values or [""] * len(objectives)
        params = [trial.params.get(key, "") for key in summary.keys]
        params = [csv_text(plain(value)) if isinstance(value, str) else value for value in params]
        best = str(trial.number in summary.best).lower()
        row = [
            trial.number,
            trial.state,
            best,
            *reached,
            *params,
            *(csv_text(plain(text)) for text in (trial.folder, trial.reason)),
        ]
        table.writerow(row)
    return file.getvalue()
