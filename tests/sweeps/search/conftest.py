import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from ercsatz.config import SearchConfig
from ercsatz.config.objective import goals_of
from ercsatz.sweeps.search import study as studies
from ercsatz.sweeps.search.plan import SearchPlan
from ercsatz.sweeps.search.space import split
from ercsatz.sweeps.search.summary import summarise

TYPED = (
    "--config-dir",
    "own",
    "-m",
    "hydra/sweeper=optuna",
    "data=small_org",
    "training.epochs=1",
    "training.epochs=2",
)
TYPED += ("training.lr=tag(log, interval(1e-4,1e-1))", "training.warmup=0,0.1", "sweep=tried")
TYPED += ("hydra.sweeper.n_trials=9", "objective=validation/w_f1")


@pytest.fixture
def made(tmp_path):
    """A search whose trials reach what is given: a list a trial, or None where it fails; a plan, and its summary."""
    pytest.importorskip("optuna")

    def make(reached, objective="validation/w_f1", typed=TYPED):
        overrides = [text for text in typed if "=" in text and not text.startswith("hydra")]
        space, fixed = split(OverridesParser.create().parse_overrides(overrides))
        plan = SearchPlan(space, fixed, goals_of(objective), SearchConfig())
        study = studies.open_study(plan.settings, tmp_path, "tried", "1", plan.goals)
        for values in reached:
            trial = studies.ask(study, plan.settings, plan.distributions())
            trial.set_user_attr("folder", f"trial{trial.number}")
            studies.tell(study, trial, values)
        return summarise(study, plan, tmp_path, "tried", typed, "python train.py")

    return make
