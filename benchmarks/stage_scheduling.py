"""How long workers of a sweep have nothing to do: simulated for many, and measured in the folder of a sweep that ran.

    python benchmarks/stage_scheduling.py [--workers 1 2 4] [--output FILE.json]
    python benchmarks/stage_scheduling.py --measured multirun/NAME... [--output FILE.json]

Simulated is Table IV times five seeds (90 jobs of three classifiers, three benchmarks, natural and balanced data): the
stages are those that the jobs' configurations give, the choice is that of the programs (``ercsatz.training.choice``),
and a stage takes its utterances times its epochs, divided by the rate of its classifier in a result file of
``train_speed.py``. Only ratios of these times matter. ``before`` is a worker that does its own jobs only; ``anywhere``
one that prefers no job, which is not what the programs do: every worker would have to plan the whole sweep first.

Measured are the lines that the workers of a sweep write, ``workers/*.jsonl``: how long one waited while a stage was
free.
"""

import argparse
import heapq
import itertools
import json
import os
import platform
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir

from ercsatz import config
from ercsatz.artifacts.cache import State
from ercsatz.config import TrainConfig
from ercsatz.config.compose import to_object
from ercsatz.data.dialogue import SPLITS, Corpus, Dialogue, Utterance
from ercsatz.data.text_files import atomic_write
from ercsatz.resources import resource
from ercsatz.training.choice import Graph, Node, free, next_elsewhere, own_next
from ercsatz.training.corpora import JobData
from ercsatz.training.graph import Stage, plan, walk

RATES = Path(__file__).parent / "results" / "train-speed-minilm-2-cores.json"
UTTERANCES = {"meld": (9989, 12490), "emorynlp": (9934, 12420), "iemocap": (5163, 6460)}  # real, and as kaplan2025 has
CLASSIFIERS, VARIANTS, SEEDS = ("compm", "emoone", "todkat"), ("nat", "bal"), range(5)
WORKERS = [2**n for n in range(9)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, nargs="+", default=WORKERS)
    parser.add_argument("--measured", type=Path, nargs="+", metavar="FOLDER")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    found = simulations(arguments.workers) if arguments.measured is None else measured(arguments.measured)
    if arguments.output:
        with atomic_write(arguments.output) as file:
            json.dump(found, file, indent=2)
            file.write("\n")


# Simulated


@dataclass(frozen=True)
class Sweep:
    """What is simulated: keys of each job's stages in its order, all stages, and what each takes."""

    jobs: Sequence[Sequence[str]]
    graph: Graph
    seconds: Mapping[str, float]

    @cached_property
    def needs(self) -> Mapping[str, Sequence[str]]:
        """Of each stage."""
        return {key: node.needs for key, node in self.graph.nodes.items()}

    @property
    def work(self) -> float:
        """Of one worker that does it all."""
        return sum(self.seconds.values())

    def shortest(self, workers: int) -> float:
        """No order of the stages takes less: their work shared evenly, or the longest chain of them."""
        length: dict[str, float] = {}
        for key, node in self.graph.nodes.items():
            length[key] = self.seconds[key] + max((length[needed] for needed in node.needs), default=0.0)
        return max(self.work / workers, *length.values())


@dataclass
class Worker:
    """What is left of its job, and whether it is at something."""

    own: list[str] = field(default_factory=list)
    busy: bool = False


def simulations(workers: Sequence[int]) -> dict[str, Any]:
    sweep = table4()
    told = f"{len(sweep.jobs)} jobs, {len(sweep.graph.nodes)} stages"
    print(f"{told}; idle share now, at best, before, anywhere")
    rows = []
    for number in workers:
        now, before, anywhere = (simulated(sweep, number, how) for how in ("now", "before", "anywhere"))
        best = 1 - sweep.work / (number * sweep.shortest(number))
        found = {"now": now, "before": before, "anywhere": anywhere}
        rows.append({"workers": number, "idle_share_at_best": round(best, 4), **found})
        shares = (now["idle_share"], best, before["idle_share"], anywhere["idle_share"])
        print(f"{number:4d}", *(f"{share:7.2%}" for share in shares), sep="  ")
        assert now["idle_while_a_stage_was_free"] == 0
    return {"sweep": told, "longest_chain_share_of_work": round(sweep.shortest(10**9) / sweep.work, 5), "rows": rows}


def table4() -> Sweep:
    rates = json.loads(RATES.read_text(encoding="utf-8"))
    jobs, nodes, seconds = [], dict[str, Node](), dict[str, float]()
    config.register([resource("conf")])
    with initialize_config_dir(str(resource("conf")), version_base="1.3"):
        for classifier, benchmark, variant, seed in itertools.product(CLASSIFIERS, UTTERANCES, VARIANTS, SEEDS):
            cfg = replace(composed(classifier, f"{benchmark}_{variant}"), seed=seed)
            corpora = {name: corpus(f"{benchmark}_{name}", cfg.benchmark.labels) for name in ("org", variant)}
            stages = list(walk(plan(cfg, JobData(corpora["org"], corpora[variant], {}, {}))))
            jobs.append([stage.key for stage in stages])
            for stage in stages:
                before = nodes.get(stage.key, Node(tuple(needed.key for needed in stage.needs)))
                nodes[stage.key] = Node(before.needs, before.jobs + stage.scored)
                rate = rates[classifier]["training"]["ours"]["examples_per_s"]
                seconds[stage.key] = stage.settings["optimisation"]["epochs"] * utterances(stage, benchmark) / rate
    return Sweep(jobs, Graph(nodes), seconds)


