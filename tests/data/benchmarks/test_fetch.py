import hashlib
import os
import resource as limits
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from rich.console import Console

from ercsatz.config import registry
from ercsatz.data.benchmarks import download as downloads
from ercsatz.data.benchmarks import load
from ercsatz.data.benchmarks.fetch import fetch, main, settings
from ercsatz.errors import UserError
from ercsatz.resources import resource


@pytest.fixture(autouse=True)
def no_folders_of_other_tests(monkeypatch):
    monkeypatch.setattr(registry, "_given", [])


FILES = {"train": "train.csv", "validation": "dev.csv", "test": "test.csv"}
CSV = "Dialogue_ID,Speaker,Utterance,Emotion\n{n},Ann,Hi.,calm\n{n},Bo,Hm.,cross\n"


class Publisher:
    """An HTTP server on loopback whose answer for one file can be broken."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.fault, self.requests = folder, None, []
        self.stalled, self.released = threading.Event(), threading.Event()
        publisher = self

        class Handler(SimpleHTTPRequestHandler):
            def do_GET(self) -> None:
                publisher.requests.append(self.path)
                if publisher.fault is None or not self.path.endswith("dev.csv"):
                    super().do_GET()
                else:
                    publisher.fault(self, (publisher.folder / self.path.lstrip("/")).read_bytes())

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def stall(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        send(handler, body[:10], length=len(body))
        handler.wfile.flush()
        self.stalled.set()
        self.released.wait(20)

    def close(self) -> None:
        self.released.set()
        self.server.shutdown()
        self.server.server_close()


def send(handler: BaseHTTPRequestHandler, body: bytes, length: int, status: int = 200) -> None:
    handler.send_response(status)
    handler.send_header("Content-Length", str(length))
    handler.end_headers()
    handler.wfile.write(body)


def send_nothing(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    handler.close_connection = True


def send_half_a_chunk(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(f"{len(body):x}\r\n".encode() + body[:10])
    handler.close_connection = True


@pytest.fixture
def publisher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Publisher]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    folder = tmp_path / "web/data"
    folder.mkdir(parents=True)
    for number, name in enumerate(FILES.values()):
        (folder / name).write_text(CSV.format(n=number))
    publisher = Publisher(tmp_path / "web")
    yield publisher
    publisher.close()


def describe(tmp_path: Path, publisher: Publisher, *, dialogues: int = 1, checksums: bool = True) -> list[str]:
    """Write the YAML of what the publisher has and return the command's arguments."""
    lines = ["name: small", "title: Small", "reader: meld", "path: ${paths.data}/small", "labels: [calm, cross]"]
    lines += ["speakers: [Ann, Bo]", "style: cast", f"published: {{test: {{dialogues: {dialogues}, utterances: 2}}}}"]
    lines += ["files: {" + ", ".join(f"{split}: {name}" for split, name in FILES.items()) + "}", "downloads:"]
    for split, name in FILES.items():
        digest = hashlib.sha256((publisher.folder / "data" / name).read_bytes()).hexdigest() if checksums else "null"
        lines += [f"  {split}: {{url: https://example.invalid/data/{name}, sha256: {digest}}}"]
    (tmp_path / "conf/benchmark").mkdir(parents=True, exist_ok=True)
    (tmp_path / "conf/benchmark/small.yaml").write_text("\n".join(lines))
    target = str(tmp_path / "home/data/small")
    return ["small", "--to", target, "--config-dir", str(tmp_path / "conf"), "--base-url", publisher.url]


def left(tmp_path: Path) -> list[str]:
    """Every file and folder below the one that the target folder is in, hidden ones included."""
    home = tmp_path / "home/data"
    return sorted(str(path.relative_to(home)) for path in home.rglob("*"))


def test_files_are_fetched_checked_and_readable(publisher, tmp_path, capsys):
    arguments = describe(tmp_path, publisher)

    assert main(arguments) == 0
    assert left(tmp_path) == ["small", "small/SHA256SUMS", "small/dev.csv", "small/test.csv", "small/train.csv"]
    assert load(settings("small", [tmp_path / "conf"], tmp_path / "home/data/small")).split("test")[0].id == "2"
    shown = capsys.readouterr().out
    assert [line.split(":")[0] for line in shown.splitlines()[:3]] == list(FILES.values())


