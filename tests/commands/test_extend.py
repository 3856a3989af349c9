"""The pages docs/extend/{classifier,loss,phase,logger}.md as a reader types them, on the world of ``conftest``."""

import csv
import json
import subprocess
import sys

import pytest

from tests.commands.pages import commands, write_files

OWN = ("--config-dir", "my_conf")


@pytest.fixture
def world_with(new_world):
    """The world, whose config folder ``my_conf`` has the files of a page and the benchmark ``small``."""

    def write(page, names):
        (new_world / "own").rename(new_world / "my_conf")
        assert list(write_files(page, new_world / "my_conf")) == names
        return new_world

    return write


@pytest.fixture
def typed(command, environment, micro):
    """Run a command line of a page in a folder, on ``small`` in place of ``mini`` and with settings for a moment."""
    settings = [setting for setting in micro if "memory_dropout" not in setting]  # CoMPM's alone

    def run(folder, words):
        words = [word.replace("mini", "small") for word in words]
        if words[0] == "-m":
            line = [sys.executable, *words, "-p", "no:cacheprovider"]
            return subprocess.run(line, cwd=folder, env=dict(environment), capture_output=True, text=True, timeout=300)
        quick = settings if words[0] == "train.py" and "--help" not in words else []
        return command(folder, *words, *quick)

    return run


def ranked(folder):
    with (folder / "ranking.csv").open() as file:
        return [row["treatment"] for row in csv.DictReader(file)]


def planned(world, result, sweep):
    """The records of all stages of a sweep's jobs."""
    return [stage for cell in sorted((world / "multirun" / sweep).glob("*-seed0*")) for stage in result(cell)["stages"]]


def test_the_classifier_on_the_page_is_listed_tested_trained_ranked_and_predicts(world_with, typed, command):
    world = world_with("classifier", ["classifier/mine.yaml", "mine.py", "test_mine.py"])
    assert (world / "my_conf" / "mine.py").read_text().count("\n") <= 60
    tested, listed, _, trained, predicted = commands("classifier")

    done = typed(world, tested)
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout

    assert "classifier: compm, emoone, mine, todkat" in typed(world, listed).stdout

    done = typed(world, trained)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ranked(world / "multirun" / "mine") == ["compm_org", "compm_bal", "mine_org", "mine_bal"]

    (world / "talk.txt").write_text("Ann: You're early!\nBo: I know.\n")
    (cell,) = (world / "multirun" / "mine").glob("mine-*")
    predicted = [word.replace("CELL", cell.name) for word in predicted]
    done = typed(world, predicted)
    assert done.returncode == 0, done.stderr
    assert "I know." in done.stdout
    alone = command(world, *[word for word in predicted if word not in OWN])
    assert alone.returncode == 1
    assert "holds the classifier 'mine', for which there is no classifier/mine.yaml" in alone.stderr
    assert "--config-dir FOLDER" in alone.stderr


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("classifier.drop=0.3", "classifier.drop: there is no such option. There are: name, max_tokens, dropout."),
        ("classifier.dropout=1.5", "classifier.dropout=1.5: must be from 0 to below 1."),
    ],
)
def test_a_wrong_option_of_the_classifier_on_the_page_is_refused(world_with, command, override, told):
    world = world_with("classifier", ["classifier/mine.yaml", "mine.py", "test_mine.py"])
    done = command(world, "train.py", *OWN, "classifier=mine", "data=small_org", override)
    assert done.returncode == 1
    assert told in " ".join(done.stderr.split())


