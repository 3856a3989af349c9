"""A sweep's ranking as a last run in Weights & Biases. Imports neither torch nor Lightning."""

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ercsatz.config import WandbConfig
from ercsatz.tracking.wandb_run import RunName, open_run


def log_ranking(settings: WandbConfig, sweep: str, folder: Path, config: Mapping[str, Any], since: float = 0.0) -> None:
    """Log the ranking that lies in ``folder``: its table, picture and page, and its p-values as the summary.

    The run's id follows from the sweep's name: when the sweep is run again, its run goes on.

    Args:
        settings: where, and whether at all.
        sweep: the sweep's name, which groups its runs.
        folder: of ``ranking.csv``, ``ranking.png`` and ``ranking.html``; what is not there is not logged.
        config: the run's configuration.
        since: files last written before this time (as a file's ``st_mtime``) are left out.

    Raises:
        UserError: it is to be online, but nobody is logged in.
    """
    id = f"ranking-{hashlib.sha256(sweep.encode()).hexdigest()[:16]}"  # a sweep's name may have a slash
    run = RunName(id, f"{sweep} ranking", sweep, "ranking", ("ranking",))
    files = {name: folder / f"ranking.{name}" for name in ("csv", "png", "html")}
    fresh = {name: file for name, file in files.items() if file.is_file() and file.stat().st_mtime >= since}
    with open_run(settings, run, config, folder) as live:
        if live is None:
            return
        _log(live, fresh)
    _remove_earlier(folder / "wandb", live.id, Path(live.dir).parent)


def _log(live: Any, files: Mapping[str, Path]) -> None:
    import wandb

    media: dict[str, Any] = {}
    if "csv" in files:
        names = {"treatment": str, "baseline": str}
        ranking = pd.read_csv(files["csv"], dtype=names, keep_default_na=False, na_values=[""])
        media["ranking"] = wandb.Table(dataframe=ranking.astype(object).where(ranking.notna(), None))
        live.summary.update(p_values(ranking))
    if "png" in files:
        media["diagram"] = wandb.Image(str(files["png"]))
    if "html" in files:
        media["report"] = wandb.Html(str(files["html"]), inject=False)
    live.log(media)


def p_values(ranking: pd.DataFrame) -> dict[str, float]:
    """Every p-value of a ranking's table (``ranking.csv``), by its kind and what it compares.

    >>> table = pd.DataFrame({"treatment": ["org", "nat"], "baseline": [None, "org"], "p": [None, 0.25]})
    >>> p_values(table)
    {'p/nat against org': 0.25}
    """
    kinds = [column for column in ranking.columns if column == "p" or column.startswith("p_")]
    rows = ranking.dropna(subset=["baseline"]).to_dict("records")
    found = {(kind, row["treatment"], row["baseline"]): row[kind] for kind in kinds for row in rows}
    return {f"{kind}/{one} against {other}": p for (kind, one, other), p in found.items() if pd.notna(p)}


def _remove_earlier(folder: Path, id: str, present: Path) -> None:
    """Remove what an earlier run of the same id left offline; uploaded later, it would undo the present one."""
    for earlier in folder.glob(f"offline-run-*-{id}"):
        if earlier.name != present.name:
            shutil.rmtree(earlier)
