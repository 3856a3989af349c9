"""``cluster=slurm`` where there is no Slurm, or where it makes no sense: a sentence, and nothing is trained."""

import pytest

pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="not installed: pip install 'ercsatz[slurm]'")

CELLS = ("--config-dir", "own", "classifier=compm", "data=small_nat,small_bal", "cluster=slurm")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("-m", *CELLS), 'Could not detect "srun"'),
        (("-m", *CELLS, "cluster.wait=false", "hydra.sweeper.max_batch_size=1"), "cluster.parallel=N"),
        (("--config-dir", "own", "data=small_nat", "cluster=slurm"), "give -m too"),
    ],
)
def test_what_cannot_be_submitted_is_told_in_a_sentence(arguments, words, new_world, command, tmp_path):
    done = command(new_world, "train.py", *arguments, PATH=str(tmp_path))
    assert done.returncode == 1, done.stdout + done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not (new_world / "cache" / "stages").exists()


def test_a_dry_run_is_shown_here(new_world, command, tmp_path):
    done = command(new_world, "train.py", "-m", *CELLS, "dry_run=true", PATH=str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("pretrain") >= 2
    assert not (new_world / "multirun").exists() or not list((new_world / "multirun").rglob("submitted.json"))
