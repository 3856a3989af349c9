"""A benchmark's YAML and a publisher of somebody else: where ``ercsatz fetch`` goes, and what it writes."""

from pathlib import Path

import pytest

from ercsatz.data.benchmarks import download
from ercsatz.data.benchmarks.fetch import main
from tests.data.benchmarks.test_fetch import Publisher, describe, left, publisher, send  # noqa: F401


def changed(tmp_path: Path, old: str, new: str) -> None:
    file = tmp_path / "conf/benchmark/small.yaml"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))


def files(tmp_path: Path) -> set[str]:
    return {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["../../dev.csv", "{tmp_path}/dev.csv", "link/dev.csv", "a/../../dev.csv"])
def test_nothing_is_written_outside_the_folder(publisher, tmp_path, capsys, name):  # noqa: F811
    arguments = describe(tmp_path, publisher)
    target = tmp_path / "home/data/small"
    target.mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (target / "link").symlink_to(tmp_path / "elsewhere")
    changed(tmp_path, "validation: dev.csv", f"validation: '{name.format(tmp_path=tmp_path)}'")
    before = files(tmp_path)
    assert main(arguments) == 1
    assert "and nothing is written there" in capsys.readouterr().err
    assert files(tmp_path) == before


@pytest.mark.parametrize("path", ["{tmp_path}/elsewhere", "~/elsewhere", "${{paths.data}}/../../elsewhere", "/"])
def test_a_yaml_does_not_say_where_files_go(publisher, tmp_path, capsys, monkeypatch, path):  # noqa: F811
    monkeypatch.setenv("ERCSATZ_DATA", str(tmp_path / "home/data"))
    monkeypatch.setenv("HOME", str(tmp_path))
    arguments = describe(tmp_path, publisher)
    changed(tmp_path, "path: ${paths.data}/small", f"path: {path.format(tmp_path=tmp_path)}")
    before = files(tmp_path)
    assert main([arguments[0], *arguments[3:]]) == 1
    assert "where fetched files go" in capsys.readouterr().err
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("https://example.invalid/data/train.csv", "file:///etc/passwd", "is no address of a web server"),
        ("https://example.invalid/data/train.csv", "ftp://example.invalid/dev.csv", "is no address of a web server"),
        ("https://example.invalid/data/train.csv", "'data:text/plain,x'", "is no address of a web server"),
        ("https://example.invalid/data/train.csv", "http://127.0.0.1:9/dev.csv", "is one of this machine"),
        ("https://example.invalid/data/train.csv", "http://localhost:9/dev.csv", "is one of this machine"),
        ("https://example.invalid/data/train.csv", "'http://[::1]:9/dev.csv'", "is one of this machine"),
        ("https://example.invalid/data/train.csv", "'http://[::ffff:127.0.0.1]:9/dev.csv'", "is one of this machine"),
        ("https://example.invalid/data/train.csv", "http://2130706433/dev.csv", "is one of this machine"),
        ("https://example.invalid/data/train.csv", "http://169.254.169.254/latest", "is one of this machine"),
        ("https://example.invalid/data/train.csv", "http://0.0.0.0:9/dev.csv", "is one of this machine"),
        ("https://example.invalid/data/train.csv", "https://me:hush@example.invalid/x", "a name or a password"),
        ("https://example.invalid/data/train.csv", "'https://x.invalid/${oc.env:SECRET}'", "only ${KEY}"),
        ("https://example.invalid/data/train.csv", "'https://x.invalid/${paths.data}'", "written out"),
        ("title: Small", "title: '${oc.env:SECRET}'", "only ${KEY}"),
        ("validation: {url", "../validation: {url", "the splits are"),
        ("name: small", "name: ../../small", "letters, digits"),
        ("reader: meld", "options: {x: {_target_: os.system}}\nreader: meld", "may name code"),
    ],
)
def test_what_a_yaml_may_not_ask_for(publisher, tmp_path, capsys, monkeypatch, old, new, told):  # noqa: F811
    monkeypatch.setenv("SECRET", "hush")
    arguments = describe(tmp_path, publisher)
    changed(tmp_path, old, new)
    assert main(arguments[:-2]) == 1
    said = capsys.readouterr()
    assert told in said.err
    assert "hush" not in said.err + said.out
    assert not publisher.requests
    assert not left(tmp_path) if (tmp_path / "home").exists() else True