@cache
def composed(classifier: str, data: str) -> TrainConfig:
    line = ("sweep=simulated", "backbone=roberta-large", "training.epochs=10")
    settings: TrainConfig = to_object(compose("train", [f"classifier={classifier}", f"data={data}", *line]))
    return settings


def corpus(name: str, labels: Sequence[str]) -> Corpus:
    """Stands for a corpus: a dialogue that tells it from others."""
    dialogue = Dialogue(name, (Utterance("Ann", "Hi.", labels[0]),))
    return Corpus(name, tuple(labels), dict.fromkeys(SPLITS, (dialogue,)))


def utterances(stage: Stage, benchmark: str) -> int:
    return UTTERANCES[benchmark][not stage.corpus.name.endswith("_org")]


def simulated(sweep: Sweep, number: int, how: str) -> dict[str, Any]:
    """Run the sweep with some workers, each of which takes one job after the other."""
    states = dict.fromkeys(sweep.graph.nodes, State.missing)
    jobs, workers = deque(sweep.jobs), [Worker() for _ in range(number)]
    events: list[tuple[float, int, str]] = []
    now = wasted = 0.0
    while True:
        nothing = False  # once one has found nothing elsewhere, nor do the others
        for place, worker in enumerate(workers):
            if nothing and (how == "anywhere" or not (worker.own or jobs)):
                continue
            if not worker.busy and (key := chosen(worker, sweep, states, jobs, how)):
                states[key], worker.busy = State.running, True
                heapq.heappush(events, (now + sweep.seconds[key], place, key))
            nothing = nothing or not worker.busy
        if not events:
            break
        left = sum(1 for _ in free(sweep.graph, states.__getitem__))
        idle = sum(not worker.busy for worker in workers)
        before, (now, place, key) = now, heapq.heappop(events)
        wasted += min(left, idle) * (now - before)
        states[key], workers[place].busy = State.cached, False
    assert set(states.values()) == {State.cached}
    share = 1 - sweep.work / (number * now)
    return {
        "idle_share": round(share, 4),
        "times_the_shortest": round(now / sweep.shortest(number), 4),
        "idle_while_a_stage_was_free": round(wasted / (number * now), 4),
    }


def chosen(
    worker: Worker, sweep: Sweep, states: Mapping[str, State], jobs: deque[Sequence[str]], how: str
) -> str | None:
    """What a worker does next; None: it waits."""
    while how != "anywhere" and (worker.own or jobs):
        worker.own = worker.own or list(jobs.popleft())
        key = own_next(worker.own, sweep.needs, states.__getitem__)
        if key is None:
            break
        worker.own.remove(key)
        if states[key] is State.missing:
            return key
    return next_elsewhere(sweep.graph, states.__getitem__) if how != "before" else None


# Measured


def measured(folders: Sequence[Path]) -> dict[str, Any]:
    rows = {folder.name: of_a_sweep(folder) for folder in folders}
    for name, row in rows.items():
        print(f"{name}: {row}")
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs"
    return {"machine": machine, "load": round(os.getloadavg()[0], 1), "sweeps": rows}


def of_a_sweep(folder: Path) -> dict[str, Any]:
    """What the workers of a sweep did, of seconds in which at least one of them trained a stage."""
    files = sorted((folder / "workers").glob("*.jsonl"))
    lines = {file.stem: [json.loads(line) for line in file.read_text().splitlines()] for file in files}
    began = {line["stage"]: line["at"] for own in lines.values() for line in own if line["event"] == "begins"}
    ended = {line["stage"]: line["at"] for own in lines.values() for line in own if line["event"] == "ends"}
    file = folder / "stages.json"  # which nobody wrote where nobody had to wait
    planned = json.loads(file.read_text())["stages"] if file.exists() else {key: {"needs": ()} for key in began}
    assert began.keys() == ended.keys() == planned.keys(), "not every stage was trained in this sweep"
    waits = [interval for own in lines.values() for interval in waiting(own, max(ended.values()))]
    ready = {key: max((ended[n] for n in node["needs"]), default=min(began.values())) for key, node in planned.items()}
    overlaps = [max(0.0, min(until, began[key]) - max(since, ready[key])) for since, until in waits for key in planned]
    return {
        "workers": len(lines),
        "stages": len(planned),
        "trained_twice": sum(line["event"] == "ends" for own in lines.values() for line in own) - len(ended),
        "seconds": round(max(ended.values()) - min(began.values()), 1),
        "waited_seconds": round(sum(until - since for since, until in waits), 1),
        "waited_while_a_stage_was_free": round(sum(overlaps), 2),
        "longest_look": round(max(overlaps, default=0.0), 2),
    }


def waiting(lines: Sequence[Mapping[str, Any]], end: float) -> list[tuple[float, float]]:
    """From when to when a worker waited."""
    found, since = [], None
    for line in lines:
        if line["event"] == "waits":
            since = line["at"]
        elif since is not None:
            found.append((since, line["at"]))
            since = None
    return found if since is None else [*found, (since, end)]


if __name__ == "__main__":
    main()
