"""docs/extend/mode.md as a reader types it: a mode of one's own in every command, on the world of ``conftest``."""

import csv
import json
import re

import pytest

from ercsatz.data.dialogue import SPLITS
from tests.commands.pages import write_files

OWN = ("--config-dir", "own")
FEW = ("plan.n_dialogues=40", "plan.max_turns=6")


@pytest.fixture
def own_mode(new_world):
    """The world, whose config folder ``own`` has the page's files."""
    files = write_files("mode", new_world / "own")
    assert sorted(files) == ["mode/mine.yaml", *(f"prompts/mine/{name}.j2" for name in ("labels", "structure", "task"))]
    return new_world


def provenances(folder):
    texts = [(folder / f"{split}.jsonl").read_text() for split in SPLITS]
    return [json.loads(line)["provenance"] for line in "".join(texts).splitlines()]


def test_the_mode_on_the_page_is_written_assessed_trained_on_and_ranked(own_mode, command, micro):
    listed = command(own_mode, "generate.py", *OWN, "--help").stdout
    assert "small_mine" in listed
    assert "mode: balanced, mine, natural, persona" in listed

    shown = command(own_mode, "generate.py", *OWN, "data=small_mine", "dry_run=true", *FEW)
    assert shown.returncode == 0, shown.stderr
    words = " ".join(shown.stdout.replace("│", " ").split())
    assert 'bad news is broken and at least one utterance expresses the emotion "anger". Label every utterance' in words
    assert "Write one utterance on each line" in words

    made = command(own_mode, "generate.py", *OWN, "data=small_mine", *FEW)
    assert made.returncode == 0, made.stdout + made.stderr
    folder = own_mode / "data" / "small_mine"
    kept = provenances(folder)
    assert {row["target"] for row in kept} == {"anger", "sadness", "surprise"}
    assert {row["mode"] for row in kept} == {"mine"}
    card = (folder / "README.md").read_text()
    assert "Each of anger, sadness, surprise was the target of equally many requests" in card
    assert "The prompts are not those that ercsatz ships." in card

    assessed = command(own_mode, "assess.py", *OWN, "data=small_mine", "assess.halves=3", "hydra.run.dir=assessed")
    assert assessed.returncode == 0, assessed.stdout + assessed.stderr
    assert "small_mine" in (own_mode / "assessed" / "quality.md").read_text()

    trained = command(
        own_mode, "train.py", *OWN, "-m", "classifier=compm", "data=small_mine,small_bal", *micro, "sweep=own"
    )
    assert trained.returncode == 0, trained.stdout + trained.stderr
    sweep = own_mode / "multirun" / "own"
    with (sweep / "ranking.csv").open() as file:
        assert [row["treatment"] for row in csv.DictReader(file)] == ["compm_org", "compm_bal", "compm_mine"]
    with (sweep / "scores.csv").open() as file:
        assert list(dict.fromkeys(row["test_set"] for row in csv.DictReader(file))) == ["org", "nat", "bal", "mine"]

    ranked = command(own_mode, "rank.py", "sweeps=[multirun/own]", "output=again")
    assert ranked.returncode == 0, ranked.stderr
    assert (own_mode / "again" / "ranking.csv").read_bytes() == (sweep / "ranking.csv").read_bytes()


def test_a_key_of_the_mode_is_changed_for_a_run_which_makes_another_data_set(own_mode, command):
    line = ("data=small_mine", *FEW)
    assert command(own_mode, "generate.py", *OWN, *line).returncode == 0
    again = command(own_mode, "generate.py", *OWN, *line)
    assert again.stdout.endswith("Nothing to do.\n")
    other = command(own_mode, "generate.py", *OWN, *line, "mode.targets=all")
    assert other.returncode == 1
    assert "was made with other settings" in other.stderr
    assert "targets" in other.stderr


def test_shipped_prompts_serve_other_targets(own_mode, command):
    yaml = "name: negative\nshort: neg\nprompts: prompts/persona\ntargets: [fear]\npersonas: true\n"
    (own_mode / "own" / "mode" / "negative.yaml").write_text(yaml)
    done = command(own_mode, "generate.py", *OWN, "data=small_neg", "persona.background=sample", *FEW)
    assert done.returncode == 0, done.stderr
    kept = provenances(own_mode / "data" / "small_neg")
    assert {row["target"] for row in kept} == {"fear"}
    assert all(persona["background"] for row in kept for persona in row["personas"])


ALL = "org, nat, bal, per, mine"
SYNTHETIC = "data=small_nat, data=small_bal, data=small_per or data=small_mine"
LIST = "must be all, null, or a list of different labels of the benchmark, some of neutral, joy, "


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("generate", ["data=small_mine", "mode.targets=[anger,glee]"], f"mode.targets=['anger', 'glee']: {LIST}"),
        ("generate", ["data=small_mine", "mode.targets=[]"], f"mode.targets=[]: {LIST}"),
        ("generate", ["data=small_mine", "mode.targets=[joy,joy]"], f"mode.targets=['joy', 'joy']: {LIST}"),
        ("generate", ["data=small_mine", "mode.prompts=p/none"], "own/p/none. Make it, with the templates task.j2"),
        ("generate", ["data=small_mine", "mode.personas=true"], "own/prompts/mine/inventory/ages.yaml"),
        ("generate", ["data=small_nat", "mode=mine"], "Choose both at once: data=small_mine"),
        ("generate", ["data=small_org"], f"Choose {SYNTHETIC}."),
        ("assess", ["data=small_org"], f"Take {SYNTHETIC}."),
        ("assess", ["data=small_mine", "data.variant=none"], f"data.variant=none: must be one of {ALL}."),
        ("train", ["data=small_bal", "test_sets=[real]"], f"test_sets=real: must be one of {ALL}."),
        ("train", ["data=small_bal", "test_sets=[mine]"], "Make it with: python generate.py data=small_mine"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_to_do(own_mode, command, name, arguments, told):
    done = command(own_mode, f"{name}.py", *OWN, *arguments)
    assert done.returncode == 1
    assert told in " ".join(done.stderr.split()), done.stderr


def test_a_wrong_yaml_is_refused_before_anything_else(own_mode, command):
    (own_mode / "own" / "mode" / "odd.yaml").write_text("name: odd\nshort: mine\n")
    done = command(own_mode, "train.py", *OWN, "data=small_bal")
    assert done.returncode == 1
    assert re.match(r"error: \S+\.yaml: short: mine is that of \S+\.yaml too. Give one of them another", done.stderr)
