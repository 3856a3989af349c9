"""What servers, files and users say is shown by whole commands, and obeyed by no terminal."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ercsatz.artifacts import command as cache
from ercsatz.data.benchmarks import fetch
from ercsatz.generation import browse
from ercsatz.reporting.text import visible

MODEL = "m\x1b]0;title\x07"


@pytest.fixture
def server(hostile):
    """One that has a hostile name for its model, and refuses all requests with hostile words."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.answer(200, {"object": "list", "data": [{"id": MODEL, "object": "model"}]})

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.answer(400, {"error": {"message": hostile, "code": hostile}})

        def answer(self, status, body):
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as here:
        threading.Thread(target=here.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{here.server_port}/v1"
        here.shutdown()


def test_a_servers_refusal_is_only_text(command, tmp_path, server, obeyed):
    pytest.importorskip("openai", reason="needs the extra openai")
    where = (
        "data=mini_bal",
        "generator=openai",
        "generator.flavour=vllm",
        f"generator.url={server}",
        "generator.on_unsupported=record",
    )
    done = command(tmp_path, "generate.py", *where)
    assert done.returncode == 1
    assert r"\x1b[31mred" in done.stderr
    assert not obeyed(done.stdout + done.stderr)


def test_the_override_of_a_job_that_fails_is_only_text(command, tmp_path, obeyed):
    done = command(tmp_path, "train.py", "data=mini_nat", "wandb.project='a\x1b]0;title\x07\x9b2J\u202eb'")
    assert done.returncode == 1
    assert r"wandb.project='a\x1b]0;title\x07\x9b2J\u202eb'): There is no data set mini_nat" in done.stderr
    assert not obeyed(done.stdout + done.stderr)


@pytest.mark.parametrize("main", [browse.main, cache.main])
def test_the_name_of_a_folder_is_only_text(main, tmp_path, capsys, hostile, obeyed):
    name = hostile.replace("\x00", "")
    assert main([str(tmp_path / name)]) == 1
    told = capsys.readouterr().err
    assert visible(name) in told
    assert not obeyed(told)


def test_a_mirrors_address_is_only_text(capsys, tmp_path, obeyed):
    assert fetch.main(["meld", "--to", str(tmp_path / "to"), "--base-url", "http://127.0.0.1:9/\x1b[31m\u202e"]) == 1
    told = capsys.readouterr().err
    assert told
    assert not obeyed(told)
