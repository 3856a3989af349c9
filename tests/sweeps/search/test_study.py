from types import SimpleNamespace

import pytest

from ercsatz.config import SearchConfig
from ercsatz.config.objective import goals_of
from ercsatz.errors import UserError
from ercsatz.sweeps.search import study as studies

optuna = pytest.importorskip("optuna")
SPACE = {
    "training.lr": optuna.distributions.FloatDistribution(1e-5, 1e-1, log=True),
    "training.warmup": optuna.distributions.CategoricalDistribution(["0", "0.1"]),
}
SETTINGS = SearchConfig(n_startup_trials=3)


def opened(folder, objective="validation/w_f1", id="1", **settings):
    given = SimpleNamespace(**{**vars(SETTINGS), **settings})
    return studies.open_study(given, folder, "search", id, goals_of(objective))


def score(trial):
    return -abs(trial.params["training.lr"] - 1e-3)


def searched(study, trials, batch=1, settings=SETTINGS):
    """Ask for so many trials in batches, and tell what they reached; their values in order."""
    for _ in range(trials // batch):
        asked = [studies.ask(study, settings, SPACE) for _ in range(batch)]
        for trial in asked:
            studies.tell(study, trial, [score(trial)])
    return [trial.params for trial in studies.counted(study)]


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_seed_decides_the_trials(tmp_path, batch, sampler):
    places = [tmp_path / name for name in ("a", "b", "c")]
    for place in places:
        place.mkdir()
    settings = [SearchConfig(n_startup_trials=3, sampler=sampler, seed=seed) for seed in (0, 0, 1)]
    one, two, other = (searched(opened(place), 8, batch, each) for place, each in zip(places, settings, strict=True))
    assert one == two
    assert one != other
    assert len({params["training.lr"] for params in one}) == 8


def test_a_search_that_was_killed_asks_for_what_it_would_have_asked_for(tmp_path):
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    expected = searched(opened(tmp_path / "whole"), 9)
    study = opened(tmp_path / "killed")
    searched(study, 4)
    begun = studies.ask(study, SETTINGS, SPACE)  # and its process dies
    study = opened(tmp_path / "killed")
    studies.try_again(study)
    waiting = studies.counted(study)[4]
    assert waiting.system_attrs["fixed_params"] == begun.params
    assert searched(study, 5) == expected


def test_what_failed_is_tried_again_and_counts_once(tmp_path):
    study = opened(tmp_path)
    searched(study, 2)
    lost = studies.ask(study, SETTINGS, SPACE)
    studies.tell(study, lost, None)
    assert [trial.state.name for trial in studies.counted(study)] == ["COMPLETE", "COMPLETE", "FAIL"]
    for _ in range(2):  # the second is killed before it asks for anything
        study = opened(tmp_path)
        studies.try_again(study)
        assert [trial.state.name for trial in studies.counted(study)] == ["COMPLETE", "COMPLETE", "WAITING"]
    again = studies.ask(study, SETTINGS, SPACE)
    assert again.params == lost.params
    studies.tell(study, again, [0.5])
    assert [trial.number for trial in studies.counted(study)] == [0, 1, 3]


def test_the_direction_follows_from_the_objective(tmp_path):
    study = opened(tmp_path, ["validation/w_f1", "seconds"])
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE"]


def test_a_study_of_another_sweep_is_refused(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    shared = f"sqlite:///{tmp_path / 'shared.db'}"
    opened(tmp_path / "one", storage=shared, study_name="same", id="1")
    opened(tmp_path / "one", storage=shared, study_name="same", id="1")
    with pytest.raises(UserError, match=r"that of another sweep.*study_name=NAME"):
        opened(tmp_path / "two", storage=shared, study_name="same", id="2")
    assert not (tmp_path / "one" / studies.FILE).exists()


def test_a_storage_that_is_damaged_is_named(tmp_path):
    (tmp_path / studies.FILE).write_text("no data base, but long enough to be taken for one\n" * 50)
    with pytest.raises(UserError, match=r"search\.db: the search's storage cannot be opened"):
        opened(tmp_path)


def test_without_a_folder_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert len(searched(opened(None, id=None), 2)) == 2
    assert not list(tmp_path.iterdir())
