"""A sweep's ranking as a last run in Weights & Biases. Imports neither torch nor Lightning."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ercsatz.config import WandbConfig
from ercsatz.ranking.scores import LEARNT_NOTHING
from ercsatz.tracking.command_run import run_id
from ercsatz.tracking.lineage import artifact
from ercsatz.tracking.wandb_run import RunName, open_run, remove_earlier


def lineage(results: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What a ranking is made of, for its configuration: keys of the stages, hashes of the data sets.

    ``keys`` are those of the ranked stages, ``hash.<data>`` of a data set and ``hash.test.<benchmark>_<variant>`` of
    a test set; several of one name are all there, in one text.
    """
    keys: dict[str, None] = {}
    hashes: dict[str, dict[str, None]] = {}
    for result in results:
        keys |= dict.fromkeys(stage["key"] for stage in result.get("stages", ()) if stage.get("ranked", True))
        named = {f"hash.{name}": content for name, content in result.get("corpora", {}).items()}
        benchmark = result.get("choices", {}).get("benchmark")
        named |= {f"hash.test.{benchmark}_{name}": content for name, content in result.get("hashes", {}).items()}
        for name, content in named.items():
            hashes.setdefault(name, {})[content] = None
    return {"keys": list(keys), **{name: ", ".join(contents) for name, contents in hashes.items()}}


def log_ranking(
    settings: WandbConfig, sweep: str, folder: Path, config: Mapping[str, Any], owner: str | None = None
) -> None:
    """Log the ranking that lies in ``folder``: its table, picture and page, and its p-values as the summary.

    The run's id follows from the sweep's name: when the sweep is run again, its run goes on.

    Args:
        settings: where, and whether at all.
        sweep: the sweep's name, which groups its runs.
        folder: of ``ranking.csv``, ``ranking.png`` and ``ranking.html``; what is not there is not logged.
        config: the run's configuration.
        owner: what the run's id follows from in place of the sweep's name.
    """
    id = run_id("ranking", owner or sweep)  # a hash: a sweep's name may have a slash
    run = RunName(id, f"{sweep} ranking", sweep, "ranking", ("ranking",))
    with open_run(settings, run, config, folder) as live:
        if live is None:
            return
        _log(live, sweep, folder)
    remove_earlier(folder / "wandb", live.id, Path(live.dir).parent)


def _log(live: Any, sweep: str, folder: Path) -> None:
    import wandb

    files = {name: folder / f"ranking.{name}" for name in ("csv", "png", "html")}
    files = {name: file for name, file in files.items() if file.is_file()}
    reported = {file.name: file for file in (*sorted(folder.glob("ranking.*")), folder / "scores.csv")}
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
    live.log_artifact(artifact(f"ranking-{sweep}", "report", reported, {}, upload=True))


def p_values(ranking: pd.DataFrame) -> dict[str, float]:
    """Every p-value of a ranking's table (``ranking.csv``), by its kind and what it compares.

    Those of comparisons with a baseline that learnt nothing are left out: as numbers alone they would be believed.

    >>> table = pd.DataFrame({"treatment": ["org", "nat"], "baseline": [None, "org"], "p": [None, 0.25]})
    >>> p_values(table)
    {'p/nat against org': 0.25}
    """
    kinds = [column for column in ranking.columns if column == "p" or column.startswith("p_")]
    compared = ranking.dropna(subset=["baseline"])
    void = f"baseline_{LEARNT_NOTHING}"
    rows = (compared[compared[void] != True] if void in compared else compared).to_dict("records")  # noqa: E712
    found = {(kind, row["treatment"], row["baseline"]): row[kind] for kind in kinds for row in rows}
    return {f"{kind}/{one} against {other}": p for (kind, one, other), p in found.items() if pd.notna(p)}
