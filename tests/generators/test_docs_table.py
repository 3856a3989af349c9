"""docs/generators.md shows what the code sends, drops and refuses."""

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from ercsatz.config import GeneratorConfig, PromptStyle, register, registry
from ercsatz.errors import UserError
from ercsatz.generators.interface import Generator, Request, ServerError
from ercsatz.generators.language_model import NEUTRAL
from ercsatz.generators.openai_flavours import Flavour

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "generators.md"
ELSEWHERE = ("inputs", "messages", "prompt", "model", "seed")  # of a request; all else is in the table
NAMES = ["tgi", *(f"openai {flavour}" for flavour in Flavour), "transformers", "offline"]
REQUEST = Request(
    index=0,
    seed=7,
    prompt="Hello",
    mode="natural",
    style=PromptStyle.cast,
    speakers=("Ann", "Bo"),
    labels=("joy", "neutral"),
    target=None,
    n_turns=2,
)


class Recorder(BaseHTTPRequestHandler):
    """Says who it is, keeps what it is asked for, and fails at that."""

    posted: tuple[str, Any] = ("", None)

    def do_GET(self):
        pages = {"/info": {"model_id": "m"}, "/v1/models": {"data": [{"id": "m"}]}}
        self.reply(200, {"model_name": "m", **pages.get(self.path, {})})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        Recorder.posted = (self.path, body)
        self.reply(200 if self.path == "/v1/completions" else 500, {"model": "m"})

    def reply(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Recorder) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def built(name: str, url: str, *overrides: str) -> Generator:
    generator, _, flavour = name.partition(" ")
    given = [f"generator={generator}", *(f"generator.{override}" for override in overrides)]
    given += {"tgi": [f"generator.url={url}"], "transformers": ["generator.model=m", "generator.device=cpu"]}.get(
        generator, []
    )
    if flavour:
        given += [f"generator.url={url}", f"generator.flavour={flavour}"]
    register([ROOT / "conf"])
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        chosen = OmegaConf.to_container(compose("generate", given).generator, resolve=True)
    config = registry.part(chosen, GeneratorConfig, "generator")
    return config.build("[AB]+" if config.held_to_grammar else None)


def sent(generator: Generator) -> str:
    """The request as it goes over the wire, without prompt, model and seed."""
    if generator.name == "offline":
        return "nothing"
    if generator.name == "transformers":
        return f"in this process: `{json.dumps(generator.sent)}`"

    async def ask() -> None:
        (server,) = generator.servers
        with contextlib.suppress(ServerError):
            await server.answer(REQUEST)
        await server.close()

    asyncio.run(ask())
    path, body = Recorder.posted
    return f"`POST {path}` `{json.dumps(without(body))}`"


def without(body: dict[str, Any]) -> dict[str, Any]:
    return {
        name: without(value) if isinstance(value, dict) else value
        for name, value in body.items()
        if name not in ELSEWHERE
    }


def refused(name: str, url: str) -> str:
    """The values of Table II, each on its own, and the grammar, where they stop the run."""
    if name == "offline":
        return "all of `generator.sampling`: it has none"
    neutral = [f"sampling.{parameter}={value:g}" for parameter, value in NEUTRAL.items()]
    stops = []
    for parameter, value in {"top_k": 10000, "typical_p": 0.995}.items():
        alone = [override for override in neutral if not override.startswith(f"sampling.{parameter}=")]
        if is_refused(name, url, *alone):
            stops.append(f"`{parameter}={value:g}`")
    if is_refused(name, url, "on_unsupported=record", "guided=true"):
        stops.append("`guided=true`")
    return ", ".join(stops) or "—"


def is_refused(name: str, url: str, *overrides: str) -> bool:
    try:
        generator = built(name, url, *overrides)
    except UserError:
        return True
    asyncio.run(close(generator))
    return False


async def close(generator: Generator) -> None:
    for server in generator.servers:
        await server.close()


def row(name: str, url: str) -> str:
    generator = built(name, url, *(() if name == "offline" else ("on_unsupported=record",)))
    dropped = ", ".join(f"`{parameter}`" for parameter in generator.dropped) or "—"
    return f"| {name} | {sent(generator)} | {dropped} | {refused(name, url)} |"


def rows_on_page() -> list[str]:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith("| generator | sent "))
    table = lines[start + 2 :]
    return table[: next(place for place, line in enumerate(table) if not line.startswith("|"))]


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.tgi if name == "tgi" else ()) for name in NAMES])
def test_page_shows_what_is_sent_dropped_and_refused(name, url, monkeypatch):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    library = {"tgi": "text_generation", "openai": "openai"}.get(name.partition(" ")[0])
    if library is not None:
        pytest.importorskip(library)
    expected = row(name, url)
    assert expected in rows_on_page(), f"docs/generators.md must have this row:\n{expected}"


def test_page_shows_every_generator_once():
    assert [line.split(" | ")[0].removeprefix("| ") for line in rows_on_page()] == NAMES
