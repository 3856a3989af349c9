"""``knowledge.py`` as users type it, against a server on loopback with vLLM's contract."""

import asyncio
import csv
import importlib.util
import json
import pickle
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.numpy import load_file

pytest.importorskip("aiohttp")
openai = pytest.mark.skipif(importlib.util.find_spec("openai") is None, reason="needs the extra openai")

SERVER = Path(__file__).parents[1] / "servers" / "openai.py"
COLUMNS = ("oEffect", "oReact", "oWant", "xAttr", "xEffect", "xIntent", "xNeed", "xReact", "xWant")
EVENTS = {
    "PersonX is late": {"xReact": ["sorry", "stressed"], "oReact": ["annoyed"]},
    "PersonX thanks PersonY": {"xIntent": ["to be polite"], "xReact": ["grateful"], "oReact": ["none"]},
    "PersonX really wants to know what happened": {"xIntent": ["to find out"], "xReact": ["curious"]},
}


@contextmanager
def serving(latency: float = 0.0) -> Iterator[SimpleNamespace]:
    """A server in a thread; ``url``, and ``asked`` counts answers by prompt and seed."""
    specification = importlib.util.spec_from_file_location("servers_openai", SERVER)
    assert specification is not None
    module = importlib.util.module_from_spec(specification)
    assert specification.loader is not None
    specification.loader.exec_module(module)
    asked: Counter[tuple[str, int]] = Counter()

    def answer(prompt, body):
        asked[prompt, body["seed"]] += 1
        if body["seed"] % 10 == 0:
            return "I would rather not."
        return f"xIntent: to say {body['seed'] % 7}\nxReact: calm; {len(prompt)}\noReact: none"

    loop, ready, end = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
    state = SimpleNamespace(asked=asked)

    async def serve():
        server = module.OpenAIServer("vllm", answer=answer)
        server.latency = latency
        async with server:
            state.url = server.url
            ready.set()
            await end.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(10)
    try:
        yield state
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join()
        loop.close()


def settings(url, data="small_org", width=16):
    model = ["generator=openai", "generator.flavour=vllm", f"generator.url={url}", f"generator.window={width}"]
    return ["--config-dir", "own", f"data={data}", "source=generate", *model, "generator.sampling.typical_p=1"]


@pytest.fixture
def start(environment, script):
    """Start ``knowledge.py`` and go on at once."""

    def start(folder, *arguments):
        line = [sys.executable, str(script("knowledge.py")), *arguments]
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(line, cwd=folder, env=dict(environment), text=True, **pipes)

    return start


@pytest.fixture
def atomic(new_world):
    path = new_world / "atomic.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["event", *COLUMNS, "prefix", "split"])
        for event, known in EVENTS.items():
            writer.writerow([event, *(json.dumps(known.get(name, [])) for name in COLUMNS), "[]", "trn"])
    return path.name


def sidecar(folder, data="small_org"):
    with (folder / "data" / "knowledge" / f"{data}.jsonl").open() as file:
        lines = [json.loads(line) for line in file]
    return {(line["split"], line["dialogue"], line["turn"]): line for line in lines}


def dialogues(folder, split, data="small"):
    with (folder / data / f"{split}.jsonl").open() as file:
        return [json.loads(line) for line in file]


def wait_for(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.02)


@pytest.mark.parametrize("asked", [("--help",), ("--cfg", "job")])
def test_answers_at_once_and_imports_nothing_heavy(command, tmp_path, asked):
    done = command(tmp_path, "knowledge.py", *asked, PYTHONPROFILEIMPORTTIME="1")
    assert done.returncode == 0, done.stderr
    assert "retrieve" in done.stdout
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert not imported & {"torch", "transformers", "sklearn", "scipy", "numpy", "pandas", "safetensors"}
    assert not list(tmp_path.iterdir())


def test_events_are_retrieved_for_real_and_generated_dialogues(command, new_world, atomic):
    for data in ("small_org", "small_bal"):
        line = ["--config-dir", "own", f"data={data}", f"retrieve.atomic={atomic}", "retrieve.top=2"]
        done = command(new_world, "knowledge.py", *line)
        assert done.returncode == 0, done.stderr
        assert "3 events with phrases in atomic.csv; compared by lexical TF-IDF." in done.stdout
        lines = sidecar(new_world, data)
        assert {split for split, _, _ in lines} == {"train", "validation", "test"}
        for line in lines.values():
            assert line["by"] == {"retrieved": "lexical TF-IDF, top 2 of atomic.csv"}
            assert 1 <= len(line["retrieved"]) <= 2
            for found in line["retrieved"]:
                known = {name: [p for p in EVENTS[found["event"]].get(name, []) if p != "none"] for name in COLUMNS}
                assert {name: found[name] for name in ("xIntent", "xReact", "oReact")} == {
                    name: known[name] for name in ("xIntent", "xReact", "oReact")
                }


@openai
def test_generated_and_retrieved_knowledge_share_a_sidecar(command, new_world, atomic):
    retrieve = ["--config-dir", "own", "data=small_org", f"retrieve.atomic={atomic}"]
    assert command(new_world, "knowledge.py", *retrieve).returncode == 0
    before = sidecar(new_world)
    with serving() as server:
        done = command(new_world, "knowledge.py", *settings(server.url))
        assert done.returncode == 0, done.stdout + done.stderr
        assert max(server.asked.values()) == 1
    both = sidecar(new_world)
    for key, line in before.items():
        assert both[key]["retrieved"] == line["retrieved"]
    n_turns = sum(
        len(d["utterances"]) for split in ("train", "validation", "test") for d in dialogues(new_world, split)
    )
    assert f"of {n_turns} utterances" in done.stdout
    assert all(line["generated"]["oReact"] == [] for line in both.values())
    assert {line["by"]["generated"] for line in both.values()} == {"openai stand-in"}
    assert n_turns - len(both) <= n_turns // 20  # three answers in a row that cannot be read are rare
    assert command(new_world, "knowledge.py", *retrieve).returncode == 0
    assert sidecar(new_world) == both


