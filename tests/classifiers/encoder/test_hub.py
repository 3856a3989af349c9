"""A backbone that is fetched by name, from a hub on loopback."""

import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from transformers import RobertaConfig, RobertaModel

from ercsatz.classifiers.encoder.pretrained import train_tokenizer

NAME = "FacebookAI/roberta-base"
OPEN = """
import sys
import numpy as np
from ercsatz.classifiers.encoder.pretrained import open_backbone
from ercsatz.classifiers.encoder.packing import pack
from ercsatz.config import Pooling
from ercsatz.config import BackboneConfig
from ercsatz.errors import UserError
try:
    pretrained = open_backbone(BackboneConfig("roberta-base", sys.argv[1], Pooling.first, 1e-5), [])
    print(pretrained.max_length(512), tuple(pretrained.encoder()(pack([np.array([0, 5, 6]), np.array([0, 7])])).shape))
except UserError as error:
    print("UserError:", error)
"""


class Hub(BaseHTTPRequestHandler):
    """Serves a folder's files as the hub serves a repository's main branch."""

    def __init__(self, folder: Path, *args: object) -> None:
        self.folder = folder
        super().__init__(*args)  # type: ignore[arg-type]

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, with_body: bool) -> None:
        repository, _, name = self.path.partition("/resolve/main/")
        file = self.folder / name
        if repository != f"/{NAME}" or not name or not file.is_file():
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = file.read_bytes()
        self.send_response(200)
        self.send_header("X-Repo-Commit", "0" * 40)
        self.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()}"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[str]:
    folder = tmp_path / "repository"
    tokenizer = train_tokenizer(["Good morning.", "You are early."], 300)
    config = RobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=66,
        pad_token_id=1,
    )
    RobertaModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Hub, folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def _open(endpoint: str, name: str, home: Path) -> str:
    environment = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_HUB_OFFLINE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", OPEN, name], env=environment, capture_output=True, text=True, timeout=120, check=True
    )
    return done.stdout.strip().splitlines()[-1]


def test_a_named_backbone_is_fetched_from_the_hub(hub: str, tmp_path: Path) -> None:
    assert _open(hub, NAME, tmp_path / "home") == "64 (2, 16)"


def test_an_unknown_name_is_an_error_that_says_what_to_do(hub: str, tmp_path: Path) -> None:
    message = _open(hub, "nobody/nothing", tmp_path / "home")
    assert message.startswith("UserError: Backbone nobody/nothing")
    assert "backbone=local" in message
