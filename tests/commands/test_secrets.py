"""A password or key is in no file and no line, wherever a user has put it."""

import pytest

SECRET = "pass7word"
MINE = "defaults: [tgi, _self_]\nurl: http://me:pass7word@127.0.0.1:9\n"
ADDRESS = f"http://me:{SECRET}@127.0.0.1:9"
COMMANDS = {
    "a list": ["generate.py", "-m", "generator=tgi", f"generator.url=[http://a:1,http://b:1/?api_key={SECRET}]"],
    "a new key": ["generate.py", "-m", "generator=tgi", "generator.url=http://a:1", f"+generator.api_key={SECRET}"],
    "own YAML": ["generate.py", "--config-dir", "own", "-m", "generator=mine"],
    "environment": ["generate.py", "-m", "generator=tgi", "generator.url=${oc.env:MINE}"],
    "wrong type": [
        "generate.py",
        "-m",
        "generator=tgi",
        "generator.url=http://a:1",
        "generator.timeout=${oc.env:MINE}",
    ],
    "training": ["train.py", "-m", f"hydra.job.env_set.WANDB_API_KEY={SECRET}"],
}


@pytest.mark.parametrize("kind", COMMANDS)
def test_a_secret_is_refused_before_it_is_written(command, tmp_path, kind):
    (tmp_path / "own" / "generator").mkdir(parents=True)
    (tmp_path / "own" / "generator" / "mine.yaml").write_text(MINE)
    done = command(tmp_path, *COMMANDS[kind], MINE=ADDRESS)
    assert done.returncode == 1
    assert "error: " in done.stderr
    assert "Traceback" not in done.stderr
    assert SECRET not in done.stdout + done.stderr
    files = [file for file in tmp_path.rglob("*") if file.is_file() and file.parent.name != "generator"]
    assert [file for file in files if SECRET.encode() in file.read_bytes()] == []