@openai
def test_killed_again_and_again_it_writes_what_one_run_writes(command, start, new_world):
    path = new_world / "data/knowledge/small_org.jsonl"
    with serving() as server:
        done = command(new_world, "knowledge.py", *settings(server.url), "journal=whole.sqlite")
        assert done.returncode == 0, done.stderr
    whole = path.read_bytes()
    path.unlink()
    with serving(latency=0.1) as server:
        killed = 0
        for goal in (10, 60):
            run = start(new_world, *settings(server.url, width=4))
            wait_for(lambda goal=goal: len(server.asked) > goal)
            run.kill()
            run.communicate()
            killed += run.returncode == -signal.SIGKILL
            assert not path.exists()
        assert killed == 2
        done = command(new_world, "knowledge.py", *settings(server.url, width=64))
        assert done.returncode == 0, done.stderr
        # What was on its way when a run was killed is all that may be asked for a second time
        assert sum(server.asked.values()) - len(server.asked) <= 2 * 4
    assert path.read_bytes() == whole
    with closing(sqlite3.connect(path.with_name("small_org.journal.sqlite"))) as db:
        (answers,) = db.execute("SELECT COUNT(*) FROM answers").fetchone()
    assert answers == len(server.asked)


@openai
def test_ctrl_c_drains_and_the_same_command_goes_on(command, start, new_world):
    with serving(latency=0.3) as server:
        run = start(new_world, *settings(server.url, width=8))
        wait_for(lambda: len(server.asked) > 12)
        run.send_signal(signal.SIGINT)
        _, errors = run.communicate(timeout=60)
        assert run.returncode == 130
        assert "the same command goes on from there" in errors
        assert "Traceback" not in errors
        assert not (new_world / "data/knowledge/small_org.jsonl").exists()
        drained = len(server.asked)
        with closing(sqlite3.connect(new_world / "data/knowledge/small_org.journal.sqlite")) as db:
            assert db.execute("SELECT COUNT(*) FROM answers").fetchone() == (drained,)
        done = command(new_world, "knowledge.py", *settings(server.url, width=64))
        assert done.returncode == 0, done.stderr
        assert max(server.asked.values()) == 1
    assert sidecar(new_world)


def test_the_text_form_is_imported(command, new_world):
    lines = []
    for dialogue in dialogues(new_world, "test"):
        texts = [f"{turn['text']} PersonX will feel glad and calm." for turn in dialogue["utterances"]]
        lines.append("\t".join([*texts, *("0" for _ in texts)]))
    (new_world / "test_ext.csv").write_text("\n".join(lines) + "\n")
    wanted = ["--config-dir", "own", "data=small_org", "source=text", "text.test=test_ext.csv"]
    done = command(new_world, "knowledge.py", *wanted)
    assert done.returncode == 0, done.stderr
    known = sidecar(new_world)
    assert len(known) == sum(len(d["utterances"]) for d in dialogues(new_world, "test"))
    for line in known.values():
        assert line["generated"] == {"xIntent": [], "xReact": ["glad", "calm"], "oReact": []}
        assert (line["split"], line["by"]) == ("test", {"generated": "text form"})
    done = command(new_world, "knowledge.py", *wanted[:-1], "text.train=test_ext.csv")
    assert done.returncode == 1
    assert "8 dialogues, but split train has 10" in done.stderr


def test_cosmic_features_are_converted(command, new_world):
    dicts = [{} for _ in range(9)]
    for split in ("train", "validation", "test"):
        for dialogue in dialogues(new_world, split):
            for place, own in enumerate(dicts):
                own[dialogue["id"]] = [np.full(4, place, np.float32) for _ in dialogue["utterances"]]
    (new_world / "features.pkl").write_bytes(pickle.dumps(dicts))
    wanted = ["--config-dir", "own", "data=small_org", "source=cosmic", "cosmic.file=features.pkl"]
    done = command(new_world, "knowledge.py", *wanted)
    assert done.returncode == 0, done.stderr
    tensors = load_file(new_world / "data/knowledge/small_org.safetensors")
    assert len(tensors) == 24
    for tensor in tensors.values():
        assert tensor.tolist() == [[[0.0] * 4, [5.0] * 4, [8.0] * 4]] * len(tensor)
    (new_world / "hostile.pkl").write_bytes(b"cos\nsystem\n(Vtouch trace\ntR.")
    done = command(new_world, "knowledge.py", *wanted[:-1], "cosmic.file=hostile.pkl")
    assert done.returncode == 1
    assert "refused. The pickle wants os.system" in done.stderr
    assert not (new_world / "trace").exists()


@pytest.mark.parametrize(
    ("arguments", "words"), [((), "retrieve.atomic=FILE"), (("source=comet",), "comet"), (("+source=text",), "+source")]
)
def test_mistakes_are_told_without_a_traceback(command, tmp_path, arguments, words):
    done = command(tmp_path, "knowledge.py", *arguments)
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.rglob("*.jsonl"))
