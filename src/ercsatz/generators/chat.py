"""What a prompt is wrapped in before it goes to a model that completes text."""

from collections.abc import Callable
from enum import StrEnum
from typing import Any

from ercsatz.errors import UserError


class ChatTemplate(StrEnum):
    """What a prompt is wrapped in: nothing, the model's own chat template, or Vicuna's."""

    raw = "raw"
    model = "model"
    vicuna = "vicuna"


# Vicuna 1.1's conversation format; the system sentence comes first and never changes, so prefix caches hold it.
VICUNA = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions. USER: {prompt} ASSISTANT:"
)


def wrapper(template: ChatTemplate, tokenizer: Callable[[], Any]) -> Callable[[str], str]:
    """A function from a prompt to the text that the model is given.

    Args:
        template: what to wrap it in.
        tokenizer: gives the model's tokenizer; called for ``ChatTemplate.model`` only.

    Raises:
        UserError: the model's own template was asked for and it has none.
    """
    if template is ChatTemplate.raw:
        return lambda prompt: prompt
    if template is ChatTemplate.vicuna:
        return lambda prompt: VICUNA.format(prompt=prompt)
    loaded = tokenizer()
    if not loaded.chat_template:
        raise UserError(
            f"The tokenizer of {loaded.name_or_path} has no chat template. "
            "Choose generator.chat_template=vicuna or generator.chat_template=raw."
        )

    def render(prompt: str) -> str:
        message = [{"role": "user", "content": prompt}]
        return str(loaded.apply_chat_template(message, tokenize=False, add_generation_prompt=True))

    return render
