import base64
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from ercsatz.generation.dataset.folder import CONFIG_FILE, FILES, LEAKAGE_FILE

# In a process of its own: huggingface_hub reads HF_ENDPOINT once, when it is imported.
SCRIPT = """
import json, sys
from pathlib import Path
from ercsatz.errors import UserError
from ercsatz.generation.dataset.hub import push
for repository in sys.argv[2:]:
    try:
        print(json.dumps(push(Path(sys.argv[1]), repository)))
    except UserError as error:
        print(json.dumps(str(error)))
"""


class Hub(ThreadingHTTPServer):
    """The hub's endpoints that an upload needs; what a repository is called decides how it is answered."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.created: list[dict] = []
        self.blobs: dict[str, bytes] = {}
        self.commits: dict[str, dict[str, bytes]] = {}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.body()
        hub = self.server
        match self.path.strip("/").split("/"):
            case _ if self.headers.get("Authorization") != "Bearer hf_valid":
                self.reply(401, {"error": "Invalid username or password."})
            case ["api", "repos", "create"]:
                wanted = json.loads(body)
                name = f"{wanted['organization']}/{wanted['name']}"
                known = any(repo["name"] == wanted["name"] for repo in hub.created)
                hub.created.append(wanted)
                if wanted["organization"] == "others":
                    self.reply(403, {"error": "You don't have the rights."})
                else:
                    self.reply(409 if known else 200, {"url": f"{hub.url}/datasets/{name}"})
            case ["api", "validate-yaml"]:
                self.reply(200, {"errors": [], "warnings": []})
            case ["api", "datasets", _, "broken", "preupload", "main"]:
                self.reply(418, {"error": "The disk is full here."})
            case ["api", "datasets", _, _, "preupload", "main"]:
                paths = [file["path"] for file in json.loads(body)["files"]]
                modes = {path: "lfs" if path.endswith((".parquet", ".png")) else "regular" for path in paths}
                files = [{"path": path, "uploadMode": mode, "shouldIgnore": False} for path, mode in modes.items()]
                self.reply(200, {"files": files})
            case ["datasets", _, _, "info", "lfs", "objects", "batch"]:
                objects = json.loads(body)["objects"]
                for item in objects:
                    item["actions"] = {"upload": {"href": f"{hub.url}/blobs/{item['oid']}"}}
                self.reply(200, {"transfer": "basic", "objects": objects})
            case ["api", "datasets", owner, name, "commit", "main"]:
                files = {}
                for line in map(json.loads, body.splitlines()):
                    value = line["value"]
                    if line["key"] == "file":
                        files[value["path"]] = base64.b64decode(value["content"])
                    elif line["key"] == "lfsFile":
                        files[value["path"]] = hub.blobs[value["oid"]]
                hub.commits[f"{owner}/{name}"] = files
                self.reply(200, {"commitUrl": f"{hub.url}/datasets/{owner}/{name}/commit/1", "commitOid": "1" * 40})
            case _:
                self.reply(404, {"error": "Not found"})

    def do_PUT(self):
        body = self.body()
        self.server.blobs[hashlib.sha256(body).hexdigest()] = body
        self.reply(200, {})

    def do_GET(self):
        self.reply(404, {"error": "Repository not found"})

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers["Content-Length"]))
        chunks = b""
        while size := int(self.rfile.readline(), 16):
            chunks += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return chunks

    def reply(self, status, content):
        text = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


@contextmanager
def serving() -> Iterator[Hub]:
    with Hub() as hub:
        Thread(target=hub.serve_forever, daemon=True).start()
        yield hub
        hub.shutdown()


def push(folder: Path, endpoint: str, *repositories: str, **environment: str) -> list[str]:
    """What ``push`` returned, or the error's text, for one repository after the other."""
    settings = {"HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(folder.parent / "hf")} | environment
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    inherited["PYTHONPATH"] = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, folder, *repositories],
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
