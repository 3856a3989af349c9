import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from ercsatz.generation.dataset.folder import CONFIG_FILE, FILES, LEAKAGE_FILE
from tests.servers.hub import serving

# In a process of its own: huggingface_hub reads HF_ENDPOINT once, when it is imported.
SCRIPT = """
import json, sys
from pathlib import Path
from ercsatz.errors import UserError
from ercsatz.artifacts.hub import push
for repository in sys.argv[4:]:
    try:
        print(json.dumps(push(Path(sys.argv[1]), repository, sys.argv[2], sys.argv[3].split(), 'push_to_hub=')))
    except UserError as error:
        print(json.dumps(str(error)))
"""


def push(
    folder: Path,
    endpoint: str,
    *repositories: str,
    kind: str = "dataset",
    files: Sequence[str] = (*FILES, CONFIG_FILE, LEAKAGE_FILE),
    **environment: str,
) -> list[str]:
    """What ``push`` returned, or the error's text, for one repository after the other."""
    settings = {"HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(folder.parent / "hf")} | environment
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    inherited["PYTHONPATH"] = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, folder, kind, " ".join(files), *repositories],
        env=inherited | settings,
        check=True,
        capture_output=True,
        text=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "mini_bal"
    folder.mkdir()
    for number, name in enumerate((*FILES, CONFIG_FILE, LEAKAGE_FILE)):
        (folder / name).write_bytes(name.encode() + bytes([number]) * 5000)
    (folder / "README.md").write_text("---\nlicense: other\n---\n# mini_bal\n")
    (folder / "notes.txt").write_text("mine")
    (folder / ".train.jsonl.xyz").write_text("left over")
    return folder


def test_files_arrive_as_they_are_in_a_private_repository(folder):
    with serving() as hub:
        urls = push(folder, hub.url, "me/new", "me/new", HF_TOKEN="hf_valid")
    assert urls == [f"{hub.url}/datasets/me/new"] * 2
    created = hub.created[0]
    assert created["type"] == "dataset"
    assert created.get("private") is True or created.get("visibility") == "private"
    names = {*FILES, CONFIG_FILE, LEAKAGE_FILE}
    assert hub.commits == {"me/new": {name: (folder / name).read_bytes() for name in names}}


def test_a_model_goes_to_a_model_repository_with_all_its_folders(tmp_path):
    files = {"README.md": b"---\nlicense: other\n---\n", "model.safetensors": b"\0" * 9000, "memory/config.json": b"{}"}
    for name, content in files.items():
        (tmp_path / "model" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "model" / name).write_bytes(content)
    with serving() as hub:
        (url,) = push(tmp_path / "model", hub.url, "me/new", kind="model", files=list(files), HF_TOKEN="hf_valid")
    assert url == f"{hub.url}/me/new"
    assert hub.created[0].get("type", "model") == "model"
    assert hub.created[0].get("private") is True or hub.created[0].get("visibility") == "private"
    assert hub.commits == {"me/new": files}


def test_refusals_say_what_mends_them(folder):
    with serving() as hub:
        others, broken, name = push(folder, hub.url, "others/x", "me/broken", "me/a/b c", HF_TOKEN="hf_valid")
        (no_token,) = push(folder, hub.url, "me/new")
        (bad_token,) = push(folder, hub.url, "me/new", HF_TOKEN="hf_stale")
    for error, words in {
        others: ("push_to_hub=others/x", "HTTP 403", "token that may write"),
        broken: ("HTTP 418", "The disk is full here."),
        name: ("no repository can have this name", "NAME/REPOSITORY"),
        no_token: ("HTTP 401", "hf auth login", "HF_TOKEN"),
        bad_token: ("HTTP 401", "hf auth login"),
    }.items():
        for word in (*words, f"is whole, in {folder}"):
            assert word in error
    assert not hub.commits


def test_hub_out_of_reach_is_an_error_that_names_the_variables(folder):
    with serving() as hub:
        pass
    (gone,) = push(folder, hub.url, "me/new", HF_TOKEN="hf_valid")
    (offline,) = push(folder, hub.url, "me/new", HF_TOKEN="hf_valid", HF_HUB_OFFLINE="1")
    assert "HF_ENDPOINT" in gone
    assert "HF_HUB_OFFLINE" in offline
