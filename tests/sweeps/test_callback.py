import pytest

from ercsatz.config import RankingConfig, WandbConfig, WandbMode
from ercsatz.sweeps import callback
from ercsatz.sweeps.sweep_file import claim
from ercsatz.tracking import workspace
from ercsatz.tracking.workspace import TrackedSweep


@pytest.fixture
def ended(fake_sweep, monkeypatch):
    """A sweep whose cells are done and whose ranking succeeds; it wants a workspace."""
    sweep = fake_sweep(2)
    for number in range(2):
        sweep.complete(number)
    (sweep.folder / "ranking.md").write_text("# Ranking", encoding="utf-8")
    ranking = RankingConfig(["classifier"], ["benchmark"], ["finetune"], "w_f1", "org")
    wandb = WandbConfig(WandbMode.disabled, "p", workspace=True)
    owned = callback.Sweep(sweep.file.id, "sweep", sweep.folder, ranking, wandb, claim(sweep.folder))
    monkeypatch.setattr(callback.Status, "code", 0)
    monkeypatch.setattr(callback._Current, "sweep", owned)
    monkeypatch.setattr("ercsatz.sweeps.rank.rank_sweeps", lambda *_: True)
    return sweep.folder


def test_workspace_is_made_of_the_sweeps_results_and_the_page_says_that_it_is_over(ended, monkeypatch):
    made = []
    monkeypatch.setattr(workspace, "save_workspace", lambda *given: made.append(given))
    callback.finish()
    ((_, shown, folder),) = made
    assert folder == ended
    assert shown == TrackedSweep("sweep", ["org", "nat", "bal"], ["neutral", "joy", "anger"], [], "# Ranking")
    assert "2 of 2 cells are done." in (ended / "index.html").read_text(encoding="utf-8")
    assert "and has ended" in (ended / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("error", [None, ConnectionResetError("gone\naway")])
def test_what_goes_wrong_with_a_workspace_costs_a_line(ended, monkeypatch, capsys, error):
    def fail(*_: object) -> None:
        raise error

    if error:
        monkeypatch.setattr(workspace, "save_workspace", fail)
    callback.finish()
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("Weights & Biases has not got the sweep's workspace: ")
    assert ("gone away" if error else "wandb.mode=auto") in line
    assert callback.Status.code == 0
