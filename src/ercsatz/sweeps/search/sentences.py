"""A search in sentences, for the terminal and for its report."""

from collections.abc import Sequence

from ercsatz.config.objective import Goal
from ercsatz.reporting.status import together
from ercsatz.sweeps.search.summary import ENOUGH, Summary, Trial

OPTIMISTIC = (
    "The best score of a search is optimistic: it is the best of several, each of one seed, on the validation "
    "dialogues that also chose each stage's epoch. What counts are the test scores of these settings with other seeds, "
    "beside those of the settings one would have taken without a search."
)
IMPORTANCE = (
    "How much of the variation of the score each key accounts for (fANOVA, a random forest's estimate). It holds for "
    "these ranges and these trials, and is rough below some dozens of them; it does not say which value is best."
)
HISTORY = "The score of each trial, in the order in which they were asked for."
FRONT = "The first two objectives of each trial, which has its number beside it."
_POINT = 0.01  # of a score from 0 to 1; less is no finding


def number(value: object) -> str:
    """A value of a key for people.

    Example:
        >>> number(3.14159e-05), number(0.25), number("compm")
        ('3.142e-05', '0.25', 'compm')
    """
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def score(value: float, goal: Goal) -> str:
    """A score as it is shown.

    Example:
        >>> from ercsatz.config.objective import GOALS
        >>> score(0.43219, GOALS["validation/w_f1"])
        '43.22'
    """
    return f"{value * goal.scale:.2f}" if goal.scale != 1 else f"{value:.1f}"


def settings(trial: Trial) -> str:
    """A trial's values as one would type them, rounded."""
    return " ".join(f"{key}={number(value)}" for key, value in trial.params.items())


def findings(summary: Summary) -> list[str]:
    """What was found."""
    counts = [(state, len(summary.of(state))) for state in ("completed", "failed", "stopped")]
    told = ", ".join(f"{count} {state}" for state, count in counts if count)
    total = len(summary.trials)
    found = [f"{total} trial{'' if total == 1 else 's'}: {told}."] if total else ["No trial has begun."]
    if not (best := summary.best_trials()):
        return found
    reached = ", ".join(f"{goal.title} {score(v, goal)}" for goal, v in zip(summary.goals, best[0].values, strict=True))
    if len(summary.goals) == 1:
        return [*found, f"The best is trial {best[0].number}: {reached}, with {settings(best[0])}."]
    front = ", ".join(str(trial.number) for trial in best)
    names = " and ".join(goal.title for goal in summary.goals)
    one = f"Of trial {best[0].number} they are {reached}, with {settings(best[0])}."
    what = f"none is better than they are in one of {names} without being worse in another"
    return [*found, f"The Pareto front is {front} of the trials: {what}. {one}"]


def limits(summary: Summary) -> list[str]:
    """What to bear in mind."""
    completed = summary.of("completed")
    if not completed:
        return []
    told = [*_ties(completed, summary.goals), OPTIMISTIC]
    if not summary.importance:
        told.append(
            f"Which keys matter is not told: that takes {ENOUGH} completed trials, two keys and scores that differ."
        )
    if any(goal.name == "seconds" for goal in summary.goals):
        told.append(
            "Seconds are those of all stages of a trial, on the machine and under the load that trained them; a stage "
            "from the cache has those of its training."
        )
    return told


def _ties(completed: Sequence[Trial], goals: Sequence[Goal]) -> list[str]:
    if len(goals) > 1 or goals[0].scale == 1 or len(completed) < 2:
        return []
    best = completed[0].values[0]
    close = sum(abs(trial.values[0] - best) < _POINT for trial in completed)
    if close == len(completed) and len({trial.values[0] for trial in completed}) == 1:
        return ["All completed trials have the same score: the search has learnt nothing about its keys."]
    if close > 1:
        return [
            f"{close} trials are less than one point apart at the top: of one seed each, they cannot be told apart."
        ]
    return []


def failures(summary: Summary) -> list[str]:
    """Why trials failed, each reason once."""
    return together(f"trial {trial.number} failed: {trial.reason}" for trial in summary.of("failed"))


def repeat(summary: Summary) -> str:
    """What the command is for."""
    which = "the best settings"
    if len(summary.goals) > 1:
        which = f"the settings of trial {summary.best_trials()[0].number}"
    return f"To test {which} with other seeds:"
