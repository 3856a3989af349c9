"""The other jobs of a sweep, for a worker that would wait: their stages as one graph, and how one of them is made.

``stages.json`` in the sweep's folder has the graph: ``sweep`` (the id) and ``stages``, a mapping by key of ``needs``
(keys), ``jobs`` (how many score it) and ``cell`` (a job that has it: its number in ``sweep.json``). Whoever needs it
first writes it. It says what is worth looking at, and nothing else: a stage's key is made anew before it is trained.

Imports nothing heavy.
"""

import json
import logging
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, open_dict, read_write

from ercsatz import signals
from ercsatz.artifacts.cache import State
from ercsatz.artifacts.locks import HeldError
from ercsatz.config import TrainConfig
from ercsatz.config.compose import to_object
from ercsatz.data.text_files import atomic_write, parse_json, read_text
from ercsatz.errors import UserError
from ercsatz.sweeps import sweep_file
from ercsatz.training.choice import POLL, SLOW, Graph, Node, next_elsewhere
from ercsatz.training.corpora import JobData, load_data
from ercsatz.training.graph import walk
from ercsatz.training.job import planned_job
from ercsatz.training.stage_cache import StageCache

_LOG = logging.getLogger(__name__)
NAME, EVENTS = "stages.json", "workers"


@dataclass
class SweepStages:
    """The stages of a sweep's jobs, seen from a process that works for it.

    Attributes:
        folder: of the sweep.
        cells: the overrides of its jobs, in the order of ``sweep.json``.
        id: of the sweep.
        config: of Hydra for one of its jobs, or of the sweep.
        name: the value of ``sweep``.
    """

    folder: Path
    cells: Sequence[Sequence[str]]
    id: str
    config: DictConfig
    name: str
    _failed: set[str] = field(default_factory=set)
    _cell_of: dict[str, int] = field(default_factory=dict)
    _graph: Graph | None = None

    def graph(self) -> Graph:
        """The stages of all jobs, but for those that failed here and what needs them."""
        if self._graph is None:
            found = self._read() or self._plan()
            self._cell_of = {key: each["cell"] for key, each in found.items()}
            nodes = {key: Node(tuple(each["needs"]), each["jobs"]) for key, each in found.items()}
            self._graph = Graph(_without(nodes, self._failed))
        return self._graph

    def make(self, key: str) -> None:
        """Train a stage of another job, unless somebody else was faster; one that fails is left to its own job."""
        from ercsatz.training.run import StageRunner

        try:
            settings, folder = self._composed(self.cells[self._cell_of[key]])
            job, _ = planned_job(settings)
            stage = next(each for each in walk(job.stages) if each.key == key)
            StageRunner(job.cfg, job.data, folder, note=self.note).make(stage)
        except HeldError:
            pass
        except StopIteration:  # the data are others than when the sweep was planned
            self._give_up(key)
        except Exception as error:
            signals.check()
            _LOG.warning("  %s of another job failed here, and is left to that job: %s", key, error)
            self._give_up(key)

    def note(self, event: str, key: str | None = None) -> None:
        """Add a line to what this process did for the sweep: ``workers/HOST-PID.jsonl``."""
        file = self.folder / EVENTS / f"{platform.node()}-{os.getpid()}.jsonl"
        try:
            file.parent.mkdir(exist_ok=True)
            with file.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps({"at": round(time.time(), 3), "event": event, "stage": key}) + "\n")
        except OSError as error:  # it is for those who look on
            _LOG.debug("%s: %s", file, error)

    def _give_up(self, key: str) -> None:
        self._failed.add(key)
        self._graph = None

    def _read(self) -> dict[str, Any] | None:
        try:
            found = parse_json(read_text(self.folder / NAME))
            return dict(found["stages"]) if found["sweep"] == self.id else None
        except (UserError, ValueError, KeyError, TypeError, OSError):
            return None

    def _plan(self) -> dict[str, Any]:
        """The stages of every job that can be planned; written for the other workers."""
        stages: dict[str, Any] = {}
        read = _reader()
        for number, overrides in enumerate(self.cells):
            try:
                settings, _ = self._composed(overrides)
                job, _ = planned_job(settings, read)
            except Exception as error:  # its own job will say so
                signals.check()
                _LOG.debug("%s: %s", overrides, error)
                continue
            for stage in walk(job.stages):
                known = stages.setdefault(stage.key, {"needs": [n.key for n in stage.needs], "jobs": 0, "cell": number})
                known["jobs"] += stage.scored
        with atomic_write(self.folder / NAME) as file:
            json.dump({"sweep": self.id, "stages": stages}, file, indent=1)
        return stages

    def _composed(self, overrides: Sequence[str]) -> tuple[TrainConfig, Path]:
        """The settings of a job, and its folder; what Hydra knows of this process's own job stays as it is."""
        own = HydraConfig.instance().cfg
        composed = GlobalHydra.instance().config_loader().load_sweep_config(self.config, list(overrides))
        try:
            HydraConfig.instance().set_config(composed)
            folder = self.folder / str(composed.hydra.sweep.subdir)
            with read_write(composed), open_dict(composed):
                del composed["hydra"]
            settings: TrainConfig = to_object(composed)
        finally:
            HydraConfig.instance().cfg = own
        return replace(settings, sweep=self.name), folder


def assist(others: SweepStages, cache: StageCache) -> None:
    """Make stages of a sweep's jobs until none is free or can become so; for a process that has no job.

    Args:
        others: the jobs.
        cache: in which their stages are.
    """
    pause = POLL
    while wanted := others.graph().wanted(cache.state_of):
        if free := next_elsewhere(others.graph(), cache.state_of):
            if pause > POLL:
                others.note("goes on")
            others.make(free)
            pause = POLL
        elif any(cache.state_of(key) is State.running for key in wanted):
            if pause == POLL:
                others.note("waits")
            time.sleep(pause)
            pause = min(1.5 * pause, SLOW)
        else:
            return


def stages_of(folder: Path, config: DictConfig, name: str) -> SweepStages | None:
    """The stages of the sweep of a folder; None where its jobs are not known beforehand.

    Args:
        folder: of the sweep.
        config: Hydra's, of one of its jobs or of the sweep.
        name: the value of ``sweep``.
    """
    sweep = sweep_file.read(folder)
    if sweep is None or sweep.cells is None or sweep.search is not None:
        return None
    return SweepStages(folder, [cell["overrides"] for cell in sweep.cells], sweep.id, config, name)


def _reader() -> Callable[[TrainConfig], JobData]:
    """Reads the dialogues of jobs, those of several jobs once."""
    known: dict[str, JobData] = {}

    def read(cfg: TrainConfig) -> JobData:
        key = repr((cfg.benchmark, cfg.data, cfg.paths, cfg.test_sets))
        if key not in known:
            known[key] = load_data(cfg)
        return known[key]

    return read


def _without(nodes: Mapping[str, Node], failed: set[str]) -> dict[str, Node]:
    """Those that do not need what failed."""
    kept: dict[str, Node] = {}
    for key, node in nodes.items():  # each after what it needs
        if key not in failed and all(needed in kept for needed in node.needs):
            kept[key] = node
    return kept
