"""Score records of finished jobs, from their ``result.json``."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from ercsatz.config import RankingConfig, Repeats, variant_order
from ercsatz.data.text_files import read_text
from ercsatz.errors import UserError
from ercsatz.sweeps.result_file import NOT_A_SETTING, SCHEMA

# What a column of the records stands for already; other overrides become columns of their own.
_KNOWN = {"classifier", "data", "seed", "phase", "backbone"}
_RANKED_BEFORE = ("original", "finetune")  # stages, by results that do not say which are ranked
_SCORES = ("w_f1", "macro_f1", "accuracy")
_DIGITS = 9  # of a score; copies of one training may differ beyond
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


def records(results: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Results as score records: a row per stage and test set, and one without scores per job that did not complete.

    The index is the folder that a row is from, also in the column ``source``.
    """
    rows = [row for result in results for row in _rows(result)]
    _share_phases(rows)
    rows.sort(key=lambda row: (row["classifier"] or "", variant_order(row["variant"]), variant_order(row["test_set"])))
    long = pd.DataFrame(rows).astype(dict.fromkeys(_SCORES, float))
    settings = list({key: None for result in results for key in _settings(result)})
    long = long.fillna(dict.fromkeys(settings, _DEFAULT))
    return long.set_index(pd.Index(long["source"], name=None))


def _settings(result: Mapping[str, Any]) -> dict[str, str]:
    """The overrides that can make two scores of a cell differ."""
    swept = [text.partition("=") for text in result.get("overrides", ()) if not text.startswith(NOT_A_SETTING)]
    return {key: value for key, _, value in swept if key not in _KNOWN}


def _planned(result: Mapping[str, Any]) -> list[tuple[str, str | None]]:
    """Stages and variants that a job would have been ranked by."""
    if "planned" in result:
        return [(stage["stage"], stage["variant"]) for stage in result["planned"]]
    variant = result.get("choices", {}).get("variant")
    phase = next((text[6:] for text in result.get("overrides", ()) if text.startswith("phase=")), "tstr")
    original, finetune = ("original", "org"), ("finetune", variant)
    if variant == "org" or phase == "original":
        return [original]
    return [original, finetune] if phase == "tstr" else [finetune]


def _rows(result: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    choices = result.get("choices", {})
    base = {key: choices.get(key) for key in ("classifier", "backbone", "benchmark")} | _settings(result)
    base |= {"phase": choices.get("phase", "tstr"), "seed": result.get("seed"), "source": result["source"]}
    empty = dict.fromkeys(_SCORES)
    if result["status"] != "completed":
        for stage, variant in _planned(result):
            yield base | {"variant": variant, "stage": stage, "ranked": True, "test_set": None} | empty
        return
    for stage in result["stages"]:
        for test_set, scores in stage["test"].items():
            ranked = stage.get("ranked", stage["stage"] in _RANKED_BEFORE)
            row = base | {"variant": stage["variant"], "stage": stage["stage"], "ranked": ranked, "key": stage["key"]}
            row |= {"test_set": test_set, "content": result["hashes"][test_set]}
            yield row | {name: scores[name] for name in empty}


def _share_phases(rows: Sequence[dict[str, Any]]) -> None:
    """Give a stage that jobs of several phases share, as ``original`` of ``tstr`` and ``joint``, one phase."""
    phases = list(dict.fromkeys(["tstr", *(row["phase"] for row in rows)]))
    first: dict[str, str] = {}
    for row in sorted((row for row in rows if "key" in row), key=lambda row: phases.index(row["phase"])):
        row["phase"] = first.setdefault(row["key"], row["phase"])


def is_ranked(long: pd.DataFrame, settings: RankingConfig) -> "pd.Series[bool]":
    """Which records are ranked: those of ``ranking.stages``, or of the stages that their phase ranks.

    Raises:
        UserError: no job has a stage of that name.
    """
    if settings.stages is None:
        return long.ranked.astype(bool)
    there = ", ".join(dict.fromkeys(long.stage))
    if there and (unknown := [stage for stage in settings.stages if stage not in set(long.stage)]):
        raise UserError(f"ranking.stages: no job ran the stage {unknown[0]}. There are: {there}.")
    return long.stage.isin(settings.stages)


def told_apart(long: pd.DataFrame, settings: RankingConfig) -> RankingConfig:
    """The settings with the phase as part of each treatment, where treatments would else be of several phases."""
    treatment = list(settings.treatment)
    if "phase" in treatment or not {*treatment} <= {*long.columns}:
        return settings
    several = long[is_ranked(long, settings)].groupby(treatment, dropna=False).phase.nunique()
    return replace(settings, treatment=[*treatment, "phase"]) if (several > 1).any() else settings


def unique(long: pd.DataFrame, settings: RankingConfig) -> pd.DataFrame:
    """One row for a stage that several jobs share: ``org`` is trained once for ``nat`` and ``bal``.

    Copies with different scores are all kept where ``ranking.repeats`` chooses, for the ranking to choose and tell.

    Raises:
        UserError: a stage has different scores and ``ranking.repeats`` does not choose.
    """
    names = dict.fromkeys([*settings.treatment, *settings.block, "seed", "key", "test_set", "content"])
    columns = [column for column in names if column in long.columns]
    keep: Literal["first", "last"] = "last" if settings.repeats == Repeats.last else "first"
    rounded = long.round(dict.fromkeys(_SCORES, _DIGITS))
    left = long[~rounded.duplicated([*columns, *_SCORES], keep=keep)]
    if settings.repeats == Repeats.refuse and {"key", "source"} <= {*left.columns}:
        _refuse_twice(left[left.key.notna()], columns)
    return left


def _refuse_twice(left: pd.DataFrame, columns: list[str]) -> None:
    twice = left[left.duplicated(columns, keep=False)]
    if twice.empty:
        return
    _, copies = next(iter(twice.groupby(columns, dropna=False, sort=False)))
    first, second, *_ = copies.to_dict("records")
    name = next(name for name in _SCORES if first[name] != second[name])
    raise UserError(
        f"Two scores for the same training ({first['stage']} of {first['classifier']} on {first['variant']}, "
        f"seed={first['seed']}, test set {first['test_set']}): {first['source']} has {name}={first[name]:.6g}, "
        f"{second['source']} {second[name]:.6g}. It ran twice with different results, as where jobs run in parallel "
        "without sharing paths.cache. Leave one out, or choose: ranking.repeats=first or last."
    )
