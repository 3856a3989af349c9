"""A saved view of a sweep in Weights & Biases, and a report on it: made once, brought up to date when it runs again."""

import io
import json
import logging
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ercsatz.config import WandbConfig
from ercsatz.data.text_files import atomic_write, read_json
from ercsatz.errors import UserError
from ercsatz.tracking.wandb_run import no_longer_than, wandb_mode

NAME = "wandb-workspace.json"
"""In a sweep's folder: the addresses of its view and of its report."""

TIMEOUT = 60.0  # seconds for both, in all
_MOST_TEXT = 60_000  # characters of the ranking in the report
_TREATMENT = ("classifier", "variant", "stage")
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrackedSweep:
    """What the pages of a sweep show.

    Attributes:
        name: of the sweep, the group of its runs.
        test_sets: that its stages are scored on.
        labels: of its benchmarks.
        keys: settings that it is over, beside classifier, data and seed.
        ranking: as Markdown; empty where there is none.
    """

    name: str
    test_sets: Sequence[str]
    labels: Sequence[str]
    keys: Sequence[str]
    ranking: str = ""


def save_workspace(settings: WandbConfig, sweep: TrackedSweep, folder: Path) -> None:
    """Make or update a sweep's view and report; nothing where ``wandb.workspace`` is false.

    Args:
        settings: where; ``wandb.workspace`` must be true for anything to happen.
        sweep: what is shown.
        folder: of the sweep, where the addresses are kept.

    Raises:
        UserError: nobody is logged in, the extra is missing, or the server takes too long.
        Exception: as of W&B's own package, for whatever else goes wrong.
    """
    if not settings.workspace:
        return
    try:
        import wandb
        import wandb_workspaces  # noqa: F401
    except ImportError:
        raise UserError("wandb.workspace=true needs: pip install 'ercsatz[wandb-workspaces]'") from None
    with no_longer_than(TIMEOUT) as late, redirect_stderr(io.StringIO()):  # its own lines about what it saves
        try:
            known = _save(settings, sweep, folder / NAME)
        except UserError:
            raise
        except Exception:
            if late.is_set():
                raise UserError(f"the server did not answer within {TIMEOUT:.0f} s") from None
            raise
        finally:
            with suppress(Exception):  # whatever it is that a connection to a dead process gives
                wandb.teardown(exit_code=0)
    for kind, url in known.items():
        _LOG.info("Weights & Biases has the sweep's %s: %s", kind, url)


def _save(settings: WandbConfig, sweep: TrackedSweep, file: Path) -> dict[str, str]:
    """Save both, and keep each address as soon as it is known."""
    import wandb

    if wandb_mode(settings.mode) != "online":
        raise UserError("wandb.workspace=true needs a server: log in with wandb login, and leave wandb.mode=auto.")
    known = _known(file)
    entity = settings.entity or wandb.Api(timeout=int(TIMEOUT)).default_entity
    if entity is None:
        raise UserError("W&B names no entity for this login. Give one: wandb.entity=NAME")
    for kind, save in (("workspace", _save_view), ("report", _save_report)):
        known[kind] = save(entity, settings.project, sweep, known.get(kind))
        with atomic_write(file) as new:
            json.dump(known, new, indent=2)
    return known


def _known(file: Path) -> dict[str, str]:
    """The addresses of an earlier run of the sweep."""
    if not file.is_file():
        return {}
    found = read_json(file, "Delete it; the view and the report are then made anew.")
    return {kind: str(url) for kind, url in found.items()} if isinstance(found, dict) else {}


def _save_view(entity: str, project: str, sweep: TrackedSweep, url: str | None) -> str:
    import wandb_workspaces.workspaces as ws

    view = ws.Workspace(entity=entity, project=project) if url is None else ws.Workspace.from_url(url)
    view.name = f"Sweep {sweep.name}"
    view.sections = [
        ws.Section(name=name, panels=panels, is_open=True) for name, panels in _panels(sweep).items() if panels
    ]
    view.runset_settings = ws.RunsetSettings(
        filters=ws.And(ws.Metric("Group") == sweep.name),
        groupby=[ws.Metric("Group"), ws.Metric("JobType")],
        pinned_columns=[
            "run:displayName",
            *(f"config:{key}.value" for key in ("classifier", "data", "seed")),
            *(f"summary:test/{name}/w_f1" for name in sweep.test_sets),
        ],
    )
    view.save()
    return str(view.url)


