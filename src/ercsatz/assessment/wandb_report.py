"""An assessment, or several side by side, as a run in Weights & Biases."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ercsatz.assessment.measure_names import describe
from ercsatz.assessment.record import Assessment
from ercsatz.assessment.verdict import verdict
from ercsatz.config import WandbConfig
from ercsatz.tracking.command_run import log_command, run_id
from ercsatz.tracking.lineage import artifact
from ercsatz.tracking.wandb_run import RunName


def log(
    settings: WandbConfig,
    found: Sequence[Assessment],
    folder: Path,
    name: str,
    group: str | None,
    contents: Mapping[str, str] | None = None,
) -> None:
    """Log all figures as a table, those of one data set also as the summary, the pictures and the page.

    The page cites real and generated turns: it is logged only with ``log_text``. What goes wrong is said and costs
    nothing.

    Args:
        settings: where, and whether at all.
        found: data sets.
        folder: of their report; the run's id follows from it.
        name: of the run.
        group: of runs that belong together; ``None``: it is alone.
        contents: hashes of the data sets by name, where they are known.
    """
    tags = tuple(dict.fromkeys((found[0].benchmark, *(each.data for each in found))))
    config: dict[str, Any] = {"benchmark": found[0].benchmark, "stage": "assess", "embedder": found[0].embedder}
    config["data"] = found[0].data if len(found) == 1 else [each.data for each in found]
    for each in found:
        config |= {f"{each.data}.{key}": value for key, value in each.provenance.items() if key != "data"}
    config |= {f"hash.{data}": content for data, content in (contents or {}).items()}
    run = RunName(run_id("assess", folder.resolve()), name, Path(group).name if group else name, "assess", tags)
    log_command(settings, run, config, folder, lambda live: _log(live, settings, found, folder))


def _log(live: Any, settings: WandbConfig, found: Sequence[Assessment], folder: Path) -> None:
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
    }
    if settings.log_text:
        media["report"] = wandb.Html(str(folder / "quality.html"), inject=False)
    live.log(media)
    names = (
        "quality.csv",
        "quality.png",
        "emotions.png",
        *(("quality.html", "quality.md") if settings.log_text else ()),
    )
    reported = {name: folder / name for name in names}
    live.log_artifact(artifact(f"quality-{'-'.join(each.data for each in found)}", "report", reported, {}, upload=True))
