"""``generator=openai``: servers that speak the OpenAI protocol, through the official client.

They share the protocol and little else: each ``flavour`` has other fields for what OpenAI does not know, and other ways
to ignore them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from omegaconf import MISSING

from ercsatz.config import Profile
from ercsatz.errors import UserError
from ercsatz.generators.interface import Generator
from ercsatz.generators.language_model import NEUTRAL, ServedConfig
from ercsatz.generators.openai_flavours import PROFILES, Flavour
from ercsatz.generators.urls import urls


@dataclass
class OpenAIConfig(ServedConfig):
    """An OpenAI-compatible server.

    Attributes:
        flavour: which server it is; each takes other extra fields.
        model: null: the only one that the server lists.
        chat_template: model: the chat endpoint; raw, vicuna: the completions endpoint.
    """

    flavour: Flavour = MISSING
    model: str | None = None

    @property
    def profile(self) -> Profile:
        """That of the flavour."""
        return PROFILES[self.flavour]

    def build(self, grammar: str | None = None) -> Generator:
        """The servers. The environment variable ``OPENAI_API_KEY``, if set, is sent as bearer token.

        Raises:
            UserError: the client is not installed, the flavour does not honour what is asked for, or ``url`` is none.
        """
        what = f"generator=openai with generator.flavour={self.flavour}"
        if self.guided and not self.profile.guided:
            raise UserError(f"{what} cannot hold answers to a grammar: choose generator.guided=false.")
        try:
            from ercsatz.generators.openai_server import OpenAIServer
        except ImportError as missing:
            raise UserError(
                f'generator=openai needs the official client: pip install "ercsatz[openai]". ({missing})'
            ) from missing
        honoured, dropped = self.negotiate(what)
        sent = self._complete(honoured)
        return Generator(
            "openai",
            self.profile,
            {
                "sampling": sent,
                "dropped": dropped,
                "flavour": self.flavour.value,
                "model": self.model,
                "chat_template": self.chat_template.value,
                "grammar": grammar,
            },
            tuple(
                OpenAIServer(url, self.flavour, self.model, self.chat_template, self.timeout, sent, grammar)
                for url in urls(self.url)
            ),
            sent,
            dropped,
            self.window,
            self.tries,
            self.patience,
        )

    def _complete(self, honoured: Mapping[str, float | int]) -> dict[str, float | int]:
        """What is sent. Elsewhere than at OpenAI a value that is left out is not neutral, so all are there.

        vLLM and transformers take it from the model's ``generation_config.json`` (transformers from there or
        ``top_k=50``), llama.cpp and text-generation-webui from their command lines (``top_p=0.95`` and ``min_p=0.05``,
        unless changed).
        """
        if self.flavour is Flavour.openai:
            return dict(honoured)
        neutral = {name: value for name, value in NEUTRAL.items() if name in self.profile.honours}
        return {**neutral, "min_p": 0.0, **honoured}
