"""Experiments as users run them."""

import json

import pytest

from ercsatz.config import experiment

MINE = """# @package _global_
defaults:
  - override /phase: tstr
experiment:
  name: mine
  command: train
  about: a try on the small benchmark
  cuts: [almost everything]
  sweep:
    - {data: [small_nat, small_bal], seed: [0]}
    - {data: [small_org], loss.label_smoothing: [0.1], seed: [0]}
training:
  epochs: 1
"""


@pytest.fixture
def own(new_world):
    """Write an experiment into the folder of one's own parts."""

    def write(name, text):
        (new_world / "own" / "experiment").mkdir(exist_ok=True)
        (new_world / "own" / "experiment" / f"{name}.yaml").write_text(text)
        return new_world

    return write


def test_an_experiment_of_ones_own_is_trained_ranked_and_recorded(own, command, micro):
    world = own("mine", MINE)
    given = ("--config-dir", "own", "-m", "+experiment=mine", *(each for each in micro if "epochs=1" not in each))
    done = command(world, "train.py", *given, "sweep=mine", "test_sets=[org]")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith(
        "Experiment mine: a try on the small benchmark\n"
        "  Left out: almost everything\n"
        "  Jobs: data=small_nat,small_bal seed=0\n"
        "  Jobs: data=small_org loss.label_smoothing=0.1 seed=0\n"
        "  All of them, from the command line: backbone.size.hidden=16 "
    )
    assert "each value of loss.label_smoothing (default, 0.1) is a treatment of its own" in done.stdout
    report = (world / "multirun" / "mine" / "ranking.md").read_text()
    assert "almost everything" in report
    table = (world / "multirun" / "mine" / "ranking.csv").read_text().splitlines()
    rows = [dict(zip(table[0].split(","), line.split(","), strict=False)) for line in table[1:]]
    assert {(row["treatment"], row["baseline"]) for row in rows} == {
        ("compm_org", ""),
        ("compm_org_0.1", "compm_org"),
        ("compm_nat", "compm_org"),
        ("compm_bal", "compm_org"),
    }
    sweep = json.loads((world / "multirun" / "mine" / "sweep.json").read_text())
    assert sweep["experiment"] == {
        "name": "mine",
        "about": "a try on the small benchmark",
        "cuts": ["almost everything"],
    }
    results = [json.loads(file.read_text()) for file in (world / "multirun" / "mine").rglob("result.json")]
    assert [result["choices"]["experiment"] for result in results] == ["mine"] * 3


def test_the_command_line_wins_and_a_dry_run_shows_what_would_be_trained(own, command):
    world = own("mine", MINE)
    done = command(world, "train.py", "--config-dir", "own", "-m", "experiment=mine", "data=small_bal", "dry_run=true")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("10 dialogues of small_org") == 4
    assert done.stdout.count("dialogues of small_bal") == 2
    assert "small_nat" not in done.stdout
    assert not (world / "multirun").exists() or not list(world.rglob("result.json"))


def test_one_may_extend_another(own, command):
    own("mine", MINE)
    world = own(
        "more",
        "# @package _global_\ndefaults:\n  - mine\n  - _self_\n"
        "experiment:\n  name: more\n  sweep:\n    - {data: [small_nat], seed: [3, 4]}\n",
    )
    done = command(world, "train.py", "--config-dir", "own", "-m", "experiment=more", "dry_run=true")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Experiment more: a try on the small benchmark" in done.stdout
    assert "Jobs: data=small_nat seed=3,4\n" in done.stdout
    assert done.stdout.count("data=small_nat seed=3\n") == done.stdout.count("data=small_nat seed=4\n") == 1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (MINE.replace("about:", "abuot:"), ["'experiment/mine'", "Key 'abuot' not in 'ExperimentConfig'"]),
        (MINE.replace("seed: [0]", "seed: 0", 1), ["experiment.sweep[0].seed: 0: must be a list of values"]),
        (MINE.replace("seed: [0]", "seed: [0], seed: [1]", 1), ["mine.yaml, line ", "the key 'seed' is there twice"]),
        (MINE + "hydra: {run: {dir: x}}\n", ["mine.yaml: the key hydra"]),
    ],
)
def test_what_is_wrong_in_one_is_refused_before_any_job(own, command, text, told):
    world = own("mine", text)
    done = command(world, "train.py", "--config-dir", "own", "-m", "experiment=mine", "dry_run=true")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert "dialogues of small" not in done.stdout
    for part in told:
        assert part in done.stdout + done.stderr


@pytest.mark.parametrize("name", experiment.listed("generate"))
def test_a_dry_run_of_every_shipped_one_shows_its_prompts(command, tmp_path, name):
    done = command(tmp_path, "generate.py", "-m", f"experiment={name}", "dry_run=true")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Experiment {name}: " in done.stdout
    assert done.stdout.count("prompt tokens") == len({*experiment.parts([f"experiment={name}"])["data"]})


@pytest.mark.parametrize("name", experiment.listed("train"))
def test_a_dry_run_of_every_shipped_one_names_all_that_it_misses_with_one_command(command, tmp_path, name):
    done = command(tmp_path, "train.py", "-m", f"experiment={name}", "dry_run=true", HF_HUB_OFFLINE="1", HF_HOME="hf")
    assert done.returncode == 1
    assert f"Experiment {name}: " in done.stdout
    told = done.stderr.replace("\n", " ")
    assert "no file train_sent_emo.csv in" in told
    by = experiment.described(name).get("written_by")
    if by:
        assert f"python generate.py -m experiment={by}\n" in done.stderr
    else:
        assert told.count("python generate.py -m data=meld_nat,meld_bal") == 1
    assert ("FacebookAI/roberta-large is not in the cache" in told) == (name == "table4")
