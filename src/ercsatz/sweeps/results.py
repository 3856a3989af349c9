"""Score records of finished jobs, from their ``result.json``."""

import logging
import math
import re
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from ercsatz.config import RankingConfig, Repeats, variant_order
from ercsatz.data.metrics import learnt_nothing
from ercsatz.errors import UserError
from ercsatz.ranking.scores import DEFAULT, LEARNT_NOTHING, cell_names
from ercsatz.sweeps import result_file, sweep_file
from ercsatz.sweeps.result_file import SCORES, read_result, refuse_unreadable, settings_of, swept_keys
from ercsatz.sweeps.sweep_file import Key, SweepFile, key_of

_LOG = logging.getLogger(__name__)

# What a column of the records stands for already; other overrides become columns of their own.
_KNOWN = {"classifier", "data", "seed", "phase", "backbone"}
_RANKED_BEFORE = ("original", "finetune")  # stages, by results that do not say which are ranked
_DIGITS = 9  # of a score; copies of one training may differ beyond
ANY = "any"  # in the column of a swept key that made no difference to a stage
_LISTED = 5
# Of a recipe: which dialogues it sees, which treatments are meant to differ in; and what all classifiers have.
_OF_DATA = re.compile(r"(^|\.)(train|validation|labels|start|before|test_sets)$")
_OF_ALL = ("backbone", "loss", "sampler", "precision")
_CHANGED = (
    "{} is not the same for all: it has changed between {} and {}. Run again what is to be compared, on the same data; "
    "stages that saw these come from the cache."
)


def collect(sweeps: Sequence[Path]) -> list[dict[str, Any]]:
    """The result of every job of some sweeps, with its ``source``, and its sweep's ``swept`` keys and ``experiment``.

    Of a sweep with a ``sweep.json`` these are its planned cells, by its id; one without a result has the status
    ``missing``. What else lies in its folder is left out, and a line says so; a sweep below it is not part of it.

    Args:
        sweeps: folders of sweeps, or above them, or of jobs.

    Raises:
        UserError: a folder does not exist, none holds a result, a result cannot be read, or a cell has two; or it is
            that of a search.
    """
    results = []
    for folder in sweeps:
        if not folder.is_dir():
            raise UserError(f"There is no folder {folder}. Give finished sweeps: sweeps=[multirun/NAME].")
        owners = {file.parent: sweep_file.read(file.parent) for file in folder.rglob(sweep_file.NAME)}
        found: dict[Path | None, list[dict[str, Any]]] = {owner: [] for owner in (None, *owners)}
        for file in sorted(folder.rglob(result_file.NAME)):
            owner = next((each for each in file.parents if each in owners), None)
            found[owner].append({**(result := read_result(file)), "source": str(file.parent)})
            refuse_unreadable(result, file)
        for owner, there in found.items():
            if folder in owners and owner != folder:
                continue
            sweep = owners[owner] if owner else None
            if sweep is not None and sweep.search is not None:
                raise UserError(
                    f"{owner} is a search: its trials were chosen by their scores, so no test of them means anything. "
                    "Rank what its search.md says to run, the best settings with other seeds."
                )
            results += _owned(sweep, owner, there) if sweep and owner else there
    if not results:
        raise UserError(f"No result.json below {', '.join(map(str, sweeps))}: no job of the sweep has started.")
    return results


def statuses(folder: Path) -> set[str]:
    """What the results of this folder's sweep say of their jobs; none where no job has started."""
    id = sweep_file.id_of(folder)
    results = (read_result(file) for file in folder.rglob(result_file.NAME))
    return {result["status"] for result in results if result.get("sweep_id") == id}


