"""What a report shows beside the ranking, from the results of the jobs: curves, classes, data, provenance."""

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import pandas as pd

from ercsatz.config import ORG, RankingConfig, Repeats
from ercsatz.ranking.report.background import Background
from ercsatz.ranking.scores import cell_names
from ercsatz.sweeps.result_file import NOT_A_SETTING
from ercsatz.sweeps.results import is_ranked, records, unique

_CURVES = ["treatment", "benchmark", "stage", "seed", "epoch", "loss", "w_f1"]
_PER_CLASS = ["treatment", "block", "seed", "label", "f1", "support", "share"]
_LABEL_COUNTS = ["data", "split", "label", "count"]
_DIGITS = 12  # of a hash


def background(results: Sequence[Mapping[str, Any]], settings: RankingConfig) -> Background:
    """All that results say beside the scores; what older results do not have is left empty.

    A stage that several jobs share (``original`` of ``nat`` and ``bal``) counts once, and of two scores of a cell for
    one seed that which is ranked. Learning curves are of all stages, per-class scores and confusion matrices of those
    that are ranked.

    Args:
        results: from ``records.collect``.
        settings: treatments, blocks and stages.
    """
    ranked, trained = _cells(results, settings)
    return Background(
        failures=tuple(map(_failure, _incomplete(results))),
        curves=pd.DataFrame(list(_curves(trained)), columns=_CURVES),
        per_class=pd.DataFrame(list(_per_class(ranked, _shares(results))), columns=_PER_CLASS),
        confusions=_confusions(ranked),
        label_counts=pd.DataFrame(list(_label_counts(results)), columns=_LABEL_COUNTS),
        provenance={title: text for title, text in _provenance(results).items() if text},
    )


@dataclass(frozen=True)
class _Cell:
    """A stage on a test set, under the names that it has in the ranking."""

    treatment: str
    block: str
    row: Mapping[Hashable, Any]
    stage: Mapping[str, Any]
    labels: Sequence[str]

    @property
    def scores(self) -> Mapping[str, Any]:
        return self.stage["test"][self.row["test_set"]]  # type: ignore[no-any-return]


def _cells(results: Sequence[Mapping[str, Any]], settings: RankingConfig) -> tuple[list[_Cell], list[_Cell]]:
    """Every cell of a seed that is ranked; and one for every stage that was trained, ranked or not."""
    details = {(result["source"], stage["stage"]): (result, stage) for result in results for stage in _stages(result)}
    treatment, block, seed = list(settings.treatment), list(settings.block), settings.seed
    long = records(results)
    # A column that is not there is the ranking's to refuse.
    long = long[long.test_set.notna()].reindex(columns=list(dict.fromkeys([*long, *treatment, *block, seed])))
    keep: Literal["first", "last"] = "last" if settings.repeats == Repeats.last else "first"
    ranked = unique(long[is_ranked(long, settings)], settings)
    ranked = ranked.drop_duplicates([*treatment, *block, seed], keep=keep)
    runs = [column for column in block if column != "test_set"]
    trained = long.drop_duplicates([*treatment, *runs, "benchmark", "stage", seed], keep=keep)

    def named(rows: pd.DataFrame) -> list[_Cell]:
        cells = []
        names = (cell_names(rows, treatment), cell_names(rows, block))
        for one, other, row in zip(*names, rows.to_dict("records"), strict=True):
            result, stage = details[row["source"], row["stage"]]
            cells.append(_Cell(one, other, row, stage, result.get("labels", ())))
        return cells

    return named(ranked), named(trained)


