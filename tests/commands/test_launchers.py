"""A sweep ends with its ranking whichever of Hydra's launchers runs its jobs, also when one of them fails.

The basic launcher, and joblib where nothing fails, are in ``test_sweep``.
"""

import shutil
from pathlib import Path

import pytest

SWEEP = ("--config-dir", "own", "-m", "classifier=compm", "data=small_nat,small_bal", "sweep=launched")
LAUNCHERS = {
    "joblib": ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2"),
    "submitit": ("hydra/launcher=submitit_local",),
}
FILES = ("ranking.md", "ranking.csv", "ranking.tex", "ranking.html", "ranking.png", "ranking.svg", "scores.csv")


@pytest.fixture(scope="module")
def basic(world, tmp_path_factory, command, micro) -> Path:
    """A world after the sweep with the basic launcher, which trains everything."""
    folder = tmp_path_factory.mktemp("basic") / "world"
    shutil.copytree(world, folder, ignore=shutil.ignore_patterns("cache", "multirun", "outputs"))
    done = command(folder, "train.py", *SWEEP, *micro)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture
def trained(basic, tmp_path) -> Path:
    """A copy of that world without the sweep, so that all its stages are there."""
    return Path(shutil.copytree(basic, tmp_path / "world", ignore=shutil.ignore_patterns("multirun")))


def ranking(folder: Path) -> dict[str, bytes]:
    return {name: (folder / "multirun" / "launched" / name).read_bytes() for name in FILES}


def stages(folder: Path) -> set[str]:
    return {file.parent.name for file in (folder / "cache" / "stages").glob("*/stage.json")}


def test_a_sweep_leaves_every_file_of_the_report(basic):
    assert all(ranking(basic).values())
    page = (basic / "multirun" / "launched" / "ranking.html").read_text(encoding="utf-8")
    for part in ("compm_bal", "small_nat", "pretrain", "surprise", "data=small_nat,small_bal", "Linux"):
        assert part in page, part


def test_jobs_of_submitit_train_the_same_and_end_with_the_same_ranking(basic, new_world, command, micro):
    done = command(new_world, "train.py", *SWEEP, *micro, *LAUNCHERS["submitit"])
    assert done.returncode == 0, done.stdout + done.stderr
    assert stages(new_world) == stages(basic)
    for name in ("ranking.csv", "scores.csv", "ranking.tex"):
        assert ranking(new_world)[name] == ranking(basic)[name], name
    assert "W-F1 (rank)" in done.stdout
    assert "Trained on synthetic dialogues alone" in done.stdout
    folder = Path("multirun") / "launched" / ".submitit"
    assert f"What the jobs print is in {folder}" in done.stdout
    logs = [file.read_text() for file in (new_world / folder).glob("*/*_log.out")]
    assert len(logs) == 2
    assert all("small_org seed 0 | original | best validation" in log for log in logs)


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_failed_cell_elsewhere_is_named_and_the_rest_is_ranked(launcher, trained, command, micro):
    broken = trained / "data" / "small_bal" / "train.jsonl"
    broken.write_text("no dialogue\n" + broken.read_text())
    (broken.parent / "SHA256SUMS").unlink()
    done = command(trained, "train.py", *SWEEP, *micro, *LAUNCHERS[launcher])
    sweep = trained / "multirun" / "launched"
    (job,) = sweep.glob("compm-small_bal-*")
    failure = f"{job.name} failed: data/small_bal/train.jsonl, line 1: not JSON"
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert failure in done.stdout
    assert failure in (sweep / "ranking.md").read_text(encoding="utf-8")
    assert failure in (sweep / "ranking.html").read_text(encoding="utf-8")
    treatments = [line.partition(",")[0] for line in (sweep / "ranking.csv").read_text().splitlines()[1:]]
    assert treatments == ["compm_org", "compm_nat"]