def _owned(sweep: SweepFile, folder: Path, found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The results of a sweep's cells, in the order of its plan."""
    own = [result for result in found if result.get("sweep_id") == sweep.id]
    cells = own if sweep.cells is None else sweep.cells
    by_cell: dict[Key, list[dict[str, Any]]] = {key_of(cell["overrides"]): [] for cell in cells}
    for result in own:
        by_cell.get(key_of(result["overrides"]), []).append(result)
    if two := next((results for results in by_cell.values() if len(results) > 1), None):
        first, second = (result["source"] for result in two[:2])
        raise UserError(f"Two results of the same cell: {first} and {second}. Delete the one that is a copy.")
    if left_out := len(found) - sum(map(len, by_cell.values())):
        many = "result is" if left_out == 1 else "results are"
        _LOG.info("%s: %s %s of another sweep, and left out.", folder, left_out, many)
    swept = list(swept_keys(cells))
    missing = ({**cell, "status": "missing", "source": str(folder)} for cell in cells)
    known = {"swept": swept, **({"experiment": sweep.experiment} if sweep.experiment else {})}
    return [{**(by_cell[key_of(cell["overrides"])] or [cell])[0], **known} for cell in missing]


def records(results: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Results as score records: a row per stage and test set, and one without scores per job that did not complete.

    The index is the folder that a row is from, also in the column ``source``.
    """
    rows = [row for result in results for row in _rows(result)]
    _share_phases(rows)
    _share_settings(rows, swept(results))
    rows.sort(key=lambda row: (row["classifier"] or "", variant_order(row["variant"]), variant_order(row["test_set"])))
    long = pd.DataFrame(rows).astype(dict.fromkeys(SCORES, float))
    settings = list({key: None for result in results for key in _settings(result)})
    long = long.fillna(dict.fromkeys(settings, DEFAULT))
    return long.set_index(pd.Index(long["source"], name=None))


def _settings(result: Mapping[str, Any]) -> dict[str, str]:
    """The overrides that can make two scores of a cell differ."""
    return {key: value for key, value in settings_of(result.get("overrides", ())).items() if key not in _KNOWN}


def swept(results: Iterable[Mapping[str, Any]]) -> list[str]:
    """The keys that their sweeps are over, beside those that tell treatments and runs apart anyway."""
    return list(dict.fromkeys(key for result in results for key in result.get("swept", ())))


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
    empty = dict.fromkeys([*SCORES, LEARNT_NOTHING])
    if result["status"] != "completed":
        for stage, variant in _planned(result):
            yield base | {"variant": variant, "stage": stage, "ranked": True, "test_set": None} | empty
        return
    for stage in result["stages"]:
        for test_set, scores in stage["test"].items():
            if unreal := [name for name in SCORES if not math.isfinite(scores[name])]:
                raise UserError(
                    f"{result['source']}: the {unreal[0]} of {stage['stage']} on {test_set} is {scores[unreal[0]]}, "
                    "which is no score. Delete this result and run the job again."
                )
            ranked = stage.get("ranked", stage["stage"] in _RANKED_BEFORE)
            row = base | {"variant": stage["variant"], "stage": stage["stage"], "ranked": ranked, "key": stage["key"]}
            row |= {"test_set": test_set, "content": result["hashes"][test_set]}
            yield row | {name: scores[name] for name in SCORES} | {LEARNT_NOTHING: learnt_nothing(scores)}


def _share_phases(rows: Sequence[dict[str, Any]]) -> None:
    """Give a stage that jobs of several phases share, as ``original`` of ``tstr`` and ``joint``, one phase."""
    phases = list(dict.fromkeys(["tstr", *(row["phase"] for row in rows)]))
    first: dict[str, str] = {}
    for row in sorted((row for row in rows if "key" in row), key=lambda row: phases.index(row["phase"])):
        row["phase"] = first.setdefault(row["key"], row["phase"])


def _share_settings(rows: Sequence[dict[str, Any]], swept: Iterable[str]) -> None:
    """Give a stage that several values of a swept key share one: the default, or that of ``ANY``.

    So it is with org, under several finetune.lr.
    """
    for setting in swept:
        values: dict[str, set[str]] = {}
        for row in rows:
            if "key" in row:
                values.setdefault(row["key"], set()).add(row.get(setting, DEFAULT))
        for row in rows:
            if len(shared := values.get(row.get("key", ""), set())) > 1:
                row[setting] = DEFAULT if DEFAULT in shared else ANY


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


def told_apart(long: pd.DataFrame, settings: RankingConfig, swept: Sequence[str] = ()) -> RankingConfig:
    """The settings with the phase, and each swept key, as part of a treatment, where that would else be of several.

    A key that has one value on each block, as a benchmark's own share of its dialogues, makes no two treatments.
    """
    treatment, ranked = list(settings.treatment), long[is_ranked(long, settings)]
    if not {*treatment} <= {*long.columns}:
        return settings
    for column in ("phase", *swept):
        several = column in ranked.columns and column not in {*treatment, *settings.block, settings.seed}
        cells = [*treatment, *(name for name in settings.block if name in ranked.columns)]
        if several and (ranked.groupby(cells, dropna=False)[column].nunique() > 1).any():
            treatment.append(column)
    return replace(settings, treatment=treatment)


def _recipes(results: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], Mapping[str, Any]]:
    """What determines each stage, by source and stage; of all only the overrides where one is of an earlier version."""
    stages = [(result, stage) for result in results for stage in result.get("stages", ())]
    new = all("recipe" in stage for _, stage in stages)
    return {
        (result["source"], stage["stage"]): stage["recipe"]
        if new
        else {**_settings(result), "backbone": result["choices"].get("backbone")}
        for result, stage in stages
    }


def refuse_mixed(long: pd.DataFrame, results: Sequence[Mapping[str, Any]], settings: RankingConfig) -> None:
    """Refuse to average cells that differ in more than the seed, and data that are not the same for all treatments.

    Args:
        long: the records that are ranked.
        results: that they are from.
        settings: treatments, blocks and the column that tells runs apart.

    Raises:
        UserError: names the keys, the test set or the corpus; or one training has the names of two variants.
    """
    first_seen: dict[str, tuple[str, str]] = {}
    for result in results:
        for corpus, content in result.get("corpora", {}).items():
            before, source = first_seen.setdefault(corpus, (content, result["source"]))
            if before != content:
                raise UserError(_CHANGED.format(corpus, source, result["source"]))
    scored, block = long[long.test_set.notna()], list(settings.block)
    if not {*settings.treatment, *block} <= {*long.columns}:
        return  # for the ranking to say
    for _, rows in scored.groupby([*dict.fromkeys([*block, "benchmark", "test_set"])], dropna=False, sort=False):
        _refuse_contents(rows)
    if "key" in scored:
        for _, rows in scored.groupby(["key", "test_set"], sort=False):
            _refuse_one_under_two_names(rows)
    details = {(result["source"], stage["stage"]): stage for result in results for stage in result.get("stages", ())}
    known = {result["source"]: _settings(result) for result in results}
    for name, rows in scored.groupby([*settings.treatment, *block], dropna=False, sort=False):
        chosen = rows.drop_duplicates(settings.seed, keep="last" if settings.repeats == Repeats.last else "first")
        first, *others = chosen.to_dict("records")
        for other in others:
            one, two = (details[row["source"], row["stage"]].get("recipe") for row in (first, other))
            if one is None or two is None:  # of an earlier version
                one, two = ({**known[row["source"]], "backbone": row["backbone"]} for row in (first, other))
            keys = [key for key in dict.fromkeys([*one, *two]) if one.get(key) != two.get(key)]
            if {*keys} - {settings.seed}:
                _refuse_average("_".join(map(str, name)), (first, one), (other, two), keys)


def differing(long: pd.DataFrame, results: Sequence[Mapping[str, Any]], settings: RankingConfig) -> list[str]:
    """A sentence for every setting in which treatments differ and that is no part of their names.

    So it is where sweeps of other settings, or of an edited YAML, are ranked together, or where there is knowledge
    about some data alone.

    Args:
        long: the records that are ranked.
        results: that they are from.
        settings: treatments, blocks and the column that tells runs apart.
    """
    scored, recipes = long[long.test_set.notna()], _recipes(results)
    swept = [column for column in settings.treatment if column not in ("classifier", "variant", "phase")]
    found: dict[tuple[str, tuple[str, ...]], dict[str, list[str]]] = {}
    on: dict[str, dict[str, list[str]]] = {}  # by key and value, the benchmarks
    for name, row in zip(cell_names(scored, settings.treatment), scored.to_dict("records"), strict=True):
        for key, value in recipes[row["source"], row["stage"]].items():
            kind, alike = key.partition(".")[0], [str(row[column]) for column in swept]
            if _OF_DATA.search(key) or {kind, key} & {*settings.block, settings.seed}:
                continue
            if kind not in _OF_ALL:  # else a setting of all classifiers, or of all stages of one, or of one stage
                alike += [row["classifier"]] if kind == "classifier" else [row["classifier"], row["stage"]]
            _note(found.setdefault((key, tuple(alike)), {}), str(value), name)
            _note(on.setdefault(key, {}), str(value), str(row["benchmark"]))
    told: list[str] = []
    for (key, _), each in found.items():
        if len(each) == 1 or any(f": {key.partition('.')[2]} is " in sentence for sentence in told):
            continue
        benchmarks = [name for names in on[key].values() for name in names]
        if len(benchmarks) == len({*benchmarks}):
            told.append(f"Benchmarks differ in a setting, all treatments alike: {key} is {_shown(on[key], 'on')}.")
        else:
            told.append(f"Treatments differ in more than their names: {key} is {_shown(each, 'for')}.")
    return list(dict.fromkeys(told))


def _note(names: dict[str, list[str]], value: str, name: str) -> None:
    """Add a name to those of a value, once."""
    if name not in names.setdefault(value, []):
        names[value].append(name)


def _shown(names: Mapping[str, Sequence[str]], word: str) -> str:
    return "; ".join(f"{value} {word} {', '.join(each[:_LISTED])}" for value, each in names.items())


def _refuse_contents(rows: pd.DataFrame) -> None:
    versions = rows.drop_duplicates("content")
    if len(versions) > 1:
        one, two = versions.to_dict("records")[:2]
        name = f"The test set {one['test_set']} of {one['benchmark']}"
        raise UserError(_CHANGED.format(name, one["source"], two["source"]))


def _refuse_one_under_two_names(rows: pd.DataFrame) -> None:
    """Raise where one trained stage is that of two variants, as where both started from one saved classifier."""
    one, two = rows.iloc[0], rows.iloc[-1]
    if one.variant != two.variant:
        raise UserError(
            f"{one.classifier} on {one.variant} and on {two.variant} are one and the same classifier, {one.stage} "
            f"{one.key}, in {one.source} and {two.source}: one training.checkpoint stood in the place of what is "
            "trained on their data, or these are copies. Rank those that have a classifier of their own."
        )


def _refuse_average(
    name: str, one: tuple[Mapping[Hashable, Any], Mapping[str, Any]], two: tuple[Any, Any], keys: Sequence[str]
) -> None:
    (first, its), (other, others) = one, two
    told = ", ".join(f"{key} ({its.get(key)} and {others.get(key)})" for key in keys[:_LISTED])
    more = f" and {len(keys) - _LISTED} more" if len(keys) > _LISTED else ""
    raise UserError(
        f"{name} would be a mean over cells that differ in more than the seed, in {told}{more}: {first['source']} and "
        f"{other['source']}. Rank them apart, by ranking.treatment or one after the other, or leave one out."
    )


def unique(long: pd.DataFrame, settings: RankingConfig) -> pd.DataFrame:
    """One row for a stage that several jobs share: ``org`` is trained once for ``nat`` and ``bal``.

    Copies with different scores are all kept where ``ranking.repeats`` chooses, for the ranking to choose and tell.

    Raises:
        UserError: a stage has different scores and ``ranking.repeats`` does not choose.
    """
    names = dict.fromkeys([*settings.treatment, *settings.block, "seed", "key", "test_set", "content"])
    columns = [column for column in names if column in long.columns]
    keep: Literal["first", "last"] = "last" if settings.repeats == Repeats.last else "first"
    rounded = long.round(dict.fromkeys(SCORES, _DIGITS))
    left = long[~rounded.duplicated([*columns, *SCORES], keep=keep)]
    if settings.repeats == Repeats.refuse and {"key", "source"} <= {*left.columns}:
        _refuse_twice(left[left.key.notna()], columns)
    return left


def _refuse_twice(left: pd.DataFrame, columns: list[str]) -> None:
    twice = left[left.duplicated(columns, keep=False)]
    if twice.empty:
        return
    _, copies = next(iter(twice.groupby(columns, dropna=False, sort=False)))
    first, second, *_ = copies.to_dict("records")
    name = next(name for name in SCORES if first[name] != second[name])
    raise UserError(
        f"Two scores for the same training ({first['stage']} of {first['classifier']} on {first['variant']}, "
        f"seed={first['seed']}, test set {first['test_set']}): {first['source']} has {name}={first[name]:.6g}, "
        f"{second['source']} {second[name]:.6g}. It ran twice with different results, as where jobs run in parallel "
        "without sharing paths.cache. Leave one out, or choose: ranking.repeats=first or last."
    )
