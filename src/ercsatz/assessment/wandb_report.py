"""An assessment, or several side by side, as a run in Weights & Biases."""

import hashlib
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ercsatz.assessment.measure_names import describe
from ercsatz.assessment.record import Assessment
from ercsatz.assessment.verdict import verdict
from ercsatz.config import WandbConfig
from ercsatz.tracking.wandb_run import RunName, open_run

_LOG = logging.getLogger(__name__)


def log(settings: WandbConfig, found: Sequence[Assessment], folder: Path, name: str, group: str | None) -> None:
    """Log all figures as a table, those of one data set also as the summary, the pictures and the page.

    What goes wrong is said and costs nothing.

    Args:
        settings: where, and whether at all.
        found: data sets.
        folder: of their report; the run's id follows from it.
        name: of the run.
        group: of runs that belong together; ``None``: it is alone.
    """
    id = f"assess-{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]}"
    tags = tuple(dict.fromkeys((found[0].benchmark, *(each.data for each in found))))
    run = RunName(id, name, Path(group).name if group else name, "assess", tags)
    config = {each.data: {"embedder": each.embedder, **each.provenance} for each in found}
    try:
        with open_run(settings, run, config, folder) as live:
            if live is not None:
                _log(live, found, folder)
    except Exception as error:
        _LOG.warning("Weights & Biases has not got the assessment: %s", " ".join(str(error).split()))


def _log(live: Any, found: Sequence[Assessment], folder: Path) -> None:
    import wandb

    rows: list[Iterable[object]] = []
    for each in found:
        lines = [line for line in each.lines if line.emotion is None]
        rows += [[each.data, line.family, describe(line).title, line.value, line.mark, verdict(line).word]
                 for line in lines]  # fmt: skip
        if len(found) == 1:
            given = {f"{line.family}/{line.name}": line.value for line in lines if line.value is not None}
            live.summary.update(given)
    media: dict[str, Any] = {
        "quality": wandb.Table(columns=["data", "family", "measure", "value", "real", "verdict"], data=rows),
        "overview": wandb.Image(str(folder / "quality.png")),
        "report": wandb.Html(str(folder / "quality.html"), inject=False),
    }
    live.log(media)