def test_a_letter_of_a_fetched_file_that_was_changed_later_is_noticed(publisher, tmp_path):
    arguments, folder = describe(tmp_path, publisher), tmp_path / "home/data/small"
    assert main(arguments) == 0
    text = (folder / "train.csv").read_text()
    (folder / "train.csv").write_text(text.replace("calm", "cross", 1))
    with pytest.raises(UserError, match=r"train\.csv is not the file that was written.*delete .*SHA256SUMS"):
        load(settings("small", [tmp_path / "conf"], folder))
    assert main(arguments) == 0, "fetched again"
    assert (folder / "train.csv").read_text() == text
    load(settings("small", [tmp_path / "conf"], folder))


def test_the_default_folder_is_the_data_folder(publisher, tmp_path, monkeypatch):
    monkeypatch.setenv("ERCSATZ_DATA", str(tmp_path / "home/data"))
    arguments = describe(tmp_path, publisher)

    assert main([arguments[0], *arguments[3:]]) == 0
    assert left(tmp_path) == ["small", "small/SHA256SUMS", "small/dev.csv", "small/test.csv", "small/train.csv"]


def test_what_is_there_and_right_is_not_fetched_again(publisher, tmp_path, capsys):
    arguments = describe(tmp_path, publisher)
    main(arguments)
    (tmp_path / "home/data/small/dev.csv").write_text("damaged")
    publisher.requests.clear()

    assert main(arguments) == 0
    assert publisher.requests == ["/data/dev.csv"]
    assert main(arguments) == 0
    assert publisher.requests == ["/data/dev.csv"]
    assert "already" in capsys.readouterr().out


def test_without_checksums_the_counts_decide_what_is_right(publisher, tmp_path):
    arguments = describe(tmp_path, publisher, checksums=False)

    assert main(arguments) == 0
    publisher.requests.clear()
    assert main(arguments) == 0
    assert publisher.requests == []


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        pytest.param(lambda h, body: h.send_error(404), "the server answered 404", id="404"),
        pytest.param(lambda h, body: h.send_error(500), "the server answered 500", id="500"),
        pytest.param(lambda h, body: send(h, body[:10], len(body)), "ended after 10 of 68 bytes", id="truncated"),
        pytest.param(
            lambda h, body: send(h, body[::-1], len(body)), "not the published file (SHA-256", id="other bytes"
        ),
        pytest.param(lambda h, body: send(h, b"", 0), "not the published file (SHA-256", id="empty"),
        pytest.param(send_nothing, "the download failed (Remote end closed", id="hang-up"),
        pytest.param(send_half_a_chunk, "the download failed (IncompleteRead", id="hang-up in a chunk"),
    ],
)
@pytest.mark.parametrize("there", [False, True])
def test_a_broken_download_changes_nothing_and_says_what_to_do(publisher, tmp_path, capsys, fault, message, there):
    arguments = describe(tmp_path, publisher)
    if there:
        (tmp_path / "home/data/small").mkdir(parents=True)
        (tmp_path / "home/data/small/dev.csv").write_text("mine")
    publisher.fault = fault

    assert main(arguments) == 1
    assert left(tmp_path) == (["small", "small/dev.csv"] if there else [])
    said = capsys.readouterr().err
    assert message in said
    assert f"download it by hand to {tmp_path / 'home/data/small/dev.csv'}" in said