def redirect(to: str):
    def answer(handler, body: bytes) -> None:
        handler.send_response(302)
        handler.send_header("Location", to)
        handler.end_headers()

    return answer


@pytest.mark.parametrize("to", ["file:///etc/passwd", "ftp://x.invalid/x", "data:text/plain,x", "gopher://x.invalid"])
def test_a_redirect_leads_to_web_servers_alone(publisher, tmp_path, capsys, to):  # noqa: F811
    arguments = describe(tmp_path, publisher)
    publisher.fault = redirect(to)
    assert main(arguments) == 1
    said = capsys.readouterr().err
    assert "is no address of a web server" in said or "is not allowed" in said  # the second is urllib's own
    assert left(tmp_path) == []


def test_a_redirect_does_not_lead_into_this_machine(publisher, tmp_path, capsys, monkeypatch):  # noqa: F811
    arguments = describe(tmp_path, publisher)
    port = publisher.server.server_port
    publisher.fault = redirect(f"http://localhost:{port}/data/dev.csv")
    real = download._reach
    monkeypatch.setattr(download, "_reach", lambda url: 0 if "localhost" in url else max(2, real(url)))
    assert main(arguments) == 1
    assert f"sends us on to http://localhost:{port}/data/dev.csv, where we do not go" in capsys.readouterr().err
    assert left(tmp_path) == []


def test_a_redirect_round_and_round_ends(publisher, tmp_path, capsys):  # noqa: F811
    arguments = describe(tmp_path, publisher)
    publisher.fault = redirect(f"{publisher.url}/data/dev.csv")
    assert main(arguments) == 1
    assert "the server answered 302" in capsys.readouterr().err


def endless(handler, body: bytes) -> None:
    handler.send_response(200)
    handler.end_headers()
    for _ in range(1_000_000):
        try:
            handler.wfile.write(bytes(1 << 16))
        except OSError:
            return


def announced(handler, body: bytes) -> None:
    send(handler, body, length=10**15)


def compressed(handler, body: bytes) -> None:
    import gzip

    handler.send_response(200)
    handler.send_header("Content-Encoding", "gzip")
    handler.end_headers()
    handler.wfile.write(gzip.compress(bytes(1 << 28)))


def slow(handler, body: bytes) -> None:
    handler.send_response(200)
    handler.end_headers()
    for byte in body * 1000:
        try:
            handler.wfile.write(bytes([byte]))
            handler.wfile.flush()
        except OSError:
            return


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (endless, "sent more than the 1,048,576 bytes"),
        (announced, "1,000,000,000,000,000 bytes, more than"),
        (compressed, "not the published file"),
        (slow, "did not end in"),
    ],
)
def test_an_endless_answer_ends(publisher, tmp_path, capsys, monkeypatch, fault, told):  # noqa: F811
    monkeypatch.setattr(download, "LARGEST", 1 << 20)
    monkeypatch.setattr(download, "LONGEST", 0.0 if fault is slow else 60.0)
    arguments = describe(tmp_path, publisher)
    publisher.fault = fault
    assert main(arguments) == 1
    assert told in capsys.readouterr().err
    assert left(tmp_path) == []


def test_words_of_a_server_do_not_move_the_terminal(publisher, tmp_path, capsys):  # noqa: F811
    def fault(handler, body: bytes) -> None:
        handler.wfile.write(b"HTTP/1.0 500 \x1b[2J\x1b]0;owned\x07\xe2\x80\xae\r\nContent-Length: 0\r\n\r\n")

    arguments = describe(tmp_path, publisher)
    publisher.fault = fault
    assert main(arguments) == 1
    said = capsys.readouterr()
    assert "the server answered 500" in said.err
    assert {c for c in said.err + said.out if not c.isprintable()} <= {"\n"}
