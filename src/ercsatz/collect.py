"""From the results of finished jobs to a ranking: collect, rank, print, write."""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ercsatz import ranking
from ercsatz.check import check_ranking
from ercsatz.config import VARIANTS, RankConfig, Ranking
from ercsatz.dialogue import atomic_write, read_text
from ercsatz.errors import UserError
from ercsatz.sweep import NOT_A_SETTING
from ercsatz.training.result import SCHEMA

# What a column of the records stands for already; other overrides become columns of their own.
_KNOWN = {"classifier", "data", "seed", "phase", "backbone"}
_APART = "pretrain"
_APART_TITLE = "Trained on synthetic dialogues alone (TSTR where the test set is org); not ranked"
_LOG_WIDTH = 10_000  # nothing folds in a log
_DEFAULT = "default"  # in the column of an override, where a job did not have it


def collect(sweeps: Sequence[Path], since: float = 0.0) -> list[dict[str, Any]]:
    """The ``result.json`` of every job below the folders, each with its ``source``.

    Args:
        sweeps: folders.
        since: results last written before this time (as a file's ``st_mtime``) are left out.

    Raises:
        UserError: a folder does not exist, none holds a result, or a result cannot be read.
    """
    results = []
    for folder in sweeps:
        if not folder.is_dir():
            raise UserError(f"There is no folder {folder}. Give finished sweeps: sweeps=[multirun/NAME].")
        files = sorted(file for file in folder.rglob("result.json") if file.stat().st_mtime >= since)
        results += [{**_read(file), "source": str(file.parent)} for file in files]
    if not results:
        raise UserError(f"No result.json below {', '.join(map(str, sweeps))}: no job of the sweep has started.")
    return results


def _read(file: Path) -> dict[str, Any]:
    try:
        result = json.loads(read_text(file))
    except json.JSONDecodeError as error:
        raise UserError(
            f"{file}, line {error.lineno}: not JSON ({error.msg}). Delete it and run the job again."
        ) from None
    if not isinstance(result, dict) or result.get("schema") != SCHEMA:
        raise UserError(f"{file}: not a result of schema {SCHEMA}. Delete it and run the job again.")
    return result