def test_a_server_that_falls_silent_is_given_up(publisher, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(downloads, "SILENCE", 0.2)
    publisher.fault = publisher.stall

    assert main(describe(tmp_path, publisher)) == 1
    assert left(tmp_path) == []
    assert "timed out" in capsys.readouterr().err


def test_a_publisher_that_cannot_be_reached_is_reported(publisher, tmp_path, capsys):
    arguments = describe(tmp_path, publisher)
    publisher.close()

    assert main(arguments) == 1
    assert left(tmp_path) == []
    assert "Connection refused" in capsys.readouterr().err


def test_files_that_are_not_the_benchmark_are_not_put_in_place(publisher, tmp_path, capsys):
    assert main(describe(tmp_path, publisher, dialogues=2, checksums=False)) == 1
    assert left(tmp_path) == []
    said = capsys.readouterr().err
    assert "1 dialogues, but 2 are published" in said
    assert str(tmp_path / "home/data/small/test.csv") in said


def test_a_full_disk_is_reported_and_leaves_nothing(publisher, tmp_path):
    arguments = describe(tmp_path, publisher)
    (publisher.folder / "data/dev.csv").write_bytes(bytes(100_000))
    run = subprocess.run(
        [sys.executable, "-m", "ercsatz.data.benchmarks.fetch", *arguments],
        preexec_fn=lambda: limits.setrlimit(limits.RLIMIT_FSIZE, (50_000, 50_000)),
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert run.returncode == 1
    assert run.stderr.startswith(f"Cannot write {tmp_path / 'home/data/small'}: File too large")
    assert left(tmp_path) == []


def test_an_interrupt_leaves_nothing(publisher, tmp_path):
    publisher.fault = publisher.stall
    command = [sys.executable, "-m", "ercsatz.data.benchmarks.fetch", *describe(tmp_path, publisher)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert publisher.stalled.wait(30)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=30)[1]

    assert process.returncode == 130
    assert said == "Stopped. What was finished is kept; the same command again does the rest.\n"
    assert left(tmp_path) == []


def test_a_folder_that_cannot_be_made_is_reported(publisher, tmp_path, capsys):
    (tmp_path / "home").write_text("a file where the folder should be")

    assert main(describe(tmp_path, publisher)) == 1
    assert "Cannot write " in capsys.readouterr().err


def test_a_terminal_gets_progress_bars(publisher, tmp_path):
    arguments = describe(tmp_path, publisher)
    console = Console(force_terminal=True, record=True, width=200)
    benchmark = settings("small", [tmp_path / "conf"], Path(arguments[2]))

    fetch(benchmark, publisher.url, console)
    assert "68/68 bytes" in console.export_text()


def test_iemocap_is_explained_not_fetched(tmp_path, capsys):
    assert main(["iemocap", "--to", str(tmp_path / "iemocap")]) == 1
    said = capsys.readouterr().err
    assert "USC" in said
    assert str(tmp_path / "iemocap") in said


def test_a_download_of_a_split_without_a_file_is_reported(publisher, tmp_path, capsys):
    arguments = describe(tmp_path, publisher)
    yaml = tmp_path / "conf/benchmark/small.yaml"
    yaml.write_text(yaml.read_text().replace("validation: dev.csv, ", ""))

    assert main(arguments) == 1
    assert "small: benchmark.files lacks validation" in capsys.readouterr().err
    assert left(tmp_path) == []


def test_an_unknown_benchmark_and_a_wrong_yaml_are_reported(tmp_path, capsys):
    (tmp_path / "benchmark").mkdir()
    (tmp_path / "benchmark/odd.yaml").write_text("nam: odd")

    assert main(["nope", "--config-dir", str(tmp_path)]) == 1
    assert "there are: emorynlp, emorynlp_small, iemocap, iemocap_made_up, meld, mini, odd" in capsys.readouterr().err
    assert main(["odd", "--config-dir", str(tmp_path)]) == 1
    assert str(tmp_path / "benchmark/odd.yaml") in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("meld", "data/meld"),
        ("emorynlp", "data/emorynlp/official"),
        ("emorynlp_small", "data/emorynlp/meld-repo-csv"),
    ],
)
def test_the_real_files_pass_from_the_publishers_paths(shared, publisher, tmp_path, name, folder):
    benchmark = settings(name, [resource("conf")])
    for split, download in benchmark.downloads.items():
        copy = publisher.folder / urlsplit(download.url).path.lstrip("/")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(shared(folder) / benchmark.files[split], copy)
    target = tmp_path / name

    assert main([name, "--to", str(target), "--base-url", publisher.url + "/"]) == 0
    assert sorted(path.name for path in target.iterdir()) == sorted([*benchmark.files.values(), "SHA256SUMS"])
