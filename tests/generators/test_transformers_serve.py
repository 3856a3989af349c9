import asyncio
import importlib.util
from dataclasses import dataclass
from pathlib import Path

import pytest

from ercsatz.config import PromptStyle
from ercsatz.generators.chat import ChatTemplate
from ercsatz.generators.interface import (
    Answer,
    FinishReason,
    Generator,
    Identity,
    Request,
    Server,
    ServerError,
    UnreachableError,
)
from ercsatz.generators.language_model import OnUnsupported, SamplingConfig
from ercsatz.generators.openai import OpenAIConfig
from ercsatz.generators.openai_flavours import Flavour

TOKENS = 24


@pytest.fixture(scope="session")
def server_module():
    path = Path(__file__).resolve().parents[1] / "servers" / "transformers_serve.py"
    specification = importlib.util.spec_from_file_location("transformers_serve", path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    if reason := module.missing():
        pytest.skip(reason)
    return module


def generator(url: str, template: ChatTemplate = ChatTemplate.model, model: str | None = None) -> Generator:
    table_2 = SamplingConfig(
        temperature=0.7, top_p=1.0, top_k=10000, repetition_penalty=1.0, typical_p=0.995, max_new_tokens=TOKENS
    )
    return (
        OpenAIConfig(
            name="openai",
            window=1,
            sampling=table_2,
            on_unsupported=OnUnsupported.error,
            chat_template=template,
            url=url,
            timeout=60.0,
            tries=1,
            patience=1.0,
            flavour=Flavour.transformers,
            model=model,
        )
    ).build()


def request(seed: int, max_new_tokens: int | None = None) -> Request:
    return Request(
        index=0,
        seed=seed,
        prompt="Write a dialogue.",
        mode="natural",
        style=PromptStyle.cast,
        speakers=("Maya", "Tomas"),
        labels=("joy", "anger"),
        target=None,
        n_turns=5,
        max_new_tokens=max_new_tokens,
    )


@dataclass
class Life:
    """What was seen of a server, from its start until after its end."""

    model: Path
    identity: Identity
    healthy: bool
    first: Answer
    again: Answer
    other: Answer
    short: Answer
    raw: Answer
    named: Answer
    misnamed: str
    healthy_after_all: bool
    error: ServerError


@pytest.fixture(scope="session")
def life(server_module, tmp_path_factory) -> Life:
    return asyncio.run(live(server_module, server_module.tiny_llama(tmp_path_factory.mktemp("tiny"))))


async def live(server_module, folder: Path) -> Life:
    seen = {"model": folder}
    with server_module.serving(folder) as url:
        chat, raw = generator(url).servers[0], generator(url, ChatTemplate.raw).servers[0]
        named, misnamed = (generator(url, model=name).servers[0] for name in (str(folder), "other/model"))
        seen |= {"healthy": await chat.healthy(), "identity": await chat.identify()}
        # One after the other, as the server's seeds hold only so long as nothing else is running
        seen |= {"first": await chat.answer(request(2**63 - 1)), "other": await chat.answer(request(7))}
        seen |= {"again": await chat.answer(request(2**63 - 1)), "short": await chat.answer(request(7, 5))}
        seen |= {"raw": await raw.answer(request(7)), "named": await named.answer(request(7))}
        seen["misnamed"] = await refusal(misnamed)
    seen["healthy_after_all"] = await chat.healthy()
    with pytest.raises(ServerError) as raised:
        await chat.answer(request(7))
    for server in (chat, raw, named, misnamed):
        await server.close()
    return Life(**seen, error=raised.value)


async def refusal(server: Server) -> str:
    try:
        await server.identify()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "none"


def test_a_server_says_who_it_is(life):
    assert life.healthy
    assert life.identity.model == f"{life.model}@main"
    assert life.misnamed.startswith("UserError: ")
    assert str(life.model) in life.misnamed


def test_an_answer_counts_its_tokens(life):
    assert life.first.prompt_tokens > 5
    assert life.raw.prompt_tokens < life.first.prompt_tokens  # the chat template's own words
    assert 1 <= life.first.new_tokens <= TOKENS
    assert (life.first.finish_reason is FinishReason.length) == (life.first.new_tokens == TOKENS)
    assert life.short.new_tokens == 5
    assert life.short.finish_reason is FinishReason.length


def test_a_seed_is_kept(life):
    assert life.first.text
    assert life.first == life.again
    assert life.first.text != life.other.text
    assert life.other == life.named
    assert life.other.text.startswith(life.short.text.rstrip("\N{REPLACEMENT CHARACTER}"))


def test_a_server_that_was_killed_is_unreachable(life):
    assert not life.healthy_after_all
    assert type(life.error) is UnreachableError
