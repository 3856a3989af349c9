"""The pages docs/extend/{classifier,loss,sampler,phase,logger,experiment}.md as typed, on ``conftest``'s world."""

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
    assert (world / "my_conf" / "mine.py").read_text().count("\n") <= 65
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


LOSS = ["loss/poly.yaml", "poly.py", "test_poly.py"]
SAMPLER = ["sampler/changing.yaml", "changing.py", "test_changing.py"]


@pytest.mark.slow
def test_the_loss_on_the_page_is_trained_with_and_ranked(world_with, typed, result):
    world = world_with("loss", LOSS)
    _, listed, trained = commands("loss")
    assert "label_smoothing, logit_adjustment, poly" in typed(world, listed).stdout
    done = typed(world, trained)
    assert done.returncode == 0, done.stdout + done.stderr
    sweep = world / "multirun" / "losses"
    assert ranked(sweep) == ["compm_cross_entropy", "compm_poly"]
    keys = {stage["key"] for stage in planned(world, result, "losses")}
    assert len(keys) == 2
    stages = [json.loads(file.read_text())["description"] for file in (world / "cache" / "stages").glob("*/stage.json")]
    assert {"name": "poly", "epsilon": 1.0, "version": 1} in [stage["loss"] for stage in stages]

    file = world / "my_conf" / "poly.py"
    file.write_text(file.read_text().replace("VERSION: ClassVar[int] = 1", "VERSION: ClassVar[int] = 2"))
    again = typed(world, [word.replace("sweep=losses", "sweep=again") for word in trained])
    assert again.returncode == 0, again.stdout + again.stderr
    assert len({stage["key"] for stage in planned(world, result, "again")} & keys) == 1  # the cross-entropy's


def test_the_loss_on_the_page_keeps_the_contract_and_its_wrong_options_are_refused(world_with, typed, command):
    world = world_with("loss", LOSS)
    done = typed(world, commands("loss")[0])
    assert done.returncode == 0, done.stdout
    for override, told in {
        "loss.epsilom=1": "loss.epsilom: there is no such option. There are: name, epsilon.",
        "loss.epsilon=-2": "loss.epsilon=-2.0: must be -1 or more.",
    }.items():
        done = command(world, "train.py", *OWN, "loss=poly", "data=small_org", override)
        assert done.returncode == 1
        assert told in " ".join(done.stderr.split())


def test_the_sampler_on_the_page_keeps_the_contract_is_trained_with_and_ranked(world_with, typed, command, result):
    world = world_with("sampler", SAMPLER)
    tested, listed, trained = commands("sampler")
    done = typed(world, tested)
    assert done.returncode == 0, done.stdout
    assert "sampler: changing, none, oversampling" in typed(world, listed).stdout
    done = typed(world, trained)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ranked(world / "multirun" / "samplers") == ["compm_none", "compm_changing"]
    stages = [json.loads(file.read_text())["description"] for file in (world / "cache" / "stages").glob("*/stage.json")]
    drawn = [stage["sampler"] for stage in stages if "sampler" in stage]
    assert drawn == [{"name": "changing", "steady": 0.5, "version": 1}]
    assert len({stage["key"] for stage in planned(world, result, "samplers")}) == 2
    done = command(world, "train.py", *OWN, "sampler=changing", "data=small_org", "sampler.steady=0")
    assert "sampler.steady=0.0: must be above 0, to 1." in " ".join(done.stderr.split())


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
    assert "callbacks: gradient_norm, learning_rate_monitor, none, weight_averaging" in text
    assert "logger: json_lines, mlflow, none, tensorboard" in text

    done = typed(world, [*trained, "hydra.run.dir=job"])
    assert done.returncode == 0, done.stdout + done.stderr
    file = world / "job" / "figures-original-org.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    logged = {key for row in rows for key in row}
    assert {"train/loss", "validation/w_f1", "train/gradient_norm"} <= logged
    assert all(row["train/gradient_norm"] > 0 for row in rows if "train/gradient_norm" in row)
    (stage,) = json.loads((world / "job" / "result.json").read_text())["stages"]
    assert rows[-1]["test/org/w_f1"] == stage["test"]["org"]["w_f1"]
    assert json.loads(file.with_suffix(".params.json").read_text())["key"] == stage["key"]

    done = typed(world, [*trained, "hydra.run.dir=again"])  # from the cache
    assert done.returncode == 0, done.stdout + done.stderr
    again = [json.loads(line) for line in (world / "again" / file.name).read_text().splitlines()]
    assert again[-1]["test/org/w_f1"] == rows[-1]["test/org/w_f1"]
    curves = [[row["validation/w_f1"] for row in each if "validation/w_f1" in row] for each in (again, rows)]
    assert curves[0] == curves[1]

    wrong = typed(world, [*trained, "callbacks.gradient_norm.each=2"])
    assert wrong.returncode == 1
    assert "callbacks.gradient_norm.each" in wrong.stderr
    file = world / "my_conf" / "callbacks" / "gradient_norm.yaml"
    file.write_text(file.read_text().replace("every:", "each:"))
    wrong = typed(world, trained)
    assert wrong.returncode == 1
    told = "callbacks.gradient_norm.each: gradient_norm.GradientNorm takes no such argument. There are: every."
    assert told in " ".join(wrong.stderr.split())


def test_the_experiment_on_the_page_is_planned_trained_and_ranked(world_with, typed):
    world = world_with("experiment", ["experiment/mine.yaml", "experiment/more.yaml"])
    for file in (world / "my_conf" / "experiment").iterdir():
        file.write_text(file.read_text().replace("mini_", "small_"))
    shown, trained, more = commands("experiment")

    done = typed(world, shown)
    assert done.returncode == 0, done.stderr
    assert "Experiment mine: what it finds out, on one line" in done.stdout
    assert done.stdout.count("dialogues of small_nat") == 2  # in each of two jobs, one pretrain stage

    done = typed(world, trained)
    assert done.returncode == 0, done.stderr
    assert sorted(ranked(world / "multirun" / "mine")) == ["compm_bal", "compm_nat", "compm_org", "compm_org_0.1"]

    done = typed(world, more)
    assert done.returncode == 0, done.stderr
    assert [done.stdout.count(f"data=small_nat seed={seed}\n") for seed in range(4)] == [1, 1, 1, 1]
