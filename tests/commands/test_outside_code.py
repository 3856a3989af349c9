"""Folders of others: what a command runs of them is said, and what nobody chose does not run."""

import pytest

from tests.conftest import REPOSITORY

MINI = (REPOSITORY / "conf" / "benchmark" / "mini.yaml").read_text(encoding="utf-8")
HARM = "_target_: os.system\ncommand: touch harmed\n"


def write(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("files", "arguments"),
    [
        ({"own/hydra/launcher/basic.yaml": HARM}, ["data=mini_org"]),
        ({"own/hydra/job_logging/evil.yaml": "x: 1"}, ["data=mini_org", "hydra/job_logging=evil"]),
        ({"own/benchmark/evil.yaml": f"{MINI}\noptions:\n  x:\n    _target_: os.system"}, ["data=evil_org"]),
        ({"own/benchmark/evil.yaml": MINI + "\ndefaults: [{override /hydra/launcher: x}]"}, ["data=evil_org"]),
        ({"own/train.yaml": f"x: {{{HARM.strip().replace(chr(10), ', ')}}}"}, ["--config-path={folder}/own"]),
        ({"own/callbacks/evil.yaml": f"x: {{{HARM.strip().replace(chr(10), ', ')}}}"},
         ["data=mini_org", "callbacks=evil"]),
        ({"own/benchmark/evil.yaml": MINI.replace("mini", "evil", 1).replace("reader: jsonl", "reader: os.remove")},
         ["data=evil_org"]),
        ({}, ["--experimental-rerun=config.pickle"]),
    ],
)  # fmt: skip
def test_code_that_nobody_chose_does_not_run(command, tmp_path, files, arguments):
    write(tmp_path, {"own/README": "", **files})
    given = [argument.format(folder=tmp_path) for argument in arguments]
    done = command(tmp_path, "train.py", "--config-dir", "own", "phase=original", *given)
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    assert not list(tmp_path.rglob("harmed"))
    assert not list(tmp_path.rglob("stage.json"))


def test_what_comes_from_outside_is_said_once(command, tmp_path):
    reader = "from ercsatz.data.benchmarks import jsonl\n\n\ndef read(source):\n    return jsonl.read(source)\n"
    yaml = MINI.replace("name: mini", "name: mine").replace("reader: jsonl", "reader: my_reader.read")
    write(tmp_path, {"own/benchmark/mine.yaml": yaml, "own/my_reader.py": reader})
    arguments = ("phase=original", "callbacks=learning_rate_monitor", "dry_run=true")
    done = command(tmp_path, "train.py", "--config-dir", "own", "data=mine_org", *arguments)
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stdout.splitlines() if line.startswith("Runs code from outside: ")]
    assert f"Runs code from outside: my_reader.read of {tmp_path / 'own' / 'my_reader.py'}" in said
    assert len(said) == 2
    assert "pytorch_lightning.callbacks.LearningRateMonitor of" in said[0] + said[1]


def test_the_environment_does_not_get_into_a_benchmark(command, tmp_path):
    write(tmp_path, {"own/benchmark/evil.yaml": MINI.replace("title: mini", "title: ${oc.env:SECRET}")})
    done = command(tmp_path, "train.py", "--config-dir", "own", "data=evil_org", "--cfg", "job", SECRET="hush")
    assert done.returncode == 1
    assert "evil.yaml: '${oc.env:SECRET}': only ${KEY}" in done.stderr
    assert "hush" not in done.stdout + done.stderr
