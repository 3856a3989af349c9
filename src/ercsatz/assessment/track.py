"""An assessment as a run in Weights & Biases."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from ercsatz.assessment.describe import describe
from ercsatz.assessment.record import Assessment
from ercsatz.assessment.verdict import verdict
from ercsatz.config import Wandb
from ercsatz.training.wandb_run import RunName, open_run


def log_assessment(settings: Wandb, found: Assessment, folder: Path) -> None:
    """Log the figures as a table and as the summary, the picture and the page; what fails is said and costs nothing."""
    name = f"assess {found.data}"
    run = RunName(f"assess-{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]}", name, name, "assess", ())
    try:
        with open_run(
            settings, run, {"data": found.data, "embedder": found.embedder, **found.provenance}, folder
        ) as live:
            if live is None:
                return
            import wandb

            lines = [line for line in found.lines if line.emotion is None]
            live.summary.update({f"{line.family}/{line.name}": line.value for line in lines if line.value is not None})
            rows: list[Iterable[object]] = [
                [line.family, describe(line).title, line.value, line.mark, verdict(line).word] for line in lines
            ]
            table = wandb.Table(columns=["family", "measure", "value", "real", "verdict"], data=rows)
            picture, page = (
                wandb.Image(str(folder / "quality.png")),
                wandb.Html(str(folder / "quality.html"), inject=False),
            )
            live.log({"quality": table, "overview": picture, "report": page})
    except Exception as error:
        print(f"The assessment was not logged to Weights & Biases ({type(error).__name__}: {error}).", flush=True)
