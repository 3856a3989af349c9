"""What a search has found: its trials in order, the best, what moved the scores, and how to try the best again."""

import math
import shlex
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ercsatz.config.objective import Goal
from ercsatz.errors import UserError
from ercsatz.sweeps.result_file import NAME, read_result
from ercsatz.sweeps.search.plan import SearchPlan
from ercsatz.sweeps.search.study import counted

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

ENOUGH = 8
"""Completed trials from which on the importance of keys is told."""

SEEDS = 5
"""With which the best settings are to be repeated."""

_FLAGS = ("-m", "--multirun")


@dataclass(frozen=True)
class Trial:
    """One trial.

    Attributes:
        number: in the order in which they were asked for, from 0; a repeated try has a new one.
        state: ``completed``, ``failed`` or ``stopped``.
        params: the values by key, numbers or what would be typed.
        values: what it reached, a number for each goal; none unless it completed.
        folder: of its result, in the sweep's.
        reason: why it failed.
    """

    number: int
    state: str
    params: Mapping[str, Any]
    values: tuple[float, ...] = ()
    folder: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Summary:
    """What a search has found.

    Attributes:
        name: of the search.
        goals: what was to be as good as it can be.
        keys: that were searched over.
        trials: the best first, those without a score last.
        best: numbers of the best trials: one, or of several goals those of which no other is better in all.
        importance: for each goal, by key, a share of how much the scores vary; empty where it cannot be told.
        command: trains the best settings with other seeds; empty where no trial completed.
        provenance: where it is from, by what it is.
    """

    name: str
    goals: tuple[Goal, ...]
    keys: tuple[str, ...]
    trials: tuple[Trial, ...]
    best: tuple[int, ...]
    importance: Mapping[str, Mapping[str, float]]
    command: str
    provenance: Mapping[str, str] = field(default_factory=dict)

    def of(self, state: str) -> list[Trial]:
        """The trials of a state, the best first."""
        return [trial for trial in self.trials if trial.state == state]

    def best_trials(self) -> list[Trial]:
        """Those that ``best`` numbers."""
        return [trial for trial in self.trials if trial.number in self.best]


def summarise(
    study: "Study", plan: SearchPlan, folder: Path, name: str, arguments: Sequence[str], program: str
) -> Summary:
    """Read a search's trials.

    Args:
        study: Optuna's.
        plan: what was searched for.
        folder: of the sweep, with the results of its trials.
        name: of the sweep.
        arguments: of the command line.
        program: what was typed before them, ``python train.py``.
    """
    trials = [_trial(each, folder) for each in counted(study)]
    best = _best(study, plan.goals)
    ordered = sorted(trials, key=lambda trial: _order(trial, plan.goals, best))
    shown = next((trial for trial in ordered if trial.number in best), None)
    command = _command(program, arguments, plan, shown.params, name) if shown else ""
    typed = shlex.join([*program.split(), *arguments])
    return Summary(
        name, tuple(plan.goals), tuple(plan.space), tuple(ordered), best, _importance(study, plan.goals), command,
        {"command": typed, "sampler": f"{plan.settings.sampler}, seed {plan.settings.seed}"},
    )  # fmt: skip


def _trial(frozen: "FrozenTrial", folder: Path) -> Trial:
    from optuna.trial import TrialState

    place = str(frozen.user_attrs.get("folder", ""))
    if frozen.state == TrialState.COMPLETE:
        return Trial(frozen.number, "completed", frozen.params, tuple(frozen.values), place)
    if frozen.state == TrialState.FAIL:
        return Trial(frozen.number, "failed", frozen.params, (), place, _reason(folder / place / NAME))
    return Trial(frozen.number, "stopped", frozen.params or frozen.system_attrs.get("fixed_params", {}), (), place)


def _reason(file: Path) -> str:
    try:
        result = read_result(file) if file.is_file() else {}
    except UserError as error:
        return str(error)
    return str(result.get("error", "it left no result."))


def _best(study: "Study", goals: Sequence[Goal]) -> tuple[int, ...]:
    from optuna.trial import TrialState

    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(goals) > 1:
        return tuple(trial.number for trial in study.best_trials)
    return (min(done, key=lambda trial: (_losses(trial.values, goals), trial.number)).number,) if done else ()


def _losses(values: Sequence[float], goals: Sequence[Goal]) -> list[float]:
    return [-value if goal.maximise else value for value, goal in zip(values, goals, strict=True)]


def _order(trial: Trial, goals: Sequence[Goal], best: Sequence[int]) -> tuple[Any, ...]:
    if trial.state != "completed":
        return 2, [], trial.number
    return int(len(goals) > 1 and trial.number not in best), _losses(trial.values, goals), trial.number


def _importance(study: "Study", goals: Sequence[Goal]) -> dict[str, dict[str, float]]:
    """By fANOVA; nothing where trials are few, one key has no other beside it, or all scores are the same."""
    import optuna

    done = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    varying = {key for trial in done for key in trial.params if len({each.params.get(key) for each in done}) > 1}
    if len(done) < ENOUGH or len(varying) < 2:
        return {}
    found = {}
    for place, goal in enumerate(goals):
        if len({trial.values[place] for trial in done}) < 2:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
            shares = optuna.importance.get_param_importances(study, evaluator=evaluator, target=partial(_value, place))
        if all(math.isfinite(share) for share in shares.values()):
            found[goal.name] = {key: float(share) for key, share in shares.items()}
    return found


def _value(place: int, trial: "FrozenTrial") -> float:
    return float(trial.values[place])


def _command(program: str, arguments: Sequence[str], plan: SearchPlan, params: Mapping[str, Any], name: str) -> str:
    """The command that trains a trial's settings with seeds that the search has not used, as a sweep of its own."""
    left_out = ("sweep", "seed", "objective", "hydra/sweeper", *plan.space)
    used = next((text.partition("=")[2] for text in plan.fixed if text.startswith("seed=")), "0")
    kept = [
        argument
        for argument in arguments
        if argument not in _FLAGS
        and argument.partition("=")[0] not in left_out
        and not argument.startswith(("hydra.sweeper.", "dry_run="))
    ]
    kept += [f"{key}={params[key]}" for key in plan.space]
    kept += [each for each in plan.fixed if each.partition("=")[0] in plan.settings.params]
    last = {argument.partition("=")[0]: place for place, argument in enumerate(kept)}  # of a key that is given twice
    kept = [each for place, each in enumerate(kept) if "=" not in each or last[each.partition("=")[0]] == place]
    seeds = [str(seed) for seed in range(SEEDS + 1) if str(seed) != used][-SEEDS:]
    return shlex.join([*program.split(), "-m", *kept, f"seed={','.join(seeds)}", f"sweep={name}-best"])
