"""The judge against a real ``transformers serve`` with random weights."""

from collections.abc import Iterator

import pytest

from ercsatz.generators.chat import ChatTemplate
from ercsatz.generators.language_model import OnUnsupported, SamplingConfig
from ercsatz.generators.openai import OpenAIConfig
from ercsatz.generators.openai_flavours import Flavour


@pytest.fixture(scope="module")
def url(says, tmp_path_factory) -> Iterator[str]:
    servers = says.load("transformers_serve")
    if reason := servers.missing():
        pytest.skip(reason)
    with servers.serving(servers.tiny_llama(tmp_path_factory.mktemp("tiny") / "llama")) as url:
        yield url


def generator(url: str) -> OpenAIConfig:
    sampling = SamplingConfig(
        temperature=0.7, top_p=1.0, top_k=10000, repetition_penalty=1.0, typical_p=0.995, max_new_tokens=12
    )
    return OpenAIConfig(
        name="openai",
        window=1,
        sampling=sampling,
        on_unsupported=OnUnsupported.error,
        chat_template=ChatTemplate.model,
        url=url,
        timeout=60.0,
        tries=2,
        patience=5.0,
        flavour=Flavour.transformers,
    )


def test_random_weights_behind_a_server_judge_nothing(url, run, settings, gibberish, synthetic):
    wanted = settings(n=2, minimum=2, repeats=1, attempts=2, turns=3)
    result = run(wanted, generator(url), synthetic)
    gibberish(result, wanted, run)
    assert result.by.startswith("openai ")
    again = run(wanted, generator("http://127.0.0.1:9/v1"), synthetic)  # all is in the journal
    assert again.rows.equals(result.rows)
