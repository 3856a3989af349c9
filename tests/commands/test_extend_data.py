"""docs/extend/{benchmark,reader,measure}.md as a reader types them: the files of each page, and then its commands."""

import json
import re
import shlex
from pathlib import Path

import pytest

PAGES = Path(__file__).resolve().parents[2] / "docs" / "extend"
OWN = ("--config-dir", "my_conf")


def install(page: str, folder: Path) -> list[str]:
    """Write the page's files below ``my_conf`` of a folder; their names."""
    text = (PAGES / f"{page}.md").read_text(encoding="utf-8")
    files = {name: block for block, name in re.findall(r"```\w+\n(# FILE: (\S+).*?)```", text, re.DOTALL)}
    for name, block in files.items():
        file = folder / "my_conf" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(block, encoding="utf-8")
    return sorted(files)


def commands(page: str) -> list[list[str]]:
    """The words of each command on the page, without ``python``."""
    text = (PAGES / f"{page}.md").read_text(encoding="utf-8")
    return [shlex.split(line) for line in re.findall(r"^python (.*)$", text, re.MULTILINE)]


def block(page: str, kind: str, place: int = 0) -> str:
    """One of the page's blocks of a kind."""
    text = (PAGES / f"{page}.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{kind}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)[place]


def put(folder: Path, text: str, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text(text, encoding="utf-8")


def test_a_benchmark_by_a_yaml_alone(tmp_path, command, micro, result):
    assert "benchmark/dailydialog.yaml" in install("benchmark", tmp_path)
    put(tmp_path / "data" / "cped", block("benchmark", "csv"), "train_split.csv", "valid_split.csv", "test_split.csv")
    for split in ("train", "valid", "test"):  # all of one text would be a leak
        said = block("benchmark", "json").replace('"text": "', f'"text": "This is for {split}. ')
        put(tmp_path / "data" / "dailydialog", 8 * said, f"{split}.jsonl")
    train, generate = commands("benchmark")

    trained = command(tmp_path, *train, *micro, "hydra.run.dir=trained")
    assert trained.returncode == 0, trained.stdout + trained.stderr
    assert result(tmp_path / "trained")["choices"]["data"] == "dailydialog_org"

    shown = command(tmp_path, *generate, "plan.n_dialogues=10")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "佟湘玉" in shown.stdout


def screenplay(lines: list[str]) -> str:
    """Dialogues of our own form in that of the page, each below a comment."""
    scenes = []
    for line in lines:
        dialogue = json.loads(line)
        said = [
            f"{turn['speaker'].upper()} ({turn['emotion'] or ''}): {turn['text']}" for turn in dialogue["utterances"]
        ]
        scenes.append("\n".join([f"# {dialogue['id']}", *said]))
    return "\n\n".join(scenes)


@pytest.fixture
def stage(new_world):
    """The world with the reader's page, its data told as screenplays."""
    assert install("reader", new_world) == ["benchmark/mine.yaml", "screenplay.py"]
    for split in ("train", "validation", "test"):
        lines = (new_world / "small" / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
        put(new_world / "data" / "mine", screenplay(lines), f"{split}.txt")
    return new_world


def test_a_reader_of_ones_own(stage, command, micro, result):
    train, generate = commands("reader")

    trained = command(stage, *train, *micro, "hydra.run.dir=mine")
    assert trained.returncode == 0, trained.stdout + trained.stderr
    line = [*train[:3], "data=small_org", "phase=original", *micro, "hydra.run.dir=small"]
    put(stage / "my_conf" / "benchmark", (stage / "own/benchmark/small.yaml").read_text(encoding="utf-8"), "small.yaml")
    again = command(stage, *line)
    assert again.returncode == 0, again.stdout + again.stderr
    mine, small = (result(stage / name)["stages"][0] for name in ("mine", "small"))
    assert mine["curve"] == small["curve"], "the same dialogues in another layout"
    assert mine["test"]["org"] == small["test"]["org"]

    shown = command(stage, *generate, "plan.n_dialogues=10")
    assert shown.returncode == 0, shown.stdout + shown.stderr


def test_the_readers_page_shows_what_it_reads(tmp_path, command):
    install("reader", tmp_path)
    for split in ("train", "validation", "test"):  # all of one text would be a leak
        put(tmp_path / "data" / "mine", block("reader", "text").replace("): ", f"): For {split}. "), f"{split}.txt")
    listed = command(tmp_path, "train.py", *OWN, "data=mine_org", "phase=original", "dry_run=true")
    assert listed.returncode == 0, listed.stdout + listed.stderr
    put(tmp_path / "data" / "mine", "MAYA (joy): Hi.\nLEO - Hi.\n", "test.txt")
    refused = command(tmp_path, "train.py", *OWN, "data=mine_org", "phase=original", "dry_run=true")
    assert refused.returncode == 1
    assert "test.txt, line 2: not SPEAKER (emotion): TEXT. Mend the line." in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("benchmark.reader=screenplay", "no such reader; there are: meld,"),
        ("benchmark.reader=screenplay.reads", "(module 'screenplay' has no attribute 'reads'). It must be MODULE.NAME"),
        ("benchmark.reader=screenplay.LINE", "cannot be called with a Source. A reader is a function of one argument"),
        ("benchmark.reader=screenplay.turns", "returned a tuple. A reader is a function of one argument"),
        ("benchmark.options.comment=1", "benchmark.options.comment=1: must be a string."),
    ],
)
def test_a_wrong_reader_is_refused_with_what_to_do(stage, command, override, told):
    refused = command(stage, "train.py", *OWN, "data=mine_org", "phase=original", "dry_run=true", override)
    assert refused.returncode == 1
    assert told in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_measure_of_ones_own(new_world, command):
    assert install("measure", new_world) == ["measure/questions.yaml", "questions.py"]
    assert "measure: none, questions" in command(new_world, "assess.py", *OWN, "--help").stdout
    (words,) = commands("measure")
    put(new_world / "my_conf" / "benchmark", (new_world / "own/benchmark/small.yaml").read_text(), "small.yaml")
    words = [word.replace("mini_bal", "small_bal") for word in words]

    assessed = command(new_world, *words, "assess.halves=3", "hydra.run.dir=assessed")
    assert assessed.returncode == 0, assessed.stdout + assessed.stderr
    assert re.search(r"Measures of your own\s+questions +\d+\.\d", assessed.stdout)
    assert "questions: turns that end in a question mark, in %" in (new_world / "assessed/quality.md").read_text()
    record = json.loads((new_world / "assessed" / "assessment.json").read_text())
    (line,) = [line for line in record["lines"] if line["family"] == "own"]
    assert (line["name"], line["better"], len(line["values"])) == ("questions", "real", 3)

    again = command(new_world, *words, "assess.halves=3", "hydra.run.dir=again")
    assert "measured before" in again.stdout
    assert "Measures of your own" in again.stdout


@pytest.mark.parametrize(
    ("yaml", "told"),
    [
        ("_target_: questions.Question", "measure.questions._target_=questions.Question: cannot be imported (module"),
        ("_target_: questions.Sequence", "must be a dataclass that derives from MeasureConfig."),
        (
            "_target_: questions.Questions\n  mark: x",
            "measure.questions.mark: there is no such option. There are: marks.",
        ),
        ("_target_: questions.Questions\n  marks: ''", "measure.questions.marks=: must be one mark or more."),
        ("marks: x", "measure.questions: its YAML has no _target_."),
    ],
)
def test_a_wrong_measure_is_refused_with_what_to_do(tmp_path, command, yaml, told):
    install("measure", tmp_path)
    (tmp_path / "my_conf/measure/questions.yaml").write_text(f"questions:\n  {yaml}\n")
    refused = command(tmp_path, "assess.py", *OWN, "measure=questions")
    assert refused.returncode == 1
    assert told in refused.stderr
    assert "Traceback" not in refused.stderr
