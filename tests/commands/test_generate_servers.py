"""``generate.py`` with several servers and in shards, as users type it; servers on loopback with TGI's contract."""

import json
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

pytest.importorskip("text_generation", reason="needs the extra tgi")
pytestmark = pytest.mark.tgi

SERVER = Path(__file__).parents[1] / "servers" / "tgi.py"
CAST = "Maya,Tomas,Priya,Leo,Ingrid,Sam"
PROBES = 5  # short answers of each server before the first request
FOUR = (
    ("--slots", 8, "--latency", "lognormal:0.05:0.5"),
    ("--slots", 8, "--latency", "lognormal:0.1:0.5"),  # dies and comes back
    ("--slots", 6, "--latency", "lognormal:0.2:0.5", "--says", 64),  # answers 429 to what is more than 6
    ("--slots", 8, "--latency", "lognormal:0.4:0.5"),
)


@contextmanager
def serving(*servers: Sequence[object]) -> Iterator[list[str]]:
    with ExitStack() as stack:
        urls = []
        for options in servers:
            line = [sys.executable, str(SERVER), "--speakers", CAST, *map(str, options)]
            process = stack.enter_context(subprocess.Popen(line, stdout=subprocess.PIPE, text=True))
            stack.callback(process.kill)
            assert process.stdout is not None
            urls.append(process.stdout.readline().strip())
        yield urls


def stats(url: str) -> dict:
    with urllib.request.urlopen(f"{url}/test/stats") as answer:
        return json.load(answer)


def die(url: str, seconds: float) -> None:
    urllib.request.urlopen(urllib.request.Request(f"{url}/test/die?seconds={seconds}", method="POST"))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def answers(journal: Path) -> dict[tuple, str]:
    """The server of every answer, by dialogue, step and attempt; the journal has no two of one request."""
    with closing(sqlite3.connect(journal)) as db:
        rows = db.execute("SELECT dialogue, step, attempt, server FROM answers").fetchall()
    found = {tuple(row[:3]): row[3] for row in rows}
    assert len(found) == len(rows)
    return found


def settings(urls: Sequence[str], n: int) -> list[str]:
    listed = f"generator.url=[{','.join(urls)}]"
    return ["data=mini_bal", "generator=tgi", listed, "generator.window=16", f"plan.n_dialogues={n}"]


@pytest.fixture
def whole(command, tmp_path):
    """The data set of one run on one server."""
    (tmp_path / "one").mkdir()

    def make(n: int) -> dict[str, bytes]:
        with serving(("--slots", 64)) as urls:
            done = command(tmp_path / "one", "generate.py", *settings(urls, n))
            assert done.returncode == 0, done.stderr
        return contents(tmp_path / "one/data/mini_bal")

    return make


@pytest.fixture
def merge(environment):
    """Run ``ercsatz merge``."""

    def run(folder: Path, *arguments: object) -> "subprocess.CompletedProcess[str]":
        line = [sys.executable, "-m", "ercsatz", "merge", *map(str, arguments)]
        return subprocess.run(line, cwd=folder, env=dict(environment), capture_output=True, text=True, timeout=120)

    return run


@pytest.fixture
def start(environment, script):
    """Start ``generate.py`` and go on at once."""

    def start(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
        line = [sys.executable, str(script("generate.py")), *arguments]
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(line, cwd=folder, env=dict(environment), text=True, **pipes)

    return start


def wait_for(condition, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.02)


def test_four_servers_of_which_one_dies_and_one_refuses_write_what_one_server_writes(whole, start, tmp_path):
    n = 240
    expected = whole(n)
    with serving(*FOUR) as urls:
        run = start(tmp_path, *settings(urls, n))
        wait_for(lambda: stats(urls[1])["answered"] > 20)
        die(urls[1], 1.5)
        output, errors = run.communicate(timeout=120)
        assert run.returncode == 0, output + errors
        counts = [stats(url) for url in urls]
    assert contents(tmp_path / "data/mini_bal") == expected
    found = answers(tmp_path / "data/mini_bal.journal.sqlite")
    given = [sum(server == url for server in found.values()) for url in urls]
    for place in (0, 2, 3):  # of the second, answers were on their way when it died
        assert counts[place]["answered"] == given[place] + PROBES, "a request was answered that was not wanted"
        assert len(counts[place]["repeated"]) <= 1  # that of the probe, which is the first dialogue's, too
    assert counts[2]["statuses"]["429"] > 0
    assert given[0] > given[1] > 0
    assert given[0] > given[2] > given[3] > 0
    assert f"{urls[0]} " in output  # who did how much is told at the end


@pytest.mark.slow
def test_four_shards_on_four_servers_of_which_one_is_killed_make_the_data_set_of_one_run(
    whole, command, merge, start, tmp_path
):
    n = 200
    expected = whole(n)
    folders = [tmp_path / str(number) for number in range(4)]
    with serving(*FOUR) as urls:
        runs = []
        for number, folder in enumerate(folders):
            folder.mkdir()
            runs.append(start(folder, *settings([urls[number]], n), f"plan.shard={number}/4"))
        wait_for(lambda: stats(urls[3])["answered"] > 20)
        runs[3].send_signal(signal.SIGKILL)
        for number, run in enumerate(runs):
            _, errors = run.communicate(timeout=120)
            assert run.returncode == (-signal.SIGKILL if number == 3 else 0), errors
        parts = [folder / f"data/mini_bal.shard-{number}-of-4" for number, folder in enumerate(folders)]
        done = merge(tmp_path, *parts, "--to", "data/mini_bal")
        assert done.returncode == 1
        assert "still lacks answers. Run the command of this shard again" in done.stderr
        again = command(folders[3], "generate.py", *settings([urls[3]], n), "plan.shard=3/4")
        assert again.returncode == 0, again.stderr
    done = merge(tmp_path, *parts, "--to", "data/mini_bal")
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "data/mini_bal") == expected
    found = [answers(part / "journal.sqlite") for part in parts]
    assert all(key[0] % 4 == number for number, keys in enumerate(found) for key in keys)
    assert set(answers(tmp_path / "data/mini_bal.journal.sqlite")) == set().union(*found)


def test_shards_of_a_sweep_are_refused_by_train_until_they_are_merged(command, merge, tmp_path, micro):
    of_two = ["data=mini_bal", "plan.n_dialogues=60"]
    done = command(tmp_path, "generate.py", "-m", *of_two, "plan.shard=0/2,1/2")
    assert done.returncode == 0, done.stderr
    told = "ercsatz merge data/mini_bal.shard-0-of-2 data/mini_bal.shard-1-of-2"
    assert told in done.stdout + done.stderr
    trained = ["train.py", "data=mini_bal", "classifier=compm", *micro, "dry_run=true"]
    for given in ([], ["data.path=data/mini_bal.shard-0-of-2"]):
        refused = command(tmp_path, *trained, *given)
        assert refused.returncode == 1, refused.stdout
        assert told in refused.stdout + refused.stderr
    merged = merge(tmp_path, "data/mini_bal.shard-0-of-2", "data/mini_bal.shard-1-of-2")
    assert merged.returncode == 0, merged.stderr
    assert command(tmp_path, *trained).returncode == 0