# Each is a classifier that its author believes in, and the tests that tell what is wrong with it.
BROKEN = {
    "reads other dialogues": (
        "said, before = self.encoder(batch.texts).chunk(2)",
        "said, before = (each - each.mean(0) for each in self.encoder(batch.texts).chunk(2))",
        {"padding_and_batch_composition", "other_dialogues"},
    ),
    "reads the next turn": (
        "turns[turn - 1] if turn else self.first[:0]",
        "turns[turn + 1] if turn + 1 < len(turns) else self.first[:0]",
        {"later_turns"},
    ),
    "classifies every turn": (
        "for turn in segment.targets]",
        "for turn in range(len(segment.tokens.turns))]",
        {"each"},
    ),
    "cannot be trained": ("return logits", "return logits.detach().requires_grad_()", {"by_heart"}),
    "has a loose option": ("dropout: float = 0.1", "dropout: Any = 0.1", {"every_option_has_a_type"}),
    "hides an option": ("dropout: float = 0.1", "dropout: float = 0.1\n    depth: int = 1", {"lists_every_option"}),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", BROKEN)
def test_the_contract_finds_what_is_wrong_with_a_classifier(world_with, typed, fault):
    world = world_with("classifier", ["classifier/mine.yaml", "mine.py", "test_mine.py"])
    right, wrong, expected = BROKEN[fault]
    file = world / "my_conf" / "mine.py"
    assert right in file.read_text()
    file.write_text(file.read_text().replace(right, wrong))
    done = typed(world, commands("classifier")[0])
    assert done.returncode == 1
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
    assert all(any(name in line for line in failed) for name in expected), done.stdout


LOSS = ["loss/focal.yaml", "focal.py", "test_focal.py"]


@pytest.mark.slow
def test_the_loss_on_the_page_is_trained_with_and_ranked(world_with, typed, result):
    world = world_with("loss", LOSS)
    _, listed, trained = commands("loss")
    assert "loss: cross_entropy, focal" in typed(world, listed).stdout
    done = typed(world, trained)
    assert done.returncode == 0, done.stdout + done.stderr
    sweep = world / "multirun" / "losses"
    assert ranked(sweep) == ["compm_cross_entropy", "compm_focal"]
    keys = {stage["key"] for stage in planned(world, result, "losses")}
    assert len(keys) == 2
    stages = [json.loads(file.read_text())["description"] for file in (world / "cache" / "stages").glob("*/stage.json")]
    assert {"name": "focal", "gamma": 2.0, "version": 1} in [stage["loss"] for stage in stages]

    file = world / "my_conf" / "focal.py"
    file.write_text(file.read_text().replace("VERSION: ClassVar[int] = 1", "VERSION: ClassVar[int] = 2"))
    again = typed(world, [word.replace("sweep=losses", "sweep=again") for word in trained])
    assert again.returncode == 0, again.stdout + again.stderr
    assert len({stage["key"] for stage in planned(world, result, "again")} & keys) == 1  # the cross-entropy's


def test_the_loss_on_the_page_keeps_the_contract_and_its_wrong_options_are_refused(world_with, typed, command):
    world = world_with("loss", LOSS)
    done = typed(world, commands("loss")[0])
    assert done.returncode == 0, done.stdout
    for override, told in {
        "loss.gama=1": "loss.gama: there is no such option. There are: name, gamma.",
        "loss.gamma=-1": "loss.gamma=-1.0: must be 0 or more.",
    }.items():
        done = command(world, "train.py", *OWN, "loss=focal", "data=small_org", override)
        assert done.returncode == 1
        assert told in " ".join(done.stderr.split())


def test_the_phase_on_the_page_is_listed_and_its_stages_are_shown(world_with, typed):
    world = world_with("phase", ["phase/mine.yaml"])
    listed, shown, *_ = commands("phase")
    assert "phase: finetune, joint, low_resource, mine, original, pretrain, tstr" in typed(world, listed).stdout
    done = typed(world, shown)
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in ("original", "joint", "tuned"))


@pytest.mark.slow
def test_the_phases_on_the_page_are_ranked(world_with, typed, result):
    world = world_with("phase", ["phase/mine.yaml"])
    *_, beside, joint, low = commands("phase")
    done = typed(world, beside)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ranked(world / "multirun" / "phases") == ["compm_org_tstr", "compm_bal_mine", "compm_bal_tstr"]
    stages = planned(world, result, "phases")
    assert [stage["stage"] for stage in stages] == ["original", "tuned", "original", "pretrain", "finetune"]

    for words in (joint, low):
        done = typed(world, [*words[:1], *OWN, *words[1:]])  # which knows the benchmark
        assert done.returncode == 0, done.stdout + done.stderr
    assert ranked(world / "multirun" / "joint") == ["compm_org_tstr", "compm_bal_joint", "compm_bal_tstr"]
    assert ranked(world / "multirun" / "low") == ["compm_org", "compm_bal"]


def test_the_logger_and_the_callback_on_the_page_see_a_stage(world_with, typed):
    names = ["logger/json_lines.yaml", "json_lines.py", "callbacks/gradient_norm.yaml", "gradient_norm.py"]
    world = world_with("logger", names)
    listed, trained = commands("logger")
    text = typed(world, listed).stdout
    assert "logger: json_lines, none" in text
    assert "callbacks: early_stopping, gradient_norm, none" in text

    done = typed(world, [*trained, "hydra.run.dir=job"])
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [json.loads(line) for line in (world / "job" / "figures.jsonl").read_text().splitlines()]
    logged = {key for row in rows for key in row}
    assert {"train/loss", "validation/w_f1", "train/gradient_norm"} <= logged
    assert all(row["train/gradient_norm"] > 0 for row in rows if "train/gradient_norm" in row)

    wrong = typed(world, [*trained, "callbacks.gradient_norm.each=2"])
    assert wrong.returncode == 1
    assert "callbacks.gradient_norm.each" in wrong.stderr
    file = world / "my_conf" / "callbacks" / "gradient_norm.yaml"
    file.write_text(file.read_text().replace("every:", "each:"))
    wrong = typed(world, trained)
    assert wrong.returncode == 1
    told = "callbacks.gradient_norm.each: gradient_norm.GradientNorm takes no such argument. There are: every."
    assert told in " ".join(wrong.stderr.split())
