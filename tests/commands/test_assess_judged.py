"""``assess.py generator=tgi``: the judge's figures in the report, from a server on loopback with TGI's contract."""

import asyncio
import csv
import importlib.util
import json
import sys
import threading
from pathlib import Path

import pytest

pytest.importorskip("text_generation", reason="needs the extra tgi")
pytestmark = pytest.mark.tgi

JUDGING = Path(__file__).resolve().parents[1] / "judging" / "conftest.py"
QUICK = ("assess.halves=3", "assess.sample=100", "judge.n=6", "judge.minimum=3", "judge.turns=5")


@pytest.fixture(scope="module")
def judging():
    """The judge of the tests, who prefers real dialogues and tells made-up ones by their words."""
    specification = importlib.util.spec_from_file_location("judging_conftest", JUDGING)
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    return module


@pytest.fixture
def server(judging):
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    made = judging.load("tgi").TgiServer(answer=judging.good, latency="constant:0")

    def do(what):
        asyncio.run_coroutine_threadsafe(what, loop).result(30)

    do(made.__aenter__())
    yield made
    do(made.__aexit__(None, None, None))
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def test_judgements_are_in_the_report_and_asked_for_once(new_world, command, judging, server):
    folder = new_world / "data" / "small_nat"
    (folder / "SHA256SUMS").unlink()
    for file in folder.glob("t*.jsonl"):
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        for turn in (turn for line in lines for turn in line["utterances"]):
            turn["text"] = f"{judging.MADE_UP} {turn['text']}"
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    told = ("--config-dir", "own", "data=small_nat", *QUICK, "generator=tgi", f"generator.url={server.url}")
    done = command(new_world, "assess.py", *told, "hydra.run.dir=out")
    assert done.returncode == 0, done.stdout + done.stderr
    asked = server.stats()["answered"]
    assert asked == 6 * 2 * 2
    with (new_world / "out" / "quality.csv").open(newline="") as file:
        found = {row["measure"]: row for row in csv.DictReader(file) if row["family"] == "human" and not row["emotion"]}
    assert (found["naturalness"]["value"], found["naturalness"]["real"]) == ("2.0", "4.0")
    assert (found["naturalness"]["verdict"], found["naturalness"]["better"]) == ("worse", "higher")
    assert (found["called_more_natural"]["value"], found["called_more_natural"]["real"]) == ("0.0", "0.5")
    assert found["called_more_natural"]["verdict"] == "worse"
    page = (new_world / "out" / "quality.html").read_text()
    for words in ("How far to trust the judge", "6 drawn, 6 judged in both orders", "24 wanted, 24 could be read"):
        assert words in page, words
    assert "calls it more natural than a real dialogue of its length in 0.0 % of 6 decided pairs" in done.stdout
    assert {"judgements.csv", "judged_turns.csv"} <= {path.name for path in (new_world / "out").iterdir()}

    done = command(new_world, "assess.py", *told, "hydra.run.dir=out")
    assert done.returncode == 0, done.stdout + done.stderr
    assert server.stats()["answered"] == asked, "all is in the journal"
    done = command(new_world, "assess.py", "--config-dir", "own", "data=small_nat", *QUICK[:2], "hydra.run.dir=out")
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (new_world / "out" / "judgements.csv").exists(), "of the earlier run"


DEAD = ("generator=tgi", "generator.url=http://127.0.0.1:9", "generator.tries=1", "generator.patience=0.1")


def test_a_server_that_is_not_there_costs_no_figure(new_world, command):
    told = (*QUICK, *DEAD)
    done = command(new_world, "assess.py", "--config-dir", "own", *told, "data=small_nat", "hydra.run.dir=out")
    assert done.returncode == 1
    assert "error: " in done.stderr
    assert "Traceback" not in done.stderr
    report = (new_world / "out" / "quality.md").read_text()
    assert "Not judged: " in report
    assert "distinct-1" in report
    swept = ("data=small_nat,small_bal", "hydra.sweep.dir=swept")
    done = command(new_world, "assess.py", "--config-dir", "own", "-m", *told, *swept)
    assert done.returncode == 1
    assert "Not judged: small_nat: " in done.stdout
    assert "Not assessed" not in done.stdout
    assert "small_bal" in (new_world / "swept" / "quality.csv").read_text()


def test_a_dry_run_comes_before_anything_is_measured(new_world, command):
    told = ("--config-dir", "own", "data=small_nat", *QUICK, *DEAD, "judge.dry_run=true", "hydra.run.dir=out")
    done = command(new_world, "assess.py", *told)
    assert done.returncode == 0, done.stdout + done.stderr
    assert 0 < done.stdout.index("6 pairs in both orders") < done.stdout.index("diversity ...")
