"""A sweep before it runs: its cells, and what its ranking will compare.

Imported by Hydra before any job, so it imports nothing heavy.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from ercsatz.artifacts.keys import flat
from ercsatz.config import RankingConfig, variant_order
from ercsatz.config.compose import to_object
from ercsatz.errors import UserError
from ercsatz.sweeps.cell import identity
from ercsatz.sweeps.experiment import SWEEPER, jobs_of
from ercsatz.sweeps.lacks import Lacks
from ercsatz.sweeps.result_file import NOT_A_SETTING, SCORES, settings_of, swept_keys, values_of
from ercsatz.sweeps.sweep_file import key_of

if TYPE_CHECKING:
    from ercsatz.config import TrainConfig

_LOG = logging.getLogger(__name__)
Row = dict[str, Any]

# What every record has beside its settings.
COLUMNS = ("classifier", "backbone", "benchmark", "variant", "phase", "stage", "seed", "test_set", "content", "key")
_PLACES = ("benchmark.path=", "benchmark.downloads", "data.path=")  # of dialogues
_LISTED = 8


def planned_jobs(config: DictConfig) -> list[list[str]] | None:
    """The overrides of every job of a sweep, in order; None where another sweeper than Hydra's own plans as it goes.

    Raises:
        Exception: as Hydra will, for what it cannot read.
    """
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.override_parser.overrides_parser import OverridesParser

    sweeper = config.hydra.sweeper
    if str(sweeper._target_) != SWEEPER:
        return None
    given = [*(f"{key}={value}" for key, value in (sweeper.params or {}).items()), *config.hydra.overrides.task]
    loader = GlobalHydra.instance().config_loader()
    parsed = OverridesParser.create(config_loader=loader).parse_overrides(given)
    return jobs_of(parsed, config)


def planned_cells(config: DictConfig) -> list[dict[str, Any]] | None:
    """What ``cell.identity`` says of every job of a sweep; of one that it fails for, only its overrides.

    Tells which files of dialogues and which weights the jobs will miss, all at once.

    Raises:
        UserError: the sweep is over a key that changes no score, such as ``paths.cache``, or over where dialogues lie;
            two cells would write into one folder; or every cell misses something.
        Exception: as Hydra will, for what it cannot read or compose.
    """
    from hydra.core.global_hydra import GlobalHydra

    jobs, loader = planned_jobs(config), GlobalHydra.instance().config_loader()
    refuse_senseless(key for key, values in values_of(jobs or ()).items() if len(values) > 1)
    lacks, owners = Lacks(), dict[str, Sequence[str]]()
    cells = []
    for number, job in enumerate(jobs or ()):
        composed = loader.load_sweep_config(config, job)
        with open_dict(composed):
            composed.hydra.job.num = number  # which hydra.sweep.subdir may contain
        cells.append(cell_of(composed, owners, lacks))
    told = lacks.told()
    HydraConfig.instance().cfg = None
    if told and lacks.cells == len(cells):
        raise UserError(f"Every cell of this sweep would fail, so nothing is trained:\n{told}")
    if told:
        _LOG.error("Files are missing, and cells of this sweep will fail without them:\n%s", told)
    return None if jobs is None else cells


def refuse_senseless(swept: Iterable[str]) -> None:
    """Refuse a sweep over a key whose values the ranking could not tell apart, or would not compare.

    Args:
        swept: the keys that have several values.

    Raises:
        UserError: names the key.
    """
    for key in swept:
        if f"{key}=".startswith((*_PLACES, "paths.data=")):
            raise UserError(
                f"A sweep over {key} would give other dialogues the same name, and they could not be ranked together. "
                "Give each place a sweep of its own."
            )
        if f"{key}=".startswith(NOT_A_SETTING):
            raise UserError(f"A sweep over {key} would run every cell twice: it changes no score. Give it one value.")


def _refuse_shared(folder: str, one: Sequence[str], two: Sequence[str]) -> None:
    if key_of(one) == key_of(two):
        return
    apart = [[text for text in some if text not in other] for some, other in ((one, two), (two, one))]
    raise UserError(
        f"The cells {' '.join(apart[0])} and {' '.join(apart[1])} would have one folder, {folder}, and the second "
        "would replace the first. Parts need a name of their own (in their YAML), seeds one way of writing, and "
        "hydra.sweep.subdir a folder for each cell."
    )


def cell_of(composed: DictConfig, owners: dict[str, Sequence[str]], lacks: Lacks) -> dict[str, Any]:
    """What ``cell.identity`` says of a job, and its settings; its overrides alone where it will fail.

    Args:
        composed: the job's configuration, with Hydra's own, which it loses.
        owners: the overrides of the jobs so far, by their folders; this one's are added.
        lacks: what the jobs so far will miss; this one's is added.

    Raises:
        UserError: another job has its folder.
    """
    HydraConfig.instance().set_config(composed)
    overrides, folder = list(composed.hydra.overrides.task), str(composed.hydra.sweep.subdir)
    _refuse_shared(folder, owners.setdefault(folder, overrides), overrides)
    with read_write(composed), open_dict(composed):
        del composed["hydra"]
    try:
        typed: TrainConfig = to_object(composed)
        lacks.add(typed)
        return {**identity(typed, overrides), "settings": _settings(composed)}
    except UserError:  # the job will say what is wrong
        return {"overrides": overrides}


def _settings(composed: DictConfig) -> dict[str, Any]:
    """Every key that can change a score, by its dotted name; where things lie is no part of it."""
    nested = OmegaConf.to_container(composed, resolve=True, enum_to_str=True)
    found = dict(flat(cast(Mapping[str, Any], nested)))
    return {key: value for key, value in found.items() if not f"{key}=".startswith((*NOT_A_SETTING, *_PLACES))}


def foretell(cells: Sequence[Mapping[str, Any]], ranking: RankingConfig) -> str | None:
    """What the ranking of a sweep will compare, in a sentence; None where no cell is known.

    Raises:
        UserError: the ranking could not be made: a column that results do not have, or two settings that would be one
            treatment.
    """
    from ercsatz.ranking.scores import joined

    _refuse_namesakes(cells)
    _refuse_one_start(cells)
    rows = [row for cell in cells for row in _rows(cell, ranking)]
    if not rows:
        return None
    swept = {key: values for key, values in swept_keys(cells).items() if key not in {*ranking.block, ranking.seed}}
    _refuse_unknown(ranking, {key for row in rows for key in row})
    apart = [*dict.fromkeys([*ranking.treatment, *swept])]
    _refuse_mixed(rows, apart, ranking)
    rows.sort(key=lambda row: (str(row["classifier"]), variant_order(row["variant"])))
    names = list(dict.fromkeys(joined([row.get(key) for key in ranking.treatment]) for row in rows))
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    split = {key: values for key, values in swept.items() if _makes_treatments(key, rows, ranking)}
    each = "".join(f"; each value of {key} ({', '.join(v)}) is a treatment of its own" for key, v in split.items())
    seeds = list(dict.fromkeys(str(row["seed"]) for row in rows))
    means = f"; scores are means over the seeds {', '.join(seeds)}" if len(seeds) > 1 else ""
    return f"Ranked at the end: {', '.join(names[:_LISTED])}{more}{each}{means}."


def _makes_treatments(key: str, rows: Sequence[Row], ranking: RankingConfig) -> bool:
    """Whether a treatment would have several values of a key on one block."""
    first: dict[tuple[str, ...], Any] = {}
    names = [*ranking.treatment, *(name for name in ranking.block if name != "test_set")]
    return any(first.setdefault(tuple(str(row.get(n)) for n in names), row.get(key)) != row.get(key) for row in rows)


def _rows(cell: Mapping[str, Any], ranking: RankingConfig) -> Iterator[Row]:
    """The records that a cell is to give, without their scores and test sets."""
    if "choices" not in cell:
        return
    for stage in cell["planned"]:
        if ranking.stages is None or stage["stage"] in ranking.stages:
            own = {key: value for key, value in settings_of(cell["overrides"]).items() if key != "data"}
            yield {**dict.fromkeys(COLUMNS), **own, **_chosen(cell), **stage, "seed": cell["seed"]}


def _chosen(cell: Mapping[str, Any]) -> Row:
    return {key: cell["choices"][key] for key in ("classifier", "backbone", "benchmark", "phase")}


def _refuse_namesakes(cells: Iterable[Mapping[str, Any]]) -> None:
    """Refuse two parts of one name: results tell parts apart by their names."""
    typed: dict[tuple[str, str], str] = {}
    for cell in (cell for cell in cells if "choices" in cell):
        options = settings_of(cell["overrides"])
        for key in ("classifier", "backbone", "phase"):
            name = cell["choices"][key]
            first, option = typed.setdefault((key, name), options.get(key, "")), options.get(key, "")
            if option != first:
                raise UserError(
                    f"{key}={first} and {key}={option} are both named {name}, so nothing would tell their scores "
                    "apart. Give one another name in its YAML."
                )


def _refuse_one_start(cells: Iterable[Mapping[str, Any]]) -> None:
    """Refuse one saved classifier in the place of what would be trained on several data sets."""
    started: dict[str, str] = {}
    for cell in (cell for cell in cells if "choices" in cell):
        saved, data = settings_of(cell["overrides"]).get("training.checkpoint", "null"), cell["choices"]["data"]
        if saved != "null" and started.setdefault(saved, data) != data:
            raise UserError(
                f"training.checkpoint={saved} would stand in the place of what is trained on {started[saved]} and on "
                f"{data}: one classifier under two names. Give each data set a sweep with its own."
            )


def _refuse_unknown(ranking: RankingConfig, columns: set[str]) -> None:
    asked = {"ranking.treatment": ranking.treatment, "ranking.block": ranking.block}
    for key, names in asked.items():
        if unknown := [name for name in names if name not in columns]:
            raise UserError(
                f"{key}: results will have no column {unknown[0]!r}; they have: {', '.join(sorted(columns))}."
            )
    if ranking.metric not in {None, *SCORES}:
        raise UserError(
            f"ranking.metric: results will have no column {ranking.metric!r}. There are: {', '.join(SCORES)}."
        )


def _refuse_mixed(rows: Sequence[Row], treatment: Sequence[str], ranking: RankingConfig) -> None:
    """Refuse that a treatment has two scores for one seed on one test set."""
    names = [*treatment, *(key for key in ranking.block if key != "test_set"), "benchmark", ranking.seed]
    first: dict[tuple[str, ...], Row] = {}
    for row in rows:
        other = first.setdefault(tuple(str(row.get(key)) for key in names), row)
        if differing := [key for key in dict.fromkeys([*row, *other]) if row.get(key) != other.get(key)]:
            called = "_".join(str(row.get(key)) for key in ranking.treatment)
            raise UserError(
                f"The treatment {called} would have two scores for each test set, which differ in: "
                f"{', '.join(differing)}. Name what differs in ranking.treatment or ranking.block, e.g. "
                f"ranking.treatment=[{','.join([*ranking.treatment, differing[0]])}]; or sweep over less."
            )
