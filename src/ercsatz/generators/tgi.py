"""``generator=tgi``: Hugging Face's text-generation-inference, through its own client.

Its ``/generate`` takes all of Table II but ``top_p=1``, which it refuses and which is its default. Its OpenAI routes
are not used: they know neither ``top_k`` nor ``typical_p``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from ercsatz.config import Profile
from ercsatz.config.pretrained import SAFE
from ercsatz.errors import UserError
from ercsatz.generators import chat, interface
from ercsatz.generators.language_model import TABLE_2, ServedConfig, profile
from ercsatz.generators.urls import key, urls
from ercsatz.generators.words import first_line

if TYPE_CHECKING:
    from ercsatz.generators.tgi_client import PooledClient


@dataclass
class TgiConfig(ServedConfig):
    """Hugging Face TGI.

    Attributes:
        tokenizer: name or folder for chat_template=model; null: the model that the server names.
    """

    tokenizer: str | None = None

    @property
    def profile(self) -> Profile:
        """All of Table II, and grammars."""
        return profile(TABLE_2, guided=True)

    def build(self, grammar: str | None = None) -> interface.Generator:
        """The servers. The environment variable ``HF_TOKEN``, if set, is sent as bearer token.

        Raises:
            UserError: text-generation is not installed, or ``url`` is none.
        """
        try:
            from ercsatz.generators.tgi_client import PooledClient
        except ImportError as error:
            raise UserError(
                'generator=tgi needs the text-generation client: pip install "ercsatz[tgi]". It does not go together '
                f"with transformers 5. ({error})"
            ) from error
        sent, dropped = self.negotiate("TGI")
        token = key("HF_TOKEN")
        servers = [
            TgiServer(PooledClient(url, self.timeout, token), sent, grammar, self.chat_template, self.tokenizer)
            for url in urls(self.url)
        ]
        settings = {
            "sampling": sent,
            "dropped": dropped,
            "chat_template": self.chat_template.value,
            "tokenizer": self.tokenizer,
            "grammar": grammar,
        }
        return interface.Generator(
            "tgi",
            self.profile,
            settings,
            tuple(servers),
            sent,
            dropped,
            self.window,
            self.tries,
            self.patience,
        )


class TgiServer:
    """One TGI server.

    Args:
        client: what asks it.
        sent: the sampling parameters.
        grammar: holds for dialogues; ``None`` leaves answers free.
        template: what prompts are wrapped in.
        tokenizer: name or folder of the one that has the model's template; ``None`` takes the served model's.
    """

    def __init__(
        self,
        client: "PooledClient",
        sent: Mapping[str, float | int],
        grammar: str | None,
        template: chat.ChatTemplate,
        tokenizer: str | None,
    ) -> None:
        self._client = client
        self._sent = {**sent, "do_sample": True, "return_full_text": False}
        self._grammar = None if grammar is None else {"type": "regex", "value": grammar}
        self._wrap: Callable[[str], str] | None = None
        if template is not chat.ChatTemplate.model:
            self._wrap = chat.wrapper(template, lambda: None)
        elif tokenizer is not None:
            self._wrap = _model_template(tokenizer, None)

    @property
    def name(self) -> str:
        """Its URL."""
        return str(self._client.base_url)

    async def identify(self) -> interface.Identity:
        """Ask ``/info`` for the model and for how many requests it takes at a time.

        Raises:
            ServerError: it does not say.
            UserError: the tokenizer that the chat template is to come from cannot be loaded, or has none.
        """
        info = await self._client.info()
        model, sha = info["model_id"], info.get("model_sha")
        if self._wrap is None:
            self._wrap = _model_template(model, sha)
        most = info.get("max_concurrent_requests")
        limit = most if type(most) is int and most >= 1 else None
        return interface.Identity(f"{model}@{sha}" if sha else model, limit, info)

    async def healthy(self) -> bool:
        """Whether ``/health`` says so within a few seconds."""
        try:
            await self._client.health()
        except interface.ServerError:
            return False
        return True

    async def answer(self, request: interface.Request) -> interface.Answer:
        """Answer one request; see ``interface.Server``."""
        if self._wrap is None:
            await self.identify()
        assert self._wrap is not None
        parameters: dict[str, Any] = {**self._sent, "seed": request.seed}
        if request.max_new_tokens is not None:
            parameters["max_new_tokens"] = request.max_new_tokens
        if request.step is interface.Step.dialogue:
            parameters["grammar"] = self._grammar
        response, n_prompt = await self._client.complete(self._wrap(request.prompt), parameters)
        full = response.details.finish_reason == "length"
        reason = interface.FinishReason.length if full else interface.FinishReason.stop
        return interface.Answer(response.generated_text, reason, n_prompt, response.details.generated_tokens)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


@cache
def _model_template(name: str, revision: str | None) -> Callable[[str], str]:
    """A model's own chat template, without the start token that the server puts before every prompt by itself."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(name, revision=revision or "main", **SAFE)  # type: ignore[no-untyped-call]
        first = tokenizer.encode("a")[0]
    except Exception as error:  # whatever a broken or missing tokenizer leads to
        raise UserError(
            f"The tokenizer of {name} cannot be loaded: {first_line(error)} Give one that has the chat "
            "template with generator.tokenizer=NAME_OR_FOLDER, or choose generator.chat_template=vicuna or raw."
        ) from error
    render = chat.wrapper(chat.ChatTemplate.model, lambda: tokenizer)
    start = tokenizer.bos_token if first == tokenizer.bos_token_id else ""
    return lambda prompt: render(prompt).removeprefix(start)
