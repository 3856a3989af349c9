"""``generate.py generator=openai`` against a real ``transformers serve`` with random weights."""

import importlib.util
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType

import pytest


def _load(name: str) -> ModuleType:
    path = Path(__file__).parents[1] / "servers" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"servers_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


servers = _load("transformers_serve")
pytestmark = pytest.mark.skipif(servers.missing() is not None, reason=str(servers.missing()))


@pytest.fixture(scope="module")
def url(tmp_path_factory) -> Iterator[str]:
    with servers.serving(servers.tiny_llama(tmp_path_factory.mktemp("tiny") / "llama")) as url:
        yield url


def settings(url: str) -> list[str]:
    return [
        *("generator=openai", "generator.flavour=transformers", f"generator.url={url}", "generator.window=1"),
        *("generator.sampling.max_new_tokens=40", "plan.n_dialogues=4", "plan.attempts=2"),
        *("split.validation=0.3", "split.test=0.3"),  # so that four dialogues may do
    ]


@pytest.mark.parametrize("data", ["mini_bal", "iemocap_per"])
def test_model_that_writes_no_dialogue_ends_in_order_and_says_why(command, tmp_path, url, data):
    done = command(tmp_path, "generate.py", f"data={data}", *settings(url))
    assert done.returncode == 1
    assert "No dialogue was kept" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "data" / data).exists()
    with closing(sqlite3.connect(tmp_path / f"data/{data}.journal.sqlite")) as db:
        (answers,) = db.execute("SELECT COUNT(*) FROM answers").fetchone()
        (kept,) = db.execute("SELECT value FROM facts WHERE name = 'seed_kept'").fetchone()
    assert answers == 8
    assert kept == "true"
    again = command(tmp_path, "generate.py", f"data={data}", *settings(url))
    assert '"answered": 0' in again.stdout
    assert '"replayed": 8' in again.stdout
