"""``generate.py generator=tgi`` as users type it, against a server on loopback with TGI's contract."""

import json
import random
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

pytest.importorskip("text_generation", reason="needs the extra tgi")
pytestmark = pytest.mark.tgi

SERVER = Path(__file__).parents[1] / "servers" / "tgi.py"
CAST = "Maya,Tomas,Priya,Leo,Ingrid,Sam"


@contextmanager
def serving(*options: object) -> Iterator[str]:
    line = [sys.executable, str(SERVER), "--speakers", CAST, *map(str, options)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def stats(url: str) -> dict:
    with urllib.request.urlopen(f"{url}/test/stats") as answer:
        return json.load(answer)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def kept(folder: Path) -> list[int]:
    lines = [line for name in ("train", "validation", "test") for line in (folder / f"{name}.jsonl").open()]
    return sorted(json.loads(line)["provenance"]["index"] for line in lines)


def rows(journal: Path) -> list[tuple]:
    with closing(sqlite3.connect(journal)) as db:
        return db.execute("SELECT dialogue, step, attempt, COUNT(*) FROM answers GROUP BY 1, 2, 3").fetchall()


def settings(url: str, n: int, window: int = 16) -> list[str]:
    wanted = ["data=mini_bal", "generator=tgi", f"generator.url={url}", f"generator.window={window}"]
    return [*wanted, f"plan.n_dialogues={n}"]


@pytest.fixture
def start(environment, script):
    """Start ``generate.py`` and go on at once."""

    def start(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
        line = [sys.executable, str(script("generate.py")), *arguments]
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(line, cwd=folder, env=dict(environment), text=True, **pipes)

    return start


def test_killed_again_and_again_it_writes_what_one_run_writes(command, start, tmp_path):
    kill_and_compare(command, start, tmp_path, kills=4, n=80)


@pytest.mark.slow
def test_killed_a_hundred_times_it_writes_what_one_run_writes(command, start, tmp_path):
    kill_and_compare(command, start, tmp_path, kills=100, n=500)


def kill_and_compare(command, start, folder: Path, kills: int, n: int) -> None:
    rng = random.Random(7)
    (folder / "whole").mkdir()
    (folder / "killed").mkdir()
    with serving("--latency", "lognormal:0.4", "--slots", 64) as url:
        done = command(folder / "whole", "generate.py", *settings(url, n, window=64))
        assert done.returncode == 0, done.stderr
        killed, journal = 0, folder / "killed/data/mini_bal.journal.sqlite"
        for _ in range(kills):
            run = start(folder / "killed", *settings(url, n, window=4))
            wait_for(journal.exists)
            try:
                run.wait(rng.uniform(0, 2 * n * 0.4 / 4 / kills + 0.5))
            except subprocess.TimeoutExpired:
                run.kill()
                killed += 1
            run.communicate()
        done = command(folder / "killed", "generate.py", *settings(url, n, window=32))
        assert done.returncode == 0, done.stderr
    assert killed >= kills // 2
    assert contents(folder / "killed/data/mini_bal") == contents(folder / "whole/data/mini_bal")
    answers = rows(folder / "killed/data/mini_bal.journal.sqlite")
    assert {row[0] for row in answers} == set(range(n))
    assert {row[3] for row in answers} == {1}


def wait_for(condition, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.02)


def test_a_third_of_all_requests_failing_loses_and_doubles_nothing(command, tmp_path):
    kinds = "424,429,429 proxy,500,502,503,504,422,413,drop,reset,garbage,hang"
    (tmp_path / "calm").mkdir()
    (tmp_path / "rough").mkdir()
    with serving("--latency", "lognormal:0.02") as url:
        calm = command(tmp_path / "calm", "generate.py", *settings(url, 200, window=32))
        assert calm.returncode == 0, calm.stderr
    with serving("--latency", "lognormal:0.02", "--faults", 0.3, "--kinds", kinds) as url:
        done = command(tmp_path / "rough", "generate.py", *settings(url, 200, window=32), "generator.timeout=3")
    assert done.returncode == 0, done.stdout + done.stderr
    assert contents(tmp_path / "rough/data/mini_bal") == contents(tmp_path / "calm/data/mini_bal")
    with closing(sqlite3.connect(tmp_path / "rough/data/mini_bal.journal.sqlite")) as db:
        failures = dict(db.execute("SELECT kind, COUNT(*) FROM failures GROUP BY 1").fetchall())
    assert failures.keys() >= {"busy", "failed", "refused", "timed out"}


def test_server_that_dies_and_comes_back_costs_nothing(start, tmp_path):
    with serving("--latency", "constant:0.1") as url:
        run = start(tmp_path, *settings(url, 150))
        wait_for(lambda: stats(url)["answered"] > 30)
        urllib.request.urlopen(urllib.request.Request(f"{url}/test/die?seconds=2", method="POST"))
        output, errors = run.communicate(timeout=120)
        assert run.returncode == 0, errors
        assert not stats(url)["repeated"] or stats(url)["answered"] < 190
    assert {row[3] for row in rows(tmp_path / "data/mini_bal.journal.sqlite")} == {1}
    assert "kept" in output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_drains_and_the_same_command_goes_on(number, command, start, tmp_path):
    with serving("--latency", "constant:0.5") as url:
        run = start(tmp_path, *settings(url, 100))
        wait_for(lambda: stats(url)["answered"] > 20)
        run.send_signal(number)
        _, errors = run.communicate(timeout=60)
        assert run.returncode == 128 + number
        assert "the same command goes on" in errors
        assert "Traceback" not in errors
        answered = stats(url)["answered"]
        probes = 5
        assert sum(row[3] for row in rows(tmp_path / "data/mini_bal.journal.sqlite")) == answered - probes
        assert not (tmp_path / "data/mini_bal").exists()
        done = command(tmp_path, "generate.py", *settings(url, 100))
        assert done.returncode == 0, done.stderr
        assert not stats(url)["repeated"] or set(stats(url)["repeated"].values()) <= {2, 3}
    assert {row[0] for row in rows(tmp_path / "data/mini_bal.journal.sqlite")} == set(range(100))


def test_second_ctrl_c_stops_at_once(start, tmp_path):
    with serving("--latency", "constant:30") as url:
        run = start(tmp_path, *settings(url, 100))
        wait_for(lambda: stats(url)["in_flight"] > 0)
        run.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert run.poll() is None
        began = time.monotonic()
        run.send_signal(signal.SIGINT)
        _, errors = run.communicate(timeout=20)
        assert time.monotonic() - began < 10
        assert run.returncode == 130
        assert "Traceback" not in errors
    assert not [path for path in (tmp_path / "data").iterdir() if path.name.startswith(".mini")]


def test_parsing_again_asks_nothing(command, tmp_path):
    with serving() as url:
        assert command(tmp_path, "generate.py", *settings(url, 60)).returncode == 0
    before = kept(tmp_path / "data/mini_bal")
    changed = [*settings(url, 60), "split.test=0.2"]
    done = command(tmp_path, "generate.py", *changed)
    assert done.returncode == 1
    assert "split.test: 0.1 there, 0.2 now" in done.stderr
    done = command(tmp_path, "generate.py", *changed, "overwrite=true")
    assert done.returncode == 0, done.stderr
    assert kept(tmp_path / "data/mini_bal") == before


def test_longer_run_asks_for_what_is_missing_only(command, tmp_path):
    with serving() as url:
        assert command(tmp_path, "generate.py", *settings(url, 40)).returncode == 0
        before = stats(url)["answered"]
        done = command(tmp_path, "generate.py", *settings(url, 60), "overwrite=true")
        assert done.returncode == 0, done.stderr
        assert stats(url)["answered"] - before < 30
    assert max(kept(tmp_path / "data/mini_bal")) > 50


def test_resuming_under_other_settings_stops_with_the_difference(command, start, tmp_path):
    with serving("--latency", "constant:0.5") as url:
        run = start(tmp_path, *settings(url, 100))
        wait_for(lambda: stats(url)["answered"] > 20)
        run.kill()
        run.communicate()
        done = command(tmp_path, "generate.py", *settings(url, 100), "generator.sampling.temperature=0.9")
    assert done.returncode == 1
    assert "generator.sampling.temperature: 0.7 there, 0.9 now" in done.stderr
    assert "journal=FILE" in done.stderr


def test_goal_of_kept_dialogues_is_met_exactly(command, tmp_path):
    with serving() as url:
        done = command(tmp_path, "generate.py", *settings(url, 0)[:-1], "plan.n_dialogues=null", "plan.n_kept=50")
    assert done.returncode == 0, done.stderr
    assert len(kept(tmp_path / "data/mini_bal")) == 50


def test_two_servers_share_the_work_and_one_may_be_down(command, tmp_path):
    with serving() as first, serving() as second:
        urls = f"[{first},{second},http://127.0.0.1:9]"
        done = command(tmp_path, "generate.py", *settings(urls, 80, window=4))
        assert done.returncode == 0, done.stderr
        assert min(stats(first)["answered"], stats(second)["answered"]) > 10


def test_no_server_is_an_error_that_names_the_key(command, tmp_path):
    done = command(tmp_path, "generate.py", *settings("http://127.0.0.1:9", 10))
    assert done.returncode == 1
    assert "generator.url" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("data", ["mini_bal", "mini_per"])
def test_guided_run_speaks_with_the_real_names(command, tmp_path, data):
    with serving() as url:
        wanted = [f"data={data}", *settings(url, 40)[1:], "generator.guided=true"]
        done = command(tmp_path, "generate.py", *wanted)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "data" / data / "train.jsonl").read_text()
    for line in text.splitlines():
        assert {turn["speaker"] for turn in json.loads(line)["utterances"]} <= set(CAST.split(","))
    assert "Alex" not in text


def test_closed_output_costs_nothing(start, tmp_path):
    with serving() as url:
        run = start(tmp_path, *settings(url, 40))
        assert run.stdout is not None
        run.stdout.close()
        run.wait(60)
    assert len(kept(tmp_path / "data/mini_bal")) > 30
