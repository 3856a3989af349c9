"""Servers that speak the OpenAI protocol, and which sampling parameters each honours."""

from collections.abc import Mapping
from enum import StrEnum

from ercsatz.config import Profile
from ercsatz.generators.language_model import TABLE_2, profile


class Flavour(StrEnum):
    """Which server speaks the OpenAI protocol; each takes other extra fields."""

    openai = "openai"
    vllm = "vllm"
    webui = "webui"
    llamacpp = "llamacpp"
    transformers = "transformers"


# vLLM and llama.cpp's Python server take typical_p and ignore it without a word; OpenAI's own knows no top_k either.
PROFILES: Mapping[Flavour, Profile] = {
    Flavour.openai: profile(frozenset({"temperature", "top_p", "max_new_tokens"})),
    Flavour.vllm: profile(TABLE_2 - {"typical_p"}, guided=True),
    Flavour.webui: profile(TABLE_2),
    Flavour.llamacpp: profile(TABLE_2 - {"typical_p"}),
    Flavour.transformers: profile(TABLE_2),
}