def _stages(result: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return result["stages"] if result["status"] == "completed" else ()


def _curves(trained: Iterable[_Cell]) -> Iterator[tuple[Any, ...]]:
    for cell in trained:
        names = [cell.row[key] for key in ("benchmark", "stage", "seed")]
        for point in cell.stage.get("curve", ()):
            yield cell.treatment, *names, point["epoch"], point["loss"], point["w_f1"]


def _per_class(ranked: Iterable[_Cell], shares: Mapping[Any, Mapping[str, float]]) -> Iterator[tuple[Any, ...]]:
    for cell in ranked:
        of_label = shares.get(cell.row["benchmark"], {})
        for label, scores in cell.scores.get("per_class", {}).items():
            own = (label, scores["f1"], scores["support"], of_label.get(label, math.nan))
            yield cell.treatment, cell.block, cell.row["seed"], *own


def _shares(results: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """The share of each label in the real training split, by benchmark."""
    found = {}
    for result in results:
        benchmark = result.get("choices", {}).get("benchmark")
        counts = result.get("label_counts", {}).get(f"{benchmark}_{ORG}", {}).get("train", {})
        if whole := sum(counts.values()):
            found[benchmark] = {label: count / whole for label, count in counts.items()}
    return found


def _confusions(ranked: Iterable[_Cell]) -> dict[tuple[str, str], pd.DataFrame]:
    """Counts of gold by predicted labels, summed over seeds."""
    sums: dict[tuple[str, str], pd.DataFrame] = {}
    for cell in ranked:
        if "confusion" in cell.scores:
            counts = pd.DataFrame(cell.scores["confusion"], index=list(cell.labels), columns=list(cell.labels))
            counts = counts.rename_axis(index="gold", columns="predicted")
            name = (cell.treatment, cell.block)
            sums[name] = sums[name] + counts if name in sums else counts
    return sums


def _label_counts(results: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str, str, int]]:
    """A row per label; data sets of one name that differ, as after another generation, are numbered."""
    found: dict[str, list[Mapping[str, Mapping[str, int]]]] = {}
    for result in results:
        for name, splits in result.get("label_counts", {}).items():
            if splits not in found.setdefault(name, []):
                found[name].append(splits)
    for name, versions in found.items():
        for number, splits in enumerate(versions, 1):
            data = name if number == 1 else f"{name} ({number})"
            for split, counts in splits.items():
                yield from ((data, split, label, count) for label, count in counts.items())


def _incomplete(results: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [result for result in results if result["status"] != "completed"]


def _failure(result: Mapping[str, Any]) -> str:
    if result["status"] == "missing":
        cell = " ".join(result["overrides"])
        return f"{result['source']} has no result of {cell}: it was not started, or its result was deleted."
    if result["status"] == "running":
        return f"{result['source']} did not finish: its process was killed, or is still at it."
    return f"{result['source']} failed: {next(filter(str.strip, result['error'].splitlines()), 'it gave no reason')}"


def _provenance(results: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Where the numbers are from; of the machines no more than their system."""
    failed = len(_incomplete(results))
    stages = [stage for result in results for stage in _stages(result)]
    versions = _distinct(pair for result in results for pair in result.get("versions", {}).items())
    hashes = _distinct(
        (f"{result['choices']['benchmark']}_{variant}", content[:_DIGITS])
        for result in results
        for variant, content in result.get("hashes", {}).items()
    )
    return {
        "benchmarks": _listed(result["choices"]["benchmark"] for result in results if "choices" in result),
        **_experiments(results),
        "date": _dates(results),
        "sweeps": ", ".join(_commands(results)),
        "settings": _settings(_commands(results)),
        "jobs": f"{len(results)}{f', of which {failed} did not complete' if failed else ''}",
        "systems": _listed(result["host"].split("-")[0] for result in results if "host" in result),
        "devices": _listed(f"{s['accelerator']} ({s['precision']})" for s in stages if "accelerator" in s),
        "versions": ", ".join(f"{name} {' or '.join(numbers)}" for name, numbers in versions.items()),
        "code": _listed(result["code"] for result in results if "code" in result),
        "test sets": ", ".join(f"{name} {' or '.join(contents)}" for name, contents in hashes.items()),
    }


def _experiments(results: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """What the experiments are and what they leave out."""
    found = {str(each["name"]): each for result in results if (each := result.get("experiment"))}
    cuts = [cut for each in found.values() for cut in each["cuts"]]
    about = "; ".join(f"{name}: {each['about']}" for name, each in found.items())
    return {"experiment": about, "left out": "; ".join(cuts)}


def _distinct(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """The different values of each key, both in the order of their first appearance."""
    found: dict[str, dict[str, None]] = {}
    for key, value in pairs:
        found.setdefault(key, {})[value] = None
    return {key: list(values) for key, values in found.items()}


def _listed(texts: Iterable[str]) -> str:
    return ", ".join(Counter(texts))


def _commands(results: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """By sweep, the overrides of all its jobs as one would type them, without those that compute nothing else."""
    sweeps: dict[str, list[tuple[str, str]]] = {}
    for result in results:
        if "sweep" in result:
            given = [text.partition("=") for text in result["overrides"] if not text.startswith(NOT_A_SETTING)]
            sweeps.setdefault(result["sweep"], []).extend((key, value) for key, _, value in given)
    typed = {sweep: _distinct(pairs) for sweep, pairs in sweeps.items()}
    return {sweep: " ".join(f"{key}={','.join(v)}" for key, v in keys.items()) for sweep, keys in typed.items()}


def _settings(commands: Mapping[str, str]) -> str:
    if len(commands) == 1:
        return next(iter(commands.values()))
    return "; ".join(f"{sweep}: {command or 'the defaults'}" for sweep, command in commands.items())


def _dates(results: Iterable[Mapping[str, Any]]) -> str:
    """From the first job's start to the last one's end, in UTC."""
    timed = [result for result in results if "started" in result]
    starts = [datetime.fromisoformat(result["started"]) for result in timed]
    if not starts:
        return ""
    ends = [start + timedelta(seconds=r["seconds"]) for start, r in zip(starts, timed, strict=True)]
    first, last = min(starts), max(ends)
    if last - first < timedelta(minutes=1):
        return f"{first:%Y-%m-%d %H:%M} UTC"
    until = f"{last:%H:%M}" if first.date() == last.date() else f"{last:%Y-%m-%d %H:%M}"
    return f"{first:%Y-%m-%d %H:%M} to {until} UTC"
