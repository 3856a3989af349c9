"""From the results of finished jobs to a ranking: collect, rank, print, write."""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from ercsatz import ranking
from ercsatz.config import VARIANTS, RankConfig, Ranking
from ercsatz.dialogue import atomic_write, read_text
from ercsatz.errors import UserError

# What a column of the records stands for already; other overrides become columns of their own.
_KNOWN = {"classifier", "data", "seed", "phase", "backbone", "sweep"}
_NOT_A_SETTING = ("hydra.", "paths.", "wandb.", "trainer.accelerator", "ranking.")
_APART = "pretrain"


def collect(sweeps: Sequence[Path]) -> list[dict[str, Any]]:
    """The ``result.json`` of every job below the folders, each with its ``source``.

    Raises:
        UserError: a folder does not exist, or none holds a result.
    """
    results = []
    for folder in sweeps:
        if not folder.is_dir():
            raise UserError(f"There is no folder {folder}. Give finished sweeps: sweeps=[multirun/NAME].")
        for file in sorted(folder.rglob("result.json")):
            results.append({**json.loads(read_text(file)), "source": str(file.parent)})
    if not results:
        raise UserError(f"No result.json below {', '.join(map(str, sweeps))}: no job of the sweep has started.")
    return results


def records(results: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Results as score records: a row per stage and test set, and one without scores per job that did not complete."""
    rows = [row for result in results for row in _rows(result)]
    order = [*VARIANTS, None]
    rows.sort(key=lambda row: (row["classifier"] or "", order.index(row["variant"]), order.index(row["test_set"])))
    return pd.DataFrame(rows).astype({"w_f1": float, "macro_f1": float, "accuracy": float})


def _rows(result: dict[str, Any]) -> Iterator[dict[str, Any]]:
    choices = result.get("choices", {})
    swept = dict(_override(text) for text in result.get("overrides", ()))
    base = {key: choices.get(key) for key in ("classifier", "backbone", "benchmark")}
    base |= {key: value for key, value in swept.items() if key not in _KNOWN and not key.startswith(_NOT_A_SETTING)}
    base |= {"seed": result.get("seed"), "source": result["source"]}
    empty = {"w_f1": None, "macro_f1": None, "accuracy": None}
    if result["status"] != "completed":
        yield base | {"variant": choices.get("variant"), "stage": "finetune", "test_set": None} | empty
        return
    for stage in result["stages"]:
        for test_set, scores in stage["test"].items():
            row = base | {"variant": stage["variant"], "stage": stage["stage"], "key": stage["key"]}
            yield row | {"test_set": test_set} | {name: scores[name] for name in empty}


def _override(text: str) -> tuple[str, str]:
    key, _, value = text.lstrip("+~").partition("=")
    return key, value


def rank_sweeps(sweeps: Sequence[Path], settings: Ranking, output: Path | None) -> bool:
    """Rank finished sweeps: print the tables, and write them if ``output`` is given.

    Returns:
        Whether every job completed.
    """
    results = collect(sweeps)
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
    columns = [*settings.treatment, *settings.block, "seed", "key"]
    return long.drop_duplicates([column for column in columns if column in long.columns])


def _failure(result: dict[str, Any]) -> str:
    if result["status"] == "running":
        return f"{result['source']} did not finish: its process was killed, or is still at it."
    return f"{result['source']} failed: {result['error'].splitlines()[0]}"


def rank_command(cfg: RankConfig) -> None:
    """What ``rank.py`` does: rank a table of scores, or finished sweeps."""
    if (cfg.scores is None) == (not cfg.sweeps):
        raise UserError("Give either scores=FILE.csv or sweeps=[multirun/a,multirun/b].")
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

    Args:
        long: what is ranked.
        settings: treatments, blocks and the baseline.
        scale: what scores are multiplied with in tables; 100 for scores from 0 to 1.
        output: a folder, or None to print only.
        notes: jobs that did not complete.
        apart: score records that are shown but not ranked: classifiers trained on synthetic data alone.
    """
    result = _rank(long, settings)
    console = Console(width=None if sys.stdout.isatty() else 160)  # nothing folds in a log
    console.print(ranking.to_rich(result, scale))
    markdown = ranking.to_markdown(result, scale)
    if apart is not None and len(apart):
        table = ranking.pivot(apart, settings.treatment, settings.block, settings.metric)
        title = "Trained on synthetic dialogues alone (TSTR where the test set is org); not ranked"
        console.print(f"{title}:", ranking.scores_to_rich(table, scale), sep="\n", highlight=False)
        markdown += f"\n## {title}\n\n{ranking.scores_to_markdown(table, scale)}"
    for sentence in [*ranking.sentences(result), *notes]:
        console.print(sentence, markup=False, highlight=False)
    if notes:
        markdown += "\n## Jobs that did not complete\n\n" + "".join(f"- {note}\n" for note in notes)
    if output is not None:
        written = {"ranking.md": markdown, "ranking.csv": ranking.to_csv(result, scale)}
        for name, text in [*written.items(), ("scores.csv", long.to_csv(index=False))]:
            with atomic_write(output / name) as file:
                file.write(text)
        console.print(f"Written: {output / 'ranking.md'}, ranking.csv, scores.csv", markup=False, highlight=False)


def _rank(long: pd.DataFrame, settings: Ranking) -> ranking.RankResult:
    table = ranking.pivot(long, list(settings.treatment), list(settings.block), settings.metric)
    return ranking.rank(table, ranking.baseline_comparisons(table, settings.baseline))