def _save_report(entity: str, project: str, sweep: TrackedSweep, url: str | None) -> str:
    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws

    def runs(name: str, *keys: str) -> Any:
        own = ws.And(ws.Metric("Group") == sweep.name)
        return wr.Runset(entity=entity, project=project, name=name, filters=own, groupby=list(keys))

    blocks: list[Any] = [wr.TableOfContents()]
    if sweep.ranking:
        blocks += [wr.H1("Ranking"), wr.MarkdownBlock(sweep.ranking[:_MOST_TEXT])]
    by_treatment = runs("by treatment", *(f"config.{key}" for key in _TREATMENT))
    by_stage = runs("by sweep and stage", "run.group", "run.jobType")
    for name, panels in _panels(sweep).items():
        if panels:
            blocks += [wr.H1(name), wr.PanelGrid(runsets=[by_treatment, by_stage], panels=panels)]
    title = f"Sweep {sweep.name}"[:128]
    report = wr.Report(entity=entity, project=project, title=title, width="fluid", blocks=blocks)
    if url is not None:
        report.id = url.rpartition("--")[2]
    report.save()
    return str(report.url)


def _panels(sweep: TrackedSweep) -> dict[str, list[Any]]:
    """By section what is drawn, in the order of the page."""
    return {
        "Test scores by treatment": _scores(sweep),
        "Validation curves": _curves(),
        "Confusion matrices": _confusions(sweep),
        "F1 by label": _labels(sweep),
        "Parameters": _parameters(sweep),
    }


def _scores(sweep: TrackedSweep) -> list[Any]:
    import wandb_workspaces.reports.v2 as wr

    titles = {"w_f1": "W-F1", "macro_f1": "macro F1", "accuracy": "accuracy"}
    return [
        wr.BarPlot(
            title=f"{title} on {name} by {key}", metrics=[f"test/{name}/{metric}"], groupby=wr.Config(key),
            groupby_aggfunc="mean", groupby_rangefunc="stddev",
        )
        for name in sweep.test_sets
        for metric, title in titles.items()
        for key in (_TREATMENT if metric == "w_f1" else ("variant",))
    ]  # fmt: skip


def _curves() -> list[Any]:
    import wandb_workspaces.reports.v2 as wr

    spread: dict[str, Any] = {"groupby_aggfunc": "mean", "groupby_rangefunc": "minmax"}
    return [
        wr.LinePlot(title=f"{title} by {key}", x="epoch", y=[metric], groupby=wr.Config(key), **spread)
        for metric, title in {"validation/w_f1": "Validation W-F1", "train/loss": "Training loss"}.items()
        for key in ("stage", "variant")
    ]


def _confusions(sweep: TrackedSweep) -> list[Any]:
    import wandb_workspaces.reports.v2 as wr

    fields = {name: name for name in ("Actual", "Predicted", "nPredictions")}
    return [
        wr.CustomChart(
            query={"summaryTable": {"tableKey": f"test/{name}/confusion_table"}},
            chart_name="wandb/confusion_matrix/v1", chart_fields=fields, chart_strings={"title": f"test/{name}"},
        )
        for name in sweep.test_sets
    ]  # fmt: skip


def _labels(sweep: TrackedSweep) -> list[Any]:
    import wandb_workspaces.reports.v2 as wr

    return [
        wr.BarPlot(
            title=f"F1 of {label} on {name} by variant", metrics=[f"test/{name}/f1/{label}"],
            groupby=wr.Config("variant"), groupby_aggfunc="mean", groupby_rangefunc="stddev",
        )
        for name in sweep.test_sets
        for label in sweep.labels
    ]  # fmt: skip


def _parameters(sweep: TrackedSweep) -> list[Any]:
    import wandb_workspaces.reports.v2 as wr

    comparer = [wr.RunComparer(diff_only="split")]
    if not sweep.test_sets:
        return comparer
    target = f"test/{sweep.test_sets[0]}/w_f1"
    columns = [wr.ParallelCoordinatesPlotColumn(metric=wr.Config(key)) for key in (*_TREATMENT, *sweep.keys, "seed")]
    columns.append(wr.ParallelCoordinatesPlotColumn(metric=wr.SummaryMetric(target)))
    return [
        wr.ParallelCoordinatesPlot(title=f"Settings and {target}", columns=columns),
        wr.ParameterImportancePlot(with_respect_to=target),
        *comparer,
    ]


def tracked_sweep(name: str, results: Sequence[Mapping[str, Any]], ranking: str) -> TrackedSweep:
    """What the pages of a sweep show, from its results.

    Args:
        name: of the sweep.
        results: of its completed jobs, each with the keys that its sweep has ``swept``.
        ranking: as Markdown.
    """
    completed = [result for result in results if result["status"] == "completed"]
    tests = [test for result in completed for stage in result["stages"] for test in stage["test"]]
    labels = [label for result in completed for label in result.get("labels", ())]
    keys = [key for result in results for key in result.get("swept", ())]
    sets = list(dict.fromkeys([*(["org"] if "org" in tests else []), *tests]))
    return TrackedSweep(name, sets, list(dict.fromkeys(labels)), list(dict.fromkeys(keys)), ranking)