def records(results: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Results as score records: a row per stage and test set, and one without scores per job that did not complete."""
    rows = [row for result in results for row in _rows(result)]
    order = [*VARIANTS, None]
    rows.sort(key=lambda row: (row["classifier"] or "", order.index(row["variant"]), order.index(row["test_set"])))
    long = pd.DataFrame(rows).astype({"w_f1": float, "macro_f1": float, "accuracy": float})
    settings = list({key: None for result in results for key in _settings(result)})
    return long.fillna(dict.fromkeys(settings, _DEFAULT))


def _settings(result: dict[str, Any]) -> dict[str, str]:
    """The overrides that can make two scores of a cell differ."""
    swept = [text.partition("=") for text in result.get("overrides", ()) if not text.startswith(NOT_A_SETTING)]
    return {key: value for key, _, value in swept if key not in _KNOWN}


def _rows(result: dict[str, Any]) -> Iterator[dict[str, Any]]:
    choices = result.get("choices", {})
    base = {key: choices.get(key) for key in ("classifier", "backbone", "benchmark")} | _settings(result)
    base |= {"seed": result.get("seed"), "source": result["source"]}
    empty = {"w_f1": None, "macro_f1": None, "accuracy": None}
    if result["status"] != "completed":
        yield base | {"variant": choices.get("variant"), "stage": "finetune", "test_set": None} | empty
        return
    for stage in result["stages"]:
        for test_set, scores in stage["test"].items():
            row = base | {"variant": stage["variant"], "stage": stage["stage"], "key": stage["key"]}
            row |= {"test_set": test_set, "content": result["hashes"][test_set]}
            yield row | {name: scores[name] for name in empty}


def rank_sweeps(sweeps: Sequence[Path], settings: Ranking, output: Path | None, since: float = 0.0) -> bool:
    """Rank finished sweeps: print the tables, and write them if ``output`` is given; ``since`` as for ``collect``.

    Returns:
        Whether every job completed.
    """
    results = collect(sweeps, since)
    failed = [result for result in results if result["status"] != "completed"]
    long = records(results)
    stages = long[long.stage.isin(list(settings.stages))]
    notes = [_failure(result) for result in failed]
    if len(failed) == len(results):
        raise UserError("\n".join(["No job of the sweep completed, so there is nothing to rank.", *notes]))
    apart = long[(long.stage == _APART) & ~long.stage.isin(list(settings.stages))]
    publish(_unique(stages, settings), settings, 100.0, output, notes, _unique(apart, settings))
    return not failed


def _unique(long: pd.DataFrame, settings: Ranking) -> pd.DataFrame:
    """One row for a stage that several jobs share: ``org`` is trained once for ``nat`` and ``bal``."""
    columns = dict.fromkeys([*settings.treatment, *settings.block, "seed", "key", "test_set", "content"])
    return long.drop_duplicates([column for column in columns if column in long.columns])


def _failure(result: dict[str, Any]) -> str:
    if result["status"] == "running":
        return f"{result['source']} did not finish: its process was killed, or is still at it."
    return f"{result['source']} failed: {result['error'].splitlines()[0]}"


def rank_command(cfg: RankConfig) -> None:
    """What ``rank.py`` does: rank a table of scores, or finished sweeps."""
    if (cfg.scores is None) == (not cfg.sweeps):
        raise UserError("Give either scores=FILE.csv or sweeps=[multirun/a,multirun/b].")
    check_ranking(cfg.ranking)
    output = Path(cfg.output) if cfg.output else None
    if cfg.scores is not None:
        long = ranking.read_scores(Path(cfg.scores))
        publish(long, cfg.ranking, 100.0 if long.w_f1.max() <= 1 else 1.0, output)
    elif not rank_sweeps([Path(folder) for folder in cfg.sweeps], cfg.ranking, output):
        raise UserError("Some jobs did not complete; they are named above. The others are ranked.")


def publish(
    long: pd.DataFrame,
    settings: Ranking,
    scale: float,
    output: Path | None,
    notes: Sequence[str] = (),
    apart: pd.DataFrame | None = None,
) -> None:
    """Rank score records; print the tables, and write ``ranking.md``, ``ranking.csv`` and ``scores.csv`` to ``output``.

    Where there is a single treatment or nothing but ``apart``, the scores are shown and there is no ``ranking.csv``.

    Args:
        long: what is ranked.
        settings: treatments, blocks and the baseline.
        scale: what scores are multiplied with in tables; 100 for scores from 0 to 1.
        output: a folder, or None to print only.
        notes: jobs that did not complete.
        apart: score records that are shown but not ranked: classifiers trained on synthetic data alone.
    """
    report = _report(long, settings, scale)
    shown: list[Table | Text] = [report.shown] if report.shown else []
    markdown = report.markdown
    if apart is not None and len(apart):
        table = _pivot(apart, settings)
        shown += [Text(f"{_APART_TITLE}:"), ranking.scores_to_rich(table, scale)]
        markdown += f"\n## {_APART_TITLE}\n\n{ranking.scores_to_markdown(table, scale)}"
    if notes:
        markdown += "\n## Jobs that did not complete\n\n" + "".join(f"- {note}\n" for note in notes)
    console = Console(width=None if sys.stdout.isatty() else _LOG_WIDTH)
    console.print(*shown, *map(Text, [*report.sentences, *notes]), sep="\n")
    if output is None:
        return
    files = {"ranking.md": markdown, "ranking.csv": report.csv, "scores.csv": long.to_csv(index=False)}
    written = {name: text for name, text in files.items() if text is not None}
    for name, text in written.items():
        with atomic_write(output / name) as file:
            file.write(text)
    console.print(Text(f"Written to {output}: {', '.join(written)}"))


@dataclass(frozen=True)
class _Report:
    """What is shown of the records that are ranked; without ``csv`` there was nothing to rank."""

    shown: Table | None
    markdown: str
    sentences: list[str]
    csv: str | None = None


def _report(long: pd.DataFrame, settings: Ranking, scale: float) -> _Report:
    if long.w_f1.isna().all():
        sentence = (
            f"No completed job ran a stage of ranking.stages=[{', '.join(settings.stages)}], so there is nothing to "
            "rank. ranking.stages can name the stages that ran."
        )
        return _Report(None, f"{sentence}\n", [sentence])
    table = _pivot(long, settings)
    if len(table.cells.columns) == 1:
        sentence = f"{table.cells.columns[0]} is the only treatment with scores, so there is nothing to rank."
        if table.seeds.to_numpy().max() > 1:
            sentence += " Scores are means over seeds, with their sample standard deviation."
        markdown = f"{ranking.scores_to_markdown(table, scale)}\n{sentence}\n"
        return _Report(ranking.scores_to_rich(table, scale), markdown, [sentence])
    result = ranking.rank(table, ranking.baseline_comparisons(table, settings.baseline))
    return _Report(
        ranking.to_rich(result, scale),
        ranking.to_markdown(result, scale),
        ranking.sentences(result),
        ranking.to_csv(result, scale),
    )


def _pivot(long: pd.DataFrame, settings: Ranking) -> ranking.ScoreTable:
    return ranking.pivot(long, list(settings.treatment), list(settings.block), settings.metric)
