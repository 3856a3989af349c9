"""What the stages of a sweep scored, by treatment: means over seeds, F1 by label, confusion matrices, curves."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev
from typing import Any, NamedTuple

from ercsatz.config import variant_order
from ercsatz.sweeps.page.charts import Line, Panel
from ercsatz.sweeps.page.state import CellState
from ercsatz.sweeps.result_file import settings_of, swept_keys

_STRONGEST = 55  # per cent of a colour behind the largest figure, so that text on it can be read


@dataclass
class Treatment:
    """A stage of the cells that differ in their seeds alone.

    Attributes:
        benchmark: whose test sets it is scored on.
        classifier: what is trained.
        name: variant, and the swept settings that made a difference.
        stage: of the phase.
        variant: whose dialogues it sees.
        labels: in the order of the benchmark.
        records: as in a result's ``stages``, by seed.
    """

    benchmark: str
    classifier: str
    name: str
    stage: str
    variant: str
    labels: Sequence[str]
    records: dict[Any, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """All of it in one line."""
        return f"{self.classifier} {self.name}, {self.stage}"


@dataclass
class _Trained:
    """A trained stage, and the cells that have it."""

    cell: CellState
    record: Mapping[str, Any]
    stage: str
    variant: str
    settings: list[Mapping[str, str]] = field(default_factory=list)


def treatments(cells: Sequence[CellState]) -> list[Treatment]:
    """What was scored so far, each trained stage once, in the order of classifiers, stages and variants."""
    trained: dict[tuple[Any, ...], _Trained] = {}
    for cell in cells:
        for stage in cell.stages:
            if stage.record is not None and stage.record.get("test"):
                key = (cell.choices.get("benchmark"), stage.record.get("key"), stage.name, stage.variant, cell.seed)
                one = trained.setdefault(key, _Trained(cell, stage.record, stage.name, stage.variant))
                one.settings.append(settings_of(cell.overrides))
    swept = list(swept_keys([{"overrides": cell.overrides} for cell in cells]))
    found: dict[tuple[str, ...], Treatment] = {}
    for one in trained.values():
        choices = one.cell.choices
        name = " ".join([one.variant, *_settings(one.settings, swept)])
        where = (str(choices.get("benchmark", "")), str(choices.get("classifier", "")), name, one.stage)
        labels = one.cell.result.get("labels") or _labels(one.record)
        found.setdefault(where, Treatment(*where, one.variant, labels)).records[one.cell.seed] = one.record
    return sorted(found.values(), key=_order)


def _settings(given: Sequence[Mapping[str, str]], swept: Sequence[str]) -> Iterator[str]:
    """The values of the swept keys that only some of the cells have that share a stage."""
    for key in swept:
        values = {settings.get(key, "default") for settings in given}
        if len(values) == 1:
            yield f"{key.removeprefix('training.')}={values.pop()}"


def _labels(record: Mapping[str, Any]) -> list[str]:
    return list(next(iter(record["test"].values())).get("per_class", {}))


def _order(treatment: Treatment) -> tuple[Any, ...]:
    stages = ("original", "pretrain", "finetune")
    place = stages.index(treatment.stage) if treatment.stage in stages else len(stages)
    return treatment.benchmark, treatment.classifier, place, variant_order(treatment.variant), treatment.name


class Score(NamedTuple):
    """A mean, its spread over seeds, and whether it is the best of its column."""

    mean: str
    spread: str
    best: bool


class ScoreTable(NamedTuple):
    """The scores of a benchmark: test sets; rows of treatment, number of seeds and a score a test set."""

    benchmark: str
    test_sets: list[str]
    rows: list[tuple[Treatment, int, list[Score]]]


def score_tables(found: Sequence[Treatment], metric: str = "w_f1") -> list[ScoreTable]:
    """The mean of a score over seeds, 0 to 100, by benchmark."""
    return [_score_table(name, mine, metric) for name, mine in _by_benchmark(found).items()]


def _score_table(benchmark: str, mine: Sequence[Treatment], metric: str) -> ScoreTable:
    sets = _test_sets(mine)
    values = {
        (number, name): [
            100 * record["test"][name][metric] for record in each.records.values() if name in record["test"]
        ]
        for number, each in enumerate(mine)
        for name in sets
    }
    best = {name: max((fmean(v) for (_, s), v in values.items() if s == name and v), default=0.0) for name in sets}

    def score(scores: Sequence[float], name: str) -> Score:
        if not scores:
            return Score("", "", False)
        spread = f"{stdev(scores):.2f}" if len(scores) > 1 else ""
        return Score(f"{fmean(scores):.2f}", spread, len(mine) > 1 and fmean(scores) >= best[name] - 5e-3)

    rows = [
        (each, len(each.records), [score(values[number, name], name) for name in sets])
        for number, each in enumerate(mine)
    ]
    return ScoreTable(benchmark, sets, rows)


def _by_benchmark(found: Sequence[Treatment]) -> dict[str, list[Treatment]]:
    groups: dict[str, list[Treatment]] = {}
    for each in found:
        groups.setdefault(each.benchmark, []).append(each)
    return groups


def _test_sets(found: Sequence[Treatment]) -> list[str]:
    names = {name for each in found for record in each.records.values() for name in record["test"]}
    return sorted(names, key=lambda name: (variant_order(name), name))


class LabelTable(NamedTuple):
    """F1 by label on a test set: labels with their utterances; rows of treatment and (F1, strength of its colour)."""

    title: str
    labels: list[tuple[str, str]]
    rows: list[tuple[str, list[tuple[str, str]]]]


def label_tables(found: Sequence[Treatment]) -> list[LabelTable]:
    """F1 of each label, 0 to 100, mean over seeds, for each benchmark and test set."""
    tables = []
    for benchmark, mine in _by_benchmark(found).items():
        for name in _test_sets(mine):
            rows: list[tuple[str, list[tuple[str, str]]]] = []
            supports: dict[str, int] = {}
            for each in mine:
                classes = [r["test"][name].get("per_class", {}) for r in each.records.values() if name in r["test"]]
                supports |= {label: about["support"] for one in classes for label, about in one.items()}
                means = [_f1([one[label]["f1"] for one in classes if label in one]) for label in each.labels]
                rows += [(each.title, means)] if any(classes) else []
            if rows:
                labels = [(label, f"{supports.get(label, 0):,}") for label in mine[0].labels]
                tables.append(LabelTable(f"{benchmark}, test set {name}", labels, rows))
    return tables


def _f1(values: Sequence[float]) -> tuple[str, str]:
    return (f"{100 * fmean(values):.1f}", f"{_STRONGEST * fmean(values):.0f}%") if values else ("", "0%")


class Matrix(NamedTuple):
    """A confusion matrix: title; predicted labels; rows of gold label, utterances and (per cent, strength, hit)."""

    name: str
    predicted: Sequence[str]
    rows: list[tuple[str, str, list[tuple[str, str, bool]]]]


def matrices(found: Sequence[Treatment], most: int) -> tuple[list[Matrix], int]:
    """Confusion matrices, counts summed over seeds, and how many were left out: those of real test sets come first."""
    wanted = [
        (name, each)
        for mine in _by_benchmark(found).values()
        for name in _test_sets(mine)
        for each in mine
        if any("confusion" in record["test"].get(name, {}) for record in each.records.values())
    ]
    wanted.sort(key=lambda pair: variant_order(pair[0]))
    return [_matrix(each, name) for name, each in wanted[:most]], max(0, len(wanted) - most)


def _matrix(treatment: Treatment, name: str) -> Matrix:
    counts = [record["test"].get(name, {}).get("confusion") for record in treatment.records.values()]
    sums = [[sum(cells) for cells in zip(*rows, strict=True)] for rows in zip(*filter(None, counts), strict=True)]
    rows = []
    for gold, row in zip(treatment.labels, sums, strict=False):
        total = sum(row)
        shares = [count / total if total else 0.0 for count in row]
        cells = [
            (f"{100 * share:.0f}" if total else "-", f"{_STRONGEST * share:.0f}%", label == gold)
            for label, share in zip(treatment.labels, shares, strict=False)
        ]
        rows.append((gold, f"{total:,}", cells))
    return Matrix(f"{treatment.title}; {treatment.benchmark}, {name}", treatment.labels, rows)


def curves(found: Sequence[Treatment]) -> tuple[list[Panel], dict[int, str]]:
    """A panel for each benchmark, classifier and stage; and what the numbers of their lines mean."""
    names: dict[str, int] = {}
    panels: dict[str, list[Line]] = {}
    for each in found:
        for record in each.records.values():
            points = [(point["epoch"], point["w_f1"]) for point in record.get("curve", ()) if _is_number(point)]
            if points:
                number = names.setdefault(each.name, len(names))
                panels.setdefault(f"{each.classifier} on {each.benchmark}: {each.stage}", []).append(
                    Line(number, points)
                )
    return [Panel(title, lines) for title, lines in panels.items()], {n: name for name, n in names.items()}


def _is_number(point: Mapping[str, Any]) -> bool:
    value = point.get("w_f1")
    return isinstance(value, float | int) and math.isfinite(value)
