"""One report of all data sets of a sweep."""

import logging
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ercsatz.assessment.record import FAILURE_FILE, FILE, SETTINGS, Assessment, read, read_failure
from ercsatz.assessment.report import write
from ercsatz.assessment.terminal import show
from ercsatz.assessment.wandb_report import log
from ercsatz.config import WandbConfig
from ercsatz.reporting.console import unfolded

_LOG = logging.getLogger(__name__)


def merge(sweep: Path, jobs: Sequence[Sequence[str]], wandb: WandbConfig) -> bool:
    """Write, show and log one report of the assessments that the jobs of a sweep have left behind.

    Data sets of different benchmarks, or measured by different embedders, have nothing to compare: each get a report
    of their own, in a folder below the sweep's. Of one data set alone there is a report already.

    Args:
        sweep: the folder; its jobs' folders are named by their number, a hyphen and the data set.
        jobs: the overrides of each, by their numbers; of one that left nothing the report says so.
        wandb: where to log it.

    Returns:
        Whether every job did all that it had to.
    """
    records, failed = _files(sweep, FILE), _files(sweep, FAILURE_FILE)
    if not records and not failed:
        return True  # no job has started, and whoever stopped it has said why
    found, failures = [read(path) for path in records.values()], [str(read_failure(path)) for path in failed.values()]
    lost = (" ".join(job) for number, job in enumerate(jobs) if number not in {*records, *failed})
    failures += [f"Not assessed: the job {job} was not started, or its process was killed." for job in lost]
    groups: dict[tuple[str, str], list[Assessment]] = defaultdict(list)
    for member in found:
        groups[member.benchmark, member.embedder].append(member)
    for (benchmark, embedder), members in groups.items():
        if len(members) > 1 or failures:
            name = re.sub(r"[^\w.]+", "-", f"{benchmark} {Path(embedder).name}").strip("-")
            folder = sweep if len(groups) == 1 else sweep / name
            _report(_named_apart(members), folder, failures, wandb, sweep)
    for each in failures:
        _LOG.warning("%s", each)
    return not failures


def _report(
    found: Sequence[Assessment], folder: Path, failures: Sequence[str], wandb: WandbConfig, sweep: Path
) -> None:
    show(found, unfolded())
    _LOG.info("Written to %s: %s", folder, ", ".join(path.name for path in write(found, folder, failures)))
    log(wandb, found, folder, f"assess {', '.join(each.data for each in found)}", str(sweep))


def _files(sweep: Path, name: str) -> dict[int, Path]:
    """The files of that name in the jobs' folders, by the numbers of the jobs, in their order."""
    numbered = {int(path.parent.name.partition("-")[0]): path for path in sweep.glob(f"[0-9]*-*/{name}")}
    return dict(sorted(numbered.items()))


def _named_apart(found: Sequence[Assessment]) -> list[Assessment]:
    """Where settings differ, all have those behind their names; what is still called the same has a number."""
    differing = [key for key in SETTINGS if len({each.provenance.get(key) for each in found}) > 1]
    told = [", ".join(f"{key} {each.provenance.get(key, '-')}" for key in differing) for each in found]
    names = [f"{each.data} ({settings})" if settings else each.data for each, settings in zip(found, told, strict=True)]
    total, seen = Counter(names), Counter[str]()
    apart = []
    for each, name in zip(found, names, strict=True):
        seen[name] += 1
        name = name if total[name] == 1 else f"{name} ({seen[name]})"
        counts = {name if key == each.data else key: value for key, value in each.label_counts.items()}
        apart.append(replace(each, data=name, label_counts=counts))
    return apart
